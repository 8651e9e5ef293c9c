import numpy as np
import pytest

from simulation.top_and_w import top_and_w

METRIC = np.diag([1.0, -1.0, -1.0, -1.0])


def dirac_matrices():
    one, zero = np.eye(2), np.zeros((2, 2))
    pauli = [np.array([[0, 1], [1, 0]]), np.array([[0, -1j], [1j, 0]]), np.diag([1, -1])]
    return [
        np.block([[zero, one], [one, zero]]),
        *(np.block([[zero, sigma], [-sigma, zero]]) for sigma in pauli),
    ]


GAMMA = dirac_matrices()
LEFT = (np.eye(4) - 1j * GAMMA[0] @ GAMMA[1] @ GAMMA[2] @ GAMMA[3]) / 2


def slash(momentum):
    return sum(METRIC[i, i] * momentum[i] * GAMMA[i] for i in range(4))


def momenta(energy, cosine, top, w):
    """Bottom, gluon, top and W in their centre of mass; masses, not squared."""
    half, sine = energy / 2, np.sqrt(1 - cosine**2)
    p = np.sqrt((energy**2 - (top + w) ** 2) * (energy**2 - (top - w) ** 2)) / (2 * energy)
    bottom, gluon = np.array([half, 0, 0, half]), np.array([half, 0, 0, -half])
    out = np.array([np.hypot(p, top), p * sine, 0, p * cosine])
    return bottom, gluon, out, bottom + gluon - out


def vertices(energy, cosine, top, w):
    """Both diagrams, a matrix for each index of the W and of the gluon."""
    bottom, gluon, out, boson = momenta(energy, cosine, top, w)
    u1 = (out - gluon) @ METRIC @ (out - gluon) - top**2
    annihilation, exchange = slash(bottom + gluon) / energy**2, (slash(out - gluon) + top * np.eye(4)) / u1
    diagrams = [
        [GAMMA[m] @ LEFT @ annihilation @ GAMMA[n] + GAMMA[n] @ exchange @ GAMMA[m] @ LEFT for n in range(4)]
        for m in range(4)
    ]
    return np.array(diagrams), (bottom, gluon, out, boson), u1


def squared(diagrams, particles, top, w, gluon_sum):
    bottom, _, out, boson = particles
    w_sum = METRIC @ (-METRIC + np.outer(boson, boson) / w**2) @ METRIC
    conjugate = np.array([[GAMMA[0] @ vertex.conj().T @ GAMMA[0] for vertex in row] for row in diagrams])
    spinors = slash(out) + top * np.eye(4), slash(bottom)
    return np.einsum(
        "ab,cd,ij,acjk,kl,bdli->",
        w_sum,
        gluon_sum,
        spinors[0],
        diagrams,
        spinors[1],
        conjugate,
        optimize=True,
    ).real


@pytest.mark.parametrize("energy", [260.0, 400.0, 1500.0])
@pytest.mark.parametrize("cosine", [-0.95, -0.2, 0.4, 0.9])
def test_the_squared_amplitude_is_that_of_the_two_diagrams(energy, cosine):
    top, w = 171.0, 80.4
    diagrams, particles, u1 = vertices(energy, cosine, top, w)
    expected = squared(diagrams, particles, top, w, -METRIC)
    assert top_and_w(energy**2, u1, top**2, w**2) == pytest.approx(expected, rel=1e-9)
    # Gauge invariance of the reference: a gluon polarised along its momentum does nothing.
    along = METRIC @ particles[1]
    assert abs(squared(diagrams, particles, top, w, np.outer(along, along))) < 1e-9 * expected * energy**2
