import math

import numpy as np
import pytest
from scipy import stats

from models.features import FEATURES, IS_INTEGER, N_FEATURES, default_mask
from models.perturbations import JetKeys, Variant, gaussian_noise, parse_variants, perturb
from models.tagger import load_tagger


@pytest.fixture(scope="module")
def tagger(write_run, tmp_path_factory):
    return load_tagger(write_run(tmp_path_factory.mktemp("runs") / "run") / "epoch_001_tagger.onnx")


def jet_keys(n_jets, run=1, luminosity_block=1):
    """Five jets an event, as in a file."""
    index = np.arange(n_jets)
    return JetKeys(np.full(n_jets, run), np.full(n_jets, luminosity_block), index // 5, index % 5)


def bits(array):
    return np.ascontiguousarray(array).view(np.uint32)


def test_a_list_of_variants_reads_back_its_own_names():
    text = "raw,noise:0.1,fgsm:0.005,fgsm:1,noise:0.00000001"
    variants = parse_variants(text)
    assert variants[:2] == [Variant("raw"), Variant("noise", 0.1)]
    assert ",".join(variant.name for variant in variants) == text


def test_spaces_and_exponents_are_read():
    assert parse_variants(" raw , noise:1e-2") == [Variant("raw"), Variant("noise", 0.01)]


def test_attacks_need_truth_and_noise_does_not():
    assert [variant.needs_truth for variant in parse_variants("raw,noise:0.1,fgsm:0.1")] == [
        False,
        False,
        True,
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "unknown variant ''"),
        ("raw,", "unknown variant ''"),
        ("pgs:0.1", "unknown variant 'pgs:0.1': choose from raw, noise, fgsm"),
        ("raw:0.1", "raw takes no size"),
        ("noise", "'noise': give a size"),
        ("noise:", "'noise:': give a size"),
        ("fgsm:-0.1", "'fgsm:-0.1': give a size"),
        ("fgsm:nan", "'fgsm:nan': give a size"),
        ("noise:inf", "'noise:inf': give a size"),
        ("noise:0.1,raw,noise:0.10", "noise:0.1 is listed twice"),
    ],
)
def test_a_wrong_variant_is_one_sentence(text, message):
    with pytest.raises(ValueError, match=message) as caught:
        parse_variants(text)
    assert "\n" not in str(caught.value)


def splitmix64(state):
    """The published generator in plain integers: the next state and the word."""
    state = (state + 0x9E3779B97F4A7C15) % 2**64
    z = state
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB % 2**64
    return state, z ^ (z >> 31)


def test_the_plain_splitmix64_is_the_published_one():
    # First numbers of the reference implementation for seed 1234567.
    state, words = 1234567, []
    for _ in range(3):
        state, word = splitmix64(state)
        words.append(word)
    assert words == [6457827717110365317, 3203168211198807973, 9817491932198370423]


def test_noise_is_box_muller_on_splitmix64_computed_in_plain_python():
    key, seed = (321, 12, 987654321012, 3), 42
    state = seed
    for part in key:
        _, state = splitmix64(state ^ part)
    expected = []
    for _ in range(34):
        state, word = splitmix64(state)
        u, v = ((word >> 32) + 0.5) / 2**32, ((word % 2**32) + 0.5) / 2**32
        radius = math.sqrt(-2 * math.log(u))
        expected += [radius * math.cos(2 * math.pi * v), radius * math.sin(2 * math.pi * v)]
    noise = gaussian_noise(seed, JetKeys(*(np.array([part]) for part in key)))
    np.testing.assert_allclose(noise[0], expected[:67], rtol=1e-6, atol=1e-7)


def test_noise_is_normal():
    noise = gaussian_noise(0, jet_keys(20_000)).astype(np.float64)
    n = noise.size  # 1.34 million
    # standard errors: mean 1/sqrt(n), variance sqrt(2/n), skewness sqrt(6/n), kurtosis sqrt(24/n)
    assert abs(noise.mean()) < 4 / n**0.5
    assert abs(noise.var() - 1) < 4 * (2 / n) ** 0.5
    assert abs(stats.skew(noise, axis=None)) < 4 * (6 / n) ** 0.5
    assert abs(stats.kurtosis(noise, axis=None)) < 4 * (24 / n) ** 0.5
    assert stats.kstest(noise.ravel(), "norm").pvalue > 0.01


