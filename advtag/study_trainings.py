"""The trainings of a study: a run card for each method and seed, trained here or on SLURM."""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from pydantic import BaseModel, ValidationError

from advtag.progress import ProgressCallback
from advtag.study_card import OF_THE_STUDY, StudyCard, StudyFolders, complaint, tagger_name
from storage.wording import few

if TYPE_CHECKING:
    from condor.judging import JobStatus
    from training.config import TrainConfig

_MINUTES, _GPUS = 240, 1
"""What a training asks for on SLURM; it is put back into the queue when its time is over."""


class Waiting(NamedTuple):
    """Why a stage cannot end now: the sentence, and whether a person has to do something."""

    sentence: str
    has_failed: bool = False


def run_cards(card: StudyCard) -> list["TrainConfig"]:
    """Return the run card of every method and seed, methods in the order of the card.

    Raises:
        ValueError: If a key is unknown or out of bounds, or a method lacks what it needs.
    """
    return [_run_card(card, method, seed) for method in card.methods for seed in card.seeds]


def _run_card(card: StudyCard, method: str, seed: int) -> "TrainConfig":
    from training.config import TrainConfig

    # Absolute: batch jobs start elsewhere.
    folders = StudyFolders(card.output.resolve())
    name = tagger_name(method, seed)
    content: dict[str, Any] = {**card.training, **card.methods[method]}
    if isinstance(content.get("methods"), list):
        content["methods"] = [_completed(entry, card, folders, method, seed) for entry in content["methods"]]
    content |= {"name": name, "seed": seed, "data": folders.training_data, "output": folders.run(name)}
    try:
        return TrainConfig.model_validate(content)
    except ValidationError as error:
        raise ValueError(f"methods.{method}: {complaint(error, _card_at, reserved=OF_THE_STUDY)}") from error


def _completed(entry: Any, card: StudyCard, folders: StudyFolders, method: str, seed: int) -> Any:
    """Return one of a training's methods with the folders of jets and the run of a teacher filled in."""
    if not isinstance(entry, dict):
        return entry
    added: dict[str, Any] = {}
    if "unlabelled" not in entry and "unlabelled" in _keys_of(entry.get("method")):
        if card.unlabelled is None:
            raise ValueError(
                f"methods.{method}: {entry['method']} adapts to unlabelled jets: add the key 'unlabelled' to"
                " the card"
            )
        added["unlabelled"] = [str(folders.unlabelled(each)) for each in card.unlabelled.selections]
    if entry.get("teacher") in card.methods:
        added["teacher"] = str(folders.run(tagger_name(entry["teacher"], seed)))
    return entry | added


def _keys_of(method: Any) -> set[str]:
    """Return the keys of a kind of method; none if there is none of that name."""
    from training.method_cards import CARDS

    return set(CARDS[method].model_fields) if method in CARDS else set()


def _card_at(place: tuple[int | str, ...]) -> type[BaseModel]:
    """Return which card has its keys at a place of a run card."""
    from training.config import TrainConfig
    from training.method_cards import CARDS

    # After its number in the list a method is named.
    return CARDS[str(place[2])] if len(place) > 2 and place[2] in CARDS else TrainConfig


def waves(cards: Sequence["TrainConfig"]) -> list[list["TrainConfig"]]:
    """Return the trainings in groups; teachers are trained in a group before their students.

    Raises:
        ValueError: If trainings teach one another.
    """
    outputs = {card.output: card for card in cards}
    done: set[Path] = set()
    groups: list[list[TrainConfig]] = []
    while left := [card for card in cards if card.output not in done]:
        group = [card for card in left if not (_teachers(card) & set(outputs)) - done]
        if not group:
            raise ValueError(f"{left[0].name}: it and its teacher wait for one another: name another teacher")
        groups.append(group)
        done |= {card.output for card in group}
    return groups


def _teachers(card: "TrainConfig") -> set[Path]:
    return {Path(each.teacher) for each in getattr(card, "methods", ()) if getattr(each, "teacher", None)}


def unfinished(cards: Sequence["TrainConfig"]) -> list["TrainConfig"]:
    """Return the trainings that are not complete.

    Raises:
        ValueError: If a run directory holds another training than the card's.
    """
    return [card for card in cards if not _is_complete(card)]


def _is_complete(card: "TrainConfig") -> bool:
    from training.checkpoints import changed_keys, epochs_of, is_unused, read_run
    from training.history import read_history
    from training.schedules import is_exhausted

    if is_unused(card.output):
        return False
    if changes := changed_keys(read_run(card.output).config, card):
        raise ValueError(
            f"{card.output}: was trained otherwise than the card says ({'; '.join(changes)}):"
            " change the card back, or remove this folder"
        )
    last = max(epochs_of(card.output), default=0)
    return last >= card.epochs or is_exhausted(
        card, [r for r in read_history(card.output) if r.epoch <= last]
    )


