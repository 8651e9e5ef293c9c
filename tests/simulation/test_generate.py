import os
import signal
import subprocess
import sys
from pathlib import Path

import awkward as ak
import pytest
import uproot

from simulation import SampleRequest, generate, read_sample_info, simulate_sample, simulate_samples
from simulation.generate import part_paths, parts_of
from simulation.randomness import RandomStreams, derived_seed


def content(path):
    """Everything in the Events tree."""
    return uproot.open(path)["Events"].arrays()


def test_batches_have_no_influence_on_any_branch(tmp_path):
    request = SampleRequest("wc", "data", 70)
    for size in (70, 23):
        simulate_sample(request, tmp_path / f"{size}.root", batch_size=size, uninitialised_tracks=True)
    whole, parts = content(tmp_path / "70.root"), content(tmp_path / "23.root")
    assert set(whole.fields) == set(parts.fields)
    for branch in whole.fields:
        assert whole[branch].tolist() == parts[branch].tolist(), branch


def test_files_share_no_event(sample):
    runs = set()
    for process, scenario in (("dy", "mc"), ("dy", "data"), ("ttsl", "mc"), ("wc", "mc"), ("wc", "data")):
        events = content(sample(process, scenario).path)
        assert ak.all(events.run == events.run[0])
        assert len(set(events.event.tolist())) == len(events)
        runs.add(int(events.run[0]))
    assert len(runs) == 5


def test_what_a_file_says_about_itself_is_what_it_holds(sample):
    info = sample("wc", "mc")
    assert read_sample_info(info.path) == info
    with uproot.open(info.path) as file:
        weights = file["Events"]["genWeight"].array(library="np").astype(float)
        assert info.n_events == info.n_generated == len(weights)
        assert info.sum_weights == pytest.approx(weights.sum(), rel=1e-6)
        assert file["Runs"]["genEventCount"].array().tolist() == [len(weights)]
        assert file["Runs"]["genEventSumw"].array().tolist() == [info.sum_weights]
        assert file["Runs"]["genEventSumw2"].array()[0] == pytest.approx((weights**2).sum(), rel=1e-6)


def test_data_are_unweighted_at_a_known_luminosity(sample):
    info = sample("wc", "data")
    # 150 tries are kept with the mean weight over the largest: 0.0862 / 0.1656 = 52 %, that is 78 +- 6.
    assert 55 < info.n_events < 102
    assert info.sum_weights == info.n_events
    assert info.luminosity_pb == pytest.approx(150 / (254.5 * 0.1656))
    assert info.primary_dataset == "SingleMuon"
    with uproot.open(info.path) as file:
        assert file["Runs"].keys() == ["run"]


def test_a_given_cross_section_is_recorded(tmp_path):
    info = simulate_sample(SampleRequest("ttmm", "data", 20, cross_section_pb=5.0), tmp_path / "data.root")
    assert info.cross_section_pb == 5.0
    assert info.luminosity_pb == pytest.approx(20 / 5.0)
    assert info.primary_dataset == "DoubleMuon"


def test_a_large_request_is_split_into_parts_with_seeds_of_their_own():
    parts = parts_of(SampleRequest("dy", "mc", 12_000, seed=5))
    assert [part.n_events for part in parts] == [4000, 4000, 4000]
    assert len({part.seed for part in parts}) == 3
    assert parts_of(SampleRequest("dy", "mc", 5000)) == [SampleRequest("dy", "mc", 5000)]
    assert [part.n_events for part in parts_of(SampleRequest("dy", "mc", 5001))] == [2501, 2500]


def test_the_name_of_a_file_changes_with_what_it_depends_on(tmp_path):
    request = SampleRequest("dy", "mc", 100)
    names = {
        part_paths(other, tmp_path)[0].name
        for other in (request, SampleRequest("dy", "mc", 101), SampleRequest("dy", "mc", 100, seed=2))
    }
    assert len(names) == 3
    assert part_paths(request, tmp_path) == part_paths(SampleRequest("dy", "mc", 100), tmp_path)


