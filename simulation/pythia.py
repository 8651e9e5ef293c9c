"""PYTHIA 8: seeded events of one process, as arrays that kernels read without a copy."""

import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import awkward as ak
import numpy as np
import pythia8mc
from numpy.typing import NDArray

from simulation.processes import CHARM_HADRONS, HardFilter, Process
from simulation.scenarios import Scenario
from simulation.theory import SHOWER_SETTINGS, TheoryVariations, TheoryWeights
from simulation.top_and_w import TopAndW

logger = logging.getLogger(__name__)

_COMMON = (
    "Print:quiet = on",
    "Next:numberCount = 0",
    "Beams:eCM = 13000.",
    "PartonLevel:MPI = off",  # 5 to 13 times faster, and no visible effect on tagging
    "531:tau0 = 0.4557",  # c tau of the Bs in mm (Review of Particle Physics): PYTHIA's is 4 % below
    "Check:event = off",  # the same events, 8 % faster
)
_MUON = 13
_CHARM = 4
_FIRST_OUTGOING = 5
"""Entries 0 to 4 of a hard process are the system, the beams and the incoming partons."""


class GeneratedParticles(NamedTuple):
    """The event record of a batch: all particles behind one another. Lengths in mm, energies in GeV.

    Mothers and daughters count within an event; those of a hadron that a string made reach from `mother` to
    `last_mother`. `vertex` is the row of `x`, `y`, `z` where a particle was produced, or -1 for the
    interaction point.
    """

    offsets: NDArray[Any]
    pdg: NDArray[Any]
    status: NDArray[Any]
    mother: NDArray[Any]
    last_mother: NDArray[Any]
    first_daughter: NDArray[Any]
    last_daughter: NDArray[Any]
    px: NDArray[Any]
    py: NDArray[Any]
    pz: NDArray[Any]
    energy: NDArray[Any]
    vertex: NDArray[Any]
    x: NDArray[Any]
    y: NDArray[Any]
    z: NDArray[Any]


@dataclass(frozen=True)
class GeneratedBatch:
    """Consecutive events of a run.

    Attributes:
        particles: Views into PYTHIA's memory, valid as long as the batch.
        weights: PYTHIA's weight times the branching fractions of forced decays, shape ``(n_events,)``.
        first: How many events of the run came before.
        record: Owns the memory.
        theory: Weights of the variations of theory; None where nobody asked.
    """

    particles: GeneratedParticles
    weights: NDArray[np.float64]
    first: int
    record: Any
    theory: TheoryWeights | None = None

    def __len__(self) -> int:
        return len(self.weights)


class _ProcessFilter(pythia8mc.UserHooks):  # type: ignore[misc]
    """Refuses hard processes; PYTHIA then draws another, and its cross section follows."""

    def __init__(self, hard_filter: HardFilter) -> None:
        super().__init__()
        self.hard_filter = hard_filter

    def canVetoProcessLevel(self) -> bool:  # noqa: N802 (PYTHIA's name)
        return True

    def doVetoProcessLevel(self, process: Any) -> bool:  # noqa: N802 (PYTHIA's name)
        wanted = self.hard_filter
        outgoing = [process[i] for i in range(_FIRST_OUTGOING, process.size())]
        if wanted.charm is not None:
            has_charm = any(abs(particle.id()) == _CHARM for particle in outgoing)
            if has_charm != wanted.charm:
                return True
        muons = [particle for particle in outgoing if abs(particle.id()) == _MUON]
        if wanted.exactly and len(muons) != wanted.n_muons:
            return True
        in_acceptance = [
            muon for muon in muons if muon.pT() > wanted.muon_pt and abs(muon.eta()) < wanted.muon_eta
        ]
        return len(in_acceptance) < wanted.n_muons


