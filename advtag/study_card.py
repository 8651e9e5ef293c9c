"""The card of `advtag study`: which trainings are compared, and on which events.

Files and scenarios on the card are looked for from where the card lies; `output` is, as in all commands, from
where the command runs.
"""

from collections import Counter
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PositiveFloat,
    PositiveInt,
    ValidationError,
    ValidationInfo,
    model_validator,
)

from advtag.chain import Folders
from storage.documents import read_yaml

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]+$")]

SIMULATION = "mc"
"""The evaluation sample that all others are compared with."""

OF_THE_STUDY = ("name", "data", "output", "seed")
"""Keys of a training that the study itself gives."""

_Content = TypeVar("_Content")


def _from_card(text: str, info: ValidationInfo) -> str:
    """Return a path as it is found from the card's folder; URLs and absolute paths stay."""
    folder = (info.context or {}).get("folder", Path())
    return text if "://" in text else str(folder / text)


def _scenario_from_card(text: str, info: ValidationInfo) -> str:
    return _from_card(text, info) if Path(text).suffix in (".yaml", ".yml") else text


def _with_null(content: _Content) -> _Content | dict[Any, Any]:
    """Return a mapping in which the key `null`, which is nothing to YAML, is that word."""
    if not isinstance(content, Mapping):
        return content
    return {"null" if key is None else key: value for key, value in content.items()}


FileText = Annotated[str, AfterValidator(_from_card)]
ScenarioText = Annotated[str, AfterValidator(_scenario_from_card)]
_Named = BeforeValidator(_with_null)


