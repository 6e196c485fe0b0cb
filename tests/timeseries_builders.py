"""Observations of a known scene as the archive writes them, for the tests of the time-series stage."""

from __future__ import annotations

from pathlib import Path

import insar_scene as scenes
from job_builders import job_of, observed
from slipscan.settings import ArchiveSettings, TimeseriesSettings

SETTINGS = TimeseriesSettings(pixel_m=500.0, reference_radius_m=800.0, min_reference_pixels=5)


def observations(directory: Path, made: scenes.Scene, convention: str = "licsar") -> Path:
    """Write a scene's files and read them as product 'interferograms'."""
    scenes.WRITERS[convention](directory / "data", made)
    region = scenes.region(convention)
    job = job_of(region, ArchiveSettings(data_root=str(directory / "data")), directory)
    return observed(job, "2026-01-01", directory)
