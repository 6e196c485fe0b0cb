"""One true scene in the layouts of four archives, through the real clients, must come back as one stack."""

from __future__ import annotations

import dataclasses
import datetime
import itertools
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from job_builders import job_of, observed
from slipscan.geometry import Grid, read_grid
from slipscan.regions import Region, read_regions
from slipscan.settings import ArchiveSettings, TimeseriesSettings
from slipscan.store import open_zarr
from slipscan.timeseries.stage import write_stack
from slipscan_loopback.archive import Layout, LoopbackArchive
from slipscan_loopback.scene import TrueScene, acquisitions

FAMILIES = ("aria", "opera", "hyp3", "licsar")
AS_OF = "2021-01-01"
LAYOUT = Layout(neighbours=2, opera_reference_every=3, opera_posting_m=90.0, hyp3_posting_m=80.0)
SERIES = TimeseriesSettings(pixel_m=400, reference_radius_m=1200, min_coherence=0.2, min_temporal_coherence=0.5)
pytestmark = pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")


@pytest.fixture(scope="module")
def scene() -> TrueScene:
    return TrueScene(dates=acquisitions(count=7), event_onset=datetime.date(2020, 1, 20), tide_m=0.0, ionosphere_m=0.0)


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory, scene: TrueScene) -> Iterator[LoopbackArchive]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EARTHDATA_TOKEN", "loopback-secret")
        with LoopbackArchive(tmp_path_factory.mktemp("loopback"), scene, layout=LAYOUT, polls=1) as running:
            (running.directory / "regions.geojson").write_text(json.dumps(running.regions()))
            yield running


def region_of(archive: LoopbackArchive, family: str) -> Region:
    return read_regions(archive.directory / "regions.geojson")[f"LOOP-{family.upper()}"]


def stack_of(archive: LoopbackArchive, family: str, out: Path) -> xr.Dataset:
    """Search, (order,) fetch and invert as the rules do."""
    settings = ArchiveSettings.model_validate(archive.config()["archive"])
    job = job_of(region_of(archive, family), settings, out / "cache")
    write_stack(observed(job, AS_OF, out), out / "stack.zarr", SERIES)
    return open_zarr(out / "stack.zarr").load()


@pytest.fixture(scope="module")
def stacks(archive: LoopbackArchive, tmp_path_factory: pytest.TempPathFactory) -> dict[str, xr.Dataset]:
    return {family: stack_of(archive, family, tmp_path_factory.mktemp(family)) for family in FAMILIES}


def expected(scene: TrueScene, stack: xr.Dataset) -> np.ndarray:
    """The truth's mean over every pixel of the stack, (time, y, x) m; it is zero at the reference point."""
    grid = read_grid(stack)
    days = stack["time"].values.astype("datetime64[D]").tolist()
    steps = (np.arange(5) - 2) / 5
    total = np.zeros((len(days), *grid.shape))
    for right, down in itertools.product(steps, steps):
        dx, dy = grid.spacing
        lon, lat = Grid(grid.x + right * dx, grid.y - down * dy, grid.crs).lonlat()
        total += np.stack([scene.displacement(lon, lat, day) for day in days])
    return total / len(steps) ** 2


@pytest.mark.parametrize("family", FAMILIES)
def test_every_archive_gives_the_true_scene(family: str, stacks: dict[str, xr.Dataset], scene: TrueScene) -> None:
    stack = stacks[family]
    assert [str(day)[:10] for day in stack["time"].values] == [day.isoformat() for day in scene.dates]
    values = stack["displacement"].values
    valid = np.isfinite(values[-1])
    assert valid.mean() > 0.5
    difference = (values - expected(scene, stack))[:, valid]
    assert np.abs(difference).max() < 1e-4, f"{1e3 * np.abs(difference).max():.3f} mm"
    # A truth that a flipped sign could not meet.
    assert np.abs(expected(scene, stack)[-1][valid]).max() > 5e-3


@pytest.mark.parametrize("family", FAMILIES[1:])
def test_archives_agree_in_grid_geometry_and_height(family: str, stacks: dict[str, xr.Dataset]) -> None:
    one, other = stacks["aria"], stacks[family]
    np.testing.assert_array_equal(one["x"], other["x"])
    np.testing.assert_array_equal(one["y"], other["y"])
    for name in ("los_east", "los_north", "los_up"):
        assert float(np.nanmax(np.abs(one[name] - other[name]))) < 2e-3, name
    both = np.isfinite(one["displacement"].values) & np.isfinite(other["displacement"].values)
    difference = np.abs(one["displacement"].values - other["displacement"].values)[both]
    assert difference.max() < 1e-4, f"{1e3 * difference.max():.3f} mm"


def test_tide_and_ionosphere_of_the_products_are_taken_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scene: TrueScene
) -> None:
    monkeypatch.setenv("EARTHDATA_TOKEN", "loopback-secret")
    disturbed = dataclasses.replace(scene, dates=scene.dates[:4], tide_m=0.01, ionosphere_m=0.02)
    layout = dataclasses.replace(LAYOUT, neighbours=1)
    with LoopbackArchive(tmp_path / "loopback", disturbed, families=("aria", "opera"), layout=layout) as archive:
        (archive.directory / "regions.geojson").write_text(json.dumps(archive.regions()))
        found = {family: stack_of(archive, family, tmp_path / family) for family in ("aria", "opera")}
    lon, lat = read_grid(found["aria"]).lonlat()
    nuisance = disturbed.observed(lon, lat, scene.dates[3]) - disturbed.displacement(lon, lat, scene.dates[3])
    assert np.ptp(nuisance) > 5e-3, "otherwise a correction that is left out could not be seen"
    for family, stack in found.items():
        difference = stack["displacement"].values[-1] - expected(disturbed, stack)[-1]
        # OPERA rounds its correction layers to ten binary digits.
        assert np.nanmax(np.abs(difference)) < 1.5e-4, f"{family}: {1e3 * np.nanmax(np.abs(difference)):.3f} mm"
        assert json.loads(stack.attrs["corrections"])["tide"], family
