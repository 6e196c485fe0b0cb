"""Crops put together: frames joined by whole cycles, corrections applied once, one lattice."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st
from pyproj import CRS

from job_builders import job_of
from slipscan.archive.joining.frames import join
from slipscan.archive.joining.lattice import place, union_grid
from slipscan.archive.joining.observations import assemble
from slipscan.archive.joining.plates import velocity
from slipscan.errors import SlipscanError
from slipscan.geometry import Grid, los_from_incidence_heading, write_grid
from slipscan.regions import Region, Track
from slipscan.settings import ArchiveSettings, Corrections
from slipscan.vocabulary import RADAR_WAVELENGTH_M, annotate

CYCLE = RADAR_WAVELENGTH_M / 2
SHAPE = (40, 30)
WGS84 = CRS.from_epsg(4326)
REGION = Region.model_validate(
    {
        "id": "JOIN",
        "name": "Join",
        "archive": "aria",
        "tracks": [{"id": "087A", "relative_orbit": 87, "orbit_direction": "ascending"}],
        "reference_point": (32.5, 40.9),
        "tectonic_setting": "test",
        "plate": "EU",
        "polygon": [(32.4, 40.8), (32.6, 40.8), (32.6, 41.0), (32.4, 40.8)],
    }
)
TRACK: Track = REGION.tracks[0]


def truth(shape: tuple[int, int] = SHAPE) -> np.ndarray:
    y, x = np.indices(shape)
    return (0.02 * np.sin(x / 7) * np.cos(y / 9)).astype(np.float32)


def frame(rows: slice, cycles: int = 0, offset: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Rows of the truth as a frame of its own, wrong by whole cycles."""
    values = np.full(SHAPE, np.nan, np.float32)
    values[rows] = truth()[rows] + np.float32(cycles * CYCLE + offset)
    return values, np.isfinite(values).astype(np.int16)


@given(st.lists(st.integers(-5, 5), min_size=2, max_size=4))
def test_frames_that_overlap_become_one_up_to_a_constant(cycles: list[int]) -> None:
    step = SHAPE[0] // len(cycles)
    frames = [frame(slice(max(0, i * step - 2), (i + 1) * step + 2), n) for i, n in enumerate(cycles)]
    joined = join([values for values, _ in frames], [labels for _, labels in frames], CYCLE)
    difference = joined.values - truth()
    assert np.nanmax(difference) - np.nanmin(difference) < 1e-6
    assert abs(np.nanmedian(difference) / CYCLE - round(float(np.nanmedian(difference) / CYCLE))) < 1e-3
    assert (joined.component[np.isfinite(joined.values)] == 1).all() and joined.unbridged == 0


def test_what_no_overlap_bridges_stays_a_component_of_its_own() -> None:
    frames = [frame(slice(0, 15)), frame(slice(18, 40), 2)]
    joined = join([values for values, _ in frames], [labels for _, labels in frames], CYCLE)
    assert (joined.component[18:] == 1).all(), "the larger one comes first"
    assert (joined.component[:15] == 2).all() and (joined.component[15:18] == 0).all()
    np.testing.assert_allclose(joined.values[18:], truth()[18:] + 2 * CYCLE, atol=1e-6)


def test_components_within_a_frame_are_bridged_through_the_neighbour() -> None:
    one, labels = frame(slice(0, 22))
    one[:, 15:] += np.float32(3 * CYCLE)
    labels[:22, 15:] = 2
    other, whole = frame(slice(18, 40))
    joined = join([one, other], [labels, whole], CYCLE)
    np.testing.assert_allclose(joined.values, truth(), atol=1e-6)
    assert (joined.component == 1).all() and joined.shifted == 1


def test_an_offset_that_is_no_whole_cycle_bridges_only_where_any_constant_may_differ() -> None:
    frames = [frame(slice(0, 22)), frame(slice(18, 40), offset=0.4 * CYCLE)]
    values, labels = zip(*frames, strict=True)
    apart = join(values, labels, CYCLE)
    assert apart.unbridged == 1 and set(np.unique(apart.component)) == {1, 2}
    together = join(values, labels, None)
    assert np.ptp(together.values - truth()) < 1e-6 and (together.component == 1).all()


def geographic(rows: int, columns: int, west: float = 32.4, north: float = 41.0, step: float = 0.01) -> Grid:
    return Grid(west + (np.arange(columns) + 0.5) * step, north - (np.arange(rows) + 0.5) * step, WGS84)


def test_union_of_extents_on_one_lattice() -> None:
    grids = [geographic(10, 10), geographic(5, 8, west=32.35, north=41.02)]
    union = union_grid(grids, ["a", "b"])
    assert union.shape == (12, 15)
    assert place(grids[0], union, "a") == (slice(2, 12), slice(5, 15))
    assert place(grids[1], union, "b") == (slice(0, 5), slice(0, 8))


@pytest.mark.parametrize(
    ("other", "words"),
    [
        (geographic(10, 10, west=32.404), "lies between the pixels"),
        (geographic(10, 10, step=0.011), "lies between the pixels"),
        (Grid(np.arange(5.0), np.arange(5.0)[::-1], CRS.from_epsg(32636)), "has CRS EPSG:32636"),
    ],
)
def test_other_lattices_are_refused(other: Grid, words: str) -> None:
    with pytest.raises(SlipscanError, match=words):
        union_grid([geographic(10, 10), other], ["a", "b"])


