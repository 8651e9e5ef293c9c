"""What jobs make of a fileset is what one local run makes of it: plans, refusals, losses, files."""

import json
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import uproot

from condor.manifest import read_manifest
from datamc.results import LedgerEntry, Result, read_result
from simulation.fixture import fixture_files
from simulation.rewriting import extend_events, grouped

Run = Callable[..., Any]
Stubs = Any

MC = {"is_data": False, "process": "dy", "cross_section_pb": 278.5}
DATA = {"is_data": True, "process": "data", "luminosity_pb": 2.0, "primary_dataset": "DoubleMuon"}
N_DY, N_WC = 230, 230
"""Events of the package's files."""


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Events without anything that simulation alone has."""
    path = tmp_path_factory.mktemp("recorded") / "data.root"
    of_simulation = ("gen", "Jet_hadronFlavour", "Jet_partonFlavour", "Jet_nBHadrons", "Jet_nCHadrons")
    with uproot.open(fixture_files()["wc"]) as whole, uproot.recreate(path) as file:
        names = [
            name for name in whole["Events"].keys(full_paths=False) if not name.startswith(of_simulation)
        ]
        columns = whole["Events"].arrays(names)
        extend_events(file, grouped({name: columns[name] for name in names}))
    return path


@pytest.fixture
def here(tmp_path: Path, recorded: Path) -> Path:
    """A folder with files of simulation and data, copies, links, and files that cannot be read."""
    shutil.copyfile(fixture_files()["dy"], tmp_path / "mc.root")
    shutil.copyfile(fixture_files()["wc"], tmp_path / "wc.root")
    shutil.copyfile(recorded, tmp_path / "data.root")
    shutil.copyfile(tmp_path / "mc.root", tmp_path / "copy.root")
    (tmp_path / "link.root").symlink_to("mc.root")
    (tmp_path / "bad.root").write_bytes((tmp_path / "mc.root").read_bytes()[:5000])
    (tmp_path / "text.root").write_text("no events")
    return tmp_path


def dataset(*files: str, entries: tuple[int, int] | None = None, **metadata: Any) -> dict[str, Any]:
    content = {"tree": "Events", "entries": entries} if entries else "Events"
    return {"files": dict.fromkeys(files, content), "metadata": metadata or MC}


def write(folder: Path, **datasets: dict[str, Any]) -> Path:
    path = folder / "fileset.json"
    path.write_text(json.dumps(datasets))
    return path


@pytest.fixture
def both(invoke: Run, stubs: Stubs, here: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Process a fileset with the same options as one local run and as jobs that are merged.

    Returns the exit codes of the run, of `submit`, of all jobs together and of `merge`; 0 where it never came
    to that.
    """

    def run(fileset: Path, *options: object, jobs: tuple[object, ...] = ("--files-per-job", 1)) -> list[int]:
        asked = ("--fileset", fileset, *options)
        local = invoke("process", *asked, "--executor", "iterative", "--out", here / "local")
        submitted = invoke("condor", "submit", here / "jobs", *asked, *jobs)
        codes = [local.exit_code, submitted.exit_code]
        if submitted.exit_code:
            return [*codes, 0, 0]
        manifest = read_manifest(here / "jobs")
        of_jobs = []
        for number, job in enumerate(manifest.jobs):
            monkeypatch.chdir(here / "jobs" / f"{number:05d}")
            words = [word.replace("{inputs}", "../inputs") for word in manifest.command]
            came = invoke(
                "process", "--selection", job.selection, "--fileset", "fileset.json", "--out", "output",
                "--executor", "iterative", "--submission", manifest.fingerprint, *words,
            )  # fmt: skip
            of_jobs.append(came.exit_code)
        monkeypatch.chdir(here)
        merged = invoke("condor", "merge", here / "jobs", "--out", here / "merged")
        return [*codes, max(of_jobs), merged.exit_code]

    return run


def planned(folder: Path, selection: str) -> set[tuple[str, str, int, int]]:
    manifest = read_manifest(folder)
    return {
        (manifest.inputs[part.input].dataset, manifest.inputs[part.input].path, part.start, part.stop)
        for job in manifest.jobs
        if job.selection == selection
        for part in job.ranges
    }


def in_ledger(result: Result) -> set[tuple[str, str, int, int]]:
    return {
        (entry.dataset, entry.file, entry.entry_start, entry.entry_start + entry.n_expected)
        for entry in result.ledger
        if entry.status == "processed"
    }