class _Card(BaseModel):
    """No key is unknown, nothing changes after reading."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class SampleCard(_Card):
    """Events of some processes in one scenario."""

    scenario: ScenarioText | None = Field(
        None, description="as for `advtag simulate --scenario`; null: what the sample is called"
    )
    events: dict[str, PositiveInt] = Field({}, description="events to generate, by process")
    luminosity_pb: dict[str, PositiveFloat] = Field(
        {}, description="of data, by process, in place of events; in inverse pb"
    )
    seed: int = Field(1, ge=0, description="same seed, same events")

    @model_validator(mode="after")
    def _has_processes(self) -> "SampleCard":
        if not (self.events or self.luminosity_pb):
            raise ValueError("no process is asked for: add e.g. events: {dy: 20000}")
        if twice := sorted(set(self.events) & set(self.luminosity_pb)):
            raise ValueError(f"{twice[0]} has events and a luminosity: leave one out")
        return self


class EvaluationSampleCard(SampleCard):
    """What is compared."""

    same_events: bool = Field(
        False,
        description="data whose simulation is made with them: the same events in two detectors",
    )


class TrainingSampleCard(SampleCard):
    """What the taggers learn from."""

    scenario: ScenarioText | None = Field("mc", description="as for `advtag simulate --scenario`")
    variations: tuple[ScenarioText, ...] = Field(
        (), description="further scenarios: the same events as other detectors see them"
    )


class Samples(_Card):
    """What is simulated."""

    training: TrainingSampleCard = Field(description="what the taggers learn from")
    evaluation: Annotated[dict[Name, EvaluationSampleCard], _Named] = Field(
        description="mc, and what it is compared with: data, null, ..."
    )

    @model_validator(mode="after")
    def _compares_something(self) -> "Samples":
        if SIMULATION not in self.evaluation or len(self.evaluation) < 2:
            raise ValueError("evaluation needs 'mc' and at least one sample to compare it with, e.g. 'data'")
        if self.evaluation[SIMULATION].same_events:
            raise ValueError("same_events is for what simulation is compared with: leave it out of 'mc'")
        return self


class UnlabelledCard(_Card):
    """Jets of selections that methods may adapt to, without their truth."""

    selections: tuple[str, ...] = Field(("dy",), min_length=1, description="where the jets are taken")
    scenario: Name = Field("data", description="which data")
    share: float = Field(1 / 3, gt=0, lt=1, description="of the events; no tagger is evaluated on them")
    seed: int = Field(1, ge=0, description="of the split of events")


class StudyCard(_Card):
    """Methods times seeds, trained on one set of jets and compared with data of several scenarios."""

    name: Name = Field(description="of the study")
    title: str = Field("", description="heading of the page; empty: the name")
    output: Path = Field(description="folder for everything that is made")
    samples: Samples | None = Field(None, description="what is simulated; null: your own files")
    training_inputs: tuple[FileText, ...] = Field((), description="your own files to learn from, or globs")
    variations: tuple[FileText, ...] = Field((), description="the same events as other detectors see them")
    filesets: Annotated[dict[Name, FileText], _Named] = Field(
        {}, description="your own data and simulation: a JSON for each scenario, as of `advtag process`"
    )
    prepare: dict[str, Any] = Field({}, description="keys of `advtag prepare`")
    training: dict[str, Any] = Field({}, description="keys of `advtag train` that all trainings share")
    methods: dict[Name, dict[str, Any]] = Field(
        min_length=1, description="by name, the keys of `advtag train` in which a method differs"
    )
    reference: str = Field("basic", description="the method that all are compared with")
    seeds: tuple[int, ...] = Field((1, 2, 3), min_length=1, description="one training each, for every method")
    early_epochs: tuple[PositiveInt, ...] = Field(
        (), description="of the reference, compared beside the last epoch of all"
    )
    unlabelled: UnlabelledCard | None = Field(None, description="jets that methods adapt to")
    selections: tuple[str, ...] = Field(("dy", "wc", "ttsemilep"), min_length=1)
    variants: tuple[str, ...] = Field(("fgsm:0.1",), description="distortions under which areas are measured")
    replicas: int = Field(200, ge=10, description="of the bootstrap")
    blocks: int = Field(32, ge=16, description="of events, for the errors of differences")
    descriptions: Annotated[dict[Name, str], _Named] = Field(
        {}, description="what the data of a scenario are, for the page"
    )
    null_scenario: str | None = Field(
        None, description="data like simulation: what statistics alone do; null: that called null, if any"
    )

    @model_validator(mode="after")
    def _fits_together(self) -> "StudyCard":
        own = bool(self.training_inputs or self.filesets or self.variations)
        if self.samples is not None and own:
            raise ValueError("samples are simulated and own files given: leave one out")
        if self.samples is None and not (self.training_inputs and self.filesets):
            raise ValueError("no events: add 'samples', or 'training_inputs' and 'filesets'")
        wanted = {"unlabelled.scenario": self.unlabelled.scenario if self.unlabelled else None}
        wanted |= {"null_scenario": self.null_scenario} | {
            f"descriptions.{name}": name for name in self.descriptions
        }
        for key, name in wanted.items():
            if name is not None and name not in self.scenarios:
                raise ValueError(f"{key} is '{name}': choose from {', '.join(self.scenarios)}")
        if self.reference not in self.methods:
            raise ValueError(f"reference is '{self.reference}': choose from {', '.join(self.methods)}")
        for key, values in (("seeds", self.seeds), ("selections", self.selections)):
            if twice := [value for value, times in Counter(values).items() if times > 1]:
                raise ValueError(f"{key} has {twice[0]} twice: leave one out")
        trainings = {"training": self.training} | {f"methods.{name}": k for name, k in self.methods.items()}
        for place, keys in trainings.items():
            if taken := [key for key in keys if key in OF_THE_STUDY]:
                raise ValueError(f"{place}.{taken[0]}: the study chooses that itself: leave it out")
        return self

    @property
    def scenarios(self) -> tuple[str, ...]:
        """What simulation is compared with."""
        if self.samples is None:
            return tuple(self.filesets)
        return tuple(name for name in self.samples.evaluation if name != SIMULATION)

    @property
    def null(self) -> str | None:
        """The scenario in which nothing is mismodelled; None if there is none."""
        return self.null_scenario or ("null" if "null" in self.scenarios else None)

    @property
    def heading(self) -> str:
        """What stands above the page."""
        return self.title or self.name


class StudyFolders(Folders):
    """Where everything of one study lies: there are results for each scenario."""

    @property
    def areas(self) -> Path:
        """Areas with noise on the log-odds, of all checkpoints that are compared."""
        return self.evaluation / "noised_areas.csv"

    @property
    def runs(self) -> Path:
        """Run directories of all trainings."""
        return self.top / "runs"

    @property
    def methods(self) -> Path:
        """The table of all methods."""
        return self.top / "methods.csv"

    def table(self, what: str) -> Path:
        """Return a table beside it: `seeds`, `pairs`, `curves` or `scale_factors`."""
        return self.top / f"method_{what}.csv"

    @property
    def jobs(self) -> Path:
        """Folders of jobs and trainings on a batch system."""
        return self.top / "jobs"

    @property
    def page(self) -> Path:
        """The page at the end."""
        return self.top / "study.html"

    def fileset(self, scenario: str) -> Path:
        """Return the list of simulated files of a scenario."""
        return self.samples / f"{scenario}.json"

    def unlabelled(self, selection: str) -> Path:
        """Return the folder of the jets that may be adapted to."""
        return self.top / "unlabelled" / selection

    def results_of(self, scenario: str) -> Path:
        """Return the folder of histograms of a scenario."""
        return self.results / scenario

    def result(self, scenario: str, selection: str) -> Path:
        """Return the histograms of a selection."""
        return self.results_of(scenario) / f"{selection}.zip"


def tagger_name(method: str, seed: int) -> str:
    """Return what the tagger of a training is called."""
    return f"{method}.s{seed}"


def read_study_card(path: Path, *, output: Path | None = None) -> StudyCard:
    """Return the card of a study.

    Args:
        path: The YAML.
        output: A folder in place of the one on the card.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is not YAML, or a key is missing, unknown or out of bounds.
    """
    content = read_yaml(path, advice="give the YAML of a study, like configs/defences.yaml")
    if not isinstance(content, dict):
        raise ValueError(f"{path}: expected keys and values: see configs/defences.yaml")
    if output is not None:
        content["output"] = output
    try:
        return StudyCard.model_validate(content, context={"folder": path.parent})
    except ValidationError as error:
        raise ValueError(f"{path}: {complaint(error, _card_at)}") from error


def _card_at(place: tuple[int | str, ...]) -> type[BaseModel]:
    """Return which card has its keys at a place of the study's."""
    if place[:1] == ("samples",):
        inner: dict[int, type[BaseModel]] = {1: Samples, 2: TrainingSampleCard}
        return inner.get(len(place), EvaluationSampleCard)
    return UnlabelledCard if place[:1] == ("unlabelled",) else StudyCard


def complaint(
    error: ValidationError,
    card_at: Callable[[tuple[int | str, ...]], type[BaseModel]],
    *,
    reserved: Collection[str] = (),
) -> str:
    """Return the first of pydantic's complaints as part of a sentence: key, what is wrong, mend.

    Args:
        error: The complaints.
        card_at: Says which card has its keys at a place.
        reserved: Keys that a user is not to choose.
    """
    first = error.errors()[0]
    key = ".".join(str(part) for part in first["loc"] if part != "[key]")
    fields = card_at(first["loc"][:-1]).model_fields
    if first["type"] == "extra_forbidden":
        known = [field for field in fields if field not in reserved]
        return f"unknown key '{key}': choose from {', '.join(known)}"
    if first["type"] == "missing":
        return f"the key '{key}' is missing: add it ({fields[str(first['loc'][-1])].description})"
    message = first["msg"].removeprefix("Value error, ")
    if first["type"] == "value_error":
        return f"{key}: {message}" if key else message
    message = f"{message[0].lower()}{message[1:]}".replace("tuple", "list")
    return f"key '{key}': {message}, got {first['input']!r}: mend this value"
