"""Where jobs run: one YAML profile per site, checked and frozen.

A profile is all that tells one batch system from another. The shipped ones lie in `condor/profiles`; a user
copies one, changes it, and gives its path in place of a name.
"""

from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from storage.documents import parse_yaml, read_yaml

Scheduler = Literal["htcondor", "slurm"]
Transfer = Literal["shared", "condor", "xrdcp"]


def _one_line(text: str) -> str:
    """Return a text that can be part of a line of a submit description or script.

    Raises:
        ValueError: If it holds a line end or another control character, which would begin a line of its own.
    """
    if not text.isprintable():
        raise ValueError(f"{text!r} is not one line of printable characters")
    return text


Line = Annotated[str, AfterValidator(_one_line)]


class _Profile(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Environment(_Profile):
    """How a job finds the `advtag` command.

    `prefix` is a folder with `bin/advtag`, seen by the workers. `tarball` is a packed environment that
    travels with the job and is unpacked there (`conda-pack` makes one). `container` is an image in which
    `advtag` is installed, given to HTCondor, or started with apptainer on SLURM.
    """

    kind: Literal["prefix", "tarball", "container"] = "prefix"
    path: Line | None = Field(
        None, description="the folder, archive or image; null: the environment of the submit command"
    )

    @model_validator(mode="after")
    def _has_a_path(self) -> "Environment":
        if self.kind != "prefix" and self.path is None:
            raise ValueError(f"a {self.kind} needs the key 'path'")
        return self


class Request(_Profile):
    """What a job asks for."""

    cpus: int = Field(1, ge=1)
    memory_mb: int = Field(2000, ge=100)
    disk_mb: int = Field(4000, ge=10)
    gpus: int = Field(0, ge=0)
    minutes: int = Field(120, ge=1, description="wall-clock time")


class Queue(_Profile):
    """A queue or job flavour, and how long a job may run in it."""

    name: Line
    minutes: int = Field(ge=1)


class Site(_Profile):
    """A batch system and how one works with it."""

    name: str = Field(pattern=r"^[A-Za-z0-9_.-]+$")
    description: str = ""
    scheduler: Scheduler
    environment: Environment = Environment()
    transfer: Transfer = Field(
        "shared",
        description="shared: workers see the files; condor: all files travel with the job; xrdcp: the job "
        "copies its input files itself",
    )
    request: Request = Request()
    queues: tuple[Queue, ...] = Field(
        (), description="shortest first; the first that is long enough is taken"
    )
    gpu_queues: tuple[Queue, ...] = Field((), description="those of jobs that ask for GPUs; none: the same")
    queue_key: Line = Field("", description="submit command that names the queue, e.g. +JobFlavour")
    lines: dict[Line, Line] = Field({}, description="further submit commands (HTCondor) or sbatch options")
    max_retries: int = Field(2, ge=0, description="times the batch system itself starts a failed job again")
    more_memory: float = Field(1.5, gt=1, description="factor on memory when a job ran out of it")
    max_memory_mb: int = Field(16000, ge=100)
    setup: tuple[str, ...] = Field((), description="shell lines before advtag, e.g. `module load ...`")
    dask_options: dict[str, str | int | float | bool | list[str] | dict[str, str | int]] = Field(
        {}, description="further arguments of dask-jobqueue's cluster"
    )

    @model_validator(mode="after")
    def _fits_its_scheduler(self) -> "Site":
        if self.scheduler == "slurm" and self.transfer == "condor":
            raise ValueError("transfer 'condor' needs the scheduler htcondor: use shared or xrdcp")
        if self.queues and self.scheduler == "htcondor" and not self.queue_key:
            raise ValueError("queues need the key 'queue_key', the submit command that names one")
        travels = self.scheduler == "htcondor" and self.environment.kind == "tarball"
        if travels and "," in str(self.environment.path):
            raise ValueError("a comma in the path of a tarball separates two files in HTCondor: rename it")
        return self

    def queue_for(self, minutes: int) -> Queue | None:
        """Return the first queue that is long enough, else the longest; None at a site without queues."""
        queues = self.gpu_queues if self.request.gpus and self.gpu_queues else self.queues
        return next((queue for queue in queues if queue.minutes >= minutes), (queues or (None,))[-1])

    def memory_after_failure(self, memory_mb: int) -> int:
        """Return what to ask for after a job ran out of `memory_mb` MB."""
        return min(max(self.max_memory_mb, memory_mb), round(memory_mb * self.more_memory))


def site_names() -> list[str]:
    """Return the names of the shipped profiles."""
    folder = resources.files("condor").joinpath("profiles")
    return sorted(Path(entry.name).stem for entry in folder.iterdir() if entry.name.endswith(".yaml"))


def read_site(name_or_path: str) -> Site:
    """Return a shipped profile by its name, or one of the user's by its path.

    Raises:
        FileNotFoundError: If there is neither.
        ValueError: If the file is no YAML, or a key is missing, unknown or out of bounds.
    """
    if name_or_path in site_names():
        shipped = resources.files("condor").joinpath("profiles", f"{name_or_path}.yaml")
        source = f"site {name_or_path}"
        return _site(parse_yaml(shipped.read_bytes(), source=source), source=source)
    path = Path(name_or_path)
    choices = f"choose from {', '.join(site_names())}, or give the path of a profile"
    return _site(read_yaml(path, kind="site or file", advice=choices), source=name_or_path)


def _site(content: Any, *, source: str) -> Site:
    if not isinstance(content, dict):
        raise ValueError(f"{source}: expected keys and values: see condor/profiles for examples")
    try:
        return Site.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"]))
        if first["type"] == "extra_forbidden":
            raise ValueError(
                f"{source}: unknown key '{key}': choose from {', '.join(Site.model_fields)}"
            ) from None
        message = first["msg"].removeprefix("Value error, ")
        raise ValueError(f"{source}: {f'key {key!r}: ' if key else ''}{message}: mend this value") from None
