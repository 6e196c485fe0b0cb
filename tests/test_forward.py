"""Okada's rectangle against published values, symmetries and an independent code."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fault_builders import FAULT, points, random_faults
from slipscan.errors import SlipscanError
from slipscan.forward.okada import okada_parts, okada_surface


def table2(x: float, y: float, depth: float, dip: float, length: float, width: float, **slip: float) -> list[float]:
    """Okada's own frame: x along strike from the fault's start, y from the lower edge, its depth."""
    rise = math.radians(dip)
    return okada_surface(
        torch.tensor([x], dtype=torch.float64),
        torch.tensor([y], dtype=torch.float64),
        east0=length / 2,
        north0=width * math.cos(rise),
        depth_top=depth - width * math.sin(rise),
        strike_deg=90.0,
        dip_deg=dip,
        length=length,
        width=width,
        **{"rake_deg": 0.0, "slip": 0.0, **slip},
    )[0, 0].tolist()


@pytest.mark.parametrize(
    ("case", "slip", "expected"),
    [
        ((2, 3, 4, 70, 3, 2), {"slip": 1.0}, (-8.689e-3, -4.298e-3, -2.747e-3)),
        ((2, 3, 4, 70, 3, 2), {"slip": 1.0, "rake_deg": 90.0}, (-4.682e-3, -3.527e-2, -3.564e-2)),
        ((2, 3, 4, 70, 3, 2), {"opening": 1.0}, (-2.660e-4, 1.056e-2, 3.214e-3)),
        ((0, 0, 4, 90, 3, 2), {"slip": 1.0}, (0.0, 5.253e-3, 0.0)),
        ((0, 0, 4, 90, 3, 2), {"slip": 1.0, "rake_deg": 90.0}, (0.0, 0.0, 0.0)),
        ((0, 0, 4, 90, 3, 2), {"opening": 1.0}, (1.223e-2, 0.0, -1.606e-2)),
        # Case 4 has d = 4 and dip -90: a fault that reaches from 4 down to 6, whose other wall moves
        ((0, 0, 6, 90, 3, 2), {"slip": 1.0, "rake_deg": 180.0}, (0.0, -1.303e-3, 0.0)),
        ((0, 0, 6, 90, 3, 2), {"slip": 1.0, "rake_deg": -90.0}, (0.0, 0.0, 0.0)),
        ((0, 0, 6, 90, 3, 2), {"opening": 1.0}, (3.507e-3, 0.0, -7.740e-3)),
    ],
)
def test_okada_1985_table_2(case, slip, expected):
    """Cases 2 to 4 of the table, to the four digits that are printed."""
    for ours, printed in zip(table2(*map(float, case), **slip), expected, strict=True):
        assert float(f"{ours:.3e}") == printed if printed else abs(ours) < 1e-12


@pytest.mark.parametrize("poisson_ratio", [0.25, 0.35])
def test_okada_agrees_with_triangular_dislocations(poisson_ratio):
    """cutde (Nikkhoo & Walter 2015): two triangles make the rectangle; 1e-6 of the peak, at every dip."""
    halfspace = pytest.importorskip("cutde.halfspace")
    east, north = points(100, 60e3)
    observed = np.stack([east.numpy(), north.numpy(), np.zeros(len(east))], axis=1)
    faults = random_faults(2, 60)
    ours = okada_surface(east, north, **faults, poisson_ratio=poisson_ratio).numpy()
    for i, displacement in enumerate(ours):
        fault = {name: value[i].item() for name, value in faults.items()}
        theirs = sum(
            halfspace.disp_free(observed, triangle[None], components[None], poisson_ratio)
            for triangle, components in _triangles(fault)
        )
        assert np.abs(displacement - theirs).max() < 1e-6 * np.abs(theirs).max(), fault


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_parts_are_slip_along_strike_up_dip_and_opening(dtype):
    east, north = (coordinate.to(dtype) for coordinate in points(100, 60e3))
    faults = {name: value.to(dtype) for name, value in random_faults(2, 60).items()}
    rake, slip, opening = (faults.pop(name)[:, None, None] for name in ("rake_deg", "slip", "opening"))
    parts = okada_parts(east, north, **faults)
    moved = {"rake_deg": rake[:, 0, 0], "slip": slip[:, 0, 0], "opening": opening[:, 0, 0]}
    rake = torch.deg2rad(rake)
    together = slip * rake.cos() * parts[:, :, 0] + slip * rake.sin() * parts[:, :, 1] + opening * parts[:, :, 2]
    torch.testing.assert_close(together, okada_surface(east, north, **faults, **moved), rtol=1e-4, atol=1e-6)


def _triangles(fault):
    """Two triangles with the normal on the hanging wall's side, and their slip along strike, dip and normal."""
    strike, dip, rake = (math.radians(fault[k]) for k in ("strike_deg", "dip_deg", "rake_deg"))
    along = np.array([math.sin(strike), math.cos(strike), 0.0])
    down = np.array([math.cos(strike) * math.cos(dip), -math.sin(strike) * math.cos(dip), -math.sin(dip)])
    normal = np.cross(down, along)
    top = np.array([fault["east0"], fault["north0"], -fault["depth_top"]])
    a, b = top - along * fault["length"] / 2, top + along * fault["length"] / 2
    c, d = b + down * fault["width"], a + down * fault["width"]
    slip = fault["slip"] * (math.cos(rake) * along - math.sin(rake) * down) + fault["opening"] * normal
    horizontal = math.hypot(normal[0], normal[1])
    # a flat triangle's "strike" is north (Nikkhoo & Walter 2015)
    axis = np.cross([0, 0, 1], normal) / horizontal if horizontal > 1e-12 else np.array([0.0, 1.0, 0.0])
    for triangle in (np.array([a, b, c]), np.array([a, c, d])):
        if np.cross(triangle[1] - triangle[0], triangle[2] - triangle[0]) @ normal < 0:
            triangle = triangle[::-1].copy()
        yield triangle, np.array([slip @ axis, slip @ np.cross(normal, axis), slip @ normal])


