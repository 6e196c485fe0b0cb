"""What the rasters of interferograms hold, as values that are plausible: phase, coherence, heights, line of sight.

Whatever the archive, its rasters pass through here: a fill without a tag is masked and counted, a raster on another
scale or of another quantity is refused or, where there is no doubt, read rightly.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from slipscan.archive.reading.rasters import Raster, read_on
from slipscan.errors import SlipscanError
from slipscan.geometry import Grid, check_los, los_from_hyp3
from slipscan.plausible import HUGE, RANGES, Screen, plausible, report_all
from slipscan.progress import progress

log = logging.getLogger(__name__)

Single = NDArray[np.float32]
LOS = ("los_east", "los_north", "los_up")

RADIANS, METRES = ("", "1", "rad", "rads", "radian", "radians"), ("", "m", "meter", "meters", "metre", "metres")
"""Units of a band that are taken as what is expected; all others are refused."""
EDGE_RAD = 0.05
"""A wrapped phase comes so close to -pi and to pi, and never goes beyond."""
QUIET_RAD = 0.5
"""2 mm: the troposphere alone varies by more across a scene."""
SEVERAL = 3
"""So many files show what is usual."""
WHOLE_SAMPLE = 2000
"""Values that are looked at first: one of them tells, as a rule."""
MANY = 20
"""Real numbers that are whole tell something where they are so many different ones."""
PER_CENT = (90.0, 100.0)
"""Where the highest coherence of several files is, if it is in per cent."""
LOW = 0.1
"""Somewhere in every scene two images are more alike than this."""
FAR_FROM_SEA_M = 50.0
"""Where the lowest heights but 0 are this far from it, 0 is a void, not the sea."""
UNIT_LENGTH = 0.02
"""A unit vector's length is 1 to within this."""
NAMED = 3


def read_phases(rasters: Sequence[Raster], grid: Grid, metres_per_radian: float) -> Single:
    """Read unwrapped phase as displacement toward the satellite, (pair, y, x) m.

    0 is no data, but for whole numbers that have a scale and declare another value as no data.

    Raises
    ------
    SlipscanError
        another unit, quantity or band; whole numbers that lost their scale; wrapped phase
    """
    out = np.empty((len(rasters), *grid.shape), np.float32)
    screens = []
    for index, raster in enumerate(progress(rasters, "read interferograms") if len(rasters) > 1 else rasters):
        _check_units(raster, RADIANS, "phase in radians")
        phase = read_on(raster, grid)
        if not (raster.whole and raster.nodata not in (None, 0)):
            phase[phase == 0] = np.nan
        screens.append(Screen("phase", str(raster.path)))
        screens[-1](phase)
        _refuse_whole(raster, phase, screens[-1])
        out[index] = phase * np.float32(metres_per_radian)
    report_all(screens)
    _check_unwrapped(screens)
    return out


def _check_units(raster: Raster, known: tuple[str, ...], expected: str) -> None:
    """Refuse a band that says it has another unit."""
    if raster.units not in known:
        raise SlipscanError(
            f"{raster.path} has the unit '{raster.units}' in its band, but {expected} is expected: convert it, or"
            " correct the tag (gdal_edit.py -units)"
        )


def _refuse_whole(raster: Raster, phase: Single, screen: Screen) -> None:
    """Refuse phase of nothing but whole numbers: their scale was lost."""
    if raster.scaled or screen.high - screen.low < 3:
        return
    values = phase[np.isfinite(phase)]
    if not raster.whole and len(np.unique(values[:WHOLE_SAMPLE])) < MANY:
        return
    for part in (values[:WHOLE_SAMPLE], values):
        if not np.array_equal(part, np.rint(part)):
            return
    raise SlipscanError(
        f"{raster.path} holds nothing but whole numbers ({screen.low:g} to {screen.high:g}): phase in radians has"
        " fractions, so its scale was lost; set it with `gdal_edit.py -scale FACTOR`"
    )


def _check_unwrapped(screens: Sequence[Screen]) -> None:
    """Refuse a network of wrapped phase; warn of files that look wrapped, and of phase that looks like metres."""
    known = [screen for screen in screens if np.isfinite(screen.low)]
    edge = math.pi - EDGE_RAD
    wrapped = [
        screen for screen in known if -math.pi - 1e-3 <= screen.low <= -edge and edge <= screen.high <= math.pi + 1e-3
    ]
    if len(wrapped) >= 2 and len(wrapped) == len(known):
        raise SlipscanError(
            f"all {len(known)} interferograms (the first: {known[0].where}) reach from -pi to pi and not beyond: their"
            " phase is wrapped; give the unwrapped files"
        )
    if wrapped:
        named = ", ".join(screen.where for screen in wrapped[:NAMED])
        log.warning(
            "%d interferograms reach from -pi to pi and not beyond: is their phase wrapped? %s", len(wrapped), named
        )
    if len(known) >= SEVERAL and max(screen.high - screen.low for screen in known) < QUIET_RAD:
        log.warning(
            "no interferogram varies by more than %.2g rad across the scene (the first: %s): is their phase in metres?",
            max(screen.high - screen.low for screen in known), known[0].where,
        )  # fmt: skip


