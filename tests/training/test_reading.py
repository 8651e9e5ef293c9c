import os
from collections.abc import Callable
from pathlib import Path

import fsspec
import numpy as np
import pytest
import uproot

from models.features import N_FEATURES, index_of
from training.reading import Jets, clean_jets, find_inputs, inspect_file, labels_of, read_jets

JetColumns = dict[str, np.ndarray]
DELTA_R = index_of("Jet_DeepCSV_trackSumJetDeltaR")


def jets(n_jets: int, **columns: list[float]) -> Jets:
    raw = np.ones((n_jets, N_FEATURES), dtype=np.float32)
    raw[:, index_of("Jet_pt")] = 50.0
    raw[:, DELTA_R] = 0.1
    for name, values in columns.items():
        raw[:, index_of(f"Jet_{name}")] = values
    nothing = np.full((n_jets, 4), np.nan, dtype=np.float32)
    none = np.empty((n_jets, 0, 67), dtype=np.float32)
    return Jets(raw, np.zeros(n_jets, dtype=np.uint8), np.zeros((n_jets, 4), dtype=np.uint64), nothing, none)


def test_labels_by_hand() -> None:
    flavour = np.array([5, 5, 5, 5, 4, 4, 0, 21, 1])
    n_b_hadrons = np.array([0, 1, 2, 3, 0, 2, 0, 0, 0])
    assert labels_of(flavour, n_b_hadrons).tolist() == [0, 0, 1, 1, 2, 2, 3, 255, 255]


def test_the_limits_of_the_cleaning_belong_to_what_is_kept() -> None:
    eta, dropped = clean_jets(jets(4, eta=[-2.5, 2.5, 2.5001, -2.6]))
    assert len(eta.labels) == 2
    assert dropped["eta"] == 2
    pt, dropped = clean_jets(jets(4, pt=[20.0, 1000.0, 19.99, 1000.1]))
    assert len(pt.labels) == 2
    assert dropped["pt"] == 2


def test_a_missing_track_sum_passes_and_a_distant_one_does_not() -> None:
    kept, dropped = clean_jets(jets(5, DeepCSV_trackSumJetDeltaR=[0.2, 0.31, -999.0, np.nan, np.inf]))
    assert len(kept.labels) == 4
    assert dropped == {"eta": 0, "pt": 0, "track_sum_delta_r": 1, "flavour": 0}


def test_a_jet_without_finite_kinematics_is_dropped() -> None:
    kept, dropped = clean_jets(jets(3, pt=[np.nan, 50.0, 50.0], eta=[0.0, np.inf, 0.0]))
    assert len(kept.labels) == 1
    assert (dropped["eta"], dropped["pt"]) == (1, 1)


def test_a_jet_dropped_twice_is_counted_once() -> None:
    _, dropped = clean_jets(jets(1, pt=[5.0], eta=[4.0]))
    assert sum(dropped.values()) == 1


@pytest.mark.parametrize("chunk_events", [1, 7, 100_000])
def test_all_jets_are_read_with_their_keys_whatever_the_chunks(
    tmp_path: Path, jet_columns: JetColumns, write_events: Callable[..., None], chunk_events: int
) -> None:
    few = {name: values[:40] for name, values in jet_columns.items()}
    write_events(tmp_path / "f.root", few, first_event=2**53 + 1)
    chunks = list(read_jets(str(tmp_path / "f.root"), chunk_events=chunk_events))
    raw, labels, keys, *_ = (
        np.concatenate(parts) for parts in zip(*(jets for _, jets in chunks), strict=True)
    )
    # Events of 2, 4, 0 and 3 jets in turn: 40 jets are four rounds of 9, then 2 and 2.
    assert sum(n_events for n_events, _ in chunks) == 18
    assert keys[:7, 2].tolist() == [2**53 + 1] * 2 + [2**53 + 2] * 4 + [2**53 + 4]
    assert keys[:7, 3].tolist() == [0, 1, 0, 1, 2, 3, 0]
    assert (raw[:, 1] == few["Jet_pt"].astype(np.float32)).all()
    assert (labels == labels_of(few["Jet_hadronFlavour"], few["Jet_nBHadrons"])).all()


def test_missing_branches_are_named_with_the_file(
    tmp_path: Path, jet_columns: JetColumns, write_events: Callable[..., None]
) -> None:
    path = tmp_path / "f.root"
    write_events(path, jet_columns, leave_out=("Jet_DeepCSV_vertexMass", "Jet_nBHadrons"))
    with pytest.raises(ValueError, match=r"lacks 2 of the 73 branches") as caught:
        inspect_file(str(path))
    assert str(caught.value).startswith(f"{path}: ")
    assert "Jet_nBHadrons, Jet_DeepCSV_vertexMass" in str(caught.value)


