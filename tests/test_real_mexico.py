"""Real interferograms of Mexico City (GAMMA signs): the figures of SOURCE.txt and docs/science.md are reproduced."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from job_builders import job_of, observed
from slipscan.regions import Region
from slipscan.settings import ArchiveSettings, TimeseriesSettings
from slipscan.store import open_zarr
from slipscan.timeseries import stage
from slipscan.timeseries.network import build_network, parts

DATA = Path(__file__).resolve().parents[1].parent / "shared" / "data"
WEST, SOUTH, EAST, NORTH = -99.1911, 19.3679, -99.0521, 19.4513

pytestmark = pytest.mark.skipif(
    not (DATA / "mexico_city").is_dir(), reason=f"the real interferograms are not at {DATA / 'mexico_city'}"
)


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("mexico")
    region = Region.model_validate(
        {
            "id": "MEXC",
            "name": "Mexico City",
            "archive": "local",
            "reference_point": (-99.1834, 19.4409),
            "tectonic_setting": "basin",
            "polygon": [(WEST, SOUTH), (EAST, SOUTH), (EAST, NORTH), (WEST, NORTH), (WEST, SOUTH)],
            "tracks": [
                {
                    "id": "005A",
                    "relative_orbit": 5,
                    "orbit_direction": "ascending",
                    "radar_wavelength_m": 0.05550416,
                    "local": {
                        "convention": "gamma",
                        "path": "mexico_city",
                        "incidence_deg": 39.7,
                        "heading_deg": -12.27,
                    },
                }
            ],
        }
    )
    archive = ArchiveSettings(data_root=str(DATA))
    observed(job_of(region, archive, directory), "2026-01-01", directory)
    settings = TimeseriesSettings(pixel_m=150, reference_radius_m=600)
    stage.write_stack(directory / "observations.zarr", directory / "stack.zarr", settings)
    return directory


def test_observations_match_the_known_counts(results: Path) -> None:
    dataset = open_zarr(results / "observations.zarr")
    assert dataset["interferogram"].shape == (30, 60, 100)
    assert int(np.isfinite(dataset["interferogram"].values).all(axis=0).sum()) == 5882
    network = build_network(dataset["reference_date"].values, dataset["secondary_date"].values)
    assert len(network.dates) == 13
    assert len(network.dates) - (parts(network).max() + 1) == 12  # the rank of the network


def test_velocities_match_the_known_subsidence(results: Path) -> None:
    stack = open_zarr(results / "stack.zarr")
    displacement = stack["displacement"].values.astype(float)
    displacement = displacement[:, np.isfinite(displacement).all(axis=0)]
    years = (stack["time"].values - stack["time"].values[0]) / np.timedelta64(1, "D") / 365.25
    velocity = np.polyfit(years, displacement, 1)[0]
    assert np.percentile(velocity, 99) - np.percentile(velocity, 1) == pytest.approx(0.29, abs=0.01)
    # All of the scene subsides: the 30 most stable pixels are those that subside least.
    velocity -= np.sort(velocity)[-30:].mean()
    assert velocity.min() == pytest.approx(-0.31, abs=0.01)
    assert np.median(velocity) == pytest.approx(-0.10, abs=0.01)


def test_closure_residual_matches(results: Path) -> None:
    stack = open_zarr(results / "stack.zarr")
    assert stack.attrs["misclosure_rms_m"] == pytest.approx(1.4e-3, abs=0.2e-3)
    assert stack.attrs["closure_triplets"] == 24
    assert np.nanmedian(stack["temporal_coherence"].values) > 0.9
