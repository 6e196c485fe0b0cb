"""The sections of the configuration about the GNSS archive and GNSS's own transients (see `settings`)."""

from __future__ import annotations

from pydantic import Field

from slipscan.models import Frozen
from slipscan.settings_archive import Url


class GnssDetectSettings(Frozen):
    """Transients that a GNSS network finds by itself."""

    false_alarms_per_yr: float = Field(
        0.2, ge=0.001, le=10, description="published false alarms of the network, per year, by simulated noise"
    )
    simulated_yr: float = Field(100.0, ge=10, le=10000, description="years of noise that the threshold comes from")
    seed: int = Field(1, ge=0, lt=2**31, description="of the simulated noise")
    min_share: float = Field(
        0.6, ge=0, le=1, description="share of the stations' chi square that one source must explain, to be published"
    )
    min_without_one: float = Field(
        9.0, ge=0, le=1000, description="T2 that must be left without any one station, to be published"
    )
    mixed_statistic: float = Field(30.0, ge=0, le=1e6, description="T2 of a second source from which an event is mixed")
    mixed_share: float = Field(
        0.03,
        ge=0,
        le=1,
        description="and its share of the first's T2: no source of the grid fits a strong event exactly",
    )


class NglSettings(Frozen):
    """The archive of daily GNSS positions (Nevada Geodetic Laboratory), for `slipscan gnss fetch`."""

    url: Url = Field("https://geodesy.unr.edu", description="server of the positions, the holdings and the steps")
    frame: str = Field("IGS20", pattern=r"^[A-Za-z0-9]+$", description="reference frame of the positions")
    series_path: str = Field(
        "gps_timeseries/{frame}/tenv3/{frame}/{station}.tenv3",
        description="where a station's positions lie; 'gps_timeseries/tenv3/{frame}/{station}.tenv3' for frame IGS14",
    )
    holdings_path: str = Field("NGLStationPages/DataHoldings.txt", description="where the list of stations lies")
    steps_path: str = Field("NGLStationPages/steps.txt", description="where the table of steps lies")
    max_distance_km: float = Field(
        50.0, ge=0, le=2000, description="stations so far from the region's polygon are fetched, where it names none"
    )
    min_days: int = Field(365, ge=1, le=20000, description="stations with fewer positions in the list are not fetched")
    parallel: int = Field(2, ge=1, le=4, description="connections at once: the server is slow")
    earthquakes: str | None = Field(
        None,
        description="CSV (time, latitude, longitude, mag, id) of earthquakes, for stations without known steps",
    )
