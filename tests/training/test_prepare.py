import itertools
import json
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

import training.prepare
from models.features import IS_INTEGER, default_mask, index_of
from models.scaler import ScalerStatistics
from training.config import PrepareConfig
from training.prepare import prepare
from training.reading import InputFile, Jets, read_jets
from training.shards import TrainingData
from training.splitting import SPLITS

JetColumns = dict[str, np.ndarray]


def config(inputs: Path | list[Path], output: Path, **changes: object) -> PrepareConfig:
    paths = [inputs] if isinstance(inputs, Path) else inputs
    settings = {"inputs": [str(path) for path in paths], "output": output, "pt_bins": 5, "eta_bins": 5}
    return PrepareConfig.model_validate(settings | changes)


def hashes(folder: Path) -> dict[str, str]:
    manifest = TrainingData(folder).manifest
    return {
        f"{split}/{shard.number}/{name}": value
        for split in SPLITS
        for shard in manifest.splits[split].shards
        for name, value in shard.sha256.items()
    }


def test_every_jet_is_kept_once_or_counted_as_dropped(training_data: Path, n_selected: int) -> None:
    manifest = TrainingData(training_data).manifest
    n_kept = sum(entry.n_jets for entry in manifest.splits.values())
    assert n_kept == n_selected
    assert n_kept + sum(manifest.dropped_jets.values()) == 6000 == manifest.inputs[0].n_jets
    keys = np.concatenate(
        [np.load(path) for split in SPLITS for path in (training_data / split).glob("keys_*.npy")]
    )
    assert len(np.unique(keys, axis=0)) == n_kept


def test_flavours_are_counted(training_data: Path) -> None:
    data = TrainingData(training_data)
    for split in SPLITS:
        jets = data.learning_jets(split)
        entry = data.manifest.splits[split]
        assert np.bincount(jets.labels, minlength=4).tolist() == list(entry.n_by_flavour.values())
        assert len(jets.labels) == entry.n_jets


def test_training_features_have_mean_0_and_width_1_without_defaults(training_data: Path) -> None:
    jets = TrainingData(training_data).learning_jets("train")
    values = np.ma.masked_array(jets.features.astype(np.float64), jets.mask)
    # float16 keeps 3 digits.
    assert np.abs(values.mean(axis=0)).max() < 2e-3
    assert values.std(axis=0).filled(1.0) == pytest.approx(1.0, abs=2e-3)
    assert np.isfinite(jets.features).all()


def test_test_jets_are_kept_in_physical_units(training_data: Path) -> None:
    data = TrainingData(training_data)
    raw = np.concatenate([jets.raw for jets in data.evaluation_jets()])
    stored = data.learning_jets("test")
    scaled, mask = data.scaler().scale(raw)
    assert (mask == stored.mask).all()
    assert (mask == default_mask(raw)).all()
    assert (scaled.astype(np.float16) == stored.features).all()


def test_the_scaler_is_that_of_the_training_split_alone(events_file: Path, tmp_path: Path) -> None:
    prepare(
        config(
            events_file, tmp_path / "d", train_fraction=0.2, validation_fraction=0.1, feature_type="float32"
        )
    )
    data = TrainingData(tmp_path / "d")
    scaler, jets = data.scaler(), data.learning_jets("train")
    physical = jets.features * scaler.std + scaler.mean
    pt = physical[:, index_of("Jet_pt")].astype(np.float64)
    assert scaler.mean[index_of("Jet_pt")] == pytest.approx(pt.mean(), rel=1e-5)
    assert scaler.std[index_of("Jet_pt")] == pytest.approx(pt.std(), rel=1e-4)
    statistics = ScalerStatistics()
    statistics.update(np.concatenate([part.raw for part in data.evaluation_jets()]))
    assert statistics.finish() != scaler


