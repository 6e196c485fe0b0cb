"""The section `archive` of the configuration: search, download, what is corrected, what is ordered (see `settings`)."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from slipscan.models import Frozen, IsoDate

Url = Annotated[str, Field(pattern=r"^https?://\S+$")]


class SimulatedArchive(Frozen):
    """The synthetic archive: what it writes, in the layout of a LiCSAR frame."""

    scenario: Literal["ismetpasa", "quiet", "north_anatolian"] = Field(
        "ismetpasa",
        description="'ismetpasa' plants two slow slip events, 'quiet' none, 'north_anatolian' those of six years with"
        " creep bursts, what is no slow slip, and sixteen GNSS stations",
    )
    seed: int = Field(2021, ge=0, lt=2**31)
    start: IsoDate = Field("2018-01-04", description="first acquisition")
    epochs: int = Field(60, ge=5, le=1000)
    interval_d: int = Field(12, ge=1, le=60, description="days between acquisitions")
    missing_epoch_fraction: float = Field(0.05, ge=0, le=0.5)
    pairs_per_epoch: int = Field(3, ge=1, le=10, description="interferograms from an epoch to later ones")
    posting_deg: float = Field(0.0025, gt=0.0001, le=0.05)
    turbulence_std_mm: float = Field(8.0, ge=0, le=1000, description="median over epochs; log-normal between epochs")
    stratified_mm_per_km: float = Field(8.0, ge=0, le=1000, description="standard deviation of the slope with height")
    ramp_std_mm: float = Field(5.0, ge=0, le=1000, description="standard deviation of a plane across the scene")
    white_std_mm: float = Field(2.0, ge=0, le=1000, description="decorrelation of one interferogram's pixel")


class DownloadSettings(Frozen):
    """How files are fetched over HTTP."""

    parallel: int = Field(4, ge=1, le=32, description="files at once")
    attempts: int = Field(6, ge=1, le=50, description="tries of a file before it is given up")
    backoff_s: float = Field(
        2.0, ge=0, le=600, description="wait before the second try; doubled for each further one, with jitter"
    )
    max_wait_s: float = Field(
        300.0, ge=0, le=86400, description="longest wait between tries, whatever Retry-After asks for"
    )
    connect_timeout_s: float = Field(20.0, ge=0.01, le=3600)
    read_timeout_s: float = Field(60.0, ge=0.01, le=3600, description="silence after which a transfer is begun again")
    keep_granules: bool = Field(
        False, description="keep whole granules in the cache after their part of the region was cut out"
    )


class Corrections(Frozen):
    """What is taken out of every archive's displacements, once; what was applied is recorded per epoch."""

    tide: bool = Field(True, description="solid Earth tide, where the archive gives it")
    ionosphere: bool = Field(True, description="ionospheric delay, where the archive gives it")
    troposphere: Literal["none", "gacos", "era5", "opera_tropo"] = Field(
        "none",
        description="delay of every acquisition: 'gacos' and 'era5' from files in archive.troposphere_dir ('gacos' of"
        " licsar from the archive itself), 'opera_tropo' is fetched; 'none' leaves it to the denoiser",
    )
    plate_motion: bool = Field(False, description="rigid motion of the region's plate (key 'plate', ITRF2014)")


class Hyp3Settings(Frozen):
    """On-demand interferograms: which pairs are ordered, and what they may cost."""

    product: Literal["INSAR_ISCE_MULTI_BURST", "ARIA_S1_GUNW"] = "INSAR_ISCE_MULTI_BURST"
    looks: Literal["20x4", "10x2", "5x1"] = Field("20x4", description="multilooking; 80, 40, 20 m pixels")
    neighbours: int = Field(3, ge=1, le=10, description="interferograms from an epoch to later ones")
    max_baseline_m: float = Field(
        400.0, gt=0, le=10000, description="pairs with a longer perpendicular baseline are left out"
    )
    max_interval_d: int = Field(72, ge=6, le=400, description="pairs of neighbours longer than this are left out")
    annual: bool = Field(True, description="one more pair per epoch, about a year long (bridges seasons)")
    start: IsoDate = Field("2014-10-01", description="earliest acquisition")


class ArchiveSettings(Frozen):
    """Search and fetch."""

    data_root: str | None = Field(
        None,
        description="directory that 'local' paths are below; default: environment variable SLIPSCAN_DATA",
    )
    manifests: str | None = Field(
        None, description="directory of pinned manifests ({region}_{track}.csv) to replay without a search"
    )
    cmr_url: Url = Field(
        "https://cmr.earthdata.nasa.gov", description="catalogue that asf_search asks (aria, opera, hyp3)"
    )
    hyp3_url: Url = Field("https://hyp3-api.asf.alaska.edu", description="HyP3 API")
    licsar_url: Url = Field(
        "https://gws-access.jasmin.ac.uk/public/nceo_geohazards/LiCSAR_products", description="LiCSAR index pages"
    )
    dem: str | None = Field(
        None,
        description="GeoTIFF of ellipsoidal heights (m), any CRS, for 'aria', whose products carry none",
    )
    troposphere_dir: str | None = Field(
        None,
        description="directory of delays for corrections.troposphere: GACOS (YYYYMMDD.ztd with .ztd.rsc, or"
        " YYYYMMDD.ztd.tif) or ERA5 on pressure levels (ERA5_YYYYMMDD_HH.nc, the nearest full hour UTC)",
    )
    download: DownloadSettings = DownloadSettings()
    corrections: Corrections = Corrections()
    hyp3: Hyp3Settings = Hyp3Settings()
    simulated: SimulatedArchive = SimulatedArchive()
