"""The arrays of the transients product: maps of what was found, its history, times and size."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from slipscan.detect.beside import beside_each
from slipscan.detect.composite import errors_of, is_residue, may_be_step, reached_day, shares_of
from slipscan.detect.maps import amplitude_maps, change_weights, size_error
from slipscan.detect.ramp import Ramp
from slipscan.detect.track import Track
from slipscan.detect.transient import FAULT, Transient

Float = NDArray[np.float64]
Float32 = NDArray[np.float32]
Bool = NDArray[np.bool_]

ORIGIN: Final = np.datetime64("2014-01-01", "ns")
MAPS: Final = ("transient", "y", "x")


@dataclass(frozen=True)
class Whole:
    """A transient with all its parts at full resolution.

    Attributes
    ----------
    found
        what was found
    map, std, footprint
        (y, x) m, m and bool
    ramps, shares
        histories of the parts, and the share of each in the map
    weight
        (time,) of the epochs whose sum is the map
    """

    found: Transient
    map: Float32
    std: Float32
    footprint: Bool
    ramps: list[Ramp]
    shares: Float
    weight: Float

    def course(self, time: NDArray[np.datetime64]) -> Float:
        """(time,) fraction reached."""
        return np.asarray(self.shares @ np.array([ramp.column(time) for ramp in self.ramps]))

    def day(self, fraction: float) -> float:
        """When a fraction was reached, days since 2014-01-01."""
        return reached_day(self.ramps, self.shares, fraction)

    @property
    def inside(self) -> Float32:
        """(y, x) the map in the footprint, 0 elsewhere."""
        return np.where(self.footprint, np.nan_to_num(self.map), np.float32(0.0))


def arrays(
    dataset: xr.Dataset,
    track: Track,
    found: Sequence[Transient],
    p_values: Sequence[float],
    beside: Sequence[Transient] = (),
) -> xr.Dataset:
    """Arrays of the transients product, in the order of `found`; `beside` happened, too, but are not in it."""
    wholes = _wholes(track, found, beside)
    n, shape = len(wholes), track.seen.shape
    out = xr.Dataset(
        {
            "map": (MAPS, np.array([one.map for one in wholes], np.float32).reshape(n, *shape)),
            "map_std": (MAPS, np.array([one.std for one in wholes], np.float32).reshape(n, *shape)),
            "footprint": (MAPS, np.array([one.footprint for one in wholes], bool).reshape(n, *shape)),
            "history": (
                ("transient", "time"),
                np.array([one.course(track.epochs.time) for one in wholes]).reshape(n, len(track.epochs)),
            ),
            "change_weight": (
                ("transient", "time"),
                np.array([one.weight for one in wholes]).reshape(n, len(track.epochs)),
            ),
            "change_error": ("transient", np.array([_size_error(one, track.epochs.time) for one in wholes], float)),
            "statistic": ("transient", np.array([one.found.statistic for one in wholes], float)),
            "p_value": ("transient", np.array(p_values, float)),
            **_sizes(wholes, dataset, track),
            **_ends(wholes, track),
        },
        coords={
            "transient": np.arange(n),
            "time": dataset["time"],
            **{f"t{round(100 * part):02d}": ("transient", _dates(wholes, part)) for part in (0.05, 0.5, 0.95)},
        },
    )
    for name in ("los_east", "los_north", "los_up", "height"):
        if name in dataset:
            out[name] = dataset[name]
    return out.assign_coords({name: dataset[name] for name in ("x", "y", "spatial_ref")})


def _wholes(track: Track, found: Sequence[Transient], beside: Sequence[Transient]) -> list[Whole]:
    """Maps of all parts, each beside the others, put together."""
    flat = [part for one in found for part in _parts(one)]
    ramps = [ramp for _, ramp in flat]
    others = beside_each(track, [*flat, *(part for one in beside for part in _parts(one))])[: len(flat)]
    maps, stds = amplitude_maps(track, ramps, others)
    weights = change_weights(track, ramps, others)
    rows, cols = track.seen.shape
    out, first = [], 0
    for one in found:
        some = slice(first, first + len(_parts(one)))
        first = some.stop
        mask = one.footprint.repeat(track.factor, axis=0).repeat(track.factor, axis=1)[:rows, :cols]
        std = np.sqrt((stds[some] ** 2).sum(axis=0))
        shares, weight = shares_of(maps[some], mask), weights[some].sum(axis=0)
        out.append(Whole(one, maps[some].sum(axis=0), std, mask, ramps[some], shares, weight))
    return out


def _parts(transient: Transient) -> list[tuple[Bool, Ramp]]:
    """Footprint of the whole and history of every part."""
    return [(transient.footprint, part.ramp) for part in transient.mapped]


def _beyond(whole: Whole, name: str, otherwise: bool) -> bool:
    """Whether an end lies beyond the series: by the posterior of any part, or else by the history."""
    known = [part.timing for part in whole.found.mapped if part.timing is not None]
    return any(bool(getattr(one, name)) for one in known) if known else otherwise


def _dates(wholes: Sequence[Whole], fraction: float) -> NDArray[np.datetime64]:
    reached = np.array([one.day(fraction) for one in wholes], float)
    return np.asarray(ORIGIN + (reached * 86400).round().astype("timedelta64[s]"))


def _sizes(wholes: Sequence[Whole], dataset: xr.Dataset, track: Track) -> dict[str, Any]:
    """Peaks, area, who proposed it, and whether it looks like an unwrapping fault."""
    pixel_km2 = (track.seen.pixel_m / 1e3) ** 2
    coherence = dataset["temporal_coherence"].values if "temporal_coherence" in dataset else None
    residue = [
        is_residue(one.map, one.footprint, coherence, may_be_step(one.found, track.epochs.days), pixel_km2)
        for one in wholes
    ]
    origins = np.array([one.found.origin for one in wholes], str)
    return {
        "found_by_field": ("transient", origins == "field"),
        "found_on_fault": ("transient", origins == FAULT),
        "residue": ("transient", np.array(residue, bool)),
        "peak_positive": ("transient", np.array([max(one.inside.max(), 0.0) for one in wholes], float)),
        "peak_negative": ("transient", np.array([min(one.inside.min(), 0.0) for one in wholes], float)),
        "area": ("transient", np.array([one.footprint.sum() * pixel_km2 for one in wholes], float)),
    }


def _size_error(whole: Whole, time: NDArray[np.datetime64]) -> float:
    """What the size of the map of all parts may be wrong by, over the size: 0 where no part has likely histories."""
    parts = zip(whole.found.mapped, whole.shares, strict=True)
    errors = [
        share * size_error(whole.weight, time, part.ramp, part.timing.alike)
        for part, share in parts
        if part.timing is not None and part.timing.alike
    ]
    return float(np.hypot.reduce([0.0, *errors]))


def _ends(wholes: Sequence[Whole], track: Track) -> dict[str, Any]:
    """Errors of the times, and whether they lie beyond the series."""
    days = track.epochs.days
    errors = np.array([errors_of(one.found) for one in wholes], float).reshape(len(wholes), 3)
    late = [_beyond(one, "ongoing", one.day(0.95) >= days[-1]) for one in wholes]
    early = [_beyond(one, "left_censored", one.day(0.05) <= days[0]) for one in wholes]
    return {
        "ongoing": ("transient", np.array(late, bool)),
        "left_censored": ("transient", np.array(early, bool)),
        **{f"{name}_error": ("transient", errors[:, i]) for i, name in enumerate(("t05", "t50", "t95"))},
    }
