"""Fit turbulence, a white floor and ramps to structure functions; standard errors from the epochs' scatter."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares

from slipscan.errors import SlipscanError
from slipscan.noise.estimate_structure import MIN_PAIRS, Level
from slipscan.noise.simulate_turbulence import BREAKS_M, EXPONENTS, OUTER_SCALE_M, STEEPEST, TurbulenceSpectrum

Float = NDArray[np.float64]

MIN_EPOCHS, MIN_LAGS = 4, 8
_SHORT = 8
"""Lags up to so many cells give the strength of single epochs: they average over most of the scene."""
_ERROR_FLOOR, _ERROR_FLOOR_TYPICAL = 0.01, 1e-4
"""Of a lag's mean square, and of that of all lags (along stripes a lag's own is zero)."""
_LEAST_M = 1e-6
"""Differences between pixels below it are rounding, not noise."""
_LEAST_POWER = 0.02
"""Of the epochs' mean: an epoch that is weaker is not told from none."""
_PRIOR = {
    "exponent": (EXPONENTS[0], 0.6),
    "middle": (EXPONENTS[1] - EXPONENTS[0], 0.3),
    "log_outer": (math.log(OUTER_SCALE_M), 0.5),
    "stretch_cos": (0.0, 0.5),
    "stretch_sin": (0.0, 0.5),
}
"""Mean and standard deviation of what a scene may tell little about: a white floor hides the middle exponent."""
_NAMES = ("log_power", "exponent", "middle", "log_outer", "white", "plane", "stretch_cos", "stretch_sin")
_LOWER = (-60.0, 2.05, -1.0, math.log(2e3), 0.0, 0.0, -2.0, -2.0)
_UPPER = (20.0, 5.0, 2.5, math.log(1e6), np.inf, np.inf, 2.0, 2.0)
_AT_BORDER = 0.01
"""Distance from a bound, in typical steps, within which the bound and not the data set a value."""


class TooLittleDataError(SlipscanError):
    """What a stack lacks for its turbulence to be estimated, after 'too few epochs or pixels: '."""


@dataclass(frozen=True)
class SpectrumFit:
    """Turbulence, white floor and ramps of a stack, with standard errors.

    Attributes
    ----------
    spectrum
        of the turbulence
    exponent_error, outer_scale_log_error, anisotropy_log_error, azimuth_error_deg
        standard errors of its first exponent, of the logarithms of outer scale and anisotropy, of the azimuth
    epoch_std, epoch_std_log_error
        (time,) standard deviation of the turbulence of an epoch, m (NaN = unknown); standard error of its
        logarithm, common to all epochs
    power_log_error
        standard error of the logarithm of the variance that all epochs share
    white_std, white_std_error, ramp_std, ramp_std_error
        m
    at_border
        names (of the noise product) of what a bound set and not the data
    """

    spectrum: TurbulenceSpectrum
    exponent_error: float
    outer_scale_log_error: float
    anisotropy_log_error: float
    azimuth_error_deg: float
    epoch_std: Float
    epoch_std_log_error: float
    power_log_error: float
    white_std: float
    white_std_error: float
    ramp_std: float
    ramp_std_error: float
    at_border: frozenset[str]


def fit_spectrum(squared: list[Float], levels: tuple[Level, ...]) -> SpectrumFit:
    """Fit the structure functions of a stack's epochs.

    The model is that of the simulator on the same grid: D = A d(lag) + 2 white^2 + plane. Epochs are
    weighted by their strength at short lags, which leaves the shape as it is and the white floor unbiased.

    Parameters
    ----------
    squared
        per level (time, lag) m2: unbiased structure functions of the epochs, NaN = unknown
    levels
        of `estimate_structure.levels`

    Raises
    ------
    TooLittleDataError
        too few epochs or lags, or nothing but zeros
    """
    every = np.concatenate(squared, axis=1)
    short = np.concatenate([level.factor * np.maximum(abs(level.dy), abs(level.dx)) for level in levels]) <= _SHORT
    lags = np.isfinite(every).mean(axis=0) > 0.5
    used = np.isfinite(every[:, lags]).all(axis=1)
    if (lags & short).sum() < MIN_LAGS:
        raise TooLittleDataError(
            f"{int((lags & short).sum())} short lags have {MIN_PAIRS} pairs of valid pixels, {MIN_LAGS} are needed"
        )
    if used.sum() < MIN_EPOCHS:
        raise TooLittleDataError(f"{int(used.sum())} epochs are valid in most pixels, {MIN_EPOCHS} are needed")
    strength = every[np.ix_(used, lags & short)].mean(axis=1)
    typical = float(np.median(strength))
    if typical < _LEAST_M**2:
        raise TooLittleDataError("rate and season leave less than a micrometre between pixels in most epochs")
    weight = 1 / np.maximum(strength, 0.05 * typical)
    scaled = weight[:, None] / weight.mean() * every[np.ix_(used, lags)]
    mean, scatter = scaled.mean(axis=0), np.cov(scaled.T) / len(scaled)
    floor = np.hypot(_ERROR_FLOOR * mean, _ERROR_FLOOR_TYPICAL * mean.mean())
    problem = _Problem(levels, lags, mean, np.sqrt(np.diag(scatter) + floor**2))
    best = problem.solve()
    return problem.describe(best, problem.covariance(best, scatter), every, lags & short)


