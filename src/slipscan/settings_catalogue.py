"""The sections `catalogue` and `precursors` of the configuration: the fold, and what is learned from it."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from slipscan.models import Frozen

Positive = Annotated[float, Field(gt=0, le=1e5)]


class PrecursorSettings(Frozen):
    """The study of events before earthquakes (`slipscan catalogue stats --earthquakes`): state its grid before."""

    windows_d: tuple[Positive, ...] = Field(
        (30.0, 90.0, 180.0, 365.0), min_length=1, description="T: an earthquake counts so many days after t50"
    )
    radii_km: tuple[Positive, ...] = Field(
        (25.0, 50.0, 100.0), min_length=1, description="R: distance of an earthquake from the event's centroid"
    )
    magnitudes: tuple[Annotated[float, Field(ge=0, le=10)], ...] = Field(
        (5.0, 5.5, 6.0), min_length=1, description="M: smallest magnitude of an earthquake that counts"
    )
    shifts: int = Field(999, ge=19, le=10**6, description="random time shifts per region that make the null")
    seed: int = Field(1, ge=0, lt=2**31)
    afterslip_d: float = Field(
        30.0, ge=0, le=3650, description="events that begin within it after an earthquake near by are left out"
    )
    afterslip_km: float = Field(50.0, ge=0, le=1000, description="how near")
    afterslip_magnitude: float = Field(5.0, ge=0, le=10, description="and how large that earthquake is at least")
    known_before: bool = Field(
        True, description="an event counts as it was known before the earthquake; false: as it is known now (hindsight)"
    )


class CatalogueSettings(Frozen):
    """The fold over all increments."""

    match_gap_d: float = Field(24.0, ge=0, le=3650, description="events of two increments closer in time are the same")
    border_km: float = Field(
        5.0, ge=0, le=500, description="footprints of two regions closer than it may be one event across their border"
    )
