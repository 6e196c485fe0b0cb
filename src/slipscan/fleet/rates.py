"""What a unit of work costs: measured here (docs/benchmarks), or given by a file (docs/scale.md)."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import Field

from slipscan.models import Frozen

Seconds = Annotated[float, Field(ge=0, le=1e6)]
Growth = Annotated[float, Field(ge=0, le=2)]
Positive = Annotated[float, Field(gt=0, le=1e9)]


LONG: Final = 300
"""Epochs of the series that the rates were measured on."""


SERIES: Final = frozenset({"opera"})
"""Archives whose granules are epochs of a series, not pairs."""


class Rates(Frozen):
    """Processor time, bytes and prices; million pixel-epochs are those of a stack, or pairs times pixels.

    A pixel-epoch costs more in a longer series: rates hold for 300 epochs, and `growth` is the exponent of the number
    of epochs (between 120 and 300 epochs, docs/benchmarks/stages.md).
    """

    start_s: Seconds = Field(4.0, description="processor seconds of a job before its work: Python, libraries")
    scheduler_s: Seconds = Field(6.0, description="of a job on a cluster: two more starts of Snakemake")
    timeseries_s_per_million: Seconds = Field(0.25, description="a million pairs times pixels (inversion.md, weighted)")
    noise_s_per_million: Seconds = Field(0.04, description="1,250 x 1,250 x 300 (stages.md)")
    denoise_s_per_million: Seconds = Field(0.46, description="1,250 x 1,250 x 300 on a CPU (stages.md)")
    null_s_per_million: Seconds = Field(
        0.036, description="one null stack of calibrate; 1,250 x 1,250 x 300 (stages.md)"
    )
    null_s: Seconds = Field(0.03, description="of one null stack, whatever its size (128 x 128 x 24, stages.md)")
    detect_s_per_million: Seconds = Field(0.44, description="1,250 x 1,250 x 300 (stages.md)")
    denoise_growth: Growth = Field(0.76, description="exponent of the number of epochs (stages.md)")
    null_growth: Growth = Field(0.3, description="likewise")
    detect_growth: Growth = Field(0.63, description="likewise")
    source_s_per_million: Seconds = Field(
        0.09,
        description="all tracks of a region together: its events (stages.md), and a pass over the series for those that"
        " a track did not find (8 of them in 1,250 x 1,250 x 300: 33 s)",
    )
    completeness_s: Seconds = Field(78.0, description="of a track, whatever its size (128 x 128 x 24, stages.md)")
    completeness_s_per_million: Seconds = Field(2.5, description="of a track beside it (512 x 512 x 120, stages.md)")
    fetch_s_per_million: Seconds = Field(
        0.1, description="a million pairs times pixels, cut out and put on the grid; given"
    )
    gpu_speedup: Positive = Field(20.0, description="of denoise on a GPU beside one core; given, not measured")
    granule_gb: dict[str, Positive] = Field(
        {"aria": 0.1, "opera": 0.4, "hyp3": 0.08, "licsar": 0.03, "local": 0.02, "simulated": 0.0005},
        description="of a file of each archive, as it is sent",
    )
    stream_mb_s: Positive = Field(8.0, description="of one download; given")
    revisit_d: Positive = Field(12.0, description="between acquisitions of a track")
    found: float = Field(0.9, gt=0, le=1, description="share of the acquisitions that an archive has")
    pairs_per_epoch: Positive = Field(3.0, description="interferograms an epoch")
    views: Positive = Field(
        1.3, description="of the tracks of one direction on a pixel, where there are several; given"
    )
    frame_km2: Positive = Field(45000.0, description="of an ARIA frame, the median of all")
    bytes_of_a_value: Positive = Field(3.0, description="of a float32 in a compressed store")
    cpu_hour_price: float = Field(0.04, ge=0, le=1e6, description="of one core, any currency; given")
    gpu_hour_price: float = Field(2.0, ge=0, le=1e6, description="of one GPU; given")
    tb_month_price: float = Field(20.0, ge=0, le=1e6, description="of disk; given")
