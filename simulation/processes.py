"""The processes: what PYTHIA is told, which events are kept, and how large their cross sections are."""

from dataclasses import dataclass

CHARM_HADRONS: tuple[int, ...] = (411, 421, 431, 4122, 4132, 4232, 4332)
"""The weakly decaying ones: D+, D0, Ds, Lambda_c, Xi_c0, Xi_c+, Omega_c (PDG numbers)."""


@dataclass(frozen=True)
class HardFilter:
    """Which hard processes are kept, before showers and hadrons cost any time.

    Attributes:
        n_muons: At least so many muons (exactly, with `exactly`) with `muon_pt` and `muon_eta`.
        muon_pt: In GeV.
        muon_eta: Largest absolute pseudorapidity.
        exactly: Whether more muons, within the acceptance or not, are refused too.
        charm: Whether a charm quark must leave the hard process; None if either way is fine.
    """

    n_muons: int
    muon_pt: float
    muon_eta: float = 2.4
    exactly: bool = False
    charm: bool | None = None


@dataclass(frozen=True)
class Process:
    """One process and how it is generated.

    Attributes:
        generated_cross_section_pb: Of the events that are generated, after the filter; see `PROCESSES`.
        primary_dataset: Where CMS would find it in data.
        coupling_power: Of the strong coupling in the cross section of the hard process.
        forced_charm_decays: Whether all charm hadrons decay to a muon; events then carry the product of the
            branching fractions as a weight.
        mean_weight: Mean weight of the events: 1 without forced decays or preferred ones.
        largest_weight: Largest one, to which "data" are unweighted.
        includes: Processes whose events are among those of this one: "data" hold only one of them.
        top_and_w: Whether PYTHIA gets the process that it lacks, `simulation.top_and_w`.
    """

    name: str
    title: str
    pythia: tuple[str, ...]
    generated_cross_section_pb: float
    primary_dataset: str
    coupling_power: int
    hard_filter: HardFilter | None = None
    forced_charm_decays: bool = False
    mean_weight: float = 1.0
    largest_weight: float = 1.0
    includes: tuple[str, ...] = ()
    top_and_w: bool = False

    @property
    def cross_section_pb(self) -> float:
        """What a sum of weights is normalised to, in pb."""
        return self.generated_cross_section_pb * self.mean_weight


_W_AND_JET = (
    "WeakBosonAndParton:qqbar2Wg = on",
    "WeakBosonAndParton:qg2Wq = on",
    "PhaseSpace:pTHatMin = 15",
    "24:onMode = off",
    "24:onIfAny = 13",
)
_TO_MUON = ("24:onMode = off", "24:onIfAny = 13")
_ONE_MUON = HardFilter(n_muons=1, muon_pt=27.0, exactly=True)
_QCD_SLICES = {
    (15, 30): 1.829e9,
    (30, 50): 1.392e8,
    (50, 80): 1.921e7,
    (80, 120): 2.75e6,
    (120, 170): 4.692e5,
    (170, 300): 1.179e5,
    (300, 470): 7821,
    (470, None): 875.7,
}
"""Slices in the pT of the hard process (GeV) and their cross sections (pb)."""


def _qcd_slice(low: int, high: int | None, cross_section_pb: float) -> Process:
    limits = [f"PhaseSpace:pTHatMin = {low}"] + ([f"PhaseSpace:pTHatMax = {high}"] if high else [])
    return Process(
        f"qcd_{low}_{high or 'inf'}",
        f"two jets of {low} to {high} GeV" if high else f"two jets above {low} GeV",
        ("HardQCD:all = on", *limits),
        generated_cross_section_pb=cross_section_pb,
        primary_dataset="JetHT",
        coupling_power=2,
    )


_TOP = ("Top:gg2ttbar = on", "Top:qqbar2ttbar = on")

