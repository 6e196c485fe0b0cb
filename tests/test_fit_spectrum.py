"""The spectrum of a tile in two dimensions: noise of any slope and direction becomes white."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from slipscan.fit.spectrum import MARGIN, Whitening, whitening_of
from slipscan.noise.simulate import TurbulenceSpectrum, turbulence


def noise(anisotropy: float, azimuth_deg: float = 0.0, count: int = 40) -> Tensor:
    spectrum = TurbulenceSpectrum(anisotropy=anisotropy, azimuth_deg=azimuth_deg)
    fields = turbulence(np.random.default_rng(0), (96, 96), 1000.0, count, spectrum)
    return torch.from_numpy(fields - fields.mean((1, 2), keepdims=True))


def power_by_direction(fields: Tensor) -> Tensor:
    """Mean power (wavenumber, direction) of the inner parts of fields."""
    inner = fields[:, MARGIN:-MARGIN, MARGIN:-MARGIN]
    n = inner.shape[1]
    taper = torch.hann_window(n)[:, None] * torch.hann_window(n)
    power = torch.fft.rfft2((inner - inner.mean((1, 2), keepdim=True)) * taper).abs().square().mean(0)
    power = power / taper.square().sum()
    ky, kx = torch.meshgrid(torch.fft.fftfreq(n), torch.fft.rfftfreq(n), indexing="ij")
    k, angle = torch.hypot(ky, kx), torch.rad2deg(torch.atan2(ky, kx)) % 180
    rings = ((0.06, 0.12), (0.12, 0.25), (0.25, 0.5))
    return torch.tensor([
        [power[(k >= low) & (k < high) & (angle >= a) & (angle < a + 45)].mean() for a in (0, 45, 90, 135)]
        for low, high in rings
    ])  # fmt: skip


@pytest.mark.parametrize(("anisotropy", "azimuth_deg"), [(1.0, 0.0), (3.0, 30.0), (5.0, 110.0)])
def test_noise_becomes_white_in_scale_and_direction(anisotropy: float, azimuth_deg: float) -> None:
    fields = noise(anisotropy, azimuth_deg)
    before = power_by_direction(fields)
    assert before.max() / before.min() > 30
    after = power_by_direction(whitening_of(fields[:20]).whitened(fields[20:]))
    assert after.min() > 0.6 and after.max() < 1.5


def test_the_quiet_part_has_little_of_the_streaks_and_half_of_round_noise() -> None:
    for anisotropy, low, high in ((1.0, 0.9, 1.1), (5.0, 0.2, 0.6)):
        fields = noise(anisotropy, 40.0)
        quiet = whitening_of(fields[:20]).low_noise(fields[20:])
        assert low < float(quiet.std() / (fields[20:] - quiet).std()) < high


def test_a_spectrum_turns_with_the_tile() -> None:
    fields = noise(4.0, 25.0)
    own = whitening_of(fields)
    for move in (lambda f: f.transpose(-1, -2), lambda f: f.flip(-1), lambda f: f.flip(-2)):
        torch.testing.assert_close(
            whitening_of(move(fields)).whitened(move(fields)), move(own.whitened(fields)), atol=0.02, rtol=0
        )


def test_a_few_fields_with_an_event_do_not_tell_what_noise_is() -> None:
    fields = noise(1.0)
    y, x = torch.meshgrid(torch.arange(96), torch.arange(96), indexing="ij")
    event = 50 * torch.exp(-((y - 40) ** 2 + (x - 60) ** 2) / (2 * 5.0**2))
    seen = fields.clone()
    seen[3:5] += event
    one, other = (whitening_of(part).log_power[:, 0] for part in (fields, seen))
    assert float((one - other).abs().max()) < 0.5


def test_nothing_and_a_small_tile_are_left_as_they_are() -> None:
    for fields in (torch.zeros(4, 48, 48), torch.randn(4, 8, 48)):
        whitening = whitening_of(fields)
        assert isinstance(whitening, Whitening)
        torch.testing.assert_close(whitening.whitened(fields), fields, atol=1e-5, rtol=0)
        torch.testing.assert_close(whitening.low_noise(fields), fields / 2, atol=1e-5, rtol=0)
    assert math.isfinite(float(whitening_of(torch.randn(1, 40, 40)).log_power.sum()))
