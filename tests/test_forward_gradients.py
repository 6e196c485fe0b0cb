"""Gradients of the sources: right where the field is smooth, finite where it is not, in both precisions."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import Tensor

from slipscan.forward.crack import penny_crack_surface
from slipscan.forward.mogi import mogi_surface
from slipscan.forward.okada import okada_surface
from slipscan.forward.reservoir import aquifer_surface, load_surface
from slipscan.forward.sheets import dike_surface, sill_surface

DOUBLE = torch.float64
FAULT = ("east0", "north0", "depth_top", "strike_deg", "dip_deg", "length", "width", "rake_deg", "slip", "opening")
KILOMETRES = ("east0", "north0", "depth_top", "length", "width")


def leaves(*values: float, dtype: torch.dtype = DOUBLE) -> Tensor:
    return torch.tensor(values, dtype=dtype, requires_grad=True)


def okada_km(east: Tensor, north: Tensor, *values: Tensor) -> Tensor:
    """Okada's rectangle with lengths in kilometres, so that all derivatives are of a like size."""
    scaled = [value * (1e3 if name in KILOMETRES else 1) for name, value in zip(FAULT, values, strict=True)]
    return okada_surface(east * 1e3, north * 1e3, **dict(zip(FAULT, scaled, strict=True)))