def test_noise_is_normal_in_every_feature_and_out_to_the_tails():
    noise = gaussian_noise(0, jet_keys(50_000))
    p_values = [stats.kstest(noise[:, feature], "norm").pvalue for feature in range(N_FEATURES)]
    assert min(p_values) > 0.01 / N_FEATURES
    # 3.35 million numbers: expected beyond 4 sigma 3.35e6 * 6.33e-5 = 212
    assert abs(np.count_nonzero(np.abs(noise) > 4) - 212) < 4 * 212**0.5


def test_features_are_independent():
    n = 20_000
    noise = gaussian_noise(3, jet_keys(n)).astype(np.float64)
    for values in (noise, noise**2):  # squares: Box-Muller's pairs share a radius
        correlation = np.corrcoef(values, rowvar=False) - np.eye(N_FEATURES)
        assert np.abs(correlation).max() < 5 / n**0.5


@pytest.mark.parametrize("other", ["seed", "run", "luminosity_block", "event", "jet"])
def test_another_seed_or_jet_has_independent_noise(other):
    keys = jet_keys(5000)
    noise = gaussian_noise(0, keys)
    if other == "seed":
        changed = gaussian_noise(1, keys)
    else:
        changed = gaussian_noise(0, keys._replace(**{other: getattr(keys, other) + 10_000}))
    assert not (noise == changed).all(axis=1).any()
    assert abs(np.corrcoef(noise.ravel(), changed.ravel())[0, 1]) < 4 / noise.size**0.5


def test_keys_cannot_be_confused_with_one_another():
    one, two = np.array([1]), np.array([2])
    assert not np.array_equal(
        gaussian_noise(0, JetKeys(one, two, one, one)), gaussian_noise(0, JetKeys(two, one, one, one))
    )


def test_chunks_and_order_change_no_bit():
    keys = jet_keys(10_000, run=316_000)
    noise = gaussian_noise(7, keys)
    for size in (1, 3, 4095, 4097):
        parts = [slice(start, start + size) for start in range(0, 10_000 if size > 3 else 60, size)]
        pieces = np.concatenate([gaussian_noise(7, JetKeys(*(key[part] for key in keys))) for part in parts])
        assert np.array_equal(pieces, noise[: len(pieces)])
    order = np.random.default_rng(0).permutation(10_000)
    assert np.array_equal(gaussian_noise(7, JetKeys(*(key[order] for key in keys))), noise[order])


def test_a_feature_keeps_its_noise_when_others_are_left_out():
    keys = jet_keys(100)
    noise = gaussian_noise(0, keys)
    for n_features in (1, 2, 66):
        assert np.array_equal(gaussian_noise(0, keys, n_features), noise[:, :n_features])


def test_the_integer_type_of_the_keys_does_not_matter():
    keys = jet_keys(100)
    wide = gaussian_noise(0, keys)
    narrow = JetKeys(*(key.astype(kind) for key, kind in zip(keys, ("u4", "u4", "u8", "i4"), strict=True)))
    assert np.array_equal(gaussian_noise(0, narrow), wide)


def test_no_jets_have_no_noise():
    assert gaussian_noise(0, jet_keys(0)).shape == (0, N_FEATURES)


def test_wrong_keys_are_named():
    keys = jet_keys(3)
    with pytest.raises(ValueError, match="'event' holds float64"):
        gaussian_noise(0, keys._replace(event=keys.event.astype(float)))
    with pytest.raises(ValueError, match=r"'jet' has shape \(2,\), but run has \(3,\)"):
        gaussian_noise(0, keys._replace(jet=keys.jet[:2]))