def test_right_lateral_slip_moves_the_north_side_east():
    """On an east-west fault that breaks the surface, one metre apart at the trace."""
    north = torch.tensor([100.0, -100.0], dtype=torch.float64)
    u = okada_surface(
        torch.zeros(2, dtype=torch.float64), north, east0=0.0, north0=0.0, depth_top=0.0, strike_deg=270.0,
        dip_deg=90.0, length=40e3, width=15e3, rake_deg=180.0, slip=1.0,
    )[0]  # fmt: skip
    assert u[0, 0] == pytest.approx(0.5, abs=0.01)
    assert u[1, 0] == pytest.approx(-0.5, abs=0.01)


def test_thrust_lifts_the_hanging_wall_and_normal_slip_lowers_it():
    """Strike north, so the fault dips to the east: the hanging wall is the east side."""
    east, north = torch.tensor([1e3, -1e3], dtype=torch.float64), torch.zeros(2, dtype=torch.float64)
    fault = {**FAULT, "east0": 0.0, "north0": 0.0, "depth_top": 0.0, "strike_deg": 0.0, "dip_deg": 40.0}
    thrust = okada_surface(east, north, **{**fault, "rake_deg": 90.0})[0]
    assert thrust[0, 2] > 0.03 > abs(thrust[1, 2])
    assert thrust[0, 0] < 0 < thrust[1, 0]  # shortening across the fault
    normal = okada_surface(east, north, **{**fault, "rake_deg": -90.0})[0]
    torch.testing.assert_close(normal, -thrust, rtol=0, atol=1e-12)


def test_an_opening_sill_lifts_the_ground_above_it():
    u = okada_surface(
        torch.zeros(1, dtype=torch.float64), torch.zeros(1, dtype=torch.float64), east0=-2e3, north0=0.0,
        depth_top=3e3, strike_deg=0.0, dip_deg=0.0, length=4e3, width=4e3, rake_deg=0.0, slip=0.0, opening=1.0,
    )[0, 0]  # fmt: skip
    assert u[2] > 0.1
    assert abs(u[0]) < 1e-9 and abs(u[1]) < 1e-9


def test_far_away_only_the_potency_counts():
    """Slip of a fault of a quarter of the area and four times the slip, about the same centre."""
    east, north = torch.tensor([60e3, -45e3], dtype=torch.float64), torch.tensor([20e3, 70e3], dtype=torch.float64)
    small = {**FAULT, "dip_deg": 90.0, "depth_top": 5e3, "length": 2e3, "width": 2e3, "slip": 0.4}
    smaller = {**small, "depth_top": 5.5e3, "length": 1e3, "width": 1e3, "slip": 1.6}
    torch.testing.assert_close(
        okada_surface(east, north, **small), okada_surface(east, north, **smaller), rtol=2e-3, atol=0
    )


@settings(max_examples=25, deadline=None)
@given(
    turn=st.floats(-180, 180), dip=st.floats(0, 90), depth=st.floats(0, 10e3), rake=st.floats(-180, 180),
    opening=st.floats(-1, 1),
)  # fmt: skip
def test_okada_turns_with_the_fault(turn, dip, depth, rake, opening):
    """Rotating fault and points together rotates the displacement."""
    east, north = points(40)
    fault = {**FAULT, "dip_deg": dip, "depth_top": depth, "rake_deg": rake, "opening": opening}
    before = okada_surface(east, north, **fault)[0]
    cos, sin = math.cos(math.radians(turn)), math.sin(math.radians(turn))

    def rotated(e, n):
        return e * cos + n * sin, n * cos - e * sin  # clockwise, as strikes are counted

    e0, n0 = rotated(fault["east0"], fault["north0"])
    turned = {**fault, "east0": e0, "north0": n0, "strike_deg": fault["strike_deg"] + turn}
    after = okada_surface(*rotated(east, north), **turned)[0]
    expected = torch.stack((*rotated(before[:, 0], before[:, 1]), before[:, 2]), dim=-1)
    torch.testing.assert_close(after, expected, rtol=0, atol=1e-9)


