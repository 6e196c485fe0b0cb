"""Volume sources and sheets: closed forms, limits, and an independent boundary-element code."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial import Delaunay

from fault_builders import points
from slipscan.errors import SlipscanError
from slipscan.forward.crack import SHALLOWEST, penny_crack_surface, penny_crack_volume_change
from slipscan.forward.mogi import mogi_surface
from slipscan.forward.okada import okada_surface
from slipscan.forward.sheets import dike_surface, sill_surface

DOUBLE = torch.float64


def largest(displacement: torch.Tensor) -> float:
    return displacement.abs().max().item()


# ---------------------------------------------------------------------------------------------- Mogi


def test_mogi_above_the_source_and_its_volume():
    """Mogi: u_up = (1 - nu) dV / (pi d^2) at the centre; the uplifted volume is 2 (1 - nu) dV."""
    depth, volume = 3e3, 2e6
    r = torch.linspace(0, 2e6, 100_001, dtype=DOUBLE)
    u = mogi_surface(r, torch.zeros_like(r), east0=0.0, north0=0.0, depth=depth, volume_change=volume)[0]
    assert u[0, 2].item() == pytest.approx(0.75 * volume / (math.pi * depth**2))
    torch.testing.assert_close(u[1:, 0] / u[1:, 2], r[1:] / depth)
    uplifted = torch.trapezoid(2 * math.pi * r * u[:, 2], r).item()
    assert uplifted == pytest.approx(1.5 * volume, rel=2e-3)


def test_mogi_batches_sources_and_signs():
    east, north = points(20, dtype=torch.float32)
    u = mogi_surface(
        east, north, east0=torch.tensor([0.0, 5e3]), north0=-1e3, depth=4e3, volume_change=torch.tensor([1e6, -1e6])
    )
    assert u.shape == (2, 20, 3) and u.dtype == torch.float32
    assert (u[0, :, 2] > 0).all() and (u[1, :, 2] < 0).all()
    alone = mogi_surface(east, north, east0=5e3, north0=-1e3, depth=4e3, volume_change=-1e6)
    torch.testing.assert_close(alone[0], u[1])
    with pytest.raises(SlipscanError, match="depth"):
        mogi_surface(east, north, east0=0.0, north0=0.0, depth=0.0, volume_change=1.0)


# ------------------------------------------------------------------------------------------- the crack


def disc(rings: int, depth: float) -> np.ndarray:
    """Triangles (N, 3, 3) of a horizontal disc of radius 1, normals up."""
    corners = [(0.0, 0.0)]
    for ring in range(1, rings + 1):
        turn = 2 * np.pi * np.arange(6 * ring) / (6 * ring)
        corners += list(zip(ring / rings * np.cos(turn), ring / rings * np.sin(turn), strict=True))
    flat = np.array(corners)
    triangles = np.dstack([flat[Delaunay(flat).simplices], np.full((6 * rings**2, 3, 1), -depth)])
    down = np.cross(triangles[:, 1] - triangles[:, 0], triangles[:, 2] - triangles[:, 0])[:, 2] < 0
    triangles[down] = triangles[down][:, ::-1]
    return np.ascontiguousarray(triangles)


@pytest.mark.parametrize("depth", [0.4, 1.0])
def test_crack_agrees_with_boundary_elements(depth):
    """cutde: the slips of a meshed disc that make its tractions those of a uniform pressure of 1 (G = 1, nu = 0.25).

    Constant slip on 216 triangles is no better than a few per cent near the tip: two meshes, extrapolated.
    """
    halfspace = pytest.importorskip("cutde.halfspace")
    r = np.array([0.0, 0.4, 0.8, 1.3, 2.0, 3.0])
    seen = np.stack([r, np.zeros(6), np.zeros(6)], axis=1)
    volumes, shapes = [], []
    for rings in (4, 6):
        triangles = disc(rings, depth)
        count = len(triangles)
        strains = halfspace.strain_matrix(triangles.mean(axis=1), triangles, 0.25)  # (point, 6, triangle, 3)
        per_slip = strains.transpose(0, 2, 3, 1).reshape(-1, 6)
        stress = halfspace.strain_to_stress(per_slip, 1.0, 0.25).reshape(count, count, 3, 6)[..., [2, 4, 5]]
        tractions = stress.transpose(0, 3, 1, 2).reshape(3 * count, 3 * count)
        slips = np.linalg.solve(tractions, np.tile([-1.0, 0.0, 0.0], count)).reshape(count, 3)
        sides = triangles[:, 1] - triangles[:, 0], triangles[:, 2] - triangles[:, 0]
        volumes.append(slips[:, 2] @ np.linalg.norm(np.cross(*sides), axis=1) / 2)
        shapes.append(halfspace.disp_free(seen, triangles, slips, 0.25) / volumes[-1])
    weight = 6 / (6 - 4)  # errors of one over the number of rings
    volume = volumes[1] + (weight - 1) * (volumes[1] - volumes[0])
    shape = shapes[1] + (weight - 1) * (shapes[1] - shapes[0])
    ours = penny_crack_volume_change(1.0, depth=depth, radius=1.0, shear_modulus=1.0).item()
    assert ours == pytest.approx(volume, rel=0.02)
    surface = penny_crack_surface(
        torch.from_numpy(r), torch.zeros(6, dtype=DOUBLE), east0=0.0, north0=0.0, depth=depth, radius=1.0,
        volume_change=1.0,
    )[0].numpy()  # fmt: skip
    assert np.abs(surface - shape).max() < 0.01 * np.abs(shape).max()


def test_a_small_crack_is_a_point_and_a_small_sill():
    """3 dV d^2 (x, y, d) / (2 pi R^5), and a square of Okada's with the same volume; 8 (1 - nu) p a^3 / (3 G)."""
    east, north = points()
    depth, radius = 5e3, 100.0
    crack = {"east0": 300.0, "north0": -400.0, "depth": depth}
    u = penny_crack_surface(east, north, **crack, radius=radius, volume_change=1e6)[0]
    x, y = east - 300.0, north + 400.0
    distance = torch.sqrt(x**2 + y**2 + depth**2)
    point = 3e6 * depth**2 / (2 * math.pi * distance**5)
    expected = torch.stack((x, y, torch.full_like(x, depth)), dim=-1) * point[:, None]
    assert largest(u - expected) < 1e-3 * largest(expected)
    side = math.sqrt(math.pi) * radius
    sill = sill_surface(east, north, **crack, strike_deg=20.0, length=side, width=side, opening=1e6 / side**2)[0]
    assert largest(u - sill) < 1e-3 * largest(sill)
    volume = penny_crack_volume_change(2e6, depth=depth, radius=radius, shear_modulus=1e10, poisson_ratio=0.3)
    assert volume.item() == pytest.approx(8 * 0.7 * 2e6 * radius**3 / 3e10, rel=1e-3)


