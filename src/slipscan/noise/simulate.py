"""Simulate what the atmosphere and the surface add to a line-of-sight series: numpy, explicit generators.

Every part can be called alone; `NoiseModel` draws them all, returns them apart and adds them up. Delays are
those of single EPOCHS, in metres of line of sight; an interferogram holds the difference of two.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from slipscan.errors import SlipscanError
from slipscan.noise.simulate_checks import checked_series
from slipscan.noise.simulate_gaps import missing_epochs, missing_pixels
from slipscan.noise.simulate_parts import (
    NoiseParts,
    coherence_after,
    decorrelation,
    ramps,
    red_series,
    track_ramps,
)
from slipscan.noise.simulate_red import RedPart, checked_red, red_turbulence
from slipscan.noise.simulate_stratified import annual, bent_stratified, relative_height, stratified
from slipscan.noise.simulate_surface import land_cover, phase_bias, reference_offset, unwrapping_blocks
from slipscan.noise.simulate_turbulence import (
    BREAKS_M,
    HANSSEN,
    OUTER_SCALE_M,
    TurbulenceSpectrum,
    draw_modes,
    epoch_strength,
    power_spectrum,
    random_fields,
    torus_shape,
    turbulence,
)

__all__ = [
    "BREAKS_M", "HANSSEN", "OUTER_SCALE_M", "NoiseModel", "NoiseParts", "TurbulenceSpectrum",
    "coherence_after", "decorrelation", "epoch_strength", "land_cover", "missing_epochs", "missing_pixels",
    "phase_bias", "power_spectrum", "ramps", "random_fields", "red_series", "reference_offset", "stratified",
    "torus_shape", "turbulence", "unwrapping_blocks",
]  # fmt: skip

Float = NDArray[np.float64]
Float32 = NDArray[np.float32]

INTERANNUAL_MEMORY_D = 500.0
"""Time constant of the interannual part of the stratified slope."""
_SHARES = ("ramp_solar", "unwrapping_persistent")
_OWN = ("stratified", "land_cover", "unwrapping", "reference", "phase_bias")
"""Parts with generators of their own; append only, the order is part of every seeded data set."""
_OWN_STRENGTHS = (
    "stratified_interannual", "stratified_quadratic", "stratified_spatial", "unwrapping_rate", "reference_std_m",
    "phase_bias_m_yr", "phase_bias_wander_m",
)  # fmt: skip


@dataclass(frozen=True)
class NoiseModel:
    """What one track's epochs suffer, in SI units; every part but turbulence is off unless given.

    Attributes
    ----------
    turbulence_std_m
        standard deviation of the turbulent delay of an epoch of median strength
    strength_log_std
        standard deviation of the logarithm of the strength between epochs
    stratified_std, stratified_annual
        slope of the delay with height (m per m): standard deviation of the random part, amplitude of the
        annual part
    ramp_std_m
        standard deviation of a plane across the scene
    white_std_m
        standard deviation of the white part of a pixel in an epoch (where the coherence is 0.6, if given)
    spectrum
        of the turbulence
    stratified_interannual
        standard deviation of a temporally red part of the slope, m per m
    stratified_quadratic
        standard deviation between epochs of the delay per squared height, 1/m
    stratified_spatial
        standard deviation over space of the slope, as a share of it: a smooth pattern that stays
    ramp_solar
        0 to 1: how much the solar cycle modulates the ramps
    unwrapping_rate, unwrapping_size_m, unwrapping_persistent
        new blocks per epoch and 10^4 km2, their median radius, the share of them that last to the end
    reference_std_m
        standard deviation of the reference pixel's own noise
    phase_bias_m_yr, phase_bias_wander_m
        where all is vegetation: rate, positive toward the satellite, and standard deviation of a red part
    red
        what stays and adds up, a random walk in time: pairs of wavelength, m, and variance gained in a year over that
        of the turbulence of median strength, 1/yr (`simulate_red`); `fit.temporal` is its covariance

    Raises
    ------
    SlipscanError
        a negative or infinite strength, a share above 1
    """

    turbulence_std_m: float
    strength_log_std: float = 0.35
    stratified_std: float = 0.0
    stratified_annual: float = 0.0
    ramp_std_m: float = 0.0
    white_std_m: float = 0.0
    spectrum: TurbulenceSpectrum = HANSSEN
    stratified_interannual: float = 0.0
    stratified_quadratic: float = 0.0
    stratified_spatial: float = 0.0
    ramp_solar: float = 0.0
    unwrapping_rate: float = 0.0
    unwrapping_size_m: float = 4e3
    unwrapping_persistent: float = 0.0
    reference_std_m: float = 0.0
    phase_bias_m_yr: float = 0.0
    phase_bias_wander_m: float = 0.0
    red: RedPart = ()

    def __post_init__(self) -> None:
        """Refuse strengths that are no strengths."""
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if field.name in ("spectrum", "red"):
                continue
            if not math.isfinite(value) or (value < 0 and field.name != "phase_bias_m_yr"):
                raise SlipscanError(f"the noise model's {field.name} is {value}: give a finite number, 0 or more")
            if field.name in _SHARES and value > 1:
                raise SlipscanError(f"the noise model's {field.name} is {value}: it is a share, from 0 to 1")
        checked_red(self.red)
        if self.unwrapping_size_m == 0:
            raise SlipscanError("the noise model's unwrapping_size_m is 0: give metres above 0")

    def simulate(
        self,
        generator: np.random.Generator,
        days: ArrayLike,
        height: NDArray[np.floating],
        pixel_m: float | tuple[float, float],
        *,
        fields: NDArray[np.floating] | None = None,
        coherence: NDArray[np.floating] | None = None,
    ) -> Float32:
        """Delay of each epoch: the sum of `parts`.

        Parameters
        ----------
        generator
            of random numbers
        days
            (time,) since 2014-01-01, ascending
        height
            (y, x) metres
        pixel_m
            cell size, or height and width of a cell
        fields
            (time, y, x) ready turbulence of unit variance, from a pool: none is drawn (which changes the
            numbers that ramps, slopes and decorrelation get)
        coherence
            (y, x), 0 to 1: sets decorrelation, unwrapping blocks and phase bias. None: even decorrelation,
            and a random land cover for the rest

        Returns
        -------
        delay
            (time, y, x), metres of line of sight, positive toward the satellite like a displacement

        Raises
        ------
        SlipscanError
            no epoch, unsorted or double days, an empty scene, a bad pixel size, arrays that do not match
        """
        return self.parts(generator, days, height, pixel_m, fields=fields, coherence=coherence).total

    def parts(
        self,
        generator: np.random.Generator,
        days: ArrayLike,
        height: NDArray[np.floating],
        pixel_m: float | tuple[float, float],
        *,
        fields: NDArray[np.floating] | None = None,
        coherence: NDArray[np.floating] | None = None,
    ) -> NoiseParts:
        """Delay of each epoch, part by part.

        Switching a part off changes none of the others.

        Parameters are those of `simulate`; raises the same.
        """
        t, scene, pixel = checked_series(days, height, pixel_m, fields, coherence)
        shape = (len(t), *scene)
        # The order of these draws is part of every seeded data set: do not change it. What is off draws too.
        delay = self._turbulence(generator, shape, pixel, fields)
        slope = self.stratified_std * generator.standard_normal(len(t)) + self.stratified_annual * annual(t)
        ramp = track_ramps(generator, t, scene, self.ramp_std_m, self.ramp_solar)
        white = None
        if self.white_std_m > 0:
            white = np.float32(self.white_std_m) * decorrelation(generator, shape, coherence)
        # Later additions have generators of their own; the stream above does not know of them.
        own = dict(zip(_OWN, generator.spawn(len(_OWN)), strict=True)) if self._needs_own else {}
        return NoiseParts(
            shape,
            turbulence=delay,
            stratified=self._stratified(own.get("stratified"), t, slope, height, pixel),
            ramp=ramp,
            decorrelation=white,
            red=self._red(generator, t, scene, pixel),
            **self._surface(own, t, scene, pixel, coherence),
        )

    def _turbulence(
        self,
        generator: np.random.Generator,
        shape: tuple[int, int, int],
        pixel_m: tuple[float, float],
        fields: NDArray[np.floating] | None,
    ) -> Float32 | None:
        """Turbulent delay (time, y, x); its numbers are drawn even when it is off and a later part is on."""
        count, scene = shape[0], (shape[1], shape[2])
        if max(self.turbulence_std_m, self.stratified_std, self.ramp_std_m, self.white_std_m) == 0:
            return None
        strength = self.turbulence_std_m * epoch_strength(generator, count, self.strength_log_std)
        factor = strength.astype(np.float32)[:, None, None]
        if fields is not None:
            return np.asarray(fields, np.float32) * factor if self.turbulence_std_m > 0 else None
        if self.turbulence_std_m == 0:
            for _ in range(0, count, 2):
                draw_modes(generator, torus_shape(scene))
            return None
        delay = turbulence(generator, scene, pixel_m, count, self.spectrum)
        delay *= factor
        return delay

    def _red(
        self, generator: np.random.Generator, t: Float, scene: tuple[int, int], pixel_m: tuple[float, float]
    ) -> Float32 | None:
        """Red part (time, y, x), from a generator of its own."""
        if not self.red or self.turbulence_std_m == 0:
            return None
        field = red_turbulence(generator.spawn(1)[0], t, scene, pixel_m, self.spectrum, self.red)
        return np.asarray(field * np.float32(self.turbulence_std_m))

    @property
    def _needs_own(self) -> bool:
        """Whether a part is on that has a generator of its own."""
        return any(getattr(self, name) != 0 for name in _OWN_STRENGTHS)

    def _stratified(
        self,
        generator: np.random.Generator | None,
        t: Float,
        slope: Float,
        height: NDArray[np.floating],
        pixel_m: tuple[float, float],
    ) -> Float32 | None:
        """Delay that follows height (time, y, x); `slope` (time,) is the white and annual part."""
        on = (self.stratified_std, self.stratified_annual, self.stratified_interannual, self.stratified_quadratic)
        if max(on) == 0:
            return None
        relative = relative_height(height)
        if generator is None:
            return slope.astype(np.float32)[:, None, None] * relative
        slope = slope + self.stratified_interannual * red_series(generator, t, INTERANNUAL_MEMORY_D)
        bend = self.stratified_quadratic * generator.standard_normal(len(t))
        return bent_stratified(generator, relative, pixel_m, slope, bend, self.stratified_spatial)

    def _surface(
        self,
        own: dict[str, np.random.Generator],
        t: Float,
        scene: tuple[int, int],
        pixel_m: tuple[float, float],
        coherence: NDArray[np.floating] | None,
    ) -> dict[str, Float32 | None]:
        """Unwrapping blocks, the reference pixel's noise and phase bias, by name."""
        out: dict[str, Float32 | None] = {}
        if not own:
            return out
        ground = coherence
        if ground is None and (self.unwrapping_rate > 0 or self.phase_bias_m_yr or self.phase_bias_wander_m > 0):
            ground = land_cover(own["land_cover"], scene, pixel_m)
        if ground is not None and self.unwrapping_rate > 0:
            out["unwrapping"] = unwrapping_blocks(
                own["unwrapping"], len(t), ground, pixel_m,
                self.unwrapping_rate, self.unwrapping_size_m, self.unwrapping_persistent,
            )  # fmt: skip
        if self.reference_std_m > 0:
            out["reference"] = reference_offset(own["reference"], (len(t), *scene), self.reference_std_m)
        if ground is not None and (self.phase_bias_m_yr or self.phase_bias_wander_m > 0):
            out["phase_bias"] = phase_bias(
                own["phase_bias"], t, ground, self.phase_bias_m_yr, self.phase_bias_wander_m
            )  # fmt: skip
        return out
