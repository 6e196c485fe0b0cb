"""Loads on the ground and aquifers in it: closed forms, cells, and what must not matter."""

from __future__ import annotations

import math

import pytest
import torch

from fault_builders import points
from slipscan.errors import SlipscanError
from slipscan.forward.mogi import mogi_surface
from slipscan.forward.reservoir import aquifer_surface, load_surface

DOUBLE = torch.float64
L_SHAPE = torch.tensor([[0, 0], [4e3, 0], [4e3, 1e3], [1e3, 1e3], [1e3, 3e3], [0, 3e3]], dtype=DOUBLE)
EARTH = {"young_modulus": 5e10, "poisson_ratio": 0.3}


def largest(displacement: torch.Tensor) -> float:
    return displacement.abs().max().item()


def circle(corners: int, radius: float) -> torch.Tensor:
    turn = torch.arange(corners, dtype=DOUBLE) * (2 * math.pi / corners)
    return radius * torch.stack((torch.cos(turn), torch.sin(turn)), dim=1)


def cells(size: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Centres of the square cells of L_SHAPE."""
    along = torch.arange(size / 2, 4e3, size, dtype=DOUBLE)
    x, y = torch.meshgrid(along, along[along < 3e3], indexing="ij")
    inside = (x < 1e3) | (y < 1e3)
    return x[inside], y[inside]


def test_a_disc_of_load_sinks_as_boussinesq_says():
    """Centre 2 (1 - nu^2) p a / E, edge 2 / pi of it; inward (1 - 2 nu) (1 + nu) p r / (2 E), outside a^2 / r."""
    nu, young, radius, pressure = 0.3, 5e10, 3e3, 1e5
    r = torch.tensor([0.0, 1e3, radius, 9e3], dtype=DOUBLE)
    errors = []
    for corners in (32, 128, 512):
        u = load_surface(r, torch.zeros_like(r), polygon=circle(corners, radius), pressure=pressure, **EARTH)[0]
        centre = -2 * (1 - nu**2) * pressure * radius / young
        inward = -(1 - 2 * nu) * (1 + nu) * pressure / (2 * young) * torch.tensor([0.0, 1e3, radius, 1e3], dtype=DOUBLE)
        errors.append(
            max(abs(u[0, 2].item() / centre - 1), largest(u[[0, 1, 3], 0] - inward[[0, 1, 3]]) / largest(inward))
        )
        assert u[2, 2].item() == pytest.approx(2 / math.pi * centre, rel=30 / corners**1.5)
        assert largest(u[:, 1]) < 1e-9 * largest(u)
    assert errors[0] > 10 * errors[1] > 100 * errors[2]  # polygons approach the disc as corners^-2
    assert errors[2] < 1e-4


def test_a_disc_of_aquifer_rises_as_geertsma_says():
    """2 (1 - nu) times the change of thickness, times 1 - d / sqrt(d^2 + a^2), above the centre."""
    u = aquifer_surface(
        *(torch.zeros(1, dtype=DOUBLE),) * 2, polygon=circle(512, 3e3), depth=1500.0, thickness_change=0.1,
        poisson_ratio=0.3,
    )[0, 0]  # fmt: skip
    assert u[2].item() == pytest.approx(2 * 0.7 * 0.1 * (1 - 1500 / math.hypot(1500, 3e3)), rel=1e-4)


def test_small_cells_of_point_sources_approach_the_closed_forms():
    """An L of loads (Boussinesq) and of Mogi sources: the error falls as the square of the cell."""
    east, north = (torch.tensor(v, dtype=DOUBLE) for v in ([2500.0, -700.0, 5000.0], [2000.0, -300.0, 6000.0]))
    nu, young, pressure, change = 0.3, 5e10, 1e5, 0.1
    load = load_surface(east, north, polygon=L_SHAPE, pressure=pressure, **EARTH)[0]
    aquifer = aquifer_surface(east, north, polygon=L_SHAPE, depth=800.0, thickness_change=change, poisson_ratio=nu)[0]
    errors = []
    for size in (500.0, 125.0):
        x, y = cells(size)
        dx, dy = east[:, None] - x, north[:, None] - y
        r2 = dx**2 + dy**2
        force = pressure * size**2 / (math.pi * young)
        inward = -(1 + nu) * (1 - 2 * nu) / 2 * force
        parts = inward * dx / r2, inward * dy / r2, -(1 - nu**2) * force / r2.sqrt()
        points_load = torch.stack([part.sum(dim=1) for part in parts], dim=-1)
        mogi = mogi_surface(
            east, north, east0=x, north0=y, depth=800.0, volume_change=change * size**2, poisson_ratio=nu
        ).sum(dim=0)
        errors.append([largest(points_load - load) / largest(load), largest(mogi - aquifer) / largest(aquifer)])
    assert max(errors[1]) < 1e-3
    assert all(coarse > 10 * fine for coarse, fine in zip(*errors, strict=True))


def test_order_of_corners_closed_rings_and_batches_change_nothing():
    east, north = points(40, 5e3)
    for surface in (
        lambda polygon, **k: load_surface(east, north, polygon=polygon, pressure=1e5, **EARTH, **k),
        lambda polygon, **k: aquifer_surface(east, north, polygon=polygon, depth=500.0, thickness_change=0.1, **k),
    ):
        u = surface(L_SHAPE)
        for same in (L_SHAPE.flip(0), L_SHAPE.roll(2, 0), torch.cat((L_SHAPE, L_SHAPE[:1]))):
            assert largest(surface(same) - u) < 1e-9 * largest(u)
        far = L_SHAPE + torch.tensor([2e3, -5e3], dtype=DOUBLE)
        both = surface(torch.stack((L_SHAPE, far)))
        torch.testing.assert_close(both, torch.cat((u, surface(far))))


def test_two_halves_of_a_reservoir_add_up_to_the_whole_in_either_precision():
    east, north = points(40, 5e3)
    halves = [L_SHAPE[[0, 1, 2, 3]], torch.tensor([[0, 0], [1e3, 1e3], [1e3, 3e3], [0, 3e3]], dtype=DOUBLE)]
    for surface in (
        lambda polygon, e, n: load_surface(e, n, polygon=polygon, pressure=1e5, **EARTH)[0],
        lambda polygon, e, n: aquifer_surface(e, n, polygon=polygon, depth=500.0, thickness_change=0.1)[0],
    ):
        whole = surface(L_SHAPE, east, north)
        assert largest(sum(surface(half, east, north) for half in halves) - whole) < 1e-9 * largest(whole)
        single = surface(L_SHAPE, east.float(), north.float())
        assert largest(single.double() - whole) < 1e-5 * largest(whole)


def test_reservoirs_refuse_what_is_none():
    east, north = points(3)
    bow = L_SHAPE[[0, 2, 1, 5]]
    for polygon, sentence in (
        (bow, "crosses itself"),
        (L_SHAPE[:2], "3 corners"),
        (L_SHAPE[[0, 1, 0]], "crosses itself"),
    ):
        with pytest.raises(SlipscanError, match=sentence):
            load_surface(east, north, polygon=polygon, pressure=1.0, young_modulus=1e10)
    with pytest.raises(SlipscanError, match="Young"):
        load_surface(east, north, polygon=L_SHAPE, pressure=1.0, young_modulus=0.0)
    with pytest.raises(SlipscanError, match="aquifer lies above"):
        aquifer_surface(east, north, polygon=L_SHAPE, depth=-5.0, thickness_change=1.0)