def test_weights_balance_the_flavours_of_the_training_split(training_data: Path) -> None:
    data = TrainingData(training_data)
    jets = data.learning_jets("train")
    sums = np.bincount(jets.labels, weights=jets.weights, minlength=4)
    assert sums / sums.sum() == pytest.approx([0.25] * 4, rel=1e-5)
    assert jets.weights.mean() == pytest.approx(1.0, rel=1e-5)
    assert jets.weights.dtype == np.float32
    shares = [entry.share_of_weight for entry in data.manifest.reweighting.values()]
    assert shares == pytest.approx([0.25] * 4)


@pytest.mark.parametrize("chunk_events", [101, 100_000])
def test_the_result_does_not_depend_on_the_chunks(
    events_file: Path, training_data: Path, tmp_path: Path, chunk_events: int
) -> None:
    prepare(config(events_file, tmp_path / "d", shard_jets=1500, chunk_events=chunk_events))
    assert hashes(tmp_path / "d") == hashes(training_data)


def test_the_result_does_not_depend_on_how_files_group_the_events(
    tmp_path: Path, jet_columns: JetColumns, write_events: Callable[..., None], training_data: Path
) -> None:
    # 450 jets are 50 rounds of events with 2, 4, 0 and 3 jets.
    halves = [
        {name: values[part] for name, values in jet_columns.items()}
        for part in (slice(450), slice(450, None))
    ]
    write_events(tmp_path / "z.root", halves[0])
    write_events(tmp_path / "a.root", halves[1], first_event=200)
    prepare(config([tmp_path / "z.root", tmp_path / "a.root"], tmp_path / "d", shard_jets=1500))
    assert hashes(tmp_path / "d") == hashes(training_data)


def test_shards_are_shuffled_over_the_whole_sample(training_data: Path) -> None:
    data = TrainingData(training_data)
    assert data.n_shards("train") > 1
    for path in (training_data / "train").glob("keys_*.npy"):
        events = np.load(path)[:, 2].astype(float)
        assert abs(np.corrcoef(events, np.arange(len(events)))[0, 1]) < 0.1
        assert events.mean() == pytest.approx(6000 / 9 * 4 / 2, rel=0.05)


def test_wild_values_are_clipped_to_what_float16_holds_and_counted(
    tmp_path: Path, jet_columns: JetColumns, write_events: Callable[..., None]
) -> None:
    wild = {name: values.copy() for name, values in jet_columns.items()}
    write_events(tmp_path / "tame.root", wild)
    prepare(config(tmp_path / "tame.root", tmp_path / "tame"))
    keys = np.load(tmp_path / "tame" / "validation" / "keys_00000.npy")
    # Make the first validation jet wild, then prepare again.
    counts = np.resize([2, 4, 0, 3], 4000)
    first_of_event = np.concatenate([[0], np.cumsum(counts)])
    wild["Jet_DeepCSV_vertexMass"][first_of_event[keys[0, 2]] + int(keys[0, 3])] = 1e9
    write_events(tmp_path / "wild.root", wild)
    prepare(config(tmp_path / "wild.root", tmp_path / "wild"))
    data = TrainingData(tmp_path / "wild")
    assert data.manifest.clipped_values == 1
    assert data.learning_jets("validation").features.max() == np.finfo(np.float16).max


def test_integers_survive_float16(training_data: Path) -> None:
    data = TrainingData(training_data)
    jets, scaler = data.learning_jets("train"), data.scaler()
    physical = jets.features[:, IS_INTEGER] * scaler.std[IS_INTEGER] + scaler.mean[IS_INTEGER]
    assert np.abs(physical - np.rint(physical)).max() < 0.01


def test_prepared_data_are_not_made_again(events_file: Path, tmp_path: Path) -> None:
    manifest = prepare(config(events_file, tmp_path / "d"))
    before = manifest.stat().st_mtime_ns
    assert prepare(config(events_file, tmp_path / "d")) == manifest
    assert manifest.stat().st_mtime_ns == before
    prepare(config(events_file, tmp_path / "d", seed=2))
    assert manifest.stat().st_mtime_ns != before


