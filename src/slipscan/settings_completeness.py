"""The section `completeness` of the configuration: which events are injected, and how many."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from slipscan.models import Frozen

SourceKind = Literal["strike_slip", "thrust", "normal", "volume"]


class CompletenessSettings(Frozen):
    """Magnitude at which 90 % of events are detected, by events that are injected into a region's own noise."""

    places: int = Field(3, ge=1, le=50, description="places along each side of the region: 3 makes 3 x 3")
    depths_km: tuple[Annotated[float, Field(gt=0, le=100)], ...] = Field(
        (3.0, 10.0), min_length=1, max_length=20, description="of the source's centre"
    )
    durations_d: tuple[Annotated[float, Field(ge=0, le=3650)], ...] = Field(
        (30.0, 180.0), min_length=1, max_length=20, description="t95 - t05"
    )
    kinds: tuple[SourceKind, ...] = Field(
        ("strike_slip", "thrust", "volume"), min_length=1, max_length=4, description="of source"
    )
    strikes_deg: tuple[Annotated[float, Field(ge=0, lt=360)], ...] | None = Field(
        None,
        min_length=1,
        max_length=36,
        description="Aki-Richards; default: the region's fault_strike_deg, or 0, 45, 90 and 135 where it has none",
    )
    injections: int = Field(8, ge=4, le=1000, description="events of each place, depth, duration, kind and strike")
    largest_mw: float = Field(
        7.0, ge=4, le=9, description="what is not found at it has no magnitude of completeness, and a note says why"
    )
    seed: int = Field(1, ge=0, lt=2**31, description="of the noise and the times of the events")