@pytest.mark.parametrize("variant", [Variant("noise", 0.1), Variant("fgsm", 0.1), Variant("noise", 1e30)])
def test_defaults_and_integers_keep_every_bit(variant, tagger, make_jets):
    raw = make_jets(1000)
    moved = perturb(variant, tagger, raw, keys=jet_keys(1000), labels=np.arange(1000) % 4, seed=1)
    frozen = default_mask(raw) | IS_INTEGER
    assert np.array_equal(bits(moved[frozen]), bits(raw[frozen]))
    assert (moved[~frozen] != raw[~frozen]).mean() > 0.99
    if variant.size < 1:
        assert np.array_equal(default_mask(moved), default_mask(raw))


@pytest.mark.parametrize("variant", parse_variants("raw,noise:0,fgsm:0"))
def test_size_zero_changes_no_bit_and_copies(variant, tagger, make_jets):
    raw = make_jets(100)
    raw[:, 0] = -0.0
    same = perturb(variant, tagger, raw, keys=jet_keys(100), labels=np.zeros(100, dtype=int), seed=1)
    assert np.array_equal(bits(same), bits(raw))
    assert not np.shares_memory(same, raw)


def test_noise_moves_by_size_times_width_times_noise(tagger, make_jets):
    raw, keys = make_jets(500), jet_keys(500)
    moved = perturb(Variant("noise", 0.1), tagger, raw, keys=keys, labels=None, seed=5)
    active = ~(default_mask(raw) | IS_INTEGER)
    expected = raw.astype(np.float64) + 0.1 * tagger.scaler.std.astype(np.float64) * gaussian_noise(5, keys)
    np.testing.assert_allclose(moved[active], expected[active], rtol=1e-6, atol=1e-6)


def test_fgsm_moves_each_active_cell_by_epsilon_widths_up_the_loss(tagger, make_jets):
    raw, labels = make_jets(500), np.arange(500) % 4
    moved = perturb(Variant("fgsm", 0.1), tagger, raw, keys=None, labels=labels, seed=0)
    active = ~(default_mask(raw) | IS_INTEGER)
    sign = tagger.gradient_sign(raw, labels)
    assert (sign[active] != 0).mean() > 0.99
    raw = np.where(active, raw, 0.0)
    step = (np.where(active, moved, 0.0).astype(np.float64) - raw) / tagger.scaler.std
    # float32 rounds raw + step, at most 1e-7 of their size, in units of the width
    rounding = 1e-6 + 2e-7 * np.abs(raw / tagger.scaler.std)
    assert (np.abs(step - 0.1 * sign) < rounding)[active].all()


def test_fgsm_raises_the_loss_and_noise_far_less(tagger, make_jets):
    raw, labels = make_jets(2000), np.arange(2000) % 4

    def loss(features):
        z = tagger.logits(features).astype(np.float64)
        return (np.logaddexp.reduce(z, axis=1) - z[np.arange(len(z)), labels]).mean()

    keys = jet_keys(2000)
    attacked = perturb(Variant("fgsm", 0.05), tagger, raw, keys=keys, labels=labels, seed=0)
    noised = perturb(Variant("noise", 0.05), tagger, raw, keys=keys, labels=labels, seed=0)
    assert loss(attacked) - loss(raw) > 5 * abs(loss(noised) - loss(raw))


def test_shared_noise_is_the_same_as_its_own(tagger, make_jets):
    raw, keys, variant = make_jets(50), jet_keys(50), Variant("noise", 0.2)
    own = perturb(variant, tagger, raw, keys=keys, labels=None, seed=9)
    shared = perturb(variant, tagger, raw, noise=gaussian_noise(9, keys))
    assert np.array_equal(bits(own), bits(shared))


def test_no_jets_stay_no_jets(tagger):
    nothing = np.empty((0, N_FEATURES), dtype=np.float32)
    for variant in parse_variants("raw,noise:0.1,fgsm:0.1"):
        moved = perturb(variant, tagger, nothing, keys=jet_keys(0), labels=np.empty(0, dtype=int), seed=0)
        assert moved.shape == (0, N_FEATURES)


