"""The folder of a submission: what the jobs share, and one folder for each.

manifest.json        what was planned
inputs/              taggers and other files that every job needs
run_job.sh           what every job runs
submissions.json     what was handed to the batch system, and when
00012/fileset.json   the share of a job
00012/output/        what it left, one result file
00012/stdout, stderr what it said
"""

import hashlib
import importlib.metadata
import json
import shlex
import shutil
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NamedTuple

from condor.manifest import Manifest, write_manifest
from condor.sites import Environment, Site
from storage.files import replaced_folder, sha256, write_text

INPUTS: Final = "inputs"
WRAPPER: Final = "run_job.sh"
COPIES: Final = "copies.txt"
DECLARED_LOSSES: Final = 3
"""Exit code of `advtag process` when files were skipped as asked, and are declared lost in its ledger."""
NOT_STAGED: Final = frozenset({".pt"})
"""Endings of files in a run directory that no job needs."""


class Staged(NamedTuple):
    """A file or folder that the jobs need, and the name it gets in `inputs/`.

    Attributes:
        text: What the file says there, where that is not what its source says.
    """

    source: Path
    name: str
    text: str | None = None


def job_folder(folder: Path, job: int) -> Path:
    """Return the folder of a job."""
    return folder / f"{job:05d}"


def next_list(folder: Path, *, of: str = "jobs") -> Path:
    """Return where the jobs of the next submission are listed, in a file that is not there yet."""
    number = 1 + sum(1 for _ in folder.glob(f"{of}_*.txt"))
    return folder.resolve() / f"{of}_{number:03d}.txt"


def stderr_path(folder: Path, job: int) -> Path:
    """Return what a job said on standard error when it last ran."""
    return job_folder(folder, job) / "stderr"


def output_path(folder: Path, job: int, selection: str) -> Path:
    """Return where a job's result lies once it is done."""
    return job_folder(folder, job) / "output" / f"{selection}.zip"


def advtag_version() -> str:
    """Return the version of the installed project."""
    return importlib.metadata.version("advtag")


def hashes_of(staged: Iterable[Staged]) -> dict[str, str]:
    """Return the SHA-256 of every file that will be staged, by its name in `inputs/`."""
    return {
        name: sha256(path) if each.text is None else hashlib.sha256(each.text.encode()).hexdigest()
        for each in staged
        for path, name in _files_of(each)
    }


def write_folder(manifest: Manifest, staged: Sequence[Staged], folder: Path) -> None:
    """Write the folder of a submission, whole or not at all.

    Raises:
        FileExistsError: If it is there already.
    """
    with new_folder(folder, see="condor") as temporary:
        for each in staged:
            for path, name in _files_of(each):
                target = temporary / INPUTS / name
                target.parent.mkdir(parents=True, exist_ok=True)
                if each.text is None:
                    shutil.copyfile(path, target)
                else:
                    target.write_text(each.text, encoding="utf-8")
        write_text(temporary / WRAPPER, wrapper(manifest))
        (temporary / WRAPPER).chmod(0o755)
        for number in range(len(manifest.jobs)):
            _write_job(manifest, number, job_folder(temporary, number))
        write_manifest(manifest, temporary)


@contextmanager
def new_folder(folder: Path, *, see: str) -> Iterator[Path]:
    """Yield a temporary folder that becomes `folder` when the block ends well, else vanishes.

    Args:
        folder: What must not be there yet.
        see: The command whose `status` tells of such a folder, for the message.

    Raises:
        FileExistsError: If it is there already.
        ValueError: If another process is making it.
    """
    with replaced_folder(folder) as temporary:
        if folder.exists():
            raise FileExistsError(
                f"{folder}: exists: choose another folder, or see `advtag {see} status {folder}`"
            )
        yield temporary


def _files_of(staged: Staged) -> list[tuple[Path, str]]:
    if staged.source.is_file():
        return [(staged.source, staged.name)]
    return [
        (path, f"{staged.name}/{path.relative_to(staged.source)}")
        for path in sorted(staged.source.rglob("*"))
        if path.is_file() and path.suffix not in NOT_STAGED and not path.name.startswith(".")
    ]