@pytest.mark.parametrize("damaged", ["train/features_00000.npy", "test/raw_00000.npy", "scaler.json"])
@pytest.mark.parametrize("is_missing", [True, False])
def test_damaged_data_are_made_again(
    events_file: Path, tmp_path: Path, damaged: str, is_missing: bool
) -> None:
    config = PrepareConfig(inputs=(str(events_file),), output=tmp_path / "data")
    prepare(config)
    path = tmp_path / "data" / damaged
    whole = path.read_bytes()
    path.write_bytes(whole[:-10])
    if is_missing:
        path.unlink()
    prepare(config)
    assert path.read_bytes() == whole


def test_a_foreign_folder_is_not_touched(events_file: Path, tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(ValueError, match="exists and is no training data: choose another 'output'"):
        prepare(config(events_file, tmp_path))
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_older_data_are_kept_when_the_disk_is_full(
    events_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: object, **kwargs: object) -> None:
        raise OSError(28, "No space left on device")

    prepare(config(events_file, tmp_path / "kept"))
    good = hashes(tmp_path / "kept")
    monkeypatch.setattr("training.prepare.write_shard", fail)
    with pytest.raises(OSError, match="No space left"):
        prepare(config(events_file, tmp_path / "kept", seed=5))
    assert hashes(tmp_path / "kept") == good
    monkeypatch.undo()
    prepare(config(events_file, tmp_path / "kept", seed=5))
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]
    assert hashes(tmp_path / "kept") != good


def test_no_jet_left_is_one_sentence(
    tmp_path: Path, jet_columns: JetColumns, write_events: Callable[..., None]
) -> None:
    soft = {name: values[:100].copy() for name, values in jet_columns.items()}
    soft["Jet_pt"][:] = 10.0
    write_events(tmp_path / "soft.root", soft)
    with pytest.raises(ValueError, match=r"soft\.root: no jet left to train on; dropped were .*'pt': "):
        prepare(config(tmp_path / "soft.root", tmp_path / "d"))
    assert [path.name for path in tmp_path.iterdir()] == ["soft.root"]


def test_progress_ends_at_its_total(events_file: Path, tmp_path: Path) -> None:
    calls: list[tuple[int, int]] = []
    prepare(config(events_file, tmp_path / "d", chunk_events=500), progress=lambda *call: calls.append(call))
    done = [call[0] for call in calls]
    assert done == sorted(done)
    assert calls[-1][0] == calls[-1][1]
    assert len({call[1] for call in calls}) == 1


def test_the_manifest_is_plain_json_and_holds_the_resolved_configuration(training_data: Path) -> None:
    content = json.loads((training_data / "manifest.json").read_text())
    assert content["schema_version"] == 2
    assert content["config"]["train_fraction"] == 0.72
    assert content["inputs"][0]["fingerprint"].startswith("sha256:")
    assert len(content["feature_names"]) == 67


class Killed(BaseException):
    """Stands for a signal: nothing catches it."""


@pytest.fixture
def three_files(tmp_path: Path, jet_columns: JetColumns, write_events: Callable[..., None]) -> list[Path]:
    paths = []
    for number in range(3):
        part = slice(450 * number, 450 * (number + 1))
        paths.append(tmp_path / f"events_{number}.root")
        write_events(
            paths[-1], {name: values[part] for name, values in jet_columns.items()}, first_event=200 * number
        )
    return paths