def test_two_processes_make_what_one_makes_and_only_once(tmp_path, monkeypatch):
    requests = [SampleRequest("dy", "mc", 60), SampleRequest("wc", "data", 40)]
    reports = []
    parallel = simulate_samples(
        requests, tmp_path / "two", n_processes=2, progress=lambda *report: reports.append(report)
    )
    assert reports[-1] == (100, 100)
    assert [done for done, _ in reports] == sorted(done for done, _ in reports)
    serial = simulate_samples(requests, tmp_path / "one", n_processes=1)
    for first, second in zip(parallel, serial, strict=True):
        assert (first.process, first.n_events) == (second.process, second.n_events)
        first_events, second_events = content(first.path), content(second.path)
        for branch in first_events.fields:
            assert first_events[branch].tolist() == second_events[branch].tolist(), branch

    def refuse(*_, **__):
        raise AssertionError("made again")

    monkeypatch.setattr(generate, "simulate_variations", refuse)
    assert simulate_samples(requests, tmp_path / "two", n_processes=1) == parallel


def test_the_failure_of_a_process_is_raised(tmp_path):
    (tmp_path / "taken").write_text("a file where the folder should be")
    requests = [SampleRequest("dy", "mc", 10), SampleRequest("dy", "mc", 11)]
    with pytest.raises(OSError, match="taken"):
        simulate_samples(requests, tmp_path / "taken", n_processes=2)


INTERRUPTED = """
import sys
from pathlib import Path
from simulation import SampleRequest, simulate_samples

if __name__ == "__main__":
    requests = [SampleRequest("dy", "mc", 5000, seed=seed) for seed in (1, 2, 3)]
    try:
        simulate_samples(
            requests, Path(sys.argv[1]), n_processes=int(sys.argv[2]),
            progress=lambda done, total: print(done, flush=True),
        )
    except KeyboardInterrupt:
        sys.exit(130)
"""


@pytest.mark.parametrize("n_processes", [1, 2])
@pytest.mark.parametrize("whole_group", [False, True])
def test_an_interrupt_leaves_neither_parts_of_files_nor_processes(tmp_path, n_processes, whole_group):
    script, samples = tmp_path / "script.py", tmp_path / "samples"
    script.write_text(INTERRUPTED)
    process = subprocess.Popen(
        [sys.executable, str(script), str(samples), str(n_processes)],
        cwd=Path(__file__).parents[2],
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,  # a group of its own, as a command in a terminal has
    )
    assert process.stdout is not None
    while int(process.stdout.readline()) == 0:
        pass
    if whole_group:
        os.killpg(process.pid, signal.SIGINT)
    else:
        process.send_signal(signal.SIGINT)
    # The end of the output: no process that could write to it is left.
    written, _ = process.communicate(timeout=300)
    assert process.returncode == 130
    assert max([0, *map(int, written.split())]) < 15_000
    assert [path for path in samples.rglob("*") if path.suffix != ".root" or path.name.startswith(".")] == []


TERMINATED = """
import multiprocessing
import sys
from pathlib import Path
from simulation import SampleRequest, simulate_samples

ended = []

def terminate(done, total):
    if done and not ended:
        ended.append(multiprocessing.active_children()[0])
        ended[0].terminate()

if __name__ == "__main__":
    requests = [SampleRequest("dy", "mc", 5000, seed=seed) for seed in (1, 2)]
    try:
        simulate_samples(requests, Path(sys.argv[1]), n_processes=2, progress=terminate)
    except RuntimeError as error:
        print(error)
"""


def test_a_terminated_process_leaves_no_part_of_a_file(tmp_path):
    script, samples = tmp_path / "script.py", tmp_path / "samples"
    script.write_text(TERMINATED)
    finished = subprocess.run(
        [sys.executable, str(script), str(samples)],
        cwd=Path(__file__).parents[2],
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        text=True,
        timeout=300,
        check=True,
    )
    assert "was ended from outside" in finished.stdout
    assert list(samples.rglob("*")) == []


def test_the_same_events_are_not_made_twice(tmp_path):
    with pytest.raises(ValueError, match="give each its own seed"):
        simulate_samples([SampleRequest("dy", "mc", 10)] * 2, tmp_path)
    with pytest.raises(ValueError, match="at least one process"):
        simulate_samples([], tmp_path, n_processes=0)


def test_streams_draw_the_same_in_one_or_many_portions():
    whole, portions = RandomStreams(7), RandomStreams(7)
    expected = whole.uniform("a", 10).tolist()
    assert portions.uniform("a", 4).tolist() + portions.uniform("a", 6).tolist() == expected
    assert whole.uniform("b", 10).tolist() != expected


def test_seeds_differ_by_every_part():
    assert len({derived_seed("dy", "mc", 1), derived_seed("dy", "null", 1), derived_seed("dy", "mc", 2)}) == 3
    assert 0 <= derived_seed("dy", 10**12) < 2**31
