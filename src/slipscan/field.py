"""The two types that carry the road: what was observed, and what a denoiser says happened."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from slipscan.errors import SlipscanError
from slipscan.fit.model import days_since_2014, design_matrix

if TYPE_CHECKING:  # torch takes seconds to start: stages and exports that only read a stack do without
    import torch

    from slipscan.fit.clean import Cleaned

Float = NDArray[np.float64]
Float32 = NDArray[np.float32]


class Sliced(Protocol):
    """An array (time, y, x) in a file, of which slices are read."""

    @property
    def shape(self) -> tuple[int, ...]:
        """(time, y, x)."""
        ...

    def __getitem__(self, key: tuple[slice, slice, slice], /) -> Any: ...


@dataclass(frozen=True)
class Observation:
    """A displacement series, or a tile of one: archives, simulators, slipbench and training scenes all give it.

    Attributes
    ----------
    displacement
        (time, y, x) cumulative line-of-sight displacement, m, positive toward the satellite, about any
        reference epoch; NaN = no data; in memory, or read where it is sliced
    time
        (time,) datetime64[ns], strictly ascending
    pixel_m
        side of a cell, m; rows run from north to south
    height
        (y, x) m, NaN = unknown; None: no heights
    los
        unit vector ground to satellite, (3,) or (3, y, x): east, north, up; None: unknown
    segment
        (time,) connected part of the network that an epoch belongs to; None: one part
    background_known
        rate and season were taken out beforehand; else a method estimates them itself
    noise
        the region's noise product (docs/products.md); None: not measured

    Raises
    ------
    SlipscanError
        dimensions that do not match, dates out of order
    """

    displacement: Float32 | Sliced
    time: NDArray[np.datetime64]
    pixel_m: float
    height: Float32 | None = None
    los: Float | None = None
    segment: NDArray[np.integer] | None = None
    background_known: bool = False
    noise: xr.Dataset | None = None
    _cleaned: dict[str, Cleaned] = field(default_factory=dict, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if len(self.displacement.shape) != 3 or 0 in self.displacement.shape:
            raise SlipscanError(f"a stack has the dimensions (time, y, x), none of them 0: {self.displacement.shape}")
        if len(self.time) != self.displacement.shape[0]:
            raise SlipscanError(f"a stack of {self.displacement.shape[0]} epochs came with {len(self.time)} dates")
        if self.height is not None and self.height.shape != self.shape:
            raise SlipscanError(f"heights of {self.height.shape} pixels came with a stack of {self.shape} pixels")
        if not (np.diff(self.time) > np.timedelta64(0)).all():
            raise SlipscanError("the dates of a stack are not in ascending order, or one occurs twice: sort them")

    @property
    def days(self) -> Float:
        """(time,) days since 2014-01-01."""
        return days_since_2014(self.time)

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.displacement.shape[1], self.displacement.shape[2]

    @property
    def design(self) -> Float:
        """Columns of the background of every pixel, (time, column): an offset a segment (+ rate, season)."""
        matrix, names = design_matrix(self.time, self.segment)
        return matrix[:, : names.count("offset")] if self.background_known else matrix

    def cleaned(self, device: torch.device | str = "cpu") -> Cleaned:
        """The series with the delay of every epoch taken out, worked out once for a device."""
        from slipscan.fit.clean import clean

        key = str(device)
        if key not in self._cleaned:
            self._cleaned[key] = clean(self.values, self.height, self.design, device=device)
        return self._cleaned[key]

    @property
    def cleaned_on(self) -> str:
        """A device that the cleaned series is on; the CPU where there is none yet."""
        return next(iter(self._cleaned), "cpu")

    def at(self, epochs: NDArray[np.bool_]) -> Observation:
        """The part of it at some epochs, (time,) bool."""
        segment = None if self.segment is None else self.segment[epochs]
        return dataclasses.replace(
            self, displacement=self.values[epochs], time=self.time[epochs], segment=segment
        )  # fmt: skip

    def tile(self, rows: slice, columns: slice) -> Observation:
        """The part of it in some rows and columns."""
        los = self.los[:, rows, columns] if self.los is not None and self.los.ndim == 3 else self.los
        height = None if self.height is None else self.height[rows, columns]
        part = np.asarray(self.displacement[:, rows, columns], np.float32)
        return dataclasses.replace(self, displacement=part, height=height, los=los)

    @property
    def values(self) -> Float32:
        """(time, y, x) the displacement in memory, m."""
        return np.asarray(self.displacement[:, :, :], np.float32)


@dataclass(frozen=True)
class Candidate:
    """One thing that may have happened: displacement is map x history.

    Attributes
    ----------
    map, std
        (y, x) displacement from the first to the last epoch and its standard deviation, m
    history
        (time,) fraction of it, 0 at the first epoch and 1 at the last
    evidence
        energy that map and data have in common, noise being 1: about the square of a matched filter's
        signal-to-noise ratio
    place
        rows and columns of a scene that the map covers; None: all of what was observed
    """

    map: Float32
    std: Float32
    history: Float
    evidence: float
    place: tuple[slice, slice] | None = None


@dataclass(frozen=True)
class Field:
    """What a denoiser says happened.

    Attributes
    ----------
    transient, std
        (time, y, x) displacement by events about its temporal mean, m, positive toward the satellite, and its standard
        deviation; finite everywhere
    evidence
        (y, x) energy that data and events have in common near by, noise being 1; 0 of a method that states none
    candidates
        what the transient is made of, strongest first
    """

    transient: Float32
    std: Float32
    evidence: Float32
    candidates: tuple[Candidate, ...] = field(default=())

    @classmethod
    def of(cls, transient: NDArray[np.floating]) -> Field:
        """Of a method that states no standard deviation and no evidence: (time, y, x) m, about any reference."""
        about_mean = np.asarray(transient - transient.mean(axis=0), np.float32)
        return cls(about_mean, np.zeros_like(about_mean), np.zeros(about_mean.shape[1:], np.float32))


class Denoiser(Protocol):
    """What takes the atmosphere out: one class, in a file of its own (see `denoise.registry`)."""

    @property
    def label(self) -> str:
        """Name, and of what was trained the first digits of its weights' sha256, as it stands in the catalogue."""
        ...

    @property
    def tiles_at_once(self) -> int:
        """Tiles that `fields` is best given together: one, or as many as keep an accelerator busy."""
        ...

    def fields(self, observations: Sequence[Observation]) -> list[Field]:
        """What happened in each of a batch of observations."""
        ...