def test_the_input_is_left_alone(tagger, make_jets):
    raw = make_jets(50)
    before = bits(raw).copy()
    for variant in parse_variants("noise:0.1,fgsm:0.1"):
        perturb(variant, tagger, raw, keys=jet_keys(50), labels=np.zeros(50, dtype=int), seed=0)
    assert np.array_equal(bits(raw), before)


def test_data_cannot_be_attacked(tagger, make_jets):
    with pytest.raises(ValueError, match=r"fgsm:0.1: 2 of 3 jets have no true flavour \(label -1\)"):
        perturb(Variant("fgsm", 0.1), tagger, make_jets(3), keys=None, labels=np.array([-1, 0, -1]), seed=0)


def test_what_is_needed_and_missing_is_named(tagger, make_jets):
    with pytest.raises(ValueError, match=r"fgsm:0.1: needs the true flavours"):
        perturb(Variant("fgsm", 0.1), tagger, make_jets(3), keys=jet_keys(3), labels=None, seed=0)
    with pytest.raises(ValueError, match=r"noise:0.1: needs the keys"):
        perturb(Variant("noise", 0.1), tagger, make_jets(3), keys=None, labels=None, seed=0)


def perturbed(text, tagger, raw, labels, seed=0):
    (variant,) = parse_variants(text)
    return perturb(variant, tagger, raw, keys=jet_keys(len(raw)), labels=labels, seed=seed)


def change_of(moved, raw):
    """The change of movable cells, 0 elsewhere."""
    movable = ~(default_mask(raw) | IS_INTEGER)
    return np.where(movable, moved, 0.0).astype(np.float64) - np.where(movable, raw, 0.0)


ALL = [
    "noise:0.1",
    "sign_noise:0.1",
    "fgsm:0.1",
    "noise_fgsm:0.05:0.1",
    "pgd:0.1:steps=3:step=0.05",
    "pgd:0.1:steps=3:start=1",
]


@pytest.mark.parametrize("text", ALL)
@pytest.mark.parametrize("options", ["", ":restrict=0.2", ":SV=0:track=2"])
def test_every_variant_leaves_defaults_and_integers_alone(text, options, tagger, make_jets):
    raw, labels = make_jets(300), np.arange(300) % 4
    moved = perturbed(text + options, tagger, raw, labels)
    frozen = default_mask(raw) | IS_INTEGER
    assert np.array_equal(bits(moved[frozen]), bits(raw[frozen]))
    assert not np.array_equal(bits(moved), bits(raw))


@pytest.mark.parametrize("text", ["fgsm:0.1", "noise_fgsm:0.05:0.1", "pgd:0.1:steps=3:start=1"])
def test_jets_are_perturbed_one_by_one(text, tagger, make_jets):
    raw, labels, keys = make_jets(300), np.arange(300) % 4, jet_keys(300)
    (variant,) = parse_variants(text)
    whole = perturb(variant, tagger, raw, keys=keys, labels=labels, seed=4)
    parts = [
        perturb(variant, tagger, raw[p], keys=JetKeys(*(k[p] for k in keys)), labels=labels[p], seed=4)
        for p in (slice(0, 7), slice(7, 300))
    ]
    assert np.array_equal(bits(np.concatenate(parts)), bits(whole))


@pytest.mark.parametrize("step", ["0.1", "0.25", ""])
def test_one_step_of_pgd_is_fgsm_bit_by_bit(step, tagger, make_jets):
    raw, labels = make_jets(500), np.arange(500) % 4
    pgd = perturbed("pgd:0.1:steps=1" + (f":step={step}" if step else ""), tagger, raw, labels)
    assert np.array_equal(bits(pgd), bits(perturbed("fgsm:0.1", tagger, raw, labels)))


def test_noise_of_width_zero_before_fgsm_is_fgsm(tagger, make_jets):
    raw, labels = make_jets(100), np.arange(100) % 4
    both = [perturbed(text, tagger, raw, labels) for text in ("noise_fgsm:0:0.1", "fgsm:0.1")]
    assert np.array_equal(bits(both[0]), bits(both[1]))