def train_here(
    cards: Sequence["TrainConfig"], *, n_processes: int, n_jets: int, progress: ProgressCallback
) -> None:
    """Train what is not complete, teachers first; `progress` is called with jets of all trainings together.

    Raises:
        ValueError: What a training raises; the others of its group finish first and keep their checkpoints.
    """
    from advtag.trainings import train_side_by_side

    missing = {card.name for card in unfinished(cards)}
    total = sum(card.epochs for card in cards) * n_jets
    done = {card.name: 0 if card.name in missing else card.epochs * n_jets for card in cards}

    def bar_of(name: str) -> ProgressCallback:
        def move(n_done: int, _: int) -> None:
            done[name] = n_done
            progress(sum(done.values()), total)

        return move

    for group in waves(cards):
        if waiting := [card for card in group if card.name in missing]:
            bars = {card.name: bar_of(card.name) for card in waiting}
            train_side_by_side(waiting, n_processes=n_processes, progress=bars)


def train_on_site(cards: Sequence["TrainConfig"], folder: Path, *, site: str) -> Waiting | None:
    """Hand in what is not complete, or say what became of it; None when all is done.

    Students follow their teachers in an array of their own, once these are done.

    Args:
        cards: All trainings.
        folder: Where the folders of arrays are made, `trainings_1`, ...
        site: A site with SLURM.

    Raises:
        ValueError: If the site has no SLURM.
        BatchError: If it refuses or does not answer.
    """
    from advtag.job_folders import judge

    waiting = next((left for group in waves(cards) if (left := unfinished(group))), [])
    if not waiting:
        return None
    arrays = sorted(folder.glob("trainings_*"))
    known = {job.selection: (place, job) for place in arrays for job in judge(place)}
    if handed_in := [known[card.name] for card in waiting if card.name in known]:
        failed = [(place, job) for place, job in handed_in if job.needs_resubmission]
        if failed:
            named = few([f"{job.selection} ({job.reason})" for _, job in failed])
            places = " and ".join(f"`advtag slurm resubmit {place}`" for place in _places(failed))
            return Waiting(f"{len(failed)} trainings need you: {named}: {places}.", has_failed=True)
    place = folder / f"trainings_{len(arrays) + 1}"
    new = [card for card in waiting if card.name not in known]
    if new:
        number = submit(new, place, site=site)
        said = f"{len(new)} trainings submitted as {number}"
    else:
        named = few([f"{job.selection} ({job.reason})" for _, job in handed_in], joint=", ")
        said, place = f"{len(handed_in)} trainings have not ended: {named}", _places(handed_in)[-1]
    return Waiting(f"{said}: give the same command again once `advtag slurm status {place}` says done.")


def _places(jobs: "Sequence[tuple[Path, JobStatus]]") -> list[Path]:
    return list(dict.fromkeys(place for place, _ in jobs))


def submit(cards: Sequence["TrainConfig"], folder: Path, *, site: str) -> str:
    """Hand trainings in as one array and return its number.

    Raises:
        ValueError: If the site has no SLURM.
        BatchError: If it refuses.
    """
    from condor.handing_in import submitted
    from condor.trainings import submit_trainings, write_trainings
    from storage.files import one_writer

    planned, attempts = _planned(cards, site)
    write_trainings(planned, [card.model_dump(mode="json") for card in cards], folder)
    with one_writer(folder):
        return submitted(folder, attempts, partial(submit_trainings, planned, folder, attempts)).id


def script_of(cards: Sequence["TrainConfig"], folder: Path, *, site: str) -> str:
    """Return the batch script that `submit` would hand in."""
    from condor.trainings import script

    planned, attempts = _planned(cards, site)
    return script(planned, folder, attempts)


def _planned(cards: Sequence["TrainConfig"], site: str) -> tuple[Any, list[Any]]:
    from condor.sites import read_site
    from condor.submissions import Attempt
    from condor.trainings import Training, Trainings

    profile = read_site(site)
    if profile.scheduler != "slurm":
        raise ValueError(f"site {profile.name} has no SLURM: choose another one")
    # A site or profile that says how many GPUs or minutes is left its word.
    said = profile.request.model_fields_set
    asked: Mapping[str, int] = {"gpus": _GPUS, "minutes": _MINUTES}
    wanted = {key: value for key, value in asked.items() if key not in said}
    profile = profile.model_copy(update={"request": profile.request.model_copy(update=wanted)})
    trainings = tuple(
        Training(card.name, str(card.output), card.epochs, card.patience is not None) for card in cards
    )
    attempts = [Attempt(n, profile.request.memory_mb, profile.request.minutes) for n in range(len(cards))]
    return Trainings(site=profile, trainings=trainings), attempts
