"""The records that kernels write and read: one row an object. Lengths in cm, momenta and energies in GeV."""

from typing import Any

import numpy as np

Records = np.ndarray[Any, np.dtype[Any]]
"""A structured array: ``particles[i].px``, ``particles["px"]``."""


def _floats(*names: str) -> list[tuple[str, str]]:
    return [(name, "f8") for name in names]


PARTICLE = np.dtype(
    [
        *_floats("px", "py", "pz", "energy", "pt", "eta", "phi"),
        *_floats("d0", "dz", "sigma_d0", "sigma_dz"),  # signed, at the approach to the primary vertex
        *_floats("ip_x", "ip_y", "ip_z", "phi0"),  # that point, from the vertex; direction there
        *_floats("x", "y", "z"),  # a point of the track near where it was produced
        ("pdg", "i4"),
        ("charge", "i4"),
        ("origin", "i4"),
        ("muon", "i4"),
        ("tracked", "i4"),
    ],
    align=True,
)
"""What the detector saw of one particle: a track, or a deposit in a calorimeter without one (`tracked` 0)."""

ORIGIN_PILEUP = -1
ORIGIN_UNKNOWN, ORIGIN_PROMPT, ORIGIN_LIGHT, ORIGIN_CHARM, ORIGIN_BOTTOM, ORIGIN_TAU = 0, 1, 3, 4, 5, 15
"""`origin`: what a particle descends from, numbered as `Muon_genPartFlav` is."""

NOT_A_MUON, TRUE_MUON, FAKE_MUON = 0, 1, 2

GHOST = np.dtype([*_floats("px", "py", "pz", "energy"), ("flavour", "i4")], align=True)
"""A heavy hadron, scaled to nothing, that jets gather without being changed by it."""

MOMENTUM = np.dtype(_floats("px", "py", "pz", "energy"), align=True)
"""Of a stable particle."""

GENERATED = np.dtype(
    [
        *_floats("pt", "eta", "phi", "mass", "vx", "vy", "vz", "decay_length"),
        ("pdg", "i4"),
        ("status", "i4"),
        ("flags", "i4"),
        ("mother", "i4"),
    ],
    align=True,
)
"""A particle of the generator that is written; `mother` counts within the event, -1 for none."""

PARTON = np.dtype([*_floats("pt", "eta", "phi"), ("pdg", "i4")], align=True)
"""A quark or gluon at the end of the shower."""

TRACK = np.dtype(
    [
        *_floats("px", "py", "pz", "energy", "p", "pt", "delta_r", "dz"),
        *_floats("sip2d", "sip2d_significance", "sip3d", "sip3d_significance"),
        *_floats("decay_length", "jet_distance", "pt_rel", "pt_ratio", "eta_rel"),
        *_floats("x", "y", "z", "ux", "uy", "uz"),  # a point and the direction, from the primary vertex
        *_floats("sigma_1", "sigma_2"),  # across the track: in the transverse plane, and out of it
        ("charge", "i4"),
    ],
    align=True,
)
"""A track of a jet."""

VERTEX = np.dtype(
    [
        *_floats(
            "flight_2d",
            "flight_2d_error",
            "flight_2d_significance",
            "flight_3d",
            "flight_3d_error",
            "flight_3d_significance",
        ),
        *_floats("px", "py", "pz", "energy"),  # of its tracks
        *_floats("ux", "uy", "uz", "delta_r"),  # the direction of flight, and how far the jet is from it
        ("n_tracks", "i4"),
    ],
    align=True,
)
"""A secondary vertex."""

JET = np.dtype(
    [
        *_floats("px", "py", "pz", "energy", "pt", "eta", "phi", "mass"),
        *_floats(
            "charged_hadron", "neutral_hadron", "charged_em", "neutral_em", "muon", "pileup"
        ),  # fractions of energy
        ("n_constituents", "i4"),
        ("n_b_hadrons", "i4"),
        ("n_c_hadrons", "i4"),
        ("hadron_flavour", "i4"),
        ("parton_flavour", "i4"),
    ],
    align=True,
)

LEPTON = np.dtype(
    [
        *_floats("pt", "eta", "phi", "isolation_04", "isolation_03"),
        *_floats("dxy", "dz", "dxy_error", "dz_error", "ip3d", "sip3d"),
        ("pdg", "i4"),
        ("charge", "i4"),
        ("jet", "i4"),
        ("origin", "i4"),
        ("fake", "i4"),
    ],
    align=True,
)
"""A muon or an electron; `jet` counts within the event, -1 for none."""