@dataclass(frozen=True)
class _Problem:
    """Least squares of a mean structure function."""

    levels: tuple[Level, ...]
    lags: NDArray[np.bool_]
    mean: Float
    error: Float

    @property
    def unit(self) -> float:
        """Variance in which white noise and planes are counted, m2: of the order of one."""
        return float(self.mean.mean())

    def model(self, values: Float) -> Float:
        """D(lag) of all lags, m2."""
        p = dict(zip(_NAMES, map(float, values), strict=True))
        total = math.exp(p["log_power"]) * self.turbulence(values) + p["white"] * self.white + p["plane"] * self.plane
        return np.asarray(self.unit * total)

    def turbulence(self, values: Float) -> Float:
        """D(lag) of all lags of turbulence of unit variance."""
        spectrum = _spectrum(dict(zip(_NAMES, map(float, values), strict=True)))
        return np.concatenate([level.turbulence(spectrum) for level in self.levels])

    @cached_property
    def white(self) -> Float:
        """D(lag) of all lags of white noise of unit variance."""
        return np.concatenate([level.white() for level in self.levels])

    @cached_property
    def plane(self) -> Float:
        """D(lag) of all lags of ramps of unit variance."""
        return np.concatenate([level.plane() for level in self.levels])

    def misfit(self, values: Float) -> Float:
        """Data, then priors, in standard deviations."""
        data = (self.model(values)[self.lags] - self.mean) / self.error
        p = dict(zip(_NAMES, values, strict=True))
        return np.concatenate([data, [(p[name] - mean) / std for name, (mean, std) in _PRIOR.items()]])

    def solve(self) -> Float:
        """The best parameters, from the better of a turbulent start and one that is nearly white."""
        turbulent = np.array((0.0, EXPONENTS[0], 1.0, math.log(OUTER_SCALE_M), 0.05, 0.02, 0.0, 0.0))
        nearly_white = turbulent + np.array((-4.0, 0.0, 0.0, 0.0, 0.45, 0.0, 0.0, 0.0))
        start = min((turbulent, nearly_white), key=lambda values: float((self.misfit(values) ** 2).sum()))
        options = {"bounds": (_LOWER, _UPPER), "x_scale": _SCALES, "xtol": 1e-7, "ftol": 1e-10, "gtol": 1e-7}
        return np.asarray(least_squares(self.misfit, start, self.jacobian, **options).x)

    def jacobian(self, values: Float) -> Float:
        """Derivatives of the misfit (datum, parameter): what is linear as it is, the shape of the spectrum in steps."""
        power = math.exp(values[_NAMES.index("log_power")])
        linear = {"log_power": power * self.turbulence(values), "white": self.white, "plane": self.plane}
        columns = []
        for name, step in zip(_NAMES, np.diag(_STEP * np.array(_SCALES)), strict=True):
            if name in linear:
                column = linear[name]
            else:
                column = power * (self.turbulence(values + step) - self.turbulence(values - step)) / (2 * step.sum())
            prior = [(name == other) / std for other, (_, std) in _PRIOR.items()]
            columns.append(np.concatenate([self.unit * column[self.lags] / self.error, prior]))
        return np.stack(columns, axis=1)

    def covariance(self, values: Float, scatter: Float) -> Float:
        """Covariance of the parameters, from that of the data between epochs and from the priors."""
        jacobian = self.jacobian(values)
        data, prior = np.split(jacobian, [len(self.mean)])
        inverse = np.linalg.pinv(jacobian.T @ jacobian, hermitian=True)
        noise = data.T @ (scatter / self.error[:, None] / self.error) @ data
        return np.asarray(inverse @ (noise + prior.T @ prior) @ inverse)

    def halves(self, ratios: Float, short: NDArray[np.bool_]) -> tuple[Float, Float]:
        """Those of short lags along rows and along columns (time, lag): they look across other gradients."""
        dy, dx = (np.concatenate([getattr(level, name) for level in self.levels])[short] for name in ("dy", "dx"))
        return ratios[:, dy == 0], ratios[:, dx == 0]

    def describe(self, values: Float, covariance: Float, every: Float, short: NDArray[np.bool_]) -> SpectrumFit:
        """The parameters in the field's terms."""
        p = dict(zip(_NAMES, values, strict=True))
        error = dict(zip(_NAMES, np.sqrt(np.maximum(np.diag(covariance), 0)), strict=True))
        spectrum = _spectrum(p)
        turbulent = self.turbulence(values)
        rest = self.model(np.where(np.array(_NAMES) == "log_power", -np.inf, values))
        ratios = (every - rest)[:, short] / turbulent[short]
        power = _mean_known(ratios)
        stretch_error = math.hypot(error["stretch_cos"], error["stretch_sin"]) / math.sqrt(2)
        floor = _LEAST_POWER * max(float(np.nanmean(power)), 1e-12)
        return SpectrumFit(
            spectrum=spectrum,
            exponent_error=error["exponent"],
            outer_scale_log_error=error["log_outer"],
            anisotropy_log_error=stretch_error,
            azimuth_error_deg=min(math.degrees(stretch_error / (2 * max(math.log(spectrum.anisotropy), 1e-9))), 52.0),
            epoch_std=np.sqrt(np.maximum(power, floor)),
            epoch_std_log_error=_log_error(self.halves(ratios, short), floor),
            power_log_error=error["log_power"],
            **_rooted("white_std", self.unit * p["white"], self.unit * error["white"]),
            **_rooted("ramp_std", self.unit * p["plane"], self.unit * error["plane"]),
            at_border=_at_border(values) | ({"turbulence_epoch_std"} if (power < floor).any() else set()),
        )


