"""What slipbench holds: sizes, noise, classes. A frozen benchmark: a change of anything here is a new version."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from slipscan.models import Frozen, validate
from slipscan.texts import read_yaml

Family = Literal["A", "B", "C", "D", "E"]
Noise = Family | Literal["R"]
"""R is no family that is drawn: the noise of a real series (slipbench.real)."""
NULL = "null"


class EventClass(Frozen):
    """A class of the stratified set."""

    source: Literal["creep", "buried", "volume"]
    depth_km: tuple[float, float] = Field((0.0, 0.0), description="range of the top edge, or of the point")


class SkillPlan(Frozen):
    """A set of the benchmark (benchmarks/skill/slipbench.yaml and long.yaml)."""

    version: str = Field(pattern=r"^[0-9]+\.[0-9]+$")
    name: Literal["short", "long"] = "short"
    scenes: str = Field("scenes.csv", description="manifest, beside this file")
    pixels: int = Field(128, ge=16, le=1024, description="side of a scene; 64 km is the tile of a false alarm")
    pixel_m: float = Field(500.0, gt=0)
    epochs: int = Field(24, ge=10, le=1000, description="of the schedule; some fail")
    twice_as_long: float = Field(0.0, ge=0, le=1, description="share of the scenes that have twice as many")
    background: Literal["both", "unknown"] = Field(
        "both",
        description="rate and season known and unknown, the SNR being that with both known; or always unknown, the SNR"
        " being that beside them, in the noise's covariance in space and time, with the scene's gaps",
    )
    duration_d: tuple[float, float] = Field((6.0, 90.0), description="log-uniform")
    late_share: float | None = Field(
        None, ge=0, le=1, description="of events in the last half year, t50 being anywhere; None: in the inner half"
    )
    largest_mm: float | None = Field(None, gt=0, description="peak of an event, whatever its SNR would ask for")
    interval_d: float = Field(12.0, gt=0)
    missing_epochs: float = Field(0.1, ge=0, lt=1)
    missing_pixels: float = Field(0.1, ge=0, lt=1)
    turbulence_mm: float = Field(10.0, gt=0, description="standard deviation within the window, median epoch")
    strength_log_std: float = Field(0.4, ge=0, description="of the epochs' strength")
    stratified_mm_per_km: float = Field(10.0, ge=0, description="standard deviation of the slope; annual wave: half")
    ramp_mm: float = Field(5.0, ge=0)
    white_mm: float = Field(1.0, ge=0)
    families: tuple[Family, ...] = ("A", "B", "C", "D")
    classes: dict[str, EventClass]
    events_per_class: int = Field(300, ge=1, le=10**6)
    nulls: int = Field(2000, ge=10, le=10**6, description="scenes without an event per family, to measure false alarms")
    validation_nulls: int = Field(1000, ge=10, le=10**6, description="others, to choose thresholds")
    snr: tuple[float, float] = Field((2.0, 50.0), description="matched-filter SNR, log-uniform")
    scenario_realisations: int = Field(20, ge=1, le=10**6, description="of each named scenario in each family")
    null_share: float = Field(0.0, ge=0, le=1, description="of the scenes without an event, that is run at least")
    slow_share: float = Field(0.1, gt=0, le=1, description="of all scenes that slow methods run on")
    false_alarms_per_tile: float = Field(0.01, gt=0, lt=0.5)

    @property
    def backgrounds(self) -> tuple[str, ...]:
        """How rate and season are given to a method."""
        return ("known", "unknown") if self.background == "both" else ("unknown",)


def manifest_of(path: Path, plan: SkillPlan) -> Path:
    """The list of the frozen scenes of a plan that was read from `path`."""
    return path.with_name(plan.scenes)


def read_plan(path: Path) -> SkillPlan:
    """Read the benchmark's definition; raises SlipscanError where it makes no sense."""
    return validate(SkillPlan, read_yaml(path, "benchmark"), str(path))
