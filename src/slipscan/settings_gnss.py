"""The sections of the configuration about GNSS archives and GNSS's own transients (see `settings`)."""

from __future__ import annotations

from pydantic import Field

from slipscan.models import Frozen


class GnssDetectSettings(Frozen):
    """Transients that a GNSS network finds by itself."""

    false_alarms_per_yr: float = Field(
        0.2, ge=0.001, le=10, description="expected false alarms per year of the network, by simulated noise"
    )
    simulated_yr: float = Field(100.0, ge=10, le=10000, description="years of noise that the threshold comes from")
    seed: int = Field(1, ge=0, lt=2**31, description="of the simulated noise")
    min_share: float = Field(
        0.6, ge=0, le=1, description="share of what the stations show that one source must explain, to be published"
    )
    min_without_one: float = Field(
        9.0, ge=0, le=1000, description="T2 that must be left without any one station, to be published"
    )
    mixed_statistic: float = Field(30.0, ge=0, le=1e6, description="T2 of a second source from which an event is mixed")
