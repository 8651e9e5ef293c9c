"""The stages of a study, each from what the one before it left on disk; what is there is kept."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from advtag import study_trainings
from advtag.progress import ProgressCallback, say
from advtag.samples import write_fileset
from advtag.study_card import SIMULATION, SampleCard, StudyCard, StudyFolders, tagger_name
from advtag.study_records import Records
from advtag.study_trainings import Waiting

if TYPE_CHECKING:
    from models.event_split import EventSplit
    from models.tagger import Tagger
    from simulation import SampleRequest
    from training.config import PrepareConfig


class Study(NamedTuple):
    """A study at work.

    Attributes:
        n_processes: At work at once.
        train_on: A site with SLURM for the trainings; None trains here.
        process_on: A site for the processing; None processes here.
    """

    card: StudyCard
    n_processes: int = 2
    train_on: str | None = None
    process_on: str | None = None

    @property
    def folders(self) -> StudyFolders:
        """Where everything lies; absolute, as batch jobs start elsewhere."""
        return StudyFolders(self.card.output.resolve())

    @property
    def records(self) -> Records:
        """With which settings things were made."""
        return Records(self.folders.top / "study.json")

    @property
    def split(self) -> "EventSplit | None":
        """The events that methods may adapt to, and no tagger is evaluated on."""
        from models.event_split import EventSplit

        return (
            EventSplit(self.card.unlabelled.share, self.card.unlabelled.seed)
            if self.card.unlabelled
            else None
        )


def sample_requests(study: Study) -> dict[str, list["SampleRequest"]]:
    """Return what is simulated, to learn from (`training`) and for each evaluation sample by its name."""
    samples = study.card.samples
    if samples is None:
        return {}
    simulation = samples.evaluation[SIMULATION].scenario or SIMULATION
    training = samples.training
    found = {"training": list(_requests(training, (training.scenario or SIMULATION, *training.variations)))}
    for name, sample in samples.evaluation.items():
        scenario = sample.scenario or name
        detectors = (simulation, scenario) if sample.same_events else (scenario,)
        found[name] = list(_requests(sample, detectors))
    return found


def _requests(sample: SampleCard, scenarios: Sequence[str]) -> "Iterator[SampleRequest]":
    """Yield what is simulated of each process, as all these scenarios see it."""
    from simulation import SampleRequest, events_for_luminosity, scenario_from

    scenario, *variations = (scenario_from(text) for text in scenarios)
    events = sample.events | {
        process: events_for_luminosity(process, luminosity, seed=sample.seed)
        for process, luminosity in sample.luminosity_pb.items()
    }
    for process, n_events in events.items():
        yield SampleRequest(process, scenario, n_events, seed=sample.seed, variations=tuple(variations))


def sample_folder(study: Study, name: str) -> Path:
    """Return where a sample lies."""
    return study.folders.samples / ("training" if name == "training" else "evaluation")


def files_of(request: "SampleRequest", folder: Path) -> list[list[Path]]:
    """Return the files of a request: part by part, those of all its scenarios."""
    from simulation.generate import part_paths, parts_of

    return [part_paths(part, folder) for part in parts_of(request)]


def missing_events(study: Study) -> int:
    """Return how many events are not simulated yet."""
    from simulation.generate import part_paths, parts_of

    return sum(
        part.n_events
        for name, requests in sample_requests(study).items()
        for request in requests
        for part in parts_of(request)
        if not all(path.exists() for path in part_paths(part, sample_folder(study, name)))
    )


def simulate(study: Study, bars: Sequence[ProgressCallback]) -> None:
    """Simulate what is missing, and write a fileset for each scenario."""
    from simulation import simulate_samples

    wanted = sample_requests(study)
    if not wanted:
        return
    simulate_samples(
        wanted["training"], sample_folder(study, "training"), n_processes=study.n_processes, progress=bars[0]
    )
    folder = sample_folder(study, SIMULATION)
    requests = [request for name in wanted if name != "training" for request in wanted[name]]
    made = simulate_samples(requests, folder, n_processes=study.n_processes, progress=bars[1])
    found = {info.path: info for info in made}
    simulation = {request.process: request for request in wanted[SIMULATION]}
    for scenario in study.card.scenarios:
        # Simulation of the processes that the data are of, if it was not made with them: like with like.
        alone = [request for request in wanted[scenario] if not request.variations]
        requests = [simulation[each.process] for each in alone if each.process in simulation]
        requests += wanted[scenario]
        paths = [path for request in requests for paths in files_of(request, folder) for path in paths]
        write_fileset([found[path] for path in paths], study.folders.fileset(scenario))


def filesets(study: Study) -> dict[str, Path]:
    """Return the fileset of every scenario."""
    if study.card.samples is None:
        return {name: Path(path) for name, path in study.card.filesets.items()}
    return {name: study.folders.fileset(name) for name in study.card.scenarios}


def prepare_card(study: Study) -> "PrepareConfig":
    """Return the card of the preparation.

    Raises:
        ValueError: If a key is unknown or out of bounds.
    """
    from pydantic import ValidationError

    from advtag.study_card import complaint
    from training.config import PrepareConfig

    card, variations = study.card, list(study.card.variations)
    inputs = list(card.training_inputs)
    if card.samples is not None:
        requests, folder = sample_requests(study)["training"], sample_folder(study, "training")
        paths = [files for request in requests for files in files_of(request, folder)]
        inputs = [str(files[0]) for files in paths]
        variations = [
            str(file) for number in range(1, len(paths[0])) for files in paths for file in [files[number]]
        ]
    given: dict[str, Any] = {"inputs": inputs, "output": study.folders.training_data, **card.prepare}
    if variations:
        given["variations"] = variations
    try:
        return PrepareConfig.model_validate(given)
    except ValidationError as error:
        found = complaint(error, lambda _: PrepareConfig, reserved=("inputs", "output", "variations"))
        raise ValueError(f"prepare: {found}") from error


def prepare(study: Study, bars: Sequence[ProgressCallback]) -> None:
    """Make the training data."""
    from training.prepare import prepare as prepare_data

    config, folders = prepare_card(study), study.folders
    settings = config.model_dump(mode="json", exclude={"inputs", "variations", "output"})
    for key in ("inputs", "variations"):
        settings[key] = [Path(path).name for path in getattr(config, key, ())]
    study.records.require_same(folders.training_data, settings, remove=[folders.runs])
    prepare_data(config, progress=bars[0])


def collect(study: Study, bars: Sequence[ProgressCallback]) -> None:
    """Collect the jets that methods may adapt to."""
    wanted, split = study.card.unlabelled, study.split
    if wanted is None or split is None:
        return
    from advtag.collecting import collect_jets

    fileset = filesets(study)[wanted.scenario]
    for selection, bar in zip(wanted.selections, bars, strict=True):
        folder = study.folders.unlabelled(selection)
        settings = {"split": split.name, "fileset": files_in(fileset)}
        study.records.require_same(folder, settings, remove=[study.folders.runs])
        if not folder.exists():
            found = collect_jets(
                selection=selection, fileset=fileset, split=split, out=folder, executor="futures",
                workers=study.n_processes, progress=bar,
            )  # fmt: skip
            for warning in found.warnings():
                say(f"{selection}: {warning}", heading="Warning:", style="bold")


def files_in(fileset: Path) -> dict[str, list[str]]:
    """Return the names of the files of a fileset, by dataset."""
    from processors.filesets import read_fileset

    return {
        name: sorted(Path(file).name for file in each.files) for name, each in read_fileset(fileset).items()
    }


def train(study: Study, bars: Sequence[ProgressCallback]) -> Waiting | None:
    """Train every method with every seed."""
    from training.manifest import read_manifest

    cards = study_trainings.run_cards(study.card)
    if study.train_on is not None:
        return study_trainings.train_on_site(cards, study.folders.jobs, site=study.train_on)
    n_jets = read_manifest(study.folders.training_data).splits["train"].n_jets
    study_trainings.train_here(cards, n_processes=study.n_processes, n_jets=n_jets, progress=bars[0])
    return None


def tagger_paths(study: Study) -> list[Path]:
    """Return the checkpoints that are compared: the last of every training, and early ones of the reference.

    Raises:
        FileNotFoundError: If a training is not complete.
    """
    from models.tagger import tagger_files

    paths = []
    for method in study.card.methods:
        for seed in study.card.seeds:
            run = study.folders.run(tagger_name(method, seed))
            paths.append(tagger_files(run, None)[-1])
            if method == study.card.reference:
                paths += [path for path in tagger_files(run, study.card.early_epochs) if path not in paths]
    return paths


def taggers(study: Study) -> "list[Tagger]":
    """Return the checkpoints that are compared."""
    from models.tagger import load_taggers

    return load_taggers(tagger_paths(study))


def hashes_of(checkpoints: "Sequence[Tagger]") -> dict[str, str]:
    """Return what tells taggers of the same name apart."""
    return {tagger.label: tagger.content_hash for tagger in checkpoints}


def evaluation_settings(study: Study) -> dict[str, Any]:
    """Return all that decides the areas."""
    from training.manifest import read_manifest

    return {
        "taggers": hashes_of(taggers(study)),
        "variants": ["raw", *study.card.variants],
        "reference": tagger_name(study.card.reference, study.card.seeds[0]),
        "data": read_manifest(study.folders.training_data).fingerprint,
    }


def evaluate(study: Study, bars: Sequence[ProgressCallback]) -> None:
    """Measure areas under ROC curves, plain, with noise on the log-odds, and under attack."""
    from advtag.evaluation import run_studies, write_tables
    from models.perturbations import parse_variants

    folders, settings = study.folders, evaluation_settings(study)
    if study.records.is_same(folders.areas, settings):
        return
    tables = run_studies(
        tagger_paths(study), data=folders.training_data,
        variants=parse_variants(",".join(settings["variants"])), reference=settings["reference"],
        progress=bars[0],
    )  # fmt: skip
    write_tables(tables, folders.evaluation, studies=())
    study.records.note(folders.areas, settings)


def results_wanted(study: Study) -> list[tuple[str, str]]:
    """Return scenario and selection of all results: those whose primary dataset a scenario has data of."""
    from processors.filesets import read_fileset
    from selections.parameters import parameters_of
    from selections.primary_datasets import starts_from

    rows = [parameters_of(name) for name in study.card.selections]
    wanted = []
    for scenario, path in filesets(study).items():
        if not path.is_file():
            # Not simulated yet: every selection may come of it.
            wanted += [(scenario, row.name) for row in rows]
            continue
        data = [
            each.metadata
            for each in read_fileset(path).values()
            if each.metadata is None or each.metadata.is_data
        ]
        held = {None if each is None else each.primary_dataset for each in data}
        wanted += [(scenario, row.name) for row in rows if any(starts_from(row, name) for name in held)]
    return wanted


def check(study: Study) -> None:
    """Raise if the card asks for something that there is not, before anything is made.

    Raises:
        ValueError: If a scenario, process, selection, distortion or a key of a training is unknown.
        FileNotFoundError: If a file on the card is not there.
    """
    from models.perturbations import parse_variants
    from selections.parameters import parameters_of

    card = study.card
    for selection in (*card.selections, *(card.unlabelled.selections if card.unlabelled else ())):
        parameters_of(selection)
    parse_variants(",".join(["raw", *card.variants]))
    for path in card.filesets.values():
        if not Path(path).is_file():
            raise FileNotFoundError(f"{path}: no such fileset: mend filesets on the card")
    study_trainings.run_cards(card)
    prepare_card(study)