_SCALES = (1.0, 0.3, 0.5, 0.5, 0.1, 0.1, 0.3, 0.3)
"""Typical steps of the parameters."""
_STEP = 1e-4
"""Of a typical step, in which derivatives are taken."""


_SET_BY = {
    "turbulence_std": ("log_power",),
    "exponent": ("exponent",),
    "exponent_middle": ("middle",),
    "outer_scale": ("log_outer",),
    "anisotropy": ("stretch_cos", "stretch_sin"),
}
"""Parameters whose bounds bound an estimate; that white noise and planes may vanish is no bound."""


def _at_border(values: Float) -> frozenset[str]:
    """Estimates that a bound set."""
    reach = _AT_BORDER * np.array(_SCALES)
    stuck = {
        name
        for name, low, value, high, near in zip(_NAMES, _LOWER, values, _UPPER, reach, strict=True)
        if value < low + near or value > high - near
    }
    if _spectrum(dict(zip(_NAMES, map(float, values), strict=True))).exponents[1] in (0.0, STEEPEST):
        stuck.add("middle")
    return frozenset(name for name, causes in _SET_BY.items() if stuck & set(causes))


def _spectrum(p: dict[str, float]) -> TurbulenceSpectrum:
    """Turbulence of the parameters: a step of the fit may go beyond what has a spectrum."""
    first = float(p["exponent"])
    return TurbulenceSpectrum(
        exponents=(first, min(max(first + float(p["middle"]), 0.0), STEEPEST), EXPONENTS[2]),
        breaks_m=BREAKS_M,
        outer_scale_m=math.exp(p["log_outer"]),
        anisotropy=math.exp(math.hypot(p["stretch_cos"], p["stretch_sin"])),
        azimuth_deg=math.degrees(math.atan2(p["stretch_sin"], p["stretch_cos"]) / 2) % 180,
    )


def _rooted(name: str, variance: float, error: float) -> dict[str, float]:
    """Standard deviation and its standard error from a variance and its own; finite at zero."""
    std = math.sqrt(max(variance, 0.0))
    return {name: std, f"{name}_error": error / (std + math.sqrt(std**2 + error)) if error > 0 else 0.0}


def _mean_known(values: Float) -> Float:
    """Mean over the last axis of what is finite; NaN where nothing is."""
    known = np.isfinite(values)
    count = known.sum(axis=-1)
    return np.where(count > 0, np.where(known, values, 0.0).sum(axis=-1) / np.maximum(count, 1), np.nan)


def _log_error(halves: tuple[Float, Float], floor: float) -> float:
    """Standard error of the logarithm of an epoch's strength, from two estimates (time, lag) of its square."""
    logs = [np.log(np.maximum(_mean_known(half), floor)) / 2 for half in halves]
    difference = (logs[0] - logs[1])[np.isfinite(logs[0] - logs[1])]
    return float(np.std(difference) / 2) if len(difference) > 1 else 0.0
