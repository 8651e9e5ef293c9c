from collections.abc import Callable
from pathlib import Path
from typing import Any

import awkward as ak
import pytest
import uproot

from events.trees import clusters_of
from processors.filesets import parse_fileset
from processors.planning import Plan, UnreadableFilesError, make_plan, tagger_branches
from selections.branches import branches_of
from selections.parameters import parameters_of

MakeEvents = Callable[..., dict[str, ak.Array]]
Write = Callable[..., Path]

MC = {"is_data": False, "process": "dy"}
DATA = {"is_data": True, "process": "data"}


def plan(fileset: dict[str, Any], selection: str = "dy", *, features: bool = False, **options: Any) -> Plan:
    parameters = parameters_of(selection)
    branches = branches_of(parameters)
    branches = tagger_branches(branches) if features else branches
    return make_plan(parse_fileset(fileset), parameters, branches, **options)


@pytest.fixture(scope="module")
def mc(tmp_path_factory: pytest.TempPathFactory, make_events: MakeEvents, write: Write) -> Path:
    events = make_events(120, seed=1, is_data=False, features=False)
    return write(tmp_path_factory.mktemp("mc") / "mc.root", events, cluster=50)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory, make_events: MakeEvents, write: Write) -> Path:
    events = make_events(80, seed=2, is_data=True, features=False)
    return write(tmp_path_factory.mktemp("data") / "data.root", events)


def test_events_are_counted_and_cut_at_clusters(mc: Path) -> None:
    planned = plan({"dy": {"files": {str(mc): "Events"}, "metadata": MC}})
    assert planned.n_events == 120
    (file,) = planned.files
    assert [(item.entrystart, item.entrystop) for item in file.work_items(60)] == [(0, 100), (100, 120)]
    assert [len(item) for item in file.work_items(1000)] == [120]


def test_a_part_of_a_file_is_cut_at_the_clusters_within(mc: Path) -> None:
    part = {str(mc): {"entries": [30, 120]}}
    planned = plan({"dy": {"files": part, "metadata": MC}})
    assert planned.n_events == 90
    (file,) = planned.files
    # Clusters of 50 events: 30-50 holds 20, so the first chunk of at least 30 ends at 100.
    assert [(item.entrystart, item.entrystop) for item in file.work_items(30)] == [(30, 100), (100, 120)]


def test_a_part_beyond_the_end_of_a_file_is_named(mc: Path) -> None:
    with pytest.raises(UnreadableFilesError, match=r"mc.root: events 100 to 130 are asked for.* holds 120"):
        plan({"dy": {"files": {str(mc): {"entries": [100, 130]}}, "metadata": MC}})


def test_files_without_metadata_tell_what_they_are(mc: Path, data: Path) -> None:
    planned = plan({"a": [str(mc)], "b": [str(data)]})
    assert [planned.datasets[name].is_data for name in ("a", "b")] == [False, True]


@pytest.mark.parametrize("skip_bad_files", [False, True])
def test_all_files_that_cannot_be_read_are_named(mc: Path, tmp_path: Path, skip_bad_files: bool) -> None:
    truncated, half, text, other, ntuple = (
        tmp_path / f"{name}.root" for name in ("truncated", "half", "text", "other", "ntuple")
    )
    truncated.write_bytes(mc.read_bytes()[:-500])
    half.write_bytes(mc.read_bytes()[:1000])
    text.write_text("not a file of ROOT")
    with uproot.recreate(other) as file:
        file.mktree("Other", {"x": "int32"}).extend({"x": [1]})
    with uproot.recreate(ntuple) as file:
        file["Events"] = {"x": [1]}
    bad = [str(path) for path in (tmp_path / "absent.root", truncated, half, text, other, ntuple)]
    fileset = {"dy": {"files": dict.fromkeys([*bad, str(mc)], "Events"), "metadata": MC}}
    if not skip_bad_files:
        with pytest.raises(UnreadableFilesError, match="skipped") as caught:
            plan(fileset)
        assert "6 of 7 files cannot be read: " in str(caught.value)
        assert [path for path in bad if path in str(caught.value)] == bad[:5]
        assert "and 1 more: mend the fileset" in str(caught.value)
        return
    planned = plan(fileset, skip_bad_files=True)
    assert [file.path for file in planned.files] == [str(mc)]
    assert [entry.file for entry in planned.lost] == bad
    reasons = [entry.reason for entry in planned.lost]
    size = mc.stat().st_size
    assert reasons[:3] == [
        "no such file",
        f"truncated, {size - 500} of {size} bytes are there",
        f"truncated, 1000 of {size} bytes are there",
    ]
    assert reasons[3:] == ["not a ROOT file", "it holds no tree Events", reasons[-1]]
    assert "its Events is an RNTuple" in reasons[-1]
    assert all(entry.status == "skipped" for entry in planned.lost)


