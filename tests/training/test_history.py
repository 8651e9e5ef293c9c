from pathlib import Path

from training.history import LossTerm, read_history, read_terms, write_history


def test_history_survives_reading(finished_run: Path, tmp_path: Path) -> None:
    history = read_history(finished_run)
    assert [record.epoch for record in history] == [1, 2]
    assert all(record.jets_per_second > 0 for record in history)
    assert read_history(tmp_path) == []
    terms = [LossTerm(1, 1, "mmd_outputs", 0.1 + 0.2), LossTerm(1, 3, "consistency", -1e-300)]
    write_history(tmp_path, history, terms)
    assert (read_history(tmp_path), read_terms(tmp_path)) == (history, terms)


def test_a_training_whose_methods_add_nothing_has_no_table_of_terms(finished_run: Path) -> None:
    assert not (finished_run / "terms.csv").exists()
    assert read_terms(finished_run) == []