def files_of(folder: Path) -> dict[str, bytes]:
    """Return all files of a result; of a zip, what is in it, without what the work took."""
    found: dict[str, bytes] = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if path.suffix == ".zip":
            with zipfile.ZipFile(path) as file:
                parts = {f"{name}/{part}": file.read(part) for part in file.namelist()}
            document = json.loads(parts[f"{name}/result.json"])
            del document["usage"]
            found |= parts | {f"{name}/result.json": json.dumps(document).encode()}
        elif path.is_file():
            found[name] = path.read_bytes()
    return found


@pytest.mark.parametrize("selections", ["dy,wc,inclusive", "dy_electron"])
@pytest.mark.parametrize("year", ["2017", "2018UL"])
def test_a_merge_is_the_files_of_a_local_run(both: Run, here: Path, selections: str, year: str) -> None:
    """Real data with their sections, ranges, tables of jets, data of other triggers, names that are paths."""
    electrons = "SingleElectron" if year == "2017" else "EGamma"
    fileset = write(
        here,
        mc=dataset("mc.root", entries=(30, 200)),
        **{"../Double/2017B $(x)": dataset("data.root", entries=(0, 100), **DATA)},
        electrons=dataset("data.root", entries=(100, 230), **DATA | {"primary_dataset": electrons}),
    )
    options = ("--selection", selections, "--year", year, "--columns", "--variants", "raw,noise:0.1")
    codes = both(fileset, *options)
    assert codes == [0, 0, 0, 0] or (codes[:2] == [1, 1] and not (here / "jobs").exists())
    if codes[0]:
        return
    for selection in selections.split(","):
        assert planned(here / "jobs", selection) == in_ledger(
            read_result(here / "local" / f"{selection}.zip")
        )
    local, merged = files_of(here / "local"), files_of(here / "merged")
    assert list(merged) == list(local)
    assert any("_sections/" in name for name in local)
    assert [name for name in local if merged[name] != local[name]] == []


def test_files_that_are_cut_are_summed_to_what_they_were(both: Run, here: Path) -> None:
    fileset = write(here, mc=dataset("mc.root"), wc=dataset("wc.root"))
    codes = both(fileset, "--selection", "dy", "--columns", jobs=("--events-per-job", 70))
    assert codes == [0, 0, 0, 0]
    local, merged = files_of(here / "local"), files_of(here / "merged")
    assert list(merged) == list(local)
    # The account of a file that was cut has a line for each part; notes, cutflow and jets are the same.
    assert [name for name in local if merged[name] != local[name]] in ([], ["dy.zip/result.json"])
    results = [read_result(here / name / "dy.zip") for name in ("local", "merged")]
    assert [sum(entry.n_processed for entry in each.ledger) for each in results] == [N_DY + N_WC] * 2
    for part in ("notes", "n_minus_one", "config", "tables", "sections"):
        assert getattr(results[0], part) == getattr(results[1], part)


REFUSED = {
    "a copy": {"mc": dataset("mc.root", "copy.root")},
    "a link": {"mc": dataset("mc.root"), "again": dataset("link.root")},
    "parts that overlap": {
        "mc": dataset("mc.root", entries=(0, 120)),
        "more": dataset("copy.root", entries=(100, 200)),
    },
    "a bad file": {"mc": dataset("mc.root", "bad.root")},
    "a missing file": {"mc": dataset("mc.root", "nowhere.root")},
    "nothing but bad files": {"mc": dataset("bad.root", "text.root")},
    "more events than there are": {"mc": dataset("mc.root", entries=(0, 9999))},
    "data called simulation": {"mc": dataset("data.root")},
    "simulation called data": {"data": dataset("mc.root", **DATA)},
    "data of another year": {
        "mc": dataset("mc.root"),
        "data": dataset("data.root", **DATA | {"primary_dataset": "Muon"}),
    },
}


@pytest.mark.parametrize("case", REFUSED)
def test_jobs_are_refused_what_a_local_run_is_refused(both: Run, here: Path, case: str, stubs: Stubs) -> None:
    codes = both(write(here, **REFUSED[case]), "--selection", "dy")
    assert codes == [1, 1, 0, 0]
    assert not (here / "jobs").exists()
    assert stubs.calls("condor_submit") == []


OPTIONS = [
    ("--year", "2011"),
    ("--profile", "mine"),
    ("--variants", "raw,raw"),
    ("--variants", "fgsm"),
    ("--inputs-of", "nobody@3"),
    ("--golden-json", "nowhere.json"),
    ("--golden-json", "fileset.json"),
    ("--corrections", "fileset.json"),
    ("--apply-sf", "fileset.json"),
    ("--taggers", "."),
    ("--taggers", "pretrained:basic", "--epochs", "999"),
]