@pytest.mark.parametrize("ratio", [SHALLOWEST, 0.3, 1.0, 3.0])
def test_a_crack_lifts_as_much_ground_as_it_opens(ratio):
    """Rock is not compressed over a horizontal crack: the volume of the uplift is that of the opening."""
    radius = 2e3
    r = torch.cat((torch.linspace(0, 6e3, 3001, dtype=DOUBLE), torch.logspace(math.log10(6001), 6, 3000, dtype=DOUBLE)))
    u = penny_crack_surface(
        r, torch.zeros_like(r), east0=0.0, north0=0.0, depth=ratio * radius, radius=radius, volume_change=1e6
    )[0]
    assert torch.trapezoid(2 * math.pi * r * u[:, 2], r).item() == pytest.approx(1e6, rel=1e-4)


@pytest.mark.parametrize("ratio", [SHALLOWEST, 0.5, 2.0])
def test_the_crack_is_converged_in_every_batch_and_precision(ratio):
    """A shallow crack in the batch refines the quadrature of all: a deeper one must not notice."""
    east, north = points()
    crack = {"east0": 0.0, "north0": 0.0, "radius": 2e3, "volume_change": 1e6}
    alone = penny_crack_surface(east, north, **crack, depth=2e3 * ratio)[0]
    batch = penny_crack_surface(east, north, **crack, depth=torch.tensor([250.0, 2e3 * ratio], dtype=DOUBLE))[1]
    assert largest(batch - alone) < 1e-10 * largest(alone)
    single = penny_crack_surface(east.float(), north.float(), **crack, depth=2e3 * ratio)[0]
    assert single.dtype == torch.float32
    assert largest(single.double() - alone) < 1e-5 * largest(alone)


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [({"depth": -1.0}, "above the surface"), ({"radius": 0.0}, "no size"), ({"depth": 50.0}, "0.1")],
)
def test_the_crack_refuses_what_is_none(wrong, sentence):
    crack = {"east0": 0.0, "north0": 0.0, "depth": 2e3, "radius": 1e3, "volume_change": 1e6}
    with pytest.raises(SlipscanError, match=sentence):
        penny_crack_surface(*points(3), **{**crack, **wrong})
    with pytest.raises(SlipscanError, match="shear modulus"):
        penny_crack_volume_change(1e6, depth=2e3, radius=1e3, shear_modulus=0.0)


