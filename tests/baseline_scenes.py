"""A step of a known source in simulated noise, for the tests of the baselines."""

import numpy as np
import torch

from simulated import dates
from slipscan.field import Observation
from slipscan.fit.model import DAYS_PER_YEAR, days_since_2014
from slipscan.forward.mogi import mogi_surface
from slipscan.noise.simulate import turbulence

PIXEL_M = 500.0
LOS = np.array([-0.62, -0.11, 0.777])
EVENT_EPOCH = 8
"""The first one after the event of `scene`."""
CENTRE = (18, 12)
"""Row and column of its source."""


def mogi(shape: tuple[int, int], row: int, column: int, depth_m: float = 3e3) -> np.ndarray:
    """Line-of-sight pattern of inflation below a pixel, peak 1."""
    east, north = np.meshgrid((np.arange(shape[1]) - column) * PIXEL_M, (row - np.arange(shape[0])) * PIXEL_M)
    points = (torch.from_numpy(axis.ravel()) for axis in (east, north))
    ground = mogi_surface(*points, east0=0.0, north0=0.0, depth=depth_m, volume_change=1e6)[0].numpy()
    pattern = (ground @ LOS).reshape(shape)
    return pattern / np.abs(pattern).max()


def scene(
    peak_m: float = 0.0,
    seed: int = 0,
    shape: tuple[int, int] = (32, 30),
    epochs: int = 16,
    known: bool = True,
    missing: float = 0.0,
    noise_m: float = 5e-3,
) -> Observation:
    """A step of a Mogi source in turbulence, offsets, ramps and slopes with height; gaps in every third epoch."""
    generator = np.random.default_rng(seed)
    time = dates(epochs)
    height = 300 * turbulence(generator, shape, PIXEL_M, 1)[0]
    delay = turbulence(generator, shape, PIXEL_M, epochs) * noise_m + noise_m / 5 * generator.normal(
        size=(epochs, *shape)
    )
    delay *= np.exp(0.3 * generator.normal(size=(epochs, 1, 1)))
    y, x = np.meshgrid(np.linspace(-1, 1, shape[0]), np.linspace(-1, 1, shape[1]), indexing="ij")
    for column in (np.ones(shape), x, y, height / 300):
        delay += 0.5 * noise_m * generator.normal(size=(epochs, 1, 1)) * column
    event = (np.arange(epochs) >= EVENT_EPOCH)[:, None, None] * peak_m * mogi(shape, *CENTRE)
    displacement = (delay + event - delay[0]).astype(np.float32)
    if not known:
        years = days_since_2014(time) / DAYS_PER_YEAR
        displacement += (10e-3 * (years - years[0]))[:, None, None] * (x + y**2).astype(np.float32)
    displacement[::3][generator.random(displacement[::3].shape) < missing] = np.nan
    return Observation(displacement, time, PIXEL_M, height, LOS, background_known=known)