@pytest.mark.parametrize("dip", [0.0, 30.0, 89.0, 90.0])
def test_okada_with_respect_to_points_and_every_parameter(dip):
    """A buried fault: points anywhere, on its plane, in line with its ends, and both."""
    east, north = leaves(1.3, -2.1, 0.0, 0.0, 4.0, -4.0, 0.0), leaves(0.7, 3.0, 5.0, -4.0, 4.0, 4.0, 4.0)
    fault = [leaves(v) for v in (0.0, 0.0, 2.0, 0.0, dip, 8.0, 4.0, 33.0, 1.0, 0.5)]
    if dip in (0.0, 90.0):  # finite differences would step out of the range
        fault[4] = fault[4].detach()
    assert torch.autograd.gradcheck(okada_km, (east, north, *fault), eps=1e-6, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("dip", [0.05, 89.95])
def test_the_dip_at_its_ends_has_the_gradient_of_its_neighbours(dip):
    """At 0 and 90 degrees, where one-sided differences alone exist."""
    end = round(dip / 90) * 90.0
    slopes = []
    for value in (dip, end):
        fault = [leaves(v) for v in (0.0, 0.0, 2.0, 0.0, value, 8.0, 4.0, 33.0, 1.0, 0.5)]
        (slope,) = torch.autograd.grad(okada_km(leaves(1.3), leaves(0.7), *fault)[0, 0, 2], fault[4])
        slopes.append(slope.item())
    assert slopes[1] == pytest.approx(slopes[0], rel=0.01)


@pytest.mark.parametrize("dip", [20.0, 60.0, 88.0, 90.0])
@pytest.mark.parametrize("north", [1500.0, 6000.0])
def test_on_a_trace_the_gradient_is_the_mean_of_both_sides(dip, north):
    """On the broken part (to 4 km) and past its end, in double precision to 1e-3 of the largest."""
    fault = {"east0": 0.0, "north0": 0.0, "depth_top": 0.0, "strike_deg": 0.0, "dip_deg": dip, "length": 8e3,
             "width": 4e3, "rake_deg": 33.0, "slip": 1.0, "opening": 0.5}  # fmt: skip

    def moved(east: Tensor) -> Tensor:
        return okada_surface(east, torch.full_like(east, north), **fault)[0]

    on_trace = torch.autograd.functional.jacobian(moved, torch.zeros(1, dtype=DOUBLE))[0, :, 0]
    step = 1.0
    u = moved(torch.tensor([-2 * step, -step, step, 2 * step], dtype=DOUBLE))
    expected = (u[3] - u[2] + u[1] - u[0]) / (2 * step)
    assert (on_trace - expected).abs().max() < 1e-3 * expected.abs().max()


@pytest.mark.parametrize("dtype", [DOUBLE, torch.float32])
@pytest.mark.parametrize(("dip", "top"), list(itertools.product([0.0, 30.0, 88.0, 90.0], [0.0, 2.0])))
def test_okada_is_nowhere_without_a_gradient(dtype, dip, top):
    """On the trace, its ends and beyond, and at the corners of the lower edge."""
    east = leaves(0.0, 0.0, 0.0, 0.0, 0.0, 1e-4, 4.0, 4.0, dtype=dtype)
    north = leaves(0.0, 4.0, -4.0, 5.0, -5.0, 2.0, 4.0, 0.0, dtype=dtype)
    fault = [leaves(v, dtype=dtype) for v in (0.0, 0.0, top, 0.0, dip, 8.0, 4.0, 33.0, 1.0, 0.5)]
    gradients = torch.autograd.grad(okada_km(east, north, *fault).square().sum(), (east, north, *fault))
    assert all(torch.isfinite(g).all() for g in gradients)


def test_gradients_flow_through_batches_of_all_forms():
    """Steep, general and, in single precision, small deep faults in one batch."""
    east, north = leaves(1.0, -2.0, dtype=torch.float32), leaves(0.5, 3.0, dtype=torch.float32)
    rows = [(0.0, 0.0, 2.0, 10.0, dip, 8.0, 4.0, 33.0, 1.0, 0.5) for dip in (30.0, 90.0)]
    rows.append((0.0, 0.0, 30.0, 10.0, 40.0, 2.0, 1.0, 33.0, 1.0, 0.5))
    batch = [leaves(*column, dtype=torch.float32) for column in zip(*rows, strict=True)]
    together = torch.autograd.grad(okada_km(east, north, *batch).sum(), batch)
    for i, row in enumerate(rows):
        alone = [leaves(v, dtype=torch.float32) for v in row]
        for whole, part in zip(together, torch.autograd.grad(okada_km(east, north, *alone).sum(), alone), strict=True):
            torch.testing.assert_close(whole[i], part[0], rtol=1e-5, atol=1e-7)


SOURCES = {
    "mogi": (mogi_surface, ("east0", "north0", "depth", "volume_change"), (0.3, -0.2, 1.5, 1.0)),
    "crack": (penny_crack_surface, ("east0", "north0", "depth", "radius", "volume_change"), (0.3, -0.2, 1.5, 1.1, 1.0)),
    "sill": (
        sill_surface, ("east0", "north0", "depth", "strike_deg", "length", "width", "opening"),
        (0.3, -0.2, 1.5, 20.0, 2.0, 1.0, 1.0),
    ),
    "dike": (
        dike_surface, ("east0", "north0", "depth_top", "strike_deg", "length", "height", "opening", "dip_deg"),
        (0.3, -0.2, 1.5, 20.0, 2.0, 1.0, 1.0, 80.0),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", SOURCES)
def test_other_sources_with_respect_to_every_parameter(name):
    """A point straight above the source included."""
    function, names, values = SOURCES[name]

    def moved(east: Tensor, north: Tensor, *parameters: Tensor) -> Tensor:
        return function(east, north, **dict(zip(names, parameters, strict=True)))

    points = leaves(0.3, 1.0, -2.0), leaves(-0.2, 0.1, 1.0)
    assert torch.autograd.gradcheck(moved, (*points, *(leaves(v) for v in values)), atol=1e-6)


L_SHAPE = [[0.0, 0.0], [4.0, 0.0], [4.0, 1.0], [1.0, 1.0], [1.0, 3.0], [0.0, 3.0]]


def test_reservoirs_with_respect_to_points_corners_and_parameters():
    """The aquifer also straight above corners and edges; the load off its edges."""
    polygon = torch.tensor(L_SHAPE, dtype=DOUBLE, requires_grad=True)

    def aquifer(east: Tensor, north: Tensor, corners: Tensor, depth: Tensor, change: Tensor) -> Tensor:
        return aquifer_surface(east, north, polygon=corners, depth=depth, thickness_change=change)

    def load(east: Tensor, north: Tensor, corners: Tensor, pressure: Tensor) -> Tensor:
        return load_surface(east, north, polygon=corners, pressure=pressure, young_modulus=1.0)

    east, north = leaves(0.5, 2.5, -0.7, 0.0, 0.0, 2.0), leaves(0.5, 2.0, -0.3, 0.0, 0.5, 0.0)
    assert torch.autograd.gradcheck(aquifer, (east, north, polygon, leaves(0.8), leaves(1.0)), atol=1e-6)
    assert torch.autograd.gradcheck(load, (leaves(0.5, 2.5, -0.7), leaves(0.5, 2.0, -0.3), polygon, leaves(1.0)))
    on_edges = torch.autograd.grad(load(east, north, polygon, leaves(1.0)).sum(), (east, north, polygon))
    assert all(torch.isfinite(g).all() for g in on_edges)
