"""Lines, angles and small matrices, for use inside kernels."""

import math
from typing import Any

from numpy.typing import NDArray

from simulation.compiled import lean_kernel


@lean_kernel
def delta_phi(first: float, second: float) -> float:
    """Return the angle from the second to the first azimuth, in (-pi, pi]."""
    difference = first - second
    while difference > math.pi:
        difference -= 2 * math.pi
    while difference <= -math.pi:
        difference += 2 * math.pi
    return difference


@lean_kernel
def delta_r(eta1: float, phi1: float, eta2: float, phi2: float) -> float:
    """Return the distance of two directions in pseudorapidity and azimuth."""
    return math.hypot(eta1 - eta2, delta_phi(phi1, phi2))


@lean_kernel
def closest_approach(
    ax: float, ay: float, az: float, ux: float, uy: float, uz: float,
    bx: float, by: float, bz: float, vx: float, vy: float, vz: float,
) -> tuple[float, float, float]:  # fmt: skip
    """Return where the lines a + s u and b + t v are nearest: s, t and their distance.

    The directions u and v have length one. For (nearly) parallel lines t is 0.
    """
    wx, wy, wz = ax - bx, ay - by, az - bz
    uv = ux * vx + uy * vy + uz * vz
    uw = ux * wx + uy * wy + uz * wz
    vw = vx * wx + vy * wy + vz * wz
    determinant = 1.0 - uv * uv
    if determinant < 1e-9:
        s, t = -uw, 0.0
    else:
        s, t = (uv * vw - uw) / determinant, (vw - uv * uw) / determinant
    dx, dy, dz = wx + s * ux - t * vx, wy + s * uy - t * vy, wz + s * uz - t * vz
    return s, t, math.sqrt(dx * dx + dy * dy + dz * dz)


@lean_kernel
def solve_symmetric(
    matrix: NDArray[Any], vector: NDArray[Any], solution: NDArray[Any], inverse: NDArray[Any]
) -> bool:
    """Solve a symmetric system of three equations in place; return False where the matrix is singular.

    Args:
        matrix: The system, shape ``(3, 3)``; only its upper triangle is read.
        vector: The right-hand side, shape ``(3,)``.
        solution: Receives the solution, shape ``(3,)``.
        inverse: Receives the inverse of the matrix, shape ``(3, 3)``.
    """
    a00, a01, a02 = matrix[0, 0], matrix[0, 1], matrix[0, 2]
    a11, a12, a22 = matrix[1, 1], matrix[1, 2], matrix[2, 2]
    c00 = a11 * a22 - a12 * a12
    c01 = a02 * a12 - a01 * a22
    c02 = a01 * a12 - a02 * a11
    determinant = a00 * c00 + a01 * c01 + a02 * c02
    if not abs(determinant) > 1e-30:
        return False
    inverse[0, 0] = c00 / determinant
    inverse[0, 1] = inverse[1, 0] = c01 / determinant
    inverse[0, 2] = inverse[2, 0] = c02 / determinant
    inverse[1, 1] = (a00 * a22 - a02 * a02) / determinant
    inverse[1, 2] = inverse[2, 1] = (a01 * a02 - a00 * a12) / determinant
    inverse[2, 2] = (a00 * a11 - a01 * a01) / determinant
    for row in range(3):
        solution[row] = (
            inverse[row, 0] * vector[0] + inverse[row, 1] * vector[1] + inverse[row, 2] * vector[2]
        )
    return True
