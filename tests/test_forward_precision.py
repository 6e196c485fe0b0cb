"""Okada's rectangle in single precision, in both of its forms, and in blocks."""

from __future__ import annotations

import math

import pytest
import torch

from fault_builders import FAULT, points, random_faults
from slipscan.forward.okada import okada_surface
from slipscan.forward.okada_medium import STEEP_COSINE, is_steep


def test_single_precision_is_good_to_1e_4_of_the_peak():
    """Over faults of all sizes and depths, deep small ones whose corners all but cancel included."""
    faults = random_faults(5, 600)
    # a point near each fault, so that each shows its peak, and some farther away
    east, north = (torch.cat((p, faults[n] + 400)) for p, n in zip(points(100, 60e3), ("east0", "north0"), strict=True))
    double = okada_surface(east, north, **faults)
    single = okada_surface(east.float(), north.float(), **{name: value.float() for name, value in faults.items()})
    assert single.dtype == torch.float32
    error = (single.double() - double).abs().amax(dim=(1, 2)) / double.norm(dim=-1).amax(dim=1)
    assert error.max() < 1e-4


@pytest.mark.parametrize("dip", [20.0, 70.0, 89.0, 90.0])
def test_nothing_happens_where_the_plane_of_a_buried_fault_meets_the_ground(dip):
    """Half of Okada's terms jump there; their sum must not, in single precision and past the fault's ends either."""
    fault = {**FAULT, "east0": 0.0, "north0": 0.0, "strike_deg": 0.0, "dip_deg": dip, "slip": 1.0, "opening": 0.5}
    trace = -fault["depth_top"] / math.tan(math.radians(dip)) if dip < 90 else 0.0
    north = torch.tensor([0.0, 1e3, 4.5e3, -4.5e3, 9e3], dtype=torch.float64)
    beside = (trace + torch.tensor([-2.0, -1e-9, 0.0, 1e-9, 2.0], dtype=torch.float64)).repeat_interleave(5)
    double = okada_surface(beside, north.repeat(5), **fault)[0].reshape(5, 5, 3)
    torch.testing.assert_close(double[2], (double[0] + double[4]) / 2, rtol=0, atol=1e-6)
    torch.testing.assert_close(double[1], double[3], rtol=0, atol=1e-11)
    single = okada_surface(beside.float(), north.repeat(5).float(), **fault)[0].reshape(5, 5, 3)
    torch.testing.assert_close(single.double(), double, rtol=0, atol=1e-5)


@pytest.mark.parametrize("dip", [0.0, 1.0, 45.0, 85.0, 87.0, 87.2, 89.5, 89.99, 90.0])
@pytest.mark.parametrize("depth", [0.0, 3e3])
def test_single_precision_holds_at_every_dip(dip, depth):
    """Unit slip, points up to 20 km away: errors below 0.02 per mille."""
    fault = {**FAULT, "dip_deg": dip, "depth_top": depth, "slip": 1.0, "opening": 1.0}
    double = okada_surface(*points(), **fault)
    single = okada_surface(*points(dtype=torch.float32), **fault)
    assert single.dtype == torch.float32
    torch.testing.assert_close(single.double(), double, rtol=0, atol=3e-5)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-8), (torch.float32, 3e-5)])
def test_both_forms_agree_where_they_meet(dtype, tolerance):
    """The general and the steep form, a millionth of a degree apart, alone and in one batch."""
    seam = math.degrees(math.acos(STEEP_COSINE[dtype]))
    step = 1e-6 if dtype == torch.float64 else 1e-4
    dips = torch.tensor([seam - step, seam + step], dtype=dtype)
    assert is_steep(dips).tolist() == [False, True]
    east, north = points(dtype=dtype)
    both = okada_surface(east, north, **{**FAULT, "dip_deg": dips, "opening": 0.3})
    torch.testing.assert_close(both[0], both[1], rtol=0, atol=tolerance)
    for alone, dip in zip(both, dips, strict=True):
        torch.testing.assert_close(okada_surface(east, north, **{**FAULT, "dip_deg": dip, "opening": 0.3})[0], alone)


def test_blocks_and_batches_change_nothing():
    """More pairs than one block holds, of steep and general faults: the same as each fault and part alone."""
    east, north = points(50_000)
    dips = torch.tensor([30.0, 90.0, 60.0], dtype=torch.float64)
    whole = okada_surface(east, north, **{**FAULT, "dip_deg": dips})
    assert whole.shape == (3, 50_000, 3)
    for one, dip in zip(whole, dips, strict=True):
        part = okada_surface(east[31_000:34_000], north[31_000:34_000], **{**FAULT, "dip_deg": dip})[0]
        assert torch.equal(one[31_000:34_000], part)