def _write_job(manifest: Manifest, number: int, folder: Path) -> None:
    # Written plainly: the whole folder appears in one stroke.
    folder.mkdir()
    (folder / "fileset.json").write_text(json.dumps(manifest.fileset(number), indent=1))
    inputs = dict.fromkeys(part.input for part in manifest.jobs[number].ranges)
    far = [each for each in inputs if manifest.is_copied(each) and manifest.is_far(each)]
    if manifest.site.transfer == "xrdcp":
        for each in far:
            if not manifest.inputs[each].path.isprintable():
                raise ValueError(
                    f"{manifest.inputs[each].path!r}: an address is one line: correct the fileset"
                )
        # The address comes last and takes the rest of its line, whatever spaces it holds.
        lines = [f"{manifest.local_name(each)} {manifest.inputs[each].path}\n" for each in far]
        (folder / COPIES).write_text("".join(lines))
    for each in inputs:
        if manifest.travels(each):
            (folder / manifest.local_name(each)).symlink_to(Path(manifest.inputs[each].path).resolve())


def _quoted(word: str) -> str:
    """Return a word of a command for the shell: names of files are data, whatever characters they hold."""
    if word.startswith("{inputs}"):
        return '"$inputs"' + shlex.quote(word.removeprefix("{inputs}"))
    return shlex.quote(word)


def wrapper(manifest: Manifest) -> str:
    """Return the shell script of a job: its exit code is that of `advtag process`, and nothing else's."""
    command = " ".join(map(_quoted, manifest.command))
    return "\n".join([
        "#!/bin/bash",
        "# usage: run_job.sh SELECTION INPUTS, in the folder that holds the job's fileset.json",
        "set -euo pipefail",
        "selection=$1 inputs=$2",
        "mkdir -p output",
        *clean_environment(manifest.site),
        *_copying(manifest),
        f"{run_of(manifest.site)} process "
        '--selection "$selection" --fileset fileset.json --out output '
        f"--executor iterative --submission {manifest.fingerprint} {command}".rstrip(),
        "",
    ])  # fmt: skip


def run_of(site: Site) -> str:
    """Return how a script ends in the `advtag` command.

    Signals reach the command itself; but the shell has to stay where it clears something away afterwards.
    """
    return "advtag" if site.environment.kind == "tarball" else "exec advtag"


def clean_environment(site: Site) -> list[str]:
    """Return the shell lines before `advtag`, for a shell that ends at errors.

    Nothing of the user's shell gets in: no PYTHONPATH, and no module that lies in the job's folder. As many
    threads as the batch system gives cores, one by default.
    """
    threads = site.request.cpus
    return [
        "unset PYTHONPATH",
        "export PYTHONSAFEPATH=1 MALLOC_TRIM_THRESHOLD_=0",
        f"export OMP_NUM_THREADS={threads} OPENBLAS_NUM_THREADS={threads} MKL_NUM_THREADS={threads}",
        # Scripts of sites and environments read variables that are not set.
        "set +u",
        *site.setup,
        *_environment(site.environment),
        "set -u",
    ]


def _environment(environment: Environment) -> list[str]:
    if environment.kind == "prefix":
        prefix = environment.path or sys.prefix
        return [f"export PATH={shlex.quote(f'{prefix}/bin')}:$PATH"]
    if environment.kind == "tarball":
        name = Path(environment.path or "").name
        return [
            f"archive={shlex.quote(name)}",
            f'if [ ! -e "$archive" ]; then archive={shlex.quote(str(environment.path))}; fi',
            "environment=$(mktemp -d)",
            "trap 'rm -rf \"$environment\"' EXIT",
            'tar -xf "$archive" -C "$environment"',
            '. "$environment/bin/activate"',
            'if [ -e "$environment/bin/conda-unpack" ]; then conda-unpack; fi',
        ]
    return []


def _copying(manifest: Manifest) -> list[str]:
    if manifest.site.transfer != "xrdcp":
        return []
    return [
        "while read -r name url; do",
        "  for attempt in 1 2 3; do",
        '    xrdcp --silent --force "$url" "$name" && break',
        '    [ "$attempt" = 3 ] && { echo "Error: $url: xrdcp failed three times" >&2; exit 1; }',
        "    sleep $((10 * attempt))",
        "  done",
        f"done < {COPIES}",
    ]
