"""Scales of a field: they sum to it, tell white noise by its level, and have no edges at holes."""

import pytest
import torch

from slipscan.denoise.methods.slipnet import scales
from slipscan.fit.spectrum import whitening_of

VALID = torch.ones(128, 128, dtype=torch.bool)


def _white(std: float) -> torch.Tensor:
    return std * torch.randn(20, 128, 128, generator=torch.Generator().manual_seed(3))


def test_bands_and_detail_sum_to_the_field() -> None:
    field = _white(1.0)
    broad = scales.coarse(field)
    torch.testing.assert_close(torch.stack(scales.bands(broad)).sum(0), broad, atol=1e-5, rtol=0)
    fine = scales.detail(field, broad, VALID)
    torch.testing.assert_close(scales.upsampled(broad[None])[0] + fine, field, atol=1e-5, rtol=0)


@pytest.mark.parametrize("std", [0.1, 3.0])
def test_white_noise_has_the_same_power_at_every_scale(std: float) -> None:
    field = _white(std)
    broad = scales.coarse(field)
    fine = scales.detail(field, broad, VALID)
    levels = scales.noise_levels(broad, fine, VALID, whitening_of(broad))
    assert float(levels.detail) == pytest.approx(std**2, rel=0.2)
    # Whitening has taken the power of every mode, that of the strength that all fields have in common.
    assert levels.bands[:3].tolist() == pytest.approx([(std / 2) ** 2] * 3, rel=0.3)
    assert float(levels.detail_std) == pytest.approx(float(fine.std()), rel=0.1)


def test_a_hole_has_no_edges() -> None:
    ramp = torch.linspace(1, 2, 128).expand(1, 128, 128)
    valid = VALID.clone()
    valid[40:46, 60:66] = False
    broad = scales.complete(ramp * valid, valid[None])[0]
    torch.testing.assert_close(broad[:, 20:23, 30:33], scales.coarse(ramp)[:, 20:23, 30:33], atol=0.02, rtol=0)


def test_the_projection_of_all_blocks_is_the_sum_over_all_pixels() -> None:
    field = _white(1.0)
    broad = scales.coarse(field)
    fine = scales.detail(field, broad, VALID)
    levels = scales.noise_levels(broad, fine, VALID, whitening_of(broad))
    template = scales.template(field[0], VALID, levels)
    white = levels.whitening.whitened(broad)
    found = scales.projection(white, fine, template).sum((1, 2))
    expected = (white * template[0]).sum((1, 2)) + (fine * template[1]).sum((1, 2))
    torch.testing.assert_close(found, expected, atol=0.05, rtol=1e-3)
    assert found[0] > 3 * found[1:].abs().max()