def crop(
    reference: str, secondary: str, value: float, layers: dict[str, float] | None = None, label: str = "1"
) -> tuple[pd.Series, xr.Dataset]:
    grid = geographic(20, 20)
    los = los_from_incidence_heading(np.full(grid.shape, 38.0), np.full(grid.shape, -12.0))
    fields = {"interferogram": np.full(grid.shape, value), "height": np.zeros(grid.shape)}
    fields |= dict(zip(("los_east", "los_north", "los_up"), los, strict=True))
    fields |= {name: np.full(grid.shape, constant) for name, constant in (layers or {}).items()}
    data = write_grid(xr.Dataset({name: (("y", "x"), values) for name, values in fields.items()}), grid)
    row = pd.Series({"granule": f"{reference}_{secondary}_{label}", "reference_date": reference,
                     "secondary_date": secondary, "frame": label})  # fmt: skip
    return row, annotate(data, "granule")


def zeros(shape: tuple[int, ...], dtype: type[np.generic]) -> np.ndarray:
    return np.zeros(shape, dtype)


def test_corrections_are_taken_out_once_and_recorded() -> None:
    crops = [crop("2020-01-03", "2020-01-15", 0.010, {"tide": 0.003, "ionosphere": -0.002})]
    both = assemble(crops, job_of(REGION), zeros)
    np.testing.assert_allclose(both["interferogram"].values, 0.010 - 0.003 + 0.002, atol=1e-7)
    assert json.loads(both.attrs["corrections"]) == {
        "tide": True, "ionosphere": True, "troposphere": False, "plate_motion": False,
    }  # fmt: skip
    none = assemble(
        crops, job_of(REGION, ArchiveSettings(corrections=Corrections(tide=False, ionosphere=False))), zeros
    )
    np.testing.assert_allclose(none["interferogram"].values, 0.010, atol=1e-7)


def test_a_layer_that_one_granule_lacks_is_applied_to_none(caplog: pytest.LogCaptureFixture) -> None:
    crops = [crop("2020-01-03", "2020-01-15", 0.01, {"tide": 0.003}), crop("2020-01-15", "2020-01-27", 0.01)]
    dataset = assemble(crops, job_of(REGION), zeros)
    np.testing.assert_allclose(dataset["interferogram"].values, 0.01, atol=1e-7)
    assert "1 of 2 granules of region JOIN track 087A have no layer 'tide'" in caplog.text


def test_a_missing_troposphere_that_was_asked_for_is_an_error() -> None:
    with pytest.raises(SlipscanError, match=r"1 of 1 granules .* no tropospheric delay of kind 'gacos'"):
        assemble(
            [crop("2020-01-03", "2020-01-15", 0.01)],
            job_of(REGION, ArchiveSettings(corrections=Corrections(troposphere="gacos"))),
            zeros,
        )


def test_plate_motion_follows_the_years_between_the_dates() -> None:
    crops = [crop("2020-01-01", "2020-12-31", 0.0), crop("2020-01-01", "2021-12-31", 0.0)]
    dataset = assemble(crops, job_of(REGION, ArchiveSettings(corrections=Corrections(plate_motion=True))), zeros)
    values = dataset["interferogram"].values[:, 10, 10]
    lon, lat = float(dataset["x"][10]), float(dataset["y"][10])
    east, north, _ = velocity("EU", np.array(lon), np.array(lat))
    toward = east * float(dataset["los_east"][10, 10]) + north * float(dataset["los_north"][10, 10])
    np.testing.assert_allclose(values, [-toward * 365 / 365.25, -toward * 730 / 365.25], rtol=1e-4)


@pytest.mark.parametrize(
    ("plate", "lon", "lat", "east_mm", "north_mm"),
    # ITRF2014 plate model at ANKR (Ankara's side of Eurasia), GOLD (North America), SYDN (Australia).
    [("EU", 32.76, 39.89, 24.1, 11.0), ("NA", -104.0, 40.0, -15.0, -8.5), ("AU", 151.2, -33.8, 18.0, 54.5)],
)
def test_plates_move_as_they_do(plate: str, lon: float, lat: float, east_mm: float, north_mm: float) -> None:
    east, north, up = velocity(plate, np.array(lon), np.array(lat)) * 1e3
    assert (east, north) == pytest.approx((east_mm, north_mm), abs=3.0) and up == 0


def test_frames_of_a_pair_are_one_interferogram_and_pairs_are_sorted() -> None:
    crops = [
        crop("2020-01-15", "2020-01-27", 0.02),
        crop("2020-01-03", "2020-01-15", 0.01 + CYCLE, label="2"),
        crop("2020-01-03", "2020-01-15", 0.01, label="1"),
    ]
    dataset = assemble(crops, job_of(REGION), zeros)
    assert dataset.sizes["pair"] == 2
    np.testing.assert_allclose(dataset["interferogram"].values[0], 0.01, atol=1e-6)
    assert str(dataset["reference_date"].values[0])[:10] == "2020-01-03"


def test_nothing_to_assemble_is_an_error() -> None:
    with pytest.raises(SlipscanError, match="no granule of region JOIN track 087A has data"):
        assemble([], job_of(REGION), zeros)
