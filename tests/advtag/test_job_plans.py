import json
from pathlib import Path
from typing import Any

import pytest

from advtag.job_plans import plan_jobs, site_asked_for
from advtag.staging import parse_process

# Dataset, primary dataset, and what reads it: (selection, year).
DATA = {
    "SingleMuon_2017B": ("SingleMuon", {("wc", "2017"), ("inclusive", "2017")}),
    "DoubleMuon_2017B": ("DoubleMuon", {("dy", "2017"), ("inclusive", "2017")}),
    "EGamma_2018A": ("EGamma_2018A", {("dy_electron", "2018UL"), ("inclusive", "2018UL")}),
    "Muon_2022C": ("Muon_2022C", {("dy", "2022"), ("wc", "2022"), ("inclusive", "2022")}),
    "Muon1_2023D": ("Muon1_2023D", {("dy", "2023"), ("wc", "2023"), ("inclusive", "2023")}),
    "EGamma0_2023D": ("EGamma0_2023D", {("dy_electron", "2023"), ("inclusive", "2023")}),
    "MuonEG_2023D": ("MuonEG_2023D", {("ttdilep_emu", "2023"), ("inclusive", "2023")}),
}


def a_fileset(path: Path, year: str) -> Path:
    """Write a fileset of one year, with simulation."""
    datasets: dict[str, Any] = {"mc": {"files": ["mc.root"], "metadata": {"is_data": False, "process": "dy"}}}
    for name, (primary, readers) in DATA.items():
        if any(read_in == year for _, read_in in readers):
            metadata = {"is_data": True, "process": "data", "primary_dataset": primary}
            datasets[name] = {"files": [f"{name}.root"], "metadata": metadata}
    path.write_text(json.dumps(datasets))
    return path


READERS = sorted({reader for _, readers in DATA.values() for reader in readers})


@pytest.mark.parametrize(("selection", "year"), READERS)
def test_jobs_of_every_year_read_the_primary_datasets_of_their_selection(
    tmp_path: Path, selection: str, year: str
) -> None:
    wanted = {name for name, (_, readers) in DATA.items() if (selection, year) in readers}
    command = parse_process(
        selection=selection, fileset=a_fileset(tmp_path / "fileset.json", year), others=["--year", year]
    )
    site = site_asked_for("local", memory_mb=None, minutes=None)
    manifest = plan_jobs(command, site, files_per_job=1, events_per_job=None, no_count=True)
    assert {manifest.inputs[part.input].dataset for job in manifest.jobs for part in job.ranges} == {
        "mc",
        *wanted,
    }


def test_jobs_are_refused_what_a_local_run_is_refused(tmp_path: Path) -> None:
    for others, named in (([], "Muon_2022C"), (["--year", "2011"], "2011"), (["--profile", "mine"], "mine")):
        command = parse_process(
            selection="dy", fileset=a_fileset(tmp_path / "fileset.json", "2022"), others=others
        )
        site = site_asked_for("local", memory_mb=None, minutes=None)
        with pytest.raises(ValueError, match=named):
            plan_jobs(command, site, files_per_job=1, events_per_job=None, no_count=True)