def test_nothing_left_is_an_error(tmp_path: Path, data: Path) -> None:
    with pytest.raises(ValueError, match=r"nothing to process .*absent.root skipped, no such file"):
        plan({"dy": [str(tmp_path / "absent.root")]}, skip_bad_files=True)
    with pytest.raises(ValueError, match="nothing to process"):
        plan({"d": {"files": {str(data): "Events"}, "metadata": DATA | {"primary_dataset": "SingleMuon"}}})


def test_a_missing_needed_branch_is_named(
    tmp_path: Path, make_events: MakeEvents, write: Write, mc: Path
) -> None:
    events = make_events(5, seed=1, is_data=False, features=False)
    events["Muon"] = events["Muon"][[name for name in events["Muon"].fields if name != "tightId"]]
    path = write(tmp_path / "no_id.root", events)
    with pytest.raises(ValueError, match=f"^{path}: no branch Muon_tightId: is this a NanoAOD file"):
        plan({"dy": [str(path)]})


def test_a_file_without_the_inputs_of_a_tagger_is_named_with_all_of_them(mc: Path) -> None:
    with pytest.raises(ValueError, match=f"^{mc}: no branches Jet_DeepCSV.*PFNano") as caught:
        plan({"dy": [str(mc)]}, features=True)
    assert str(caught.value).count("Jet_DeepCSV_") == 65


def test_data_that_hold_generator_branches_are_refused(mc: Path, data: Path) -> None:
    with pytest.raises(ValueError, match="declared data but holds genWeight and Jet_hadronFlavour"):
        plan({"d": {"files": {str(mc): "Events"}, "metadata": DATA}})
    with pytest.raises(ValueError, match="declared simulation but holds no Jet_hadronFlavour"):
        plan({"d": {"files": {str(data): "Events"}, "metadata": MC}})
    with pytest.raises(ValueError, match="both data and simulation"):
        plan({"d": [str(data), str(mc)]})


def test_events_under_two_names_are_refused(mc: Path, tmp_path: Path) -> None:
    """Whatever the way to the file: as it is, by another path, through a link, or as a copy."""
    copy, link, hard = (tmp_path / f"{name}.root" for name in ("copy", "link", "hard"))
    copy.write_bytes(mc.read_bytes())
    link.symlink_to(mc)
    hard.hardlink_to(mc)
    roundabout = f"{mc.parent}/../{mc.parent.name}/{mc.name}"
    for fileset in (
        {"a": [str(mc)], "b": [str(mc)]},
        {"a": [str(mc), roundabout]},
        {"a": [str(mc), str(link)]},
        {"a": [str(mc), str(hard)]},
        {"a": [str(mc)], "b": [str(copy)]},
    ):
        with pytest.raises(ValueError, match=f"the very events of {mc} in dataset a: list them once"):
            plan(fileset)


@pytest.mark.parametrize(
    ("first", "second", "n_events"),
    [
        ((0, 120), (0, 120), None),
        ((0, 120), (119, 120), None),
        ((0, 70), (50, 120), None),
        ((20, 100), (40, 60), None),
        ((0, 60), (60, 120), 120),
        ((60, 120), (0, 60), 120),
        ((0, 1), (119, 120), 2),
    ],
)
@pytest.mark.parametrize("where", ["two datasets", "a copy", "a copy in two datasets"])
def test_ranges_of_a_file_may_not_overlap(
    mc: Path,
    tmp_path: Path,
    where: str,
    first: tuple[int, int],
    second: tuple[int, int],
    n_events: int | None,
) -> None:
    other = tmp_path / "copy.root"
    other.write_bytes(mc.read_bytes())
    if where == "two datasets":
        other = mc
    listed = [{str(mc): {"entries": first}}, {str(other): {"entries": second}}]
    fileset: dict[str, Any] = {name: {"files": files} for name, files in zip("ab", listed, strict=True)}
    if where == "a copy":
        fileset = {"a": {"files": listed[0] | listed[1]}}
    if n_events is None:
        with pytest.raises(ValueError, match=rf"events .* of .*{mc.name}|{other.name}.* list them once"):
            plan(fileset)
        return
    planned = plan(fileset)
    assert planned.n_events == n_events
    assert sorted(event for file in planned.files for event in range(file.range.start, file.range.stop)) == [
        *range(*min(first, second)),
        *range(*max(first, second)),
    ]


