"""One frozen model per stage: every key of the configuration, its unit (in the name), range and meaning.

`Settings.model_validate(config)` is the only place that fills defaults. `config/README.md` and
`workflow/schemas/*.json` are generated from these models by `slipscan docs`, and a test keeps them in step.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from slipscan.models import Frozen, IsoDate
from slipscan.models import iso_date as iso_date
from slipscan.regions import Identifier
from slipscan.settings_archive import ArchiveSettings as ArchiveSettings
from slipscan.settings_archive import Corrections as Corrections
from slipscan.settings_archive import DownloadSettings as DownloadSettings
from slipscan.settings_archive import Hyp3Settings as Hyp3Settings
from slipscan.settings_archive import SimulatedArchive as SimulatedArchive
from slipscan.settings_catalogue import CatalogueSettings as CatalogueSettings
from slipscan.settings_catalogue import PrecursorSettings as PrecursorSettings
from slipscan.settings_completeness import CompletenessSettings as CompletenessSettings
from slipscan.settings_gnss import GnssDetectSettings as GnssDetectSettings
from slipscan.settings_gnss import NglSettings as NglSettings
from slipscan.settings_source import SourceSettings as SourceSettings


class TimeseriesSettings(Frozen):
    """From interferograms to a displacement stack."""

    pixel_m: float = Field(200.0, ge=10, le=5000, description="cell size of the metric (UTM) grid")
    reference_radius_m: float = Field(3000.0, gt=0, le=1e6, description="radius of the reference area")
    min_reference_pixels: int = Field(10, ge=1, le=10**6, description="valid pixels needed in the reference area")
    min_coherence: float = Field(0.1, ge=0, le=1, description="pixels below it in an interferogram are masked")
    weights: Literal["coherence", "uniform"] = Field("coherence", description="weights of the inversion")
    min_temporal_coherence: float = Field(0.5, ge=0, le=1, description="pixels below it are masked")
    min_pair_fraction: float = Field(
        0.8, gt=0, le=1, description="share of the interferograms that must be valid in a pixel, after all masks"
    )
    disconnected: Literal["error", "split"] = Field(
        "error",
        description="a network in several parts: refuse, or split the series at the gap (own offsets)",
    )
    closure_error_mm: float = Field(
        10.0, gt=0, le=1000, description="triplets that misclose by more are counted as unwrapping errors"
    )
    norm: Literal["l2", "l1"] = Field(
        "l2",
        description="'l1': least sum of |residual|: a few unwrapping errors do not move it (6 times as slow or more)",
    )
    component_offsets: Literal["solve", "ignore"] = Field(
        "solve", description="whole cycles between connected components: solve by closure, or take the data as they are"
    )
    unwrapping_errors: Literal["report", "mask", "correct"] = Field(
        "mask", description="pixels of a pair whose triplets misclose by whole cycles: count, drop, or shift them back"
    )
    unwrapping_patches: Literal["report", "correct"] = Field(
        "correct",
        description="unwrapping errors of the series, patches whose edge jumps by whole cycles: count, or correct",
    )
    max_phase_bias_mm_yr: float | None = Field(
        3.0,
        gt=0,
        le=1000,
        description="pixels whose closure phase bias is significant and larger are masked; null: none",
    )


class NoiseSettings(Frozen):
    """What the air does in a region."""

    spectrum_bins: int = Field(24, ge=4, le=200)


class DenoiseSettings(Frozen):
    """The field without its atmosphere."""

    method: str = Field(
        "slipnet",
        min_length=1,
        description="denoiser: slipnet, classical, zero, rouet_leduc_2021, pixel_series, or path/to/file.py:Class",
    )
    weights: str | None = Field(
        None, description="shipped weights by name, or a .safetensors file; default: the method's own"
    )
    device: Literal["auto", "cpu", "cuda"] = "auto"
    options: dict[str, int | float | str | bool] = Field(
        {}, description="of the method, say orientations (slipnet) or filter_d (classical); see docs/denoiser.md"
    )


class DetectSettings(Frozen):
    """Transients at a stated false-alarm rate."""

    method: str = Field(
        "scan",
        min_length=1,
        description="detector: scan (of the displacement) or field (candidates of the denoiser, tested in the data)",
    )
    false_alarms_per_1e4km2_yr: float = Field(
        0.1, ge=0.0001, le=10, description="expected false alarms per 10,000 km2 and year, all tracks apart"
    )
    nulls: int = Field(32, ge=8, le=10000, description="null stacks of each kind, per track, for the calibration")
    seed: int = Field(1, ge=0, lt=2**31, description="of the null stacks")
    scales_km: tuple[Annotated[float, Field(gt=0, le=1000)], ...] = Field(
        (0.5, 1.0, 2.0, 4.0, 8.0),
        min_length=1,
        max_length=20,
        description="bands: differences of Gaussians of this width and twice it",
    )
    durations_d: tuple[Annotated[float, Field(ge=0, le=3650)], ...] = Field(
        (0.0, 36.0, 96.0),
        min_length=1,
        max_length=20,
        description="durations of the ramps that are tried; 0 is a step",
    )
    pixel_threshold: float = Field(3.5, gt=0, le=100, description="|statistic| from which a pixel joins a cluster")
    min_area_km2: float = Field(2.0, gt=0, le=1e6, description="smallest footprint")
    join_distance_km: float = Field(
        30.0, ge=0, le=1000, description="lobes within it that share a history are one event"
    )
    join_correlation: float = Field(0.7, ge=-1, le=1, description="of the histories of two lobes of one event")
    edge_epochs: int = Field(4, ge=1, le=50, description="epochs at each end without a two-sided baseline")
    faults: str | None = Field(
        None,
        description="GeoJSON of mapped faults: slip along them is looked for by its pattern; half of the false alarms",
    )


class GnssSettings(Frozen):
    """GNSS series beside InSAR events."""

    directory: str | None = Field(
        None,
        description="directory of .tenv3 files; default: the region's key 'gnss', or the simulated stations",
    )
    max_distance_km: float = Field(
        50.0, gt=0, le=1000, description="stations farther from the footprint are not compared"
    )
    min_epochs: int = Field(100, ge=10, le=10000, description="daily positions needed within the window")
    window_yr: float = Field(3.0, gt=0.2, le=30, description="span of the trajectory fit on either side of the event")
    sample_radius_m: float = Field(500.0, gt=0, le=1e5, description="InSAR is the median within it")
    min_log_likelihood_ratio: float = Field(3.0, gt=0, le=1000, description="needed for 'confirmed' or 'contradicted'")


class ReportSettings(Frozen):
    """Figures and pages."""

    title: str = "slipscan: a catalogue of slow slip events"


NoiseStructure = Literal["white", "gaussian", "power_law", "stratified", "heteroscedastic", "full"]


class TrainSettings(Frozen):
    """Training of the network (not part of `rule all`)."""

    network: str = Field(
        "slipnet", min_length=1, description="denoiser that is trained: a name or path/to/file.py:Class"
    )
    options: dict[str, int | float | str | bool] = Field({}, description="of that denoiser")
    name: str = Field("own", pattern=r"^[a-z0-9][a-z0-9-]*$", description="name of the weights")
    seed: int = Field(7, ge=0, lt=2**31)
    steps: int = Field(40000, ge=1, le=10**8, description="optimiser steps")
    batch: int = Field(4, ge=1, le=4096, description="scenes a step (of each process, where several train together)")
    workers: int = Field(1, ge=1, le=128, description="processes that draw scenes, beside each that trains")
    width: int = Field(48, ge=4, le=256, description="channels on coarse pixels (the prototype: at full resolution)")
    whitened: bool = Field(
        True, description="slipnet: images are whitened by the spectrum of their noise in two dimensions"
    )
    pixels: int = Field(96, ge=32, le=512, multiple_of=16, description="side of a training scene")
    epochs: int = Field(56, ge=20, le=500, description="median number of epochs of a training scene (prototype)")
    learning_rate: float = Field(1e-3, gt=0, le=1)
    decay_share: float = Field(0.3, gt=0, le=1, description="last part of the steps, over which the rate falls to 0")
    validation_scenes: int = Field(64, ge=1, le=10**6)
    slice_minutes: float = Field(90.0, gt=0, le=1e6, description="stop and keep a checkpoint after this wall time")
    noise: NoiseStructure = Field("full", description="of the scenes; less than 'full' to learn what it takes")
    easy_scenes: int = Field(12000, ge=1, le=10**9, description="events are larger in so many scenes, the first ones")
    start: str | None = Field(
        None, min_length=1, description="weights, a name or path, that the training begins with; default: random ones"
    )
    finetune_region: str | None = Field(
        None, description="noise product (.zarr) of a region's track: the shipped weights go on, in noise like its own"
    )


class Settings(Frozen):
    """The whole configuration."""

    regions_file: str = Field("config/regions.geojson", description="GeoJSON of regions and tracks")
    regions: tuple[Identifier, ...] | None = Field(
        None, min_length=1, description="ids to process; default: all of the file"
    )
    shard: str | None = Field(
        None, pattern=r"^[0-9]{1,9}/[0-9]{1,9}$", description="'i/n': only every n-th region, from the i-th (0-based)"
    )
    results_dir: str = Field(
        "results",
        pattern=r"^[^-{}\x00-\x1f][^{}\x00-\x1f]*$",
        description="where products go (without braces, which Snakemake takes for wildcards)",
    )
    cache_dir: str = Field("cache", description="content-addressed cache of granules and calibrations")
    as_of: IsoDate = Field("2026-06-30", description="latest end of an acquisition (quoted date)")
    calibration_as_of: IsoDate | None = Field(
        None, description="epochs up to it set noise and thresholds (a vintage); default: all epochs"
    )
    archive: ArchiveSettings = ArchiveSettings()
    timeseries: TimeseriesSettings = TimeseriesSettings()
    noise: NoiseSettings = NoiseSettings()
    denoise: DenoiseSettings = DenoiseSettings()
    detect: DetectSettings = DetectSettings()
    source: SourceSettings = SourceSettings()
    completeness: CompletenessSettings = CompletenessSettings()
    ngl: NglSettings = NglSettings()
    gnss: GnssSettings = GnssSettings()
    gnss_detect: GnssDetectSettings = GnssDetectSettings()
    catalogue: CatalogueSettings = CatalogueSettings()
    precursors: PrecursorSettings = PrecursorSettings()
    report: ReportSettings = ReportSettings()
    train: TrainSettings = TrainSettings()

    @model_validator(mode="before")
    @classmethod
    def _null_section_is_default(cls, config: Any) -> Any:
        """`detect:` with nothing below it is YAML's null: the section's defaults, not an error."""
        if isinstance(config, dict):
            return {key: value for key, value in config.items() if value is not None}
        return config
