"""THE table of plausible ranges of what comes in, and the mask of what lies outside them.

A reader passes every array through `plausible` (or, block by block, through a `Screen`) once, in the unit of the table:
a fill value that no tag declares becomes NaN and is counted in the log, a file that holds another quantity, unit or
scale is refused in one sentence.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from slipscan.errors import SlipscanError

log = logging.getLogger(__name__)

Float = NDArray[np.floating]


@dataclass(frozen=True)
class Range:
    """What a kind of value can be.

    Attributes
    ----------
    what, unit
        as a sentence calls them
    low, high
        the plausible range, both ends in it
    fills
        values within the range that are a fill where they are the smallest or the largest of all
    """

    what: str
    unit: str
    low: float
    high: float
    fills: tuple[float, ...] = ()


RANGES = {
    # 900 rad are 4 m toward or away in one interferogram: more than Sentinel-1 unwraps in the largest earthquakes.
    "phase": Range("unwrapped phase", "rad", -900, 900, fills=(-99, 99)),
    "interval": Range("displacement between two dates", "m", -4, 4),
    # Ten years of the fastest subsidence (0.5 m/yr) and an earthquake; below 9.999 m, the fill 9999 in millimetres.
    "displacement": Range("cumulative displacement", "m", -9, 9),
    # The shore of the Dead Sea with its geoid, and Everest.
    "height": Range("height", "m", -500, 9000, fills=(-99, -100)),
    # What was filtered or interpolated overshoots by a little.
    "coherence": Range("coherence", "1", -0.01, 1.01),
    "std": Range("standard deviation", "m", 0, 9),
    # Sentinel-1 looks at 29 to 46 degrees; the margin is that of geometry.LOS_UP_RANGE.
    "incidence": Range("incidence angle", "degrees", 18, 60),
    "azimuth": Range("azimuth", "degrees", -360, 360),
    # HyP3's look vector: elevation above the horizontal (the same margin), and angle from east.
    "lv_theta": Range("elevation angle of the look vector", "rad", 0.5, 1.3),
    "lv_phi": Range("azimuth angle of the look vector", "rad", -6.3, 6.3),
    "los": Range("component of the unit vector", "1", -1.01, 1.01),
    # 2.3 m at sea level, 0.7 m at 9 km.
    "zenith_delay": Range("zenith delay", "m", 0.3, 3.5),
    # The same along the line of sight as two-way phase, or less its mean.
    "slant_delay": Range("slant delay", "rad", -1500, 1500, fills=(-999, 999)),
    "tide": Range("solid Earth tide", "m", -1, 1),
    # 1 TECU is 14 mm in C band; storms reach some tens of them between two dates.
    "ionosphere": Range("ionospheric delay", "m", -3, 3),
    "gnss_sigma": Range("standard deviation of a GNSS position", "m", 1e-6, 1),
}
"""The kinds of value that come in."""

FEW_VALUES = 3
"""A fill is at most so many distinct values of a file."""
KNOWN_FILLS = (1, 99, 999, 9999, 99999, 999999, 32767, 32768, 65535)
"""What fills are, but for their sign; anything beyond HUGE is one too."""
HUGE = 1e9
MOST_DIVERSE = 0.1
"""Where more than this share of a file lies outside the range and is no fill, all of it is another quantity."""
MOST = 0.5
"""The same for a value outside the range that is repeated, but is no usual fill."""
NAMED = 3
"""So many files are named one by one."""


@dataclass
class Screen:
    """Masks one file (or variable) block by block; `report` at the end says what was masked.

    Attributes
    ----------
    kind
        a key of RANGES
    where
        file, and variable or band, for the sentence
    low, high
        the smallest and the largest value that was kept
    """

    kind: str
    where: str
    low: float = np.inf
    high: float = -np.inf
    pixels: int = 0
    valid: int = 0
    outside: Counter[float] = field(default_factory=Counter)
    diverse: int = 0
    span: tuple[float, float] = (np.inf, -np.inf)

    def __call__(self, values: Float) -> Float:
        """Set what lies outside the range to NaN, in place; the block is returned."""
        self.pixels += values.size
        if values.size == 0:
            return values
        low, high = _extremes(values)
        wrong = self._wrong(values, low, high)
        if wrong is not None:
            # 0 is no data in much of what comes in: it does not speak for the rest.
            self.valid += int(np.count_nonzero(values) - np.count_nonzero(np.isnan(values)))
            self._count(values[wrong])
            values[wrong] = np.nan
            low, high = _extremes(values)
        else:
            self.valid += values.size
        self.low, self.high = float(np.fmin(self.low, low)), float(np.fmax(self.high, high))
        return values

    def _wrong(self, values: Float, low: float, high: float) -> NDArray[np.bool_] | None:
        """Which values are to be masked; None where all of them can stay, told by the extremes alone."""
        rule = RANGES[self.kind]
        wrong = None
        if low < rule.low or high > rule.high:
            wrong = (values < rule.low) | (values > rule.high)
        for extreme in {low, high} & set(rule.fills):
            wrong = (values == extreme) if wrong is None else wrong | (values == extreme)
        return wrong

    def _count(self, found: Float) -> None:
        distinct, counts = np.unique(found, return_counts=True)
        common = np.argsort(-counts, kind="stable")[:FEW_VALUES]
        for index in common:
            self.outside[float(distinct[index])] += int(counts[index])
        self.diverse += int(counts.sum() - counts[common].sum())
        self.span = (min(self.span[0], float(distinct[0])), max(self.span[1], float(distinct[-1])))

    @property
    def masked(self) -> int:
        """Pixels that were masked."""
        return sum(self.outside.values()) + self.diverse

    def sentence(self) -> str | None:
        """Say what was masked; None where nothing was.

        Raises
        ------
        SlipscanError
            most of the data lies outside the range, and is no fill
        """
        count, rule = self.masked, RANGES[self.kind]
        if not count:
            return None
        expected = f"{rule.what} is {rule.low:g} to {rule.high:g} {rule.unit}"
        few = self.outside.most_common(FEW_VALUES)
        usual = {*rule.fills, *KNOWN_FILLS, *(-value for value in KNOWN_FILLS)}
        unusual = sum(number for value, number in few if abs(value) < HUGE and value not in usual)
        if count - sum(number for _, number in few) > MOST_DIVERSE * self.valid or unusual > MOST * self.valid:
            raise SlipscanError(
                f"{self.where} holds {_span(self.span)} in {count} of {self.pixels} pixels, but {expected}: it is"
                " another quantity, unit, scale or band; correct the file, or what the configuration says of it"
            )
        one_by_one = len(self.outside) <= FEW_VALUES and not self.diverse
        held = ", ".join(f"{value:g}" for value, _ in few) if one_by_one else _span(self.span)
        return f"{count} of {self.pixels} pixels of {self.where} hold {held} ({expected}): masked as no data"

    def report(self) -> int:
        """Log what was masked and return how many pixels it is; raises what `sentence` does."""
        said = self.sentence()
        if said is not None:
            log.warning("%s", said)
        return self.masked


def _extremes(values: Float) -> tuple[float, float]:
    """The smallest and the largest value, NaN where there is none."""
    return float(np.fmin.reduce(values, axis=None)), float(np.fmax.reduce(values, axis=None))


def _span(span: tuple[float, float]) -> str:
    return f"{span[0]:g}" if span[0] == span[1] else f"values from {span[0]:g} to {span[1]:g}"


def report_all(screens: Sequence[Screen]) -> None:
    """Log what was masked in many files of a kind, the first few by name; raises what `Screen.sentence` does."""
    said = [(screen, text) for screen in screens if (text := screen.sentence()) is not None]
    for _, text in said[:NAMED]:
        log.warning("%s", text)
    if rest := said[NAMED:]:
        masked = sum(screen.masked for screen, _ in rest)
        log.warning("the same in %d more files of %d (%d pixels)", len(rest), len(screens), masked)


def plausible(values: Float, kind: str, where: str) -> Float:
    """Mask what lies outside the plausible range of a kind, in place, and say so.

    Parameters
    ----------
    values
        any shape, in the unit of RANGES[kind]; NaN = no data
    kind
        a key of RANGES
    where
        file, and variable or band, for the sentence

    Returns
    -------
    values
        the same array, NaN where it was outside the range (infinite too)

    Raises
    ------
    SlipscanError
        most of the data lies outside the range and is no fill: it is another quantity, unit or scale
    """
    screen = Screen(kind, where)
    screen(values)
    screen.report()
    return values
