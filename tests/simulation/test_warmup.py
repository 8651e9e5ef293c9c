from simulation import detector, genparticles, jets, leptons, tagging_inputs
from simulation.warmup import compile_detector, compile_reconstruction

KERNELS = (
    detector.detect,
    jets.fill_jets,
    jets.match_partons,
    jets.smear_jets,
    genparticles.collect_generated,
    genparticles.collect_stable,
    genparticles.count_members,
    genparticles._match,
    tagging_inputs.fill_all,
    leptons.fill_leptons,
)


def test_what_is_compiled_ahead_is_what_is_used(sample):
    compile_detector()
    compile_reconstruction()
    # Other tests of this process may have used a kernel on something else, and compiled it for that, too.
    ahead = [len(kernel.signatures) for kernel in KERNELS]
    assert min(ahead) == 1
    sample("dy", "mc")
    assert [len(kernel.signatures) for kernel in KERNELS] == ahead