def test_noise_before_fgsm_is_one_after_the_other(tagger, make_jets):
    raw, labels = make_jets(100), np.arange(100) % 4
    first = perturbed("noise:0.05", tagger, raw, labels)
    then = perturbed("fgsm:0.1", tagger, first, labels)
    assert np.array_equal(bits(perturbed("noise_fgsm:0.05:0.1", tagger, raw, labels)), bits(then))


def test_sign_noise_has_the_size_of_fgsm_and_the_signs_of_the_noise(tagger, make_jets):
    raw, labels, keys = make_jets(100), np.zeros(100, dtype=int), jet_keys(100)
    moved = perturbed("sign_noise:0.1", tagger, raw, labels, seed=5)
    expected = raw + np.float32(0.1) * tagger.scaler.std * np.sign(gaussian_noise(5, keys))
    movable = ~(default_mask(raw) | IS_INTEGER)
    assert np.array_equal(moved[movable], expected[movable])


def test_pgd_stays_in_the_box_and_climbs_higher_than_fgsm(tagger, make_jets):
    raw, labels = make_jets(1000), np.arange(1000) % 4

    def loss(features):
        z = tagger.logits(features).astype(np.float64)
        return np.logaddexp.reduce(z, axis=1) - z[np.arange(len(z)), labels]

    fgsm = perturbed("fgsm:0.3", tagger, raw, labels)
    pgd = perturbed("pgd:0.3:steps=10:start=1", tagger, raw, labels)
    movable = ~(default_mask(raw) | IS_INTEGER)
    change = change_of(pgd, raw) / tagger.scaler.std
    assert np.abs(change).max() < 0.3 + 1e-4
    assert (np.abs(change[movable]) > 0.29).mean() > 0.5
    assert loss(pgd).mean() > loss(fgsm).mean()


def test_a_random_start_is_uniform_in_the_box(tagger, make_jets):
    raw, labels = make_jets(2000), np.zeros(2000, dtype=int)
    # A step far below rounding: what is left is the start.
    moved = perturbed("pgd:0.1:steps=1:step=0.000000001:start=1", tagger, raw, labels)
    movable = ~(default_mask(raw) | IS_INTEGER)
    start = (change_of(moved, raw) / tagger.scaler.std)[movable]
    # rounding of float32 is far below the size of the box
    assert stats.kstest(start[:50_000], "uniform", args=(-0.1, 0.2)).pvalue > 0.01


@pytest.mark.parametrize("text", ALL)
def test_no_value_changes_by_more_than_its_restricted_share(text, tagger, make_jets):
    raw, labels = make_jets(500), np.arange(500) % 4
    moved = perturbed(f"{text}:restrict=0.02", tagger, raw, labels)
    movable = ~(default_mask(raw) | IS_INTEGER)
    change = np.abs(moved[movable].astype(np.float64) - raw[movable])
    allowed = 0.02 * np.abs(raw[movable].astype(np.float64))
    assert (change <= allowed + 2e-7 * np.abs(raw[movable])).all()
    assert (change > 0.99 * allowed).mean() > 0.5


def test_factors_scale_the_steps_of_their_features(tagger, make_jets):
    raw, labels = make_jets(200), np.arange(200) % 4
    raw[:, 1] = -0.0  # pt
    plain = perturbed("fgsm:0.1", tagger, raw, labels)
    own = perturbed("fgsm:0.1:track=0.5:pt=0", tagger, raw, labels)
    halved = np.array([feature.group == "track" for feature in FEATURES])
    others = ~halved
    others[1] = False
    assert np.array_equal(bits(own[:, 1]), bits(raw[:, 1]))
    assert np.array_equal(bits(own[:, others]), bits(plain[:, others]))
    step, half = (change_of(moved, raw)[:, halved] for moved in (plain, own))
    assert half == pytest.approx(0.5 * step, abs=1e-5)
