import math
from collections import Counter

import awkward as ak
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from processors.corrections import TheoryCard
from processors.theory import scale_members, shower_members, theory_sources, theory_weights

OLD = (
    "PS weights (w_var / w_nominal); [0] is ISR=0.5 FSR=1; [1] is ISR=1 FSR=0.5; [2] is ISR=2 FSR=1; "
    "[3] is ISR=1 FSR=2 "
)
NEW = (
    "PS weights (w_var / w_nominal);   [0] is ISR=2 FSR=1; [1] is ISR=1 FSR=2[2] is ISR=0.5 FSR=1; "
    "[3] is ISR=1 FSR=0.5;"
)
DUMMY = "dummy PS weight (1.0) "


class _Doc(ak.Array):
    """A branch as coffea shows it: its title is its documentation."""

    def __init__(self, values: list[list[float]] | ak.Array, title: str) -> None:
        super().__init__(ak.Array(values))
        self.__doc__ = title


class _Chunk:
    """As much of a chunk as theory asks for."""

    def __init__(self, **columns: ak.Array) -> None:
        self._columns = columns
        self.fields = list(columns)

    def __getitem__(self, name: str) -> ak.Array:
        return self._columns[name]

    def __getattr__(self, name: str) -> ak.Array:
        return self._columns[name]

    def __len__(self) -> int:
        return len(next(iter(self._columns.values())))


def chunk(branch: str, values: list[list[float]], title: str) -> _Chunk:
    return _Chunk(**{branch: _Doc(values, title)})


def test_the_title_tells_the_order_of_the_shower() -> None:
    assert shower_members(OLD) == {"ISRDown": 0, "FSRDown": 1, "ISRUp": 2, "FSRUp": 3}
    assert shower_members(NEW) == {"ISRUp": 0, "FSRUp": 1, "ISRDown": 2, "FSRDown": 3}
    assert shower_members(DUMMY) == {}
    assert shower_members("PSWeight/F") == {}


@pytest.mark.parametrize(
    "title",
    [
        (
            "LHE scale variation weights (w_var / w_nominal); [0] is muR=0.5 muF=0.5 ; [1] is muR=0.5 "
            "muF=1.0 ; [2] is muR=1.0 muF=0.5 ; [3] is muR=1.0 muF=1.0 ; [4] is muR=1.0 muF=2.0 ; [5] is "
            "muR=2.0 muF=1.0"
        ),
        (
            "LHE scale weights; [0] is muR=0.50000E+00 muF=0.50000E+00 ; [1] is muR=0.5 muF=1 ; [2] is "
            "muR=1 muF=0.50000E+00 ; [3] is muR=1 muF=1 ; [4] is muR=1 muF=0.20000E+01 ; [5] is muR=2 muF=1"
        ),
        (
            '[0] is MUF="0.5" MUR="0.5"; [1] is MUF="1.0" MUR="0.5"; [2] is MUF="0.5" MUR="1.0"; '
            '[3] is MUF="1.0" MUR="1.0"; [4] is MUF="2.0" MUR="1.0"; [5] is MUF="1.0" MUR="2.0"'
        ),
        (
            "[0] is renscfact=0.5d0 facscfact=0.5d0; [1] is renscfact=0.5d0 facscfact=1d0; [2] is "
            "renscfact=1d0 facscfact=0.5d0; [4] is renscfact=1d0 facscfact=2d0; [5] "
            "is renscfact=2d0 facscfact=1d0"
        ),
    ],
)
def test_the_title_tells_the_order_of_the_scales(title: str) -> None:
    assert scale_members(title) == {"muRDown": 1, "muFDown": 2, "muFUp": 4, "muRUp": 5}


def test_up_is_what_the_title_calls_two() -> None:
    values = [[1.1, 1.2, 0.9, 0.8], [1.3, 1.0, 0.7, 1.0]]
    for title, isr_up, isr_down in ((NEW, [1.1, 1.3], [0.9, 0.7]), (OLD, [0.9, 0.7], [1.1, 1.3])):
        factors, unvaried = theory_weights(chunk("PSWeight", values, title), TheoryCard(scales=False))
        assert unvaried == {}
        assert factors["ISRUp"].tolist() == isr_up
        assert factors["ISRDown"].tolist() == isr_down


@pytest.mark.parametrize(
    ("values", "title"),
    [
        ([[1.0], [1.0]], DUMMY),
        ([[1.0], [1.0]], NEW),  # a list of one under the title of four
        ([[1.1, 1.2, 0.9, 0.8]] * 2, ""),
    ],
)
def test_what_is_no_variation_varies_nothing_and_is_counted(values: list[list[float]], title: str) -> None:
    events = chunk("PSWeight", values, title)
    factors, unvaried = theory_weights(events, TheoryCard(scales=False))
    assert factors["FSRUp"].tolist() == factors["FSRDown"].tolist() == [1.0, 1.0]
    assert unvaried == {"PSWeight:ISR": 2, "PSWeight:FSR": 2}