def test_a_tree_without_events_and_branches_is_empty(tmp_path: Path, mc: Path) -> None:
    """A job that keeps no event may leave such a file."""
    bare = tmp_path / "bare.root"
    with uproot.recreate(bare) as file:
        file.mktree("Events", {"x": "int32"})
    planned = plan({"dy": {"files": {str(bare): "Events", str(mc): "Events"}, "metadata": MC}})
    assert [len(file.work_items(60)) for file in planned.files] == [0, 2]
    assert planned.n_events == 120
    assert f"dy: 1 of 2 files hold no event and no branch ({bare})" in planned.notes
    with pytest.raises(UnreadableFilesError, match=r"bare.root: it holds no event"):
        plan({"dy": [str(bare), str(mc)]})
    with uproot.recreate(bare) as file:
        file.mktree("Events", {"x": "int32"}).extend({"x": [1]})
    with pytest.raises(ValueError, match=r"bare.root: no branches run"):
        plan({"dy": {"files": {str(bare): "Events"}, "metadata": MC}})


def test_two_files_made_reproducibly_are_not_taken_for_one(
    tmp_path: Path, make_events: MakeEvents, write: Write
) -> None:
    """ROOT can be told to give all files the same mark: then it says nothing of them."""
    paths = [
        write(tmp_path / f"{n}.root", make_events(n, seed=n, is_data=False, features=False)) for n in (5, 6)
    ]
    with uproot.open(paths[0]) as file:
        mark = file.file.fUUID
    for path in paths:
        with uproot.open(path) as file:
            own = file.file.fUUID
        content = path.read_bytes()
        assert content.count(own) >= 1
        path.write_bytes(content.replace(own, mark))
    assert plan({"a": [str(path) for path in paths]}).n_events == 11


def test_files_with_and_without_weights_do_not_mix(
    mc: Path, tmp_path: Path, make_events: MakeEvents, write: Write
) -> None:
    events = make_events(5, seed=1, is_data=False, features=False)
    del events["genWeight"]
    other = write(tmp_path / "unweighted.root", events)
    with pytest.raises(ValueError, match=f"^{other}: of genWeight, dataset dy has files with and without it"):
        plan({"dy": [str(mc), str(other)]})
    assert plan({"dy": [str(mc)], "other": [str(other)]}).n_events == 125


def test_simulation_without_flavours_is_refused_before_it_is_read(
    tmp_path: Path, make_events: MakeEvents, write: Write
) -> None:
    events = make_events(5, seed=1, is_data=False, features=False)
    events["Jet"] = events["Jet"][[name for name in events["Jet"].fields if name != "hadronFlavour"]]
    path = write(tmp_path / "no_flavour.root", events)
    with pytest.raises(ValueError, match=f"^{path}: dataset dy has genWeight but holds no Jet_hadronFlavour"):
        plan({"dy": [str(path)]})


def of_primary_dataset(path: Path, name: str) -> dict[str, Any]:
    return {"files": {str(path): "Events"}, "metadata": DATA | {"primary_dataset": name}}


def test_data_of_another_primary_dataset_are_left_out_and_noted(mc: Path, data: Path) -> None:
    other = of_primary_dataset(data, "SingleMuon")
    both = {
        "mc": [str(mc)],
        "SingleMuon": of_primary_dataset(mc, "SingleMuon"),
        "own": of_primary_dataset(data, "DoubleMuon"),
    }
    planned = plan(both)
    assert list(planned.datasets) == ["mc", "own"]
    assert any("SingleMuon: left out" in note and "starts from DoubleMuon" in note for note in planned.notes)
    assert list(plan({"SingleMuon": other}, "inclusive").datasets) == ["SingleMuon"]