PROCESSES: dict[str, Process] = {
    process.name: process
    for process in (
        Process(
            "dy",
            "Z/gamma* -> two muons above 12 GeV, with a jet",
            (
                "WeakBosonAndParton:qqbar2gmZg = on",
                "WeakBosonAndParton:qg2gmZq = on",
                "PhaseSpace:pTHatMin = 15",
                "PhaseSpace:mHatMin = 60",
                "23:onMode = off",
                "23:onIfAny = 13",
            ),
            generated_cross_section_pb=278.5,
            primary_dataset="DoubleMuon",
            coupling_power=1,
            hard_filter=HardFilter(n_muons=2, muon_pt=12.0),
        ),
        Process(
            "wc",
            "W -> muon above 27 GeV, with a charm quark; charm hadrons decay to muons",
            _W_AND_JET,
            generated_cross_section_pb=254.5,
            primary_dataset="SingleMuon",
            coupling_power=1,
            hard_filter=HardFilter(n_muons=1, muon_pt=27.0, charm=True),
            forced_charm_decays=True,
            mean_weight=0.0862,
            largest_weight=0.1656,
        ),
        Process(
            "ttsl",
            "top pairs with one muon above 27 GeV and one W to quarks, both charges",
            (*_TOP, "24:onMode = off", "24:onIfAny = 1 2 3 4 5 13"),
            generated_cross_section_pb=50.66,
            primary_dataset="SingleMuon",
            coupling_power=2,
            hard_filter=_ONE_MUON,
        ),
        Process(
            "tt",
            "top pairs, any decay",
            _TOP,
            generated_cross_section_pb=509.7,
            primary_dataset="JetHT",
            coupling_power=2,
            includes=("ttsl", "ttdl", "ttmm", "tthad"),
        ),
        Process(
            "qcd",
            "two jets above 20 GeV, hard ones preferred and weighted down",
            (
                "HardQCD:all = on",
                "PhaseSpace:pTHatMin = 20",
                "PhaseSpace:bias2Selection = on",
                "PhaseSpace:bias2SelectionPow = 4.5",
            ),
            generated_cross_section_pb=7.203e8 / 1.226e-3,
            primary_dataset="JetHT",
            coupling_power=2,
            mean_weight=1.226e-3,
            largest_weight=(10.0 / 20.0) ** 4.5,
            includes=tuple(f"qcd_{low}_{high or 'inf'}" for low, high in _QCD_SLICES),
        ),
        Process(
            "wlight",
            "W -> muon above 27 GeV, with a jet and no charm quark in the hard process",
            _W_AND_JET,
            generated_cross_section_pb=2015,
            primary_dataset="SingleMuon",
            coupling_power=1,
            hard_filter=HardFilter(n_muons=1, muon_pt=27.0, charm=False),
        ),
        Process(
            "ttdl",
            "top pairs with two leptons, one of them a muon above 27 GeV and the other none",
            (*_TOP, "24:onMode = off", "24:onIfAny = 11 13 15"),
            generated_cross_section_pb=16.25,
            primary_dataset="SingleMuon",
            coupling_power=2,
            hard_filter=_ONE_MUON,
        ),
        Process(
            "ttmm",
            "top pairs with two muons above 12 GeV",
            (*_TOP, *_TO_MUON),
            generated_cross_section_pb=4.399,
            primary_dataset="DoubleMuon",
            coupling_power=2,
            hard_filter=HardFilter(n_muons=2, muon_pt=12.0),
        ),
        Process(
            "tthad",
            "top pairs with both W to quarks",
            (*_TOP, "24:onMode = off", "24:onIfAny = 1 2 3 4 5"),
            generated_cross_section_pb=232.8,
            primary_dataset="JetHT",
            coupling_power=2,
        ),
        Process(
            "st_s",
            "single top, s channel, with a muon above 27 GeV",
            ("Top:ffbar2tqbar(s:W) = on", *_TO_MUON),
            generated_cross_section_pb=0.4449,
            primary_dataset="SingleMuon",
            coupling_power=0,
            hard_filter=_ONE_MUON,
        ),
        Process(
            "st_t",
            "single top, t channel, with a muon above 27 GeV",
            ("Top:qq2tq(t:W) = on", *_TO_MUON),
            generated_cross_section_pb=10.25,
            primary_dataset="SingleMuon",
            coupling_power=0,
            hard_filter=_ONE_MUON,
        ),
        Process(
            "tw",
            "single top with a W, with one muon above 27 GeV",
            (),
            generated_cross_section_pb=7.03,
            primary_dataset="SingleMuon",
            coupling_power=1,
            hard_filter=_ONE_MUON,
            top_and_w=True,
        ),
        *(_qcd_slice(low, high, cross_section) for (low, high), cross_section in _QCD_SLICES.items()),
    )
}
"""All processes by name.

Cross sections are PYTHIA's own at leading order: `sigmaGen()` after the filter, from runs of the hard process
alone (``PartonLevel:all = off``, PYTHIA 8.317) with 200 000 (`wc`, `ttsl`) or 400 000 kept events. Their
statistical error is 0.1 to 0.2 per cent. The mean weight of `wc` is that of 40 000 whole events (error 0.3
per cent); the largest is the branching fraction of the D+ to a muon in PYTHIA's tables. Each file also
records what its own events measure.

Those of the processes after `qcd` are from 100 000 kept events, with errors of 0.3 to 0.5 per cent, that of
`tw` from 60 000. They can be overridden in a request, for instance with a calculation of higher order. Events
of `qcd` weigh (10 GeV / pT)^4.5, 1.226e-3 in the mean of 300 000 (error 0.7 per cent): 2.8 per cent of them
are left as "data".

Each process belongs to one primary dataset, and no event of nature to two processes of one, but for those
that a process `includes`: `tt` and `qcd` are for training and stand alone. `wc` and `wlight` are told apart
by the charm quark of the hard process, top pairs by the leptons. `wlight` is not enriched in soft muons: as
simulation, any number of events stands for the whole cross section; as "data" it is dear. Missing is W with
charm that decays without a muon, which no selection of soft muons keeps, unless another muon is there.

A jet of 15 GeV at the hard vertex is part of `dy` and `wc`. An event of `wc` with several charm hadrons is
made only with all of them decaying to muons.
"""


def process_named(name: str) -> Process:
    """Return a process.

    Raises:
        ValueError: If there is none of that name.
    """
    if name not in PROCESSES:
        raise ValueError(f"unknown process '{name}': choose from {', '.join(PROCESSES)}")
    return PROCESSES[name]
