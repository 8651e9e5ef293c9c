"""Trainings and processing of a study at a site, with stubs for the batch systems."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from advtag import study_jobs, study_trainings
from advtag.study_card import read_study_card
from advtag.study_stages import Study
from advtag.study_trainings import Waiting, run_cards, train_on_site
from condor.trainings import read_trainings
from datamc.results import read_result

Run = Callable[..., Any]
Stubs = Any


@pytest.fixture
def card(samples: Path, tmp_path: Path) -> Path:
    """Two methods and a student of one of them, on the events that come with the package."""
    path = tmp_path / "study.yaml"
    taught = {"methods": [{"method": "distillation", "teacher": "basic"}]}
    content = {
        "name": "small",
        "output": str(tmp_path / "out"),
        "training_inputs": [str(samples)],
        "filesets": {"data": str(samples)},
        "training": {"epochs": 3},
        "methods": {"basic": {}, "fgsm": {"attack": "fgsm:0.1"}, "taught": taught},
        "seeds": [1],
        "selections": ["dy"],
    }
    path.write_text(yaml.safe_dump(content))
    return path


@pytest.fixture
def study(card: Path) -> Study:
    return Study(read_study_card(card))


@pytest.fixture
def done(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """Names of trainings that count as complete."""
    names: set[str] = set()
    monkeypatch.setattr(
        study_trainings, "unfinished", lambda cards: [each for each in cards if each.name not in names]
    )
    return names


def told(study: Study) -> Waiting | None:
    return train_on_site(run_cards(study.card), study.folders.jobs, site="rwth")


def test_trainings_are_one_array_and_students_follow_their_teachers(
    study: Study, stubs: Stubs, done: set[str]
) -> None:
    first = study.folders.jobs / "trainings_1"
    assert told(study) == Waiting(
        "2 trainings submitted as 8: give the same command again once"
        f" `advtag slurm status {first}` says done."
    )
    assert stubs.calls("sbatch") == ["--parsable --array=0-1 train.slurm"]
    assert [each.name for each in read_trainings(first).trainings] == ["basic.s1", "fgsm.s1"]
    assert "#SBATCH --gres=gpu:1" in (first / "train.slurm").read_text()
    own = yaml.safe_load((first / "00001" / "config.yaml").read_text())
    assert (own["attack"], own["output"]) == ("fgsm:0.1", str(study.folders.run("fgsm.s1")))

    stubs.answer("squeue", "8|0|RUNNING|None\n8|1|PENDING|Priority\n")
    waiting = told(study)
    assert waiting is not None
    assert not waiting.has_failed
    assert "2 trainings have not ended: basic.s1 (epoch 0 of 3), fgsm.s1 (epoch 0 of 3)" in waiting.sentence

    stubs.answer("squeue", "8|0|RUNNING|None\n")
    waiting = told(study)
    assert waiting is not None
    assert waiting.has_failed
    assert waiting.sentence.startswith("1 trainings need you: fgsm.s1 (")
    assert f"`advtag slurm resubmit {first}`" in waiting.sentence

    done |= {"basic.s1", "fgsm.s1"}
    waiting = told(study)
    assert waiting is not None
    assert "1 trainings submitted as 9" in waiting.sentence
    assert [each.name for each in read_trainings(study.folders.jobs / "trainings_2").trainings] == [
        "taught.s1"
    ]
    done.add("taught.s1")
    assert told(study) is None


def test_a_site_without_slurm_trains_nothing(study: Study, stubs: Stubs, done: set[str]) -> None:
    with pytest.raises(ValueError, match="site lxplus has no SLURM"):
        train_on_site(run_cards(study.card), study.folders.jobs, site="lxplus")
    assert stubs.calls("sbatch") == []


def test_a_dry_run_shows_the_array_and_needs_no_batch_system(
    invoke: Run, card: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    came = invoke("study", card, "--train-on", "rwth", "--dry-run")
    assert came.exit_code == 0, came.exception
    assert "#SBATCH --requeue" in came.stdout
    assert "2 trainings would be submitted; nothing was written." in came.output
    assert not (tmp_path / "out").exists()


def test_results_of_jobs_are_merged_once_all_are_done(
    study: Study, stubs: Stubs, process: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    no_taggers: Sequence[Path] = []
    monkeypatch.setattr(study_jobs, "tagger_paths", lambda _: no_taggers)
    settings = {"data": {"taggers": {}}}

    def told() -> Waiting | None:
        return study_jobs.process_at_site(study, {"data": ["dy"]}, settings, site="local")

    folder, result = study.folders.jobs / "process_data_1", study.folders.result("data", "dy")
    waiting = told()
    assert waiting is not None
    assert f"`advtag condor status {folder}` says done" in waiting.sentence
    assert len(stubs.calls("condor_submit")) == 1

    waiting = told()  # HTCondor does not know the jobs: nothing will come of them
    assert waiting is not None
    assert waiting.has_failed
    assert f"`advtag condor resubmit {folder}`" in waiting.sentence

    process(folder)
    assert told() is None
    assert read_result(result).selection == "dy"
    assert study.records.is_same(result, settings["data"])
    assert len(stubs.calls("condor_submit")) == 1
