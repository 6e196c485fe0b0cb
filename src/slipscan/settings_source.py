"""Settings of the source stage."""

from __future__ import annotations

from pydantic import Field

from slipscan.models import Frozen


class SourceSettings(Frozen):
    """What made a transient."""

    max_points: int = Field(500, ge=50, le=2000, description="points of a track that a source is held against")
    poisson_ratio: float = Field(0.25, ge=0.01, le=0.49)
    join_gap_d: float = Field(24.0, ge=0, le=3650, description="transients of two tracks closer in time are one event")
    particles: int = Field(240, ge=50, le=20000, description="sources that stand for the posterior of a fault")
    searched: int = Field(32768, ge=64, le=1_000_000, description="sources of the prior that the search begins with")
    seed: int = Field(1, ge=0, lt=2**31, description="of the sampler")
    faults: str | None = Field(
        None, description="GeoJSON of mapped faults (LineStrings along strike); the nearest one enters the prior"
    )
    fault_distance_km: float = Field(15.0, gt=0, le=500, description="mapped faults farther away play no part")
    distributed_slip: bool = Field(
        False, description="also slip in patches on the nearest mapped fault, its smoothing chosen by evidence"
    )
    earthquakes: str | None = Field(
        None, description="CSV of earthquakes as ComCat writes it; default: none, and the log says so"
    )
    earthquake_distance_km: float = Field(
        50.0, gt=0, le=1000, description="earthquakes farther from the source's rectangle play no part"
    )