class EventGenerator:
    """PYTHIA set up for one process, scenario and seed.

    The events are a function of these alone, whatever the size of the batches.

    Args:
        process: What collides and what is kept.
        scenario: What PYTHIA is told beyond.
        seed: Of its random numbers.
        with_theory: Whether batches come with the weights of `simulation.theory`.
        with_showers: Whether showers are among them; other events come out then, about a tenth slower.

    Raises:
        ValueError: If PYTHIA refuses a setting.
        RuntimeError: If it does not start.
    """

    def __init__(
        self,
        process: Process,
        scenario: Scenario,
        *,
        seed: int,
        with_theory: bool = False,
        with_showers: bool = False,
    ) -> None:
        self.process = process
        self.n_failed = 0
        self._n_made, self._sum_decay_weights = 0, 0.0
        self._pythia = pythia8mc.Pythia("", False)
        self._hook = _ProcessFilter(process.hard_filter) if process.hard_filter else None
        self._extra_process = TopAndW(self._pythia) if process.top_and_w else None
        settings = [*_COMMON, *process.pythia, *scenario.pythia, *(SHOWER_SETTINGS if with_showers else ())]
        settings += ["Random:setSeed = on", f"Random:seed = {seed % 899_999_999 + 1}"]
        self._branching_fractions: dict[int, float] = {}
        if process.forced_charm_decays:
            self._branching_fractions = _muon_branching_fractions(self._pythia)
            settings += [
                f"{pdg}:{rule}" for pdg in CHARM_HADRONS for rule in ("onMode = off", "onIfAny = 13")
            ]
        self._start(settings)
        self._theory = TheoryVariations(self._pythia, process.coupling_power) if with_theory else None

    def _start(self, settings: Iterable[str]) -> None:
        for setting in settings:
            if not self._pythia.readString(setting):
                raise ValueError(
                    f"PYTHIA does not know the setting '{setting}' of process '{self.process.name}':"
                    " mend it in the scenario"
                )
        if self._hook is not None:
            self._pythia.setUserHooksPtr(self._hook)
        if self._extra_process is not None:
            self._pythia.setSigmaPtr(self._extra_process)
        if not self._pythia.init():
            raise RuntimeError(
                f"PYTHIA could not start process '{self.process.name}': see its messages with Print:quiet off"
            )

    @property
    def cross_section_pb(self) -> float:
        """PYTHIA's estimate after the filter, decays included, from the events generated so far, in pb."""
        mean_weight = self._sum_decay_weights / max(self._n_made, 1)
        return float(self._pythia.infoPython().sigmaGen()) * 1e9 * mean_weight

    def batches(
        self, n_events: int, batch_size: int, *, block: int | None = None
    ) -> Iterator[GeneratedBatch]:
        """Yield events until there are `n_events`. Events that PYTHIA gives up are logged and made anew.

        Args:
            n_events: How many.
            batch_size: At most so many at a time.
            block: If given, no batch holds events on both sides of a multiple of it.

        Raises:
            RuntimeError: If PYTHIA fails on every event of a batch.
        """
        done = 0
        while done < n_events:
            wanted = min(batch_size, n_events - done, block - done % block if block else batch_size)
            record = self._pythia.nextBatch(wanted, errorMode="skip")
            if len(record) == 0:
                raise RuntimeError(f"PYTHIA failed on {wanted} events of '{self.process.name}' in a row")
            self.n_failed += wanted - len(record)
            particles = _particles(record)
            decay_weights = np.ones(len(record))
            if self._branching_fractions:
                decay_weights = _decay_weights(particles, self._branching_fractions)
            self._n_made += len(record)
            self._sum_decay_weights += float(decay_weights.sum())
            weights = ak.to_numpy(record.info.weights[:, 0]) * decay_weights
            theory = self._theory.weights(record) if self._theory is not None else None
            yield GeneratedBatch(particles, weights, done, record, theory)
            done += len(record)
        if self.n_failed:
            logger.info("PYTHIA gave up %d of %d events of %s", self.n_failed, n_events, self.process.name)


def _particles(record: ak.Array) -> GeneratedParticles:
    """Return views into a batch, without a copy."""
    layout = record.layout.content("prt")
    fields = layout.content
    momentum, vertex = fields.content("p"), fields.content("vProd")

    def data(content: Any) -> NDArray[Any]:
        return np.asarray(content.data)

    names = ("id", "status", "mother1", "mother2", "daughter1", "daughter2")
    pdg, status, mother, last_mother, first_daughter, last_daughter = (
        data(fields.content(name)) for name in names
    )
    px, py, pz, energy = (data(momentum.content(name)) for name in ("px", "py", "pz", "e"))
    x, y, z = (data(vertex.content.content(name)) for name in ("px", "py", "pz"))
    return GeneratedParticles(
        np.asarray(layout.offsets.data),
        pdg, status, mother, last_mother, first_daughter, last_daughter,
        px, py, pz, energy,
        np.asarray(vertex.index.data),
        x, y, z,
    )  # fmt: skip


def _muon_branching_fractions(pythia: Any) -> dict[int, float]:
    """Return how often each charm hadron decays to a muon in PYTHIA's tables."""
    fractions = {}
    for pdg in CHARM_HADRONS:
        entry = pythia.particleData.particleDataEntryPtr(pdg)
        to_muon = total = 0.0
        for channel in (entry.channel(i) for i in range(entry.sizeChannels())):
            total += channel.bRatio()
            if _MUON in (abs(channel.product(i)) for i in range(channel.multiplicity())):
                to_muon += channel.bRatio()
        fractions[pdg] = to_muon / total
    return fractions


def _decay_weights(particles: GeneratedParticles, fractions: dict[int, float]) -> NDArray[np.float64]:
    """Return the product of the branching fractions of an event's forced decays, shape ``(n_events,)``.

    An event in which no charm hadron decays (its quarks ended in a charmonium) belongs to no forced sample:
    weight 0.
    """
    n_events = len(particles.offsets) - 1
    pdg = np.abs(particles.pdg)
    log_weights = np.zeros(n_events)
    n_forced = np.zeros(n_events, dtype=np.int64)
    for hadron, fraction in fractions.items():
        decayed = np.flatnonzero((pdg == hadron) & (particles.status < 0))
        event = np.searchsorted(particles.offsets, decayed, side="right") - 1
        counts = np.bincount(event, minlength=n_events)
        log_weights += counts * np.log(fraction)
        n_forced += counts
    return np.where(n_forced > 0, np.exp(log_weights), 0.0)