@pytest.mark.parametrize(
    ("where", "calls_before"),
    [("clean_jets", 5), ("clean_jets", 15), ("write_shard", 0), ("write_shard", 2), ("write_text", 1)],
)
def test_a_killed_preparation_goes_on_and_ends_with_the_same_bytes(
    three_files: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str, calls_before: int
) -> None:
    # 200 events a file in chunks of 30: 7 chunks each, so the first pass dies in the first or the third file.
    settings = {"chunk_events": 30, "shard_jets": 300}
    prepare(config(three_files, tmp_path / "straight", **settings))
    called = itertools.count()
    original = getattr(training.prepare, where)

    def dies(*args: object, **kwargs: object) -> object:
        if next(called) == calls_before:
            raise Killed
        return original(*args, **kwargs)

    monkeypatch.setattr(training.prepare, where, dies)
    with pytest.raises(Killed):
        prepare(config(three_files, tmp_path / "d", **settings))
    assert not (tmp_path / "d").exists()
    # Half a record more, as a process killed while writing leaves it.
    for path in (tmp_path / ".d.unfinished" / "staging").iterdir():
        with path.open("ab") as file:
            file.write(b"x" * 100)
    monkeypatch.undo()
    read: list[str] = []
    monkeypatch.setattr(
        training.prepare, "read_jets", lambda path, **kw: read.append(path) or read_jets(path, **kw)
    )
    prepare(config(three_files, tmp_path / "d", **settings))
    files_before = {"clean_jets": calls_before // 7}.get(where, 3)
    assert read == [str(path) for path in three_files[files_before:]]
    assert hashes(tmp_path / "d") == hashes(tmp_path / "straight")
    manifests = [TrainingData(tmp_path / name).manifest.model_dump() for name in ("d", "straight")]
    assert {key for key in manifests[0] if manifests[0][key] != manifests[1][key]} == {"config"}
    assert not (tmp_path / ".d.unfinished").exists()


@pytest.mark.parametrize("damage", [lambda path: path.write_bytes(path.read_bytes()[:-200]), Path.unlink])
def test_what_did_not_reach_the_disk_is_read_again(
    three_files: list[Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    damage: Callable[[Path], object],
) -> None:
    """After a crash of the machine the journal may know of more than the files hold."""
    monkeypatch.setattr(training.prepare, "write_shard", lambda *_, **__: exec("raise KeyboardInterrupt"))
    with pytest.raises(KeyboardInterrupt):
        prepare(config(three_files, tmp_path / "d"))
    monkeypatch.undo()
    damage(max((tmp_path / ".d.unfinished" / "staging").iterdir(), key=lambda path: path.stat().st_size))
    prepare(config(three_files, tmp_path / "d"))
    prepare(config(three_files, tmp_path / "straight"))
    assert hashes(tmp_path / "d") == hashes(tmp_path / "straight")


def test_what_another_preparation_left_unfinished_is_not_used(
    three_files: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training.prepare, "write_shard", lambda *_, **__: exec("raise KeyboardInterrupt"))
    with pytest.raises(KeyboardInterrupt):
        prepare(config(three_files, tmp_path / "d", seed=3))
    monkeypatch.undo()
    prepare(config(three_files[:2], tmp_path / "d"))
    prepare(config(three_files[:2], tmp_path / "other"))
    assert hashes(tmp_path / "d") == hashes(tmp_path / "other")


def with_reference(jets: JetColumns) -> JetColumns:
    rng = np.random.default_rng(11)
    probabilities = rng.dirichlet(np.ones(4), len(jets["Jet_pt"])).T
    names = ("Jet_btagDeepB_b", "Jet_btagDeepB_bb", "Jet_btagDeepC", "Jet_btagDeepL")
    return jets | dict(zip(names, probabilities, strict=True))


def test_scores_of_the_reference_tagger_follow_their_jets_to_the_test_split(
    tmp_path: Path, jet_columns: JetColumns, write_events: Callable[..., None]
) -> None:
    jets = with_reference(jet_columns)
    write_events(tmp_path / "f.root", jets)
    prepare(config(tmp_path / "f.root", tmp_path / "d", shard_jets=1500))
    data = TrainingData(tmp_path / "d")
    assert data.manifest.reference is not None
    parts = list(data.evaluation_jets())
    reference, raw = (np.concatenate([part[index] for part in parts]) for index in (3, 0))
    # In the file a jet is found again by its pT, which no other jet has.
    found = {float(pt): index for index, pt in enumerate(jets["Jet_pt"].astype(np.float32))}
    rows = [found[float(pt)] for pt in raw[:, index_of("Jet_pt")]]
    assert (reference[:, 2] == jets["Jet_btagDeepC"].astype(np.float32)[rows]).all()
    assert (reference[:, 3] == jets["Jet_btagDeepL"].astype(np.float32)[rows]).all()


def test_without_scores_of_the_reference_tagger_in_every_file_there_are_none(
    tmp_path: Path,
    jet_columns: JetColumns,
    write_events: Callable[..., None],
    caplog: pytest.LogCaptureFixture,
) -> None:
    write_events(tmp_path / "a.root", {name: values[:450] for name, values in jet_columns.items()})
    write_events(tmp_path / "b.root", with_reference({n: v[450:900] for n, v in jet_columns.items()}))
    prepare(config([tmp_path / "a.root", tmp_path / "b.root"], tmp_path / "d"))
    data = TrainingData(tmp_path / "d")
    assert data.manifest.reference is None
    assert [entry.has_reference for entry in data.manifest.inputs] == [False, True]
    assert next(data.evaluation_jets()).reference is None
    assert "a.root: no scores of the reference tagger" in caplog.text


def test_resampled_jets_are_balanced_and_weigh_one(
    events_file: Path, training_data: Path, tmp_path: Path
) -> None:
    prepare(config(events_file, tmp_path / "d", reweighting="resample", shard_jets=1500))
    drawn, weighted = (
        TrainingData(folder).learning_jets("train") for folder in (tmp_path / "d", training_data)
    )
    assert (drawn.weights == 1).all()
    # Each of 4 flavours is drawn n/4 times on average; the draw of the fractions spreads by less than
    # sqrt(n)/2, so 5 % of about 1000 are 3 sigma.
    shares = np.bincount(drawn.labels, minlength=4) / len(drawn.labels)
    assert shares == pytest.approx([0.25] * 4, rel=0.05)
    assert len(drawn.labels) == pytest.approx(len(weighted.labels), rel=0.05)
    for split in ("validation", "test"):
        assert np.array_equal(
            TrainingData(tmp_path / "d").learning_jets(split).features,
            TrainingData(training_data).learning_jets(split).features,
        )


def test_defaults_can_be_zero_after_scaling(events_file: Path, training_data: Path, tmp_path: Path) -> None:
    prepare(config(events_file, tmp_path / "d", default_value="zero"))
    jets = TrainingData(tmp_path / "d").learning_jets("train")
    assert jets.mask.any()
    assert (jets.features[jets.mask] == 0).all()
    below = TrainingData(training_data).learning_jets("train")
    smallest = np.where(below.mask, np.inf, below.features).min(axis=0)
    lies_below = below.features <= smallest + np.float16(0.01)
    assert lies_below[below.mask].all()


def test_memory_does_not_grow_with_the_number_of_jets(
    events_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # uproot keeps each open file's tree of branches, so the jets are handed over without it.
    (_, jets), *_ = read_jets(str(events_file), chunk_events=500)

    def chunks(n_chunks: int) -> Iterator[tuple[int, Jets]]:
        for number in range(n_chunks):
            yield 500, jets._replace(keys=jets.keys + np.uint64(1000 * number))

    peaks = []
    for n_chunks in (1, 5, 20):
        file = InputFile(str(events_file), 500 * n_chunks, len(jets.labels) * n_chunks, "x", False)
        monkeypatch.setattr(training.prepare, "inspect_file", lambda _, file=file: file)
        monkeypatch.setattr(training.prepare, "read_jets", lambda *_, n=n_chunks, **__: chunks(n))
        tracemalloc.start()
        prepare(config(events_file, tmp_path / str(n_chunks), shard_jets=500))
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    # 15 chunks more of 1125 jets are 15 * 1125 * 67 * 4 bytes = 4.5 MB.
    assert peaks[2] < peaks[1] + 500_000


def test_inputs_that_are_not_finite_are_counted_and_taken_as_missing(
    jet_columns: JetColumns,
    write_events: Callable[..., None],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Counted by hand: of jets that pass the cuts; one without a pT passes none and is dropped."""
    jets = {name: values[:400].copy() for name, values in jet_columns.items()}
    jets["Jet_pt"][:] = 50.0
    jets["Jet_eta"][:] = 1.0
    jets["Jet_DeepCSV_trackSumJetDeltaR"][:] = 0.1
    mass, ratio = "Jet_DeepCSV_vertexMass", "Jet_DeepCSV_trackSumJetEtRatio"
    jets[mass][:7], jets[ratio][3:6], jets["Jet_pt"][0] = np.nan, np.inf, np.nan
    write_events(tmp_path / "events.root", jets)
    prepare(config(tmp_path / "events.root", tmp_path / "data", shard_jets=100))
    data = TrainingData(tmp_path / "data")
    assert data.manifest.not_finite_values == {mass: 6, ratio: 3}
    assert data.manifest.dropped_jets["pt"] == 1
    assert f"9 inputs are not finite and taken as missing: {mass} 6, {ratio} 3" in caplog.text
    assert all(np.isfinite(data.learning_jets(split).features).all() for split in SPLITS)


def test_a_broken_journal_is_begun_anew(
    events_file: Path, training_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever is left of it, the data are those of a preparation that never stopped."""
    options = {"shard_jets": 1500}

    def killed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(training.prepare, "_shard_writer", killed)
    for content in ("{}", "[]", "", '{"plan": 1, "files": []}'):
        with pytest.raises(KeyboardInterrupt):
            prepare(config(events_file, tmp_path / "data", **options))
        (journal,) = tmp_path.rglob("journal.json")
        journal.write_text(content)
    monkeypatch.undo()
    prepare(config(events_file, tmp_path / "data", **options))
    assert hashes(tmp_path / "data") == hashes(training_data)


def copied(path: Path, folder: Path) -> Path:
    copy = folder / "copy.root"
    copy.write_bytes(path.read_bytes())
    return copy


def linked(path: Path, folder: Path) -> Path:
    link = folder / "link.root"
    link.symlink_to(path)
    return link


WAYS: dict[str, Callable[[Path, Path], Path]] = {
    "roundabout": lambda path, _: path.parent / ".." / path.parent.name / path.name,
    "a link": linked,
    "a copy": copied,
}


@pytest.mark.parametrize("way", WAYS)
def test_a_file_is_taken_once(tmp_path: Path, events_file: Path, way: str) -> None:
    """Its jets would weigh twice, and could be trained on and tested with."""
    other = WAYS[way](events_file, tmp_path)
    with pytest.raises(ValueError, match=r"root: is .*root or a copy of it: list it once"):
        prepare(config([events_file, other], tmp_path / "d"))
    assert not (tmp_path / "d").exists()


def test_jets_that_were_written_anew_are_taken_once(
    tmp_path: Path, jet_columns: JetColumns, write_events: Callable[..., None]
) -> None:
    some = {name: values[:450] for name, values in jet_columns.items()}
    for name in ("a.root", "b.root"):
        write_events(tmp_path / name, some)
    with pytest.raises(ValueError, match=r"b.root: holds the very jets of .*a.root"):
        prepare(config([tmp_path / "a.root", tmp_path / "b.root"], tmp_path / "d"))
    # As many events and jets, but others.
    write_events(tmp_path / "b.root", {name: values[450:900] for name, values in jet_columns.items()})
    prepare(config([tmp_path / "a.root", tmp_path / "b.root"], tmp_path / "d"))
