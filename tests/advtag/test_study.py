"""A tiny study on the demo's events: complete, kept, extended, and refused where its card has changed."""

import csv
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

Advtag = Callable[..., Any]


@pytest.fixture(scope="module")
def card(production: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two methods with one seed, on the events of a demo; one of the methods adapts to jets of the data."""
    samples = production / "samples"
    content = {
        "name": "tiny",
        "title": "A tiny study",
        "output": str(tmp_path_factory.mktemp("study") / "out"),
        "training_inputs": [str(samples / "qcd_mc*.root"), str(samples / "tt_mc*.root")],
        "filesets": {"data": str(samples / "fileset.json")},
        "prepare": {"pt_bins": 5, "eta_bins": 2, "weight_cap": 5},
        "training": {"epochs": 2},
        "unlabelled": {"selections": ["dy"], "share": 0.3},
        "methods": {"basic": {}, "mmd": {"methods": [{"method": "mmd_outputs", "jets": 20}]}},
        "seeds": [1],
        "early_epochs": [1],
        "replicas": 20,
    }
    path = tmp_path_factory.mktemp("card") / "tiny.yaml"
    path.write_text(yaml.safe_dump(content, sort_keys=False))
    return path


def changed(card: Path, folder: Path, **changes: Any) -> Path:
    path = folder / "changed.yaml"
    path.write_text(yaml.safe_dump(yaml.safe_load(card.read_text()) | changes, sort_keys=False))
    return path


@pytest.fixture(scope="module")
def out(advtag: Advtag, card: Path) -> Path:
    """The folder of the complete study."""
    out = Path(yaml.safe_load(card.read_text())["output"])
    finished = advtag("study", card, "--until", "collect")
    assert finished.returncode == 0, finished.stderr
    assert (out / "unlabelled" / "dy" / "unlabelled.json").is_file()
    assert not (out / "runs").exists()
    finished = advtag("study", card)
    assert finished.returncode == 0, finished.stderr
    (out / "shown.txt").write_text(finished.stdout + finished.stderr)
    return out


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open() as file:
        return list(csv.DictReader(file))


def times(out: Path) -> dict[Path, int]:
    return {
        path: path.stat().st_mtime_ns
        for path in out.rglob("*")
        if path.is_file() and path.name not in ("study.html", "study.json")
    }


def test_a_study_ends_in_a_page_and_a_table_of_methods(out: Path) -> None:
    rows = rows_of(out / "methods.csv")
    assert {(row["scenario"], row["selection"]) for row in rows} == {
        ("data", "dy"),
        ("data", "wc"),
        ("data", "ttsemilep"),
    }
    assert {row["method"] for row in rows} == {"basic", "mmd"}
    assert all(
        float(row["ratio_curve"]) == 1 for row in rows if row["method"] == "basic" and row["status"] == "ok"
    )
    assert {row["method"] for row in rows_of(out / "method_scale_factors.csv")} == {"basic", "mmd"}
    page = (out / "study.html").read_text()
    assert "A tiny study" in page
    shown = (out / "shown.txt").read_text()
    assert "data dy" in shown
    assert f"Open {out / 'study.html'}" in shown


def test_events_that_were_adapted_to_are_in_no_comparison(out: Path) -> None:
    from datamc.results import read_result
    from models.unlabelled import read_description

    split = read_description(out / "unlabelled" / "dy").split
    assert split == "0.3:1"
    assert read_result(out / "results" / "data" / "dy.zip").config["held_out"] == split


def test_the_last_epoch_of_all_and_early_ones_of_the_reference_are_compared(out: Path) -> None:
    from datamc.results import read_result

    taggers = read_result(out / "results" / "data" / "dy.zip").config["taggers"]
    assert {(tagger["name"], tagger["epoch"]) for tagger in taggers} == {
        ("basic.s1", 1),
        ("basic.s1", 2),
        ("mmd.s1", 2),
    }


def test_what_is_there_is_kept(advtag: Advtag, card: Path, out: Path) -> None:
    before = times(out)
    finished = advtag("study", card, "--json")
    assert finished.returncode == 0, finished.stderr
    assert times(out) == before
    assert {row["method"] for row in json.loads(finished.stdout)} == {"basic", "mmd"}
    plan = json.loads(advtag("study", card, "--dry-run", "--json").stdout)
    assert {row["state"] for row in plan} == {"there"}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"prepare": {"pt_bins": 6, "eta_bins": 2, "weight_cap": 5}},
            "training_data: the card has changed (pt_bins: 5 there, 6 here): change it back, or remove",
        ),
        ({"unlabelled": {"share": 0.4}}, "the card has changed (split: 0.3:1 there, 0.4:1 here)"),
        (
            {"training": {"epochs": 2, "gamma": 2}},
            "was trained otherwise than the card says (gamma: 0.0 there,",
        ),
    ],
)
def test_a_changed_card_is_refused_and_nothing_is_lost(
    advtag: Advtag, card: Path, out: Path, tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    before = times(out)
    finished = advtag("study", changed(card, tmp_path, **changes))
    assert finished.returncode == 1
    assert message in finished.stderr
    assert times(out) == before


def test_a_method_more_costs_its_own_training_alone(
    advtag: Advtag, card: Path, out: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "copy"
    # Links: the study is not to be changed for the other tests.
    for path in out.rglob("*"):
        place = copy / path.relative_to(out)
        place.mkdir(parents=True) if path.is_dir() else os.link(path, place)
    methods = yaml.safe_load(card.read_text())["methods"] | {"fgsm": {"attack": "fgsm:0.1"}}
    more = changed(card, tmp_path, output=str(copy), methods=methods)
    plan = json.loads(advtag("study", more, "--dry-run", "--json").stdout)
    states = {row["what"]: row["state"] for row in plan}
    assert (states["runs/basic.s1"], states["runs/fgsm.s1"]) == ("there", "to do")
    assert states["results/data/dy.zip"] == "to do again"


def test_samples_are_simulated_once_and_prepared_with_their_variations(
    advtag: Advtag, tmp_path: Path
) -> None:
    (tmp_path / "prior.yaml").write_text("knobs: {resolution_scale: [0.9, 1.1]}\n")
    samples = {
        "training": {"events": {"tt": 60}, "variations": ["prior.yaml"]},
        "evaluation": {
            "mc": {"events": {"dy": 10}, "seed": 2},
            "data": {"luminosity_pb": {"dy": 0.04}, "seed": 3},
            None: {"events": {"dy": 10}, "seed": 4},
            "detector": {
                "scenario": "data_tails",
                "events": {"dy": 10},
                "seed": 5,
                "same_events": True,
            },
        },
    }
    own = tmp_path / "simulated.yaml"
    content = {"name": "simulated", "output": "out", "samples": samples, "methods": {"basic": {}}}
    own.write_text(yaml.safe_dump(content | {"prepare": {"pt_bins": 5, "eta_bins": 2}}))
    finished = advtag("study", own, "--until", "prepare", "--jobs", 1, cwd=tmp_path)
    assert finished.returncode == 0, finished.stderr
    filesets = {
        name: json.loads((tmp_path / f"out/samples/{name}.json").read_text())
        for name in ("data", "null", "detector")
    }
    assert all(set(fileset) == {"dy", "DoubleMuon"} for fileset in filesets.values())
    # Simulation is that of mc in both; the data are others.
    assert filesets["data"]["dy"] == filesets["null"]["dy"]
    assert filesets["data"]["DoubleMuon"] != filesets["null"]["DoubleMuon"]
    # But for data of the same events, which come with a simulation of their own.
    assert filesets["detector"]["dy"]["files"] != filesets["null"]["dy"]["files"]
    marked = {name for name, each in filesets.items() if each["DoubleMuon"]["metadata"].get("same_events")}
    assert marked == {"detector"}
    manifest = json.loads((tmp_path / "out" / "training_data" / "manifest.json").read_text())
    assert len(manifest["config"]["variations"]) == 1
    before = times(tmp_path / "out")
    again = advtag("study", own, "--until", "prepare", cwd=tmp_path)
    assert again.returncode == 0, again.stderr
    made = {path for path, time in times(tmp_path / "out").items() if before.get(path) != time}
    assert {path.suffix for path in made} <= {".json"}  # the filesets alone