@settings(max_examples=25, deadline=None)
@given(dip=st.floats(0, 90), depth=st.floats(0, 10e3), rake=st.floats(-180, 180), share=st.floats(0.1, 0.9))
def test_two_parts_of_a_fault_add_up(dip, depth, rake, share):
    """Cut across and cut along the dip; both parts in one batch."""
    east, north = points(40)
    fault = {**FAULT, "dip_deg": dip, "depth_top": depth, "rake_deg": rake}
    whole = okada_surface(east, north, **fault)[0]
    strike, slope = math.radians(fault["strike_deg"]), math.radians(dip)
    first, second = share * fault["length"], (1 - share) * fault["length"]
    shift = torch.tensor([-second / 2, first / 2], dtype=torch.float64)
    parts = okada_surface(
        east, north,
        **{
            **fault,
            "length": torch.tensor([first, second], dtype=torch.float64),
            "east0": fault["east0"] + shift * math.sin(strike),
            "north0": fault["north0"] + shift * math.cos(strike),
        },
    )  # fmt: skip
    torch.testing.assert_close(parts.sum(0), whole, rtol=0, atol=1e-9)
    upper = share * fault["width"]
    down = torch.tensor([0.0, upper], dtype=torch.float64)
    parts = okada_surface(
        east, north,
        **{
            **fault,
            "width": torch.tensor([upper, fault["width"] - upper], dtype=torch.float64),
            "depth_top": depth + down * math.sin(slope),
            "east0": fault["east0"] + down * math.cos(slope) * math.cos(strike),
            "north0": fault["north0"] - down * math.cos(slope) * math.sin(strike),
        },
    )  # fmt: skip
    torch.testing.assert_close(parts.sum(0), whole, rtol=0, atol=1e-9)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("dip", [0.0, 30.0, 89.0, 90.0])
@pytest.mark.parametrize("depth", [0.0, 2e3])
def test_okada_is_finite_on_trace_edges_and_corners(dtype, dip, depth):
    """Points on the trace, its ends, its extension and above the lower edge."""
    length, width = 8e3, 4e3
    lower = width * math.cos(math.radians(dip))
    along, right = np.meshgrid([-9e3, -length / 2, -1e3, 0.0, 2e3, length / 2, 7e3], [0.0, lower, -lower, 1e-3])
    fault = {"east0": 0.0, "north0": 0.0, "depth_top": depth, "strike_deg": 0.0, "dip_deg": dip, "length": length,
             "width": width, "opening": 1.0}  # fmt: skip
    east, north = (torch.tensor(v.ravel(), dtype=dtype) for v in (right, along))
    for rake in (0.0, 90.0):
        u = okada_surface(east, north, **fault, rake_deg=rake, slip=1.0)
        assert torch.isfinite(u).all()
        assert u.abs().max() < 10


@pytest.mark.parametrize(("dip", "rake"), [(90.0, 0.0), (60.0, 0.0), (40.0, 90.0), (25.0, -60.0)])
def test_the_trace_shows_the_mean_of_both_sides(dip, rake):
    fault = {**FAULT, "east0": 0.0, "north0": 0.0, "depth_top": 0.0, "strike_deg": 0.0, "dip_deg": dip}
    east = torch.tensor([-0.5, 0.0, 0.5], dtype=torch.float64)
    u = okada_surface(east, torch.full_like(east, 1e3), **{**fault, "rake_deg": rake})[0]
    assert (u[0] - u[2]).norm() > 0.09  # the slip of 0.1 m shows as a step
    torch.testing.assert_close(u[1], (u[0] + u[2]) / 2, rtol=0, atol=1e-4)


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"dip_deg": 91.0}, "dip"),
        ({"dip_deg": -1.0}, "dip"),
        ({"dip_deg": math.nan}, "dip"),
        ({"depth_top": -1.0}, "above the surface"),
        ({"width": 0.0}, "no area"),
        ({"length": 0.0}, "no area"),
        ({"slip": torch.ones(2), "width": torch.ones(3)}, r"\[2, 3\] sources"),
    ],
)
def test_okada_refuses_impossible_faults(wrong, sentence):
    with pytest.raises(SlipscanError, match=sentence):
        okada_surface(*points(3), **{**FAULT, **wrong})


def test_okada_refuses_whole_metres():
    with pytest.raises(SlipscanError, match=r"torch\.int64"):
        okada_surface(torch.tensor([1]), torch.tensor([1]), **FAULT)