# ------------------------------------------------------------------------------------- sills and dikes


@settings(max_examples=20, deadline=None)
@given(strike=st.floats(0, 360), length=st.floats(500, 5e3), width=st.floats(500, 5e3))
def test_a_sill_is_symmetric_about_its_centre_and_keeps_its_volume_far_away(strike, length, width):
    east, north = points(30)
    sill = {"depth": 3e3, "strike_deg": strike, "length": length, "width": width, "opening": 1.0}
    u = sill_surface(east + 1e3, north - 2e3, east0=1e3, north0=-2e3, **sill)[0]
    opposite = sill_surface(1e3 - east, -2e3 - north, east0=1e3, north0=-2e3, **sill)[0]
    torch.testing.assert_close(opposite, u * torch.tensor([-1.0, -1.0, 1.0], dtype=DOUBLE), rtol=0, atol=1e-9)
    assert (u[:, 2] > 0).all()
    turned = {**sill, "strike_deg": strike + 90.0, "length": width, "width": length}
    torch.testing.assert_close(
        sill_surface(east, north, east0=0.0, north0=0.0, **turned),
        sill_surface(east, north, east0=0.0, north0=0.0, **sill), rtol=0, atol=1e-9,
    )  # fmt: skip
    far = torch.tensor([200e3], dtype=DOUBLE)
    crack = penny_crack_surface(far, far, east0=0.0, north0=0.0, depth=3e3, radius=1e3, volume_change=length * width)
    torch.testing.assert_close(sill_surface(far, far, east0=0.0, north0=0.0, **sill), crack, rtol=1e-2, atol=0)


def test_a_dike_pushes_its_sides_apart_and_is_okadas():
    """Strike north: east and west move apart, the ground above sinks between two shoulders."""
    east = torch.tensor([-3e3, 0.0, 3e3], dtype=DOUBLE)
    dike = {"east0": 0.0, "north0": 0.0, "depth_top": 1e3, "strike_deg": 0.0, "length": 10e3, "opening": 1.0}
    u = dike_surface(east, torch.zeros_like(east), **dike, height=4e3)[0]
    assert u[0, 0] < -0.1 and u[2, 0] > 0.1 and abs(u[1, 0]) < 1e-12
    assert u[1, 2] < 0 < u[2, 2]
    same = okada_surface(
        east, torch.zeros_like(east), **dike, dip_deg=70.0, width=4e3, rake_deg=0.0, slip=0.0, poisson_ratio=0.3
    )[0]
    leaning = dike_surface(east, torch.zeros_like(east), **dike, dip_deg=70.0, height=4e3, poisson_ratio=0.3)[0]
    assert torch.equal(same, leaning)
    with pytest.raises(SlipscanError, match="above the surface"):
        dike_surface(east, east, **{**dike, "depth_top": -1.0}, height=4e3)