def test_a_run_without_any_of_the_data_listed_ends_in_a_sentence(mc: Path, data: Path) -> None:
    fileset = {"mc": [str(mc)], "SingleMuon_2017B": of_primary_dataset(data, "SingleMuon")}
    with pytest.raises(
        ValueError, match=r"SingleMuon_2017B of SingleMuon.* dy starts from DoubleMuon in 2017"
    ):
        plan(fileset)
    # Without data there is nothing to leave out.
    assert list(plan({"mc": [str(mc)]}).datasets) == ["mc"]


@pytest.mark.parametrize(
    ("primary_dataset", "named"),
    [
        ("DubleMuon", "DoubleMuon"),
        ("", "DoubleMuon"),
        ("Muon_2022C", "2022"),
        ("/DoubleMuon/Run2018A-v1/NANOAOD", "2018"),
    ],
)
def test_primary_datasets_that_do_not_exist_or_are_of_another_year_are_refused(
    mc: Path, data: Path, primary_dataset: str, named: str
) -> None:
    with pytest.raises(ValueError, match=f"dataset d: .*{named}"):
        plan({"mc": [str(mc)], "d": of_primary_dataset(data, primary_dataset)})


def test_data_of_an_unknown_primary_dataset_are_noted(mc: Path, data: Path) -> None:
    notes = plan({"mc": [str(mc)], "somewhere": [str(data)]}).notes
    assert "somewhere: data of an unknown primary dataset, taken for DoubleMuon" in notes
    assert len([note for note in notes if "primary" in note]) == 1
    assert not any("primary" in note for note in plan({"d": [str(data)]}, "inclusive").notes)


def test_simulation_without_weights_or_truth_is_noted(
    tmp_path: Path, make_events: MakeEvents, write: Write
) -> None:
    events = make_events(5, seed=1, is_data=False, features=False)
    del events["genWeight"]
    events["Jet"] = events["Jet"][[name for name in events["Jet"].fields if name != "nBHadrons"]]
    notes = plan({"dy": [str(write(tmp_path / "mc.root", events))]}).notes
    assert "dy: without genWeight, every event weighs 1" in notes
    assert "dy: without Jet_nBHadrons, no jet counts as bb" in notes


def test_absent_optional_branches_are_noted_once_per_dataset(mc: Path) -> None:
    notes = plan({"dy": [str(mc)]}).notes
    assert len(notes) == 1
    assert "Flag_eeBadScFilter" in notes[0]
    assert "Flag_goodVertices" not in notes[0]


@pytest.mark.parametrize(
    ("offsets", "n_events", "clusters"),
    [
        ([0, 100, 300], 300, (0, 100, 300)),
        ([300], 300, (0, 300)),  # seen in a damaged file: its events were left out without a word
        ([0, 200, 100, 300], 300, (0, 300)),
        ([0, 100], 300, (0, 300)),
        ([], 300, (0, 300)),
        ([0], 0, (0,)),
        ([], 0, (0, 0)),
    ],
)
def test_clusters_that_leave_out_events_are_not_believed(
    offsets: list[int], n_events: int, clusters: tuple[int, ...]
) -> None:
    assert clusters_of(offsets, n_events) == clusters


@pytest.mark.parametrize(
    ("names", "twice"),
    [
        (["WJetsToLNu_TuneCP5", "W1JetsToLNu", "W2JetsToLNu"], "W1JetsToLNu, W2JetsToLNu"),
        (["DYJetsToLL_M-50", "DYJetsToLL_M-50_HT-100to200"], "DYJetsToLL_M-50_HT-100to200"),
        (["DYJetsToLL_M-50", "DYJetsToLL_M-10to50", "W1JetsToLNu"], None),
        (["W1JetsToLNu", "W2JetsToLNu"], None),
    ],
)
def test_an_inclusive_sample_beside_its_parts_is_noted(
    make_events: MakeEvents, write: Write, tmp_path: Path, names: list[str], twice: str | None
) -> None:
    paths = [
        write(tmp_path / f"{name}.root", make_events(5 + seed, seed=seed, is_data=False, features=False))
        for seed, name in enumerate(names)
    ]
    planned = plan({name: [str(path)] for name, path in zip(names, paths, strict=True)})
    told = [note for note in planned.notes if "count twice" in note]
    if twice is None:
        assert told == []
    else:
        (note,) = told
        assert note.startswith(f"{names[0]}: by its name it holds the events of {twice}, too, which would")
