"""An event against GNSS: projection on the line of sight, samples of the InSAR map, and the verdict.

Stations are judged against what is PREDICTED there (docs/science.md section 10.9): a station where the event
would move the ground by less than its noise says nothing, and that is no mark against the event.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

Float = NDArray[np.float64]

SIZE_ERROR = 0.3
"""Standard deviation of the logarithm of a predicted size: of slip fitted to denoised maps."""
PATTERN_ERROR = 0.3
"""Of a predicted displacement, what the source gets wrong at a single station: the share that moves elsewhere."""
SENSITIVE = 16.0
"""Expected chi square (4 sigma) of the predicted displacement from which nine in ten events give a verdict.

The log likelihood ratio of an event is about Gaussian, of mean 8 and variance 16 there, and 3 of it are needed."""
DECIDABLE = 9.0
"""Expected chi square (3 sigma) below which nothing is confirmed or contradicted; from there to `SENSITIVE` an event
without either is insensitive."""
ODD_SIZE = 3.0
"""Standard deviations by which the observed size may differ from the predicted one in a confirmed event."""
MIN_STATIONS = 2
_SIZES = np.linspace(-4.0, 4.0, 65)


def project(displacement: Float, covariance: Float, los: Float) -> tuple[float, float]:
    """Line-of-sight displacement d = e E + n N + u U and its standard deviation, with the full covariance.

    Parameters
    ----------
    displacement, covariance
        (3,) and (3, 3): east, north, up; or (n,) and (n, n) of several stations
    los
        (3,) unit vector ground to satellite; or (n,), zero at all other stations
    """
    return float(los @ displacement), float(np.sqrt(los @ covariance @ los))


def sample(
    values: Float, std: Float, x: Float, y: Float, point: tuple[float, float], radius_m: float
) -> tuple[float, float]:
    """Median of a map (y, x) and of its standard deviation within `radius_m` of a point.

    The pixel that holds the point counts always; NaN where no valid pixel lies within. Neighbouring pixels
    share their errors, so the median is no better known than a pixel.
    """
    half_x, half_y = (abs(float(axis[1] - axis[0])) / 2 if len(axis) > 1 else radius_m for axis in (x, y))
    dx, dy = np.abs(x - point[0])[None, :], np.abs(y - point[1])[:, None]
    inside = (np.hypot(dx, dy) <= radius_m) | ((dx <= half_x) & (dy <= half_y))
    inside &= np.isfinite(values) & np.isfinite(std)
    if not inside.any():
        return float("nan"), float("nan")
    return float(np.median(values[inside])), float(np.median(std[inside]))


@dataclass(frozen=True)
class Judgement:
    """A verdict on an event, and what it rests on.

    Attributes
    ----------
    verdict
        one of events.GNSS_VERDICTS
    log_likelihood_ratio
        of the event against no event
    size, size_std
        observed over predicted displacement, and its standard deviation
    visible_size
        the multiple of the predicted displacement from which the stations would see the event at 4 sigma
    stations
        that have a part in it
    note
        what a reader must know: one station alone, an odd size
    weight
        (time,) of the times that were tried
    """

    verdict: str
    log_likelihood_ratio: float
    size: float
    size_std: float
    visible_size: float
    stations: int
    note: str
    weight: Float


@dataclass(frozen=True)
class Evidence:
    """What GNSS measured for each time that was tried, and what the event would do.

    Attributes
    ----------
    observed, covariance
        (time, n) displacements, metres, and (time, n, n): of noise, of steps that are no event, of a wrong source
    noise
        (time, n, n) of noise alone
    predicted
        (n,) displacements that the event would make
    station
        (n,) number of the station of each
    names
        (station,)
    log_prior
        (time,) logarithm of the weight of each time beforehand; the weights sum to one
    """

    observed: Float
    covariance: Float
    noise: Float
    predicted: Float
    station: NDArray[np.int64]
    names: Sequence[str]
    log_prior: Float

    def products(self, rows: NDArray[np.bool_] | slice = slice(None)) -> tuple[Float, Float]:
        """Products p' C^-1 x and p' C^-1 p (time,) of some of the displacements."""
        p = self.predicted[rows]
        inside = self.covariance[:, rows][:, :, rows]
        weighted = np.linalg.solve(inside, np.broadcast_to(p[:, None], (len(inside), len(p), 1)))[..., 0]
        return np.einsum("kn,kn->k", weighted, self.observed[:, rows]), weighted @ p

    def log_moved(self) -> Float:
        """Log likelihood (time,) of stations that may move as `covariance` has it, over that of stations at rest.

        Times are told apart by it, whether what moved the stations was the event or not.
        """
        may, rest = (_log_normal(self.observed, c) for c in (self.covariance, self.noise))
        return np.asarray(may - rest)


def _log_normal(values: Float, covariance: Float) -> Float:
    """Log density (time,) of values (time, n) about zero, constants left out."""
    factor = np.linalg.cholesky(covariance)
    white = np.linalg.solve(factor, values[..., None])[..., 0]
    return np.asarray(-0.5 * (white**2).sum(axis=1) - np.log(np.einsum("knn->kn", factor)).sum(axis=1))


def judge(evidence: Evidence, min_log_likelihood_ratio: float) -> Judgement:
    """Weigh the event against no event.

    Parameters
    ----------
    evidence
        of all stations together
    min_log_likelihood_ratio
        needed for 'confirmed' (positive) or 'contradicted' (negative)

    Returns
    -------
    judgement
        The event moves the stations by s times the prediction, with ln s normal around 0 (`SIZE_ERROR`), at one of
        the times; no event leaves them, or moves them in the opposite sense. The ratio is that of the two marginal
        likelihoods over size and time. Each time counts by the likelihood of the series of all days under either
        hypothesis (`Evidence.log_moved`): offsets at times when no station moved say nothing of how far they did, nor
        does a time at which a station moved by itself count less because the event does not explain it. Two stations
        at least confirm or contradict, and the sign of the ratio must not hang on one of them; a size that is not that
        of the prediction confirms nothing.
    """
    count = len(np.unique(evidence.station))
    if not count:
        nan = float("nan")
        return Judgement("no_coverage", nan, nan, nan, nan, 0, "", np.exp(evidence.log_prior))
    a, b = evidence.products()
    event, none = _log_marginals(a, b)
    of_time = evidence.log_prior + evidence.log_moved()
    ratio = float(logsumexp(of_time + event) - logsumexp(of_time + none))
    log_weight = of_time + np.logaddexp(event, none)
    weight = np.exp(log_weight - logsumexp(log_weight))
    sizes = a / np.maximum(b, 1e-12)
    size = float(weight @ sizes)
    size_std = float(np.sqrt(weight @ (1.0 / np.maximum(b, 1e-12) + (sizes - size) ** 2)))
    strength = float(np.exp(evidence.log_prior) @ b)
    visible = float(np.sqrt(SENSITIVE / strength)) if strength > 1e-9 else float("nan")
    verdict, note = ("insensitive" if strength < SENSITIVE else "inconclusive"), ""
    if strength >= DECIDABLE and abs(ratio) > min_log_likelihood_ratio:
        note = _objection(evidence, ratio, size, size_std, int(weight.argmax()))
        verdict = "inconclusive" if note else ("confirmed" if ratio > 0 else "contradicted")
    return Judgement(verdict, ratio, size, size_std, visible, count, note, weight)


def _log_marginals(a: Float, b: Float) -> tuple[Float, Float]:
    """Log likelihoods (time,) of the event and of none, each over that of stations at rest."""
    size = np.exp(SIZE_ERROR * _SIZES)
    log_weight = -0.5 * _SIZES**2
    log_weight -= logsumexp(log_weight)
    event = logsumexp(log_weight + a[:, None] * size - 0.5 * b[:, None] * size**2, axis=1)
    return event, 0.5 * np.minimum(a, 0.0) ** 2 / np.maximum(b, 1e-12)


def _objection(evidence: Evidence, ratio: float, size: float, size_std: float, time: int) -> str:
    """What stands against a verdict that the ratio alone would give; nothing where nothing does."""
    numbers = np.unique(evidence.station)
    if len(numbers) < MIN_STATIONS:
        return f"one station alone ({evidence.names[int(numbers[0])]})"
    for number in numbers:
        a, b = evidence.products(evidence.station != number)
        event, none = _log_marginals(a[time : time + 1], b[time : time + 1])
        if (event - none).item() * np.sign(ratio) < 0:
            return f"rests on {evidence.names[int(number)]} alone"
    if ratio > 0 and size > 0:
        odd = np.log(size) / np.hypot(SIZE_ERROR, size_std / size)
        if abs(odd) > ODD_SIZE:
            return f"stations moved, but {size:.1f} +- {size_std:.1f} times as much as predicted"
    return ""