def read_coherences(rasters: Sequence[Raster], grid: Grid, scale: float, convention: str) -> Single:
    """Read coherence, (pair, y, x) 0-1.

    Parameters
    ----------
    scale
        factor from what the convention delivers to 0-1
    convention
        its name, for sentences

    Raises
    ------
    SlipscanError
        a file on another scale than the convention's; one that is 0-1 already, in fractions, is read as it is
    """
    out = np.empty((len(rasters), *grid.shape), np.float32)
    screens, ready, top = [], [], 0.0
    for index, raster in enumerate(progress(rasters, "read coherence") if len(rasters) > 1 else rasters):
        values, full = read_on(raster, grid), 1 / scale
        highest = _top(values)
        if full > 1 and 0 < highest <= RANGES["coherence"].high and (raster.scaled or not raster.whole):
            ready.append(raster)
            full = 1.0
        screens.append(Screen("coherence", str(raster.path)))
        out[index] = screens[-1](values / np.float32(full))
        _check_scale(screens[-1], highest, full, convention)
        top = max(top, screens[-1].high * full) if full > 1 else top
    report_all(screens)
    if ready:
        log.info(
            "%d coherence files (the first: %s) are from 0 to 1, not to %g as %s has them: read as they are",
            len(ready), ready[0].path, 1 / scale, convention,
        )  # fmt: skip
    if len(rasters) >= SEVERAL and PER_CENT[0] <= top <= PER_CENT[1]:
        log.warning(
            "no coherence (the first: %s) is above %g of %g: is it in per cent?", rasters[0].path, top, 1 / scale
        )
    if max((screen.high for screen in screens), default=1.0) < LOW:
        log.warning("no coherence (the first: %s) is above %g: is it on another scale?", rasters[0].path, LOW)
    return out


def _check_scale(screen: Screen, highest: float, full: float, convention: str) -> None:
    """Refuse coherence that most of which is beyond 1: say which scale it may have."""
    try:
        screen.sentence()
    except SlipscanError as error:
        guess = next((bound for bound in (100, 255, 1000, 10000, 32767, 65535) if highest <= bound), None)
        likely = f"; its scale may be 0 to {guess}" if guess else ""
        raise SlipscanError(
            f"the coherence in {screen.where} reaches {highest:.4g}, this is not the scale of the convention"
            f" {convention} (0 to {full:g}){likely}: set the factor to 0-1 (`gdal_edit.py -scale FACTOR`)"
        ) from error


def _top(values: Single) -> float:
    """The largest value that is no fill, 0 where there is none."""
    with np.errstate(invalid="ignore"):
        return float(np.max(values, where=np.isfinite(values) & (values < HUGE), initial=0.0))


def read_height(raster: Raster, grid: Grid) -> Single:
    """Read heights, (y, x) m; raises SlipscanError for another unit or quantity."""
    _check_units(raster, METRES, "height in metres")
    return mask_voids(plausible(read_on(raster, grid), "height", str(raster.path)), str(raster.path))


def mask_voids(height: Single, where: str) -> Single:
    """Set heights of 0 to NaN, in place, where all others are far from the sea's."""
    zero = height == 0
    others = height[~zero & np.isfinite(height)]
    if zero.any() and others.size:
        low, high = np.percentile(others, (1, 99))
        if low > FAR_FROM_SEA_M or high < -FAR_FROM_SEA_M:
            log.warning("%d of %d pixels of %s hold 0, and the others are from %.0f to %.0f m: masked as voids",
                        int(zero.sum()), zero.size, where, low, high)  # fmt: skip
            height[zero] = np.nan
    return height


def read_line_of_sight(
    rasters: Mapping[str, Raster], grid: Grid, orbit_direction: str, where: str
) -> tuple[Single, Single, Single]:
    """Read the unit vector ground to satellite, (y, x) each, from its parts (LOS) or HyP3's lv_theta and lv_phi.

    Raises
    ------
    SlipscanError
        a unit vector that is none, or that the track cannot have
    """
    if "lv_theta" in rasters:
        theta, phi = (read_on(rasters[name], grid) for name in ("lv_theta", "lv_phi"))
        theta[theta == 0] = np.nan
        theta, phi = (
            plausible(values, name, str(rasters[name].path))
            for name, values in (("lv_theta", theta), ("lv_phi", phi))
        )  # fmt: skip
        east, north, up = (np.asarray(part, np.float32) for part in los_from_hyp3(theta, phi))
    else:
        east, north, up = (plausible(read_on(rasters[name], grid), "los", str(rasters[name].path)) for name in LOS)
    return checked_line_of_sight(east, north, up, orbit_direction, where)


def checked_line_of_sight(
    east: Single, north: Single, up: Single, orbit_direction: str, where: str
) -> tuple[Single, Single, Single]:
    """Mask pixels that have no unit vector, in place (zeros are no data), and check the rest against the track."""
    square = east**2 + north**2 + up**2
    none = ~(square > 0)
    odd = ~none & (np.abs(np.sqrt(square) - 1) > UNIT_LENGTH)
    count, known = int(odd.sum()), int(np.count_nonzero(~none))
    for part in (east, north, up):
        part[none] = np.nan
    if 0 < count <= known / 2:
        log.warning("%d of %d pixels of the line of sight in %s are no unit vector: masked", count, odd.size, where)
        for part in (east, north, up):
            part[odd] = np.nan
    check_los(east, north, up, orbit_direction, where)
    return east, north, up
