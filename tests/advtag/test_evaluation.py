"""All studies on the demo's taggers: every table and every figure is there."""

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest

from advtag.evaluation import STUDIES, Tables, parse_studies, run_studies, write_tables
from advtag.study_figures import draw_studies, plan_figures
from models.perturbations import parse_variants
from training.studies.samples import LossTermRow


@pytest.fixture(scope="module")
def tables(production: Path) -> Tables:
    return run_studies(
        [production / "runs" / name for name in ("basic", "adversarial")],
        data=production / "training_data",
        variants=parse_variants("raw,noise:0.1,fgsm:0.1,fgsm:0.5"),
        epochs=[1, 20],
        studies=STUDIES,
        max_jets=1500,
    )


def test_studies_are_chosen_by_name() -> None:
    assert parse_studies("all") == list(STUDIES)
    assert parse_studies("none") == []
    assert parse_studies("thesis, losses") == ["losses", "thesis"]
    with pytest.raises(ValueError, match="unknown study 'los': choose from all, none, roc_outputs"):
        parse_studies("los")


def test_every_study_leaves_its_tables(tables: Tables, tmp_path: Path) -> None:
    written = {path.name for path in write_tables(tables, tmp_path, studies=STUDIES)}
    # Simulated events may hold no scores of a reference tagger, and these trainings have no methods that add
    # to the loss: then these tables are not there.
    absent = {"reference_roc", "reference_auc", "loss_terms"}
    names = {table for study in STUDIES.values() for table in study.tables} - absent
    assert {f"{name}.csv" for name in names} <= written
    assert {row.epoch for row in tables.roc_epochs} == {1, 20}


def test_what_is_transferred_is_the_attack_that_a_training_learned_from(tables: Tables) -> None:
    assert {row.variant for row in tables.transfer} == {"fgsm:0.1"}


def test_without_a_study_there_is_what_the_report_reads(tables: Tables, tmp_path: Path) -> None:
    written = {path.name for path in write_tables(tables, tmp_path, studies=())}
    assert written == {"auc.csv", "auc_differences.csv", "noised_areas.csv", "roc.csv"}


@pytest.mark.parametrize("study", STUDIES)
def test_every_study_has_a_figure(tables: Tables, study: str) -> None:
    planned = plan_figures(tables, [study], features=["vertexMass"])
    assert planned, study
    assert len({figure.name for figure in planned}) == len(planned)
    assert all(figure.name.startswith((study, "auc_")) for figure in planned)
    assert planned[-1].draw().axes


def test_what_methods_add_to_the_loss_is_a_figure_for_each_with_all_trainings(tables: Tables) -> None:
    terms = [
        LossTermRow("short", 1, 1, "mmd_outputs", 0.5),
        LossTermRow("short", 1, 2, "consistency", 0.1),
        LossTermRow("long", 1, 1, "mmd_outputs", 0.5),
        LossTermRow("long", 2, 1, "mmd_outputs", 0.25),
        LossTermRow("long", 2, 2, "mmd_outputs", 0.125),  # a second card of the same kind
        LossTermRow("long", 3, 1, "mmd_outputs", math.nan),
    ]
    planned = plan_figures(replace(tables, loss_terms=terms), ["losses"])
    figures = {figure.name: figure.draw() for figure in planned if "losses_of" in figure.name}
    assert list(figures) == ["losses_of_mmd_outputs", "losses_of_consistency"]
    (axes,) = figures["losses_of_mmd_outputs"].axes
    assert axes.get_ylabel() == "Part of the training loss: mmd outputs"
    short, long = (container.lines[0] for container in axes.containers)
    assert (list(short.get_xdata()), list(short.get_ydata())) == ([1], [0.5])
    assert (list(long.get_xdata()), list(long.get_ydata())) == ([1, 2], [0.5, 0.375])


def test_unknown_features_are_named(tables: Tables) -> None:
    with pytest.raises(ValueError, match="unknown feature 'vertexMas': choose from all, eta, pt"):
        plan_figures(tables, ["input_shapes"], features=["vertexMas"])


def test_the_index_lists_what_was_drawn(tables: Tables, tmp_path: Path) -> None:
    calls: list[tuple[int, int]] = []
    page = draw_studies(
        tables, ["flavour_content", "loss_surface"], tmp_path, progress=lambda *call: calls.append(call)
    )
    assert calls == [(1, 2), (2, 2)]
    assert page == tmp_path / "index.html"
    for name in ("flavour_content", "loss_surface"):
        assert (tmp_path / f"{name}.png").stat().st_size > 5000
        assert f'src="{name}.png"' in page.read_text()
        assert f'href="{name}.csv"' in page.read_text()


def test_the_command_writes_tables_figures_and_json(advtag, production: Path, tmp_path: Path) -> None:
    answer = advtag(
        "evaluate", production / "runs" / "basic", "--data", production / "training_data",
        "--studies", "flavour_content", "--epochs", "1,20", "--max-jets", "500", "--out", tmp_path, "--json",
    )  # fmt: skip
    assert answer.returncode == 0, answer.stderr
    assert {row["epoch"] for row in json.loads(answer.stdout)} == {1, 20}
    # One training has nothing to be compared with: its table of differences is empty, but there.
    assert {path.name for path in tmp_path.iterdir()} == {
        "auc.csv", "auc_differences.csv", "noised_areas.csv", "roc.csv",
        "flavour_content.csv", "flavour_content.png", "index.html",
    }  # fmt: skip