@pytest.mark.parametrize("kept", [0.0, 0.001, 0.5, 0.98])
def test_a_truncated_file_gives_one_sentence(tmp_path: Path, events_file: Path, kept: float) -> None:
    content = events_file.read_bytes()
    path = tmp_path / "half.root"
    path.write_bytes(content[: int(kept * len(content))])
    with pytest.raises(ValueError, match=r"half\.root: (cannot be read|is cut off)") as caught:
        inspect_file(str(path))
    assert "\n" not in str(caught.value)


def test_a_damaged_basket_gives_one_sentence(tmp_path: Path, events_file: Path) -> None:
    content = bytearray(events_file.read_bytes())
    with uproot.open(events_file) as file:
        branch = file["Events"]["Jet_pt"]
        start = int(branch.member("fBasketSeek")[0])
    content[start + 60 : start + 2000] = b"\xff" * 1940
    path = tmp_path / "damaged.root"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"damaged\.root: cannot be read") as caught:
        list(read_jets(str(path), chunk_events=100))
    assert "\n" not in str(caught.value)


def test_a_file_without_events_is_named(tmp_path: Path) -> None:
    with uproot.recreate(tmp_path / "runs.root") as file:
        file.mktree("Runs", {"run": np.ones(1)})
    with pytest.raises(ValueError, match=r"runs\.root: holds no tree Events"):
        inspect_file(str(tmp_path / "runs.root"))


def test_inputs_are_sorted_and_taken_once(tmp_path: Path) -> None:
    for name in ("b.root", "a.root"):
        (tmp_path / name).touch()
    found = find_inputs([str(tmp_path / "b.root"), str(tmp_path / "*.root")])
    assert [Path(path).name for path in found] == ["a.root", "b.root"]


def test_an_input_that_matches_nothing_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"absent\*\.root: no such file"):
        find_inputs([str(tmp_path / "absent*.root")])


def test_a_real_pfnano_file_is_read() -> None:
    folder = os.environ.get("ADVTAG_REAL_DATA")
    if not folder:
        pytest.skip("ADVTAG_REAL_DATA is not set")
    path = str(Path(folder) / "pfnano.root")
    assert inspect_file(path).n_events == 10
    ((n_events, found),) = read_jets(path, chunk_events=1000)
    kept, dropped = clean_jets(found)
    assert n_events == 10
    assert len(kept.labels) + sum(dropped.values()) == len(found.labels)
    assert np.isfinite(kept.pt).all()


def test_a_file_whose_name_looks_like_a_pattern_is_found(tmp_path: Path) -> None:
    for name in ("jets[1].root", "jets1.root"):
        (tmp_path / name).touch()
    assert find_inputs([str(tmp_path / "jets[1].root")]) == [str(tmp_path / "jets[1].root")]
    assert find_inputs([str(tmp_path / "jets[12].root")]) == [str(tmp_path / "jets1.root")]


def test_globs_of_remote_files_are_listed() -> None:
    with fsspec.open("memory://store/a_1.root", "wb") as file:
        file.write(b"x")
    assert find_inputs(["memory://store/a_*.root"]) == ["memory:///store/a_1.root"]
    assert find_inputs(["root://host//store/a.root"]) == ["root://host//store/a.root"]
    with pytest.raises(FileNotFoundError, match=r"memory://store/b_\*.root: no such file"):
        find_inputs(["memory://store/b_*.root"])
    with pytest.raises(ValueError, match=r"nowhere://a/\*: cannot be listed .*list the files one by one"):
        find_inputs(["nowhere://a/*"])


def test_an_rntuple_gives_the_jets_of_a_tree(tmp_path: Path, events_file: Path) -> None:
    path = tmp_path / "ntuple.root"
    with uproot.open(events_file) as whole, uproot.recreate(path) as file:
        events = whole["Events"].arrays(entry_stop=200)
        file["Events"] = {name: events[name] for name in events.fields}
    assert inspect_file(str(path)).n_events == 200
    ((_, jets),) = read_jets(str(path), chunk_events=500)
    ((_, known),) = read_jets(str(events_file), chunk_events=200_000)
    np.testing.assert_array_equal(jets.raw, known.raw[: len(jets.raw)])
    np.testing.assert_array_equal(jets.keys, known.keys[: len(jets.raw)])