@pytest.mark.parametrize(
    ("values", "isr_up", "fsr_up"),
    [
        # The lists of the second event; the first and the third are whole. ISR is read at 0 and 2, FSR at 1
        # and 3.
        ([], 1.0, 1.0),
        ([0.7], 1.0, 1.0),
        ([0.7, 0.6, 0.5], 0.7, 1.0),
        ([0.7, 0.6, 0.5, 0.4, 0.3], 0.7, 0.6),
        ([0.7, 0.6, 0.5, math.nan], 0.7, 1.0),
        ([math.inf, 0.6, 0.5, 0.4], 1.0, 0.6),
        ([0.7, 0.6, -math.inf, 0.4], 1.0, 0.6),
    ],
)
def test_an_event_without_weights_stays_nominal_alone(
    values: list[float], isr_up: float, fsr_up: float
) -> None:
    events = chunk("PSWeight", [[1.1, 1.2, 0.9, 0.8], values, [1.3, 1.4, 0.7, 0.6]], NEW)
    factors, unvaried = theory_weights(events, TheoryCard(scales=False))
    assert factors["ISRUp"].tolist() == [1.1, isr_up, 1.3]
    assert factors["FSRUp"].tolist() == [1.2, fsr_up, 1.4]
    without = {"PSWeight:ISR": isr_up == 1.0, "PSWeight:FSR": fsr_up == 1.0}
    assert unvaried == {label: 1 for label, is_without in without.items() if is_without}


def test_densities_are_those_of_each_event() -> None:
    lists = [[1.0, 1.3, 0.6], [], [1.0, 2.0], [1.0, 1.0, 1.0, 1.5], [1.0, math.nan, 1.0]]
    factors, unvaried = theory_weights(
        chunk("LHEPdfWeight", lists, ""), TheoryCard(parton_shower=False, scales=False, pdf="hessian")
    )
    # sqrt(0.3^2 + 0.4^2) = 0.5; none; too few; 0.5; no number.
    np.testing.assert_allclose(factors["pdfUp"], [1.5, 1.0, 1.0, 1.5, 1.0])
    assert unvaried == {"LHEPdfWeight:pdf": 3}


LISTS = st.lists(
    st.lists(st.floats(0.5, 2.0) | st.just(math.nan), max_size=6), min_size=1, max_size=8
).flatmap(lambda lists: st.tuples(st.just(lists), st.integers(0, len(lists))))


@pytest.mark.parametrize("pdf", ["hessian", "replicas", "envelope"])
@given(cut=LISTS)
@settings(max_examples=30, deadline=None, derandomize=True)
def test_a_chunk_is_the_sum_of_its_parts(cut: tuple[list[list[float]], int], pdf: str) -> None:
    lists, position = cut
    card = TheoryCard(pdf=pdf)
    title = "[0] is muR=2 muF=1; [1] is muR=0.5 muF=1; [3] is muR=1 muF=2; [4] is muR=1 muF=0.5"

    def weights_of(part: list[list[float]]) -> tuple[dict[str, np.ndarray], Counter[str]]:
        # Even without an event it is a list of lists of numbers.
        typed = ak.Array([*part, [1.0]])[:-1]
        branches = {"PSWeight": NEW, "LHEScaleWeight": title, "LHEPdfWeight": ""}
        events = _Chunk(**{name: _Doc(typed, text) for name, text in branches.items()})
        factors, unvaried = theory_weights(events, card)
        return factors, Counter(unvaried)

    whole, counts = weights_of(lists)
    parts = [weights_of(part) for part in (lists[:position], lists[position:])]
    for name, values in whole.items():
        assert np.isfinite(values).all()
        np.testing.assert_array_equal(np.concatenate([factors[name] for factors, _ in parts]), values)
    assert sum((counted for _, counted in parts), Counter()) == counts


def test_densities_spread_as_hessians_replicas_or_envelope() -> None:
    events = chunk("LHEPdfWeight", [[1.0, 1.3, 0.6]], "")
    off = {"parton_shower": False, "scales": False}
    hessian, _ = theory_weights(events, TheoryCard(**off, pdf="hessian"))
    # sqrt(0.3^2 + 0.4^2) = 0.5
    np.testing.assert_allclose([hessian["pdfUp"][0], hessian["pdfDown"][0]], [1.5, 0.5])
    replicas, _ = theory_weights(events, TheoryCard(**off, pdf="replicas"))
    # mean 0.95, deviations of 0.35 either way
    np.testing.assert_allclose([replicas["pdfUp"][0], replicas["pdfDown"][0]], [1.35, 0.65])
    envelope, _ = theory_weights(events, TheoryCard(**off, pdf="envelope"))
    assert [envelope["pdfUp"][0], envelope["pdfDown"][0]] == [1.3, 0.6]


def test_members_of_the_strong_coupling_are_no_densities() -> None:
    events = chunk("LHEPdfWeight", [[1.0, *[1.0] * 30, 5.0, 5.0]], "")
    factors, _ = theory_weights(events, TheoryCard(parton_shower=False, scales=False, pdf="hessian"))
    assert factors["pdfUp"].tolist() == [1.0]


def test_only_what_is_asked_for_is_varied() -> None:
    assert set(theory_sources(TheoryCard())) == {"ISR", "FSR", "muR", "muF"}
    assert theory_sources(TheoryCard(parton_shower=False, scales=False)) == {}
    assert theory_sources(TheoryCard(parton_shower=False, pdf="replicas"))["pdf"] == "LHEPdfWeight"