@pytest.mark.parametrize("dry_run", [True, False])
@pytest.mark.parametrize("options", OPTIONS)
def test_options_are_checked_as_by_a_run(
    invoke: Run,
    stubs: Stubs,
    here: Path,
    monkeypatch: pytest.MonkeyPatch,
    options: tuple[str, ...],
    dry_run: bool,
) -> None:
    write(here, mc=dataset("mc.root"))
    monkeypatch.chdir(here)
    asked = ("--fileset", "fileset.json", "--selection", "dy", *options)
    before = sorted(here.iterdir())
    local = invoke("process", *asked, "--executor", "iterative", "--out", "local")
    jobs = invoke("condor", "submit", "jobs", *asked, *(["--dry-run"] if dry_run else []))
    assert (local.exit_code != 0, jobs.exit_code != 0) == (True, True)
    assert sorted(here.iterdir()) == before
    assert stubs.calls("condor_submit") == []


@pytest.mark.parametrize("counted", [True, False])
def test_files_that_cannot_be_read_are_lost_in_jobs_as_in_a_run(both: Run, here: Path, counted: bool) -> None:
    fileset = write(here, mc=dataset("mc.root", "bad.root"), other=dataset("text.root", "wc.root"))
    jobs = ("--files-per-job", 1, *(() if counted else ("--no-count",)))
    codes = both(fileset, "--selection", "dy", "--skip-bad-files", jobs=jobs)
    # 3: done, with losses that were declared; jobs of bad files alone are done, too.
    assert codes == [3, 0, 0 if counted else 3, 3]
    local, merged = (read_result(here / name / "dy.zip") for name in ("local", "merged"))
    lost = [(entry.file, entry.status) for entry in merged.ledger if entry.status != "processed"]
    assert sorted(lost) == sorted([(str(here / name), "skipped") for name in ("bad.root", "text.root")])
    assert {name: record.n_events for name, record in merged.datasets.items()} == {"mc": N_DY, "other": N_WC}
    by_file = [sorted(each.ledger, key=lambda entry: entry.file) for each in (local, merged)]
    assert by_file[0] == by_file[1]
    assert set(merged.notes) == set(local.notes)
    assert merged.histograms == local.histograms


def test_jobs_that_lose_everything_leave_nothing_to_merge(both: Run, here: Path) -> None:
    fileset = write(here, mc=dataset("bad.root", "text.root"))
    codes = both(fileset, "--selection", "dy", "--skip-bad-files", jobs=("--files-per-job", 1, "--no-count"))
    assert codes == [1, 0, 3, 1]
    assert not list(here.glob("merged/*.zip"))


def test_copies_that_nobody_looked_at_are_refused_when_merged(both: Run, here: Path, refused: Run) -> None:
    fileset = write(here, mc=dataset("mc.root", "copy.root"))
    codes = both(fileset, "--selection", "dy", jobs=("--files-per-job", 1, "--no-count"))
    assert codes == [1, 0, 0, 1]
    said = refused("condor", "merge", here / "jobs", "--out", here / "merged")
    assert "held twice" in said
    assert "copy.root" in said
    assert not list(here.glob("merged/*.zip"))


def test_a_dry_run_writes_nothing_and_tells_every_job(invoke: Run, here: Path, stubs: Stubs) -> None:
    fileset = write(here, mc=dataset("mc.root", "bad.root"))
    before = sorted(here.rglob("*"))
    options = ("--fileset", fileset, "--selection", "dy", "--events-per-job", 100, "--dry-run")
    assert invoke("condor", "submit", here / "jobs", *options).exit_code == 1
    came = invoke("condor", "submit", here / "jobs", *options, "--skip-bad-files")
    assert came.exit_code == 0
    # 230 events in parts of at most 100: three.
    assert "3 jobs (3 dy) on 1 files, 3 parts in all" in came.output
    assert "bad.root skipped" in came.output
    assert sorted(here.rglob("*")) == before


def test_an_input_that_was_replaced_after_it_was_counted_does_not_count(
    both: Run, here: Path, invoke: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    from condor.judging import OutputError, account_of

    assert both(write(here, mc=dataset("mc.root")), "--selection", "dy") == [0, 0, 0, 0]
    manifest = read_manifest(here / "jobs")
    [entry] = account_of(manifest, here / "jobs", 0)
    other = manifest.inputs[0]._replace(identity="of another file")
    with pytest.raises(OutputError, match=r"mc\.root was replaced"):
        account_of(manifest.model_copy(update={"inputs": (other,)}), here / "jobs", 0)
    assert entry == LedgerEntry("mc", str(here / "mc.root"), N_DY, N_DY, identity=entry.identity)
