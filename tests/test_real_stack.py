"""Real displacement rasters of Kilauea (OPERA), put together with rioxarray and xarray as a user would."""

import logging
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from slipscan.noise import stage
from slipscan.settings import NoiseSettings
from slipscan.store import open_zarr

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import rioxarray

DIRECTORY = Path(__file__).resolve().parents[1].parent / "shared" / "data" / "kilauea" / "displacement"
FILES = sorted(DIRECTORY.glob("displacement_*.tif"))
pytestmark = [
    pytest.mark.skipif(not FILES, reason=f"the real rasters are not in {DIRECTORY}"),
    pytest.mark.filterwarnings("ignore::PendingDeprecationWarning"),
]


def put_together() -> xr.Dataset:
    """Five rasters since 2016-07-11, and that day as zeros; every fourth pixel of them."""
    layers = [rioxarray.open_rasterio(file, masked=True).squeeze("band")[::4, ::4] for file in FILES]
    days = ["2016-07-11"] + [file.stem.split("_")[2] for file in FILES]
    first = xr.zeros_like(layers[0]).where(layers[0].notnull())
    times = pd.DatetimeIndex([pd.Timestamp(day) for day in days], name="time")
    return xr.concat([first, *layers], dim=times).to_dataset(name="displacement").assign_attrs(crs="left by hand")


@pytest.mark.parametrize("kind", ["nc", "zarr"])
def test_noise_of_rasters_of_a_user(kind: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    dataset, path = put_together(), tmp_path / f"kilauea.{kind}"
    dataset["displacement"].attrs["units"] = "meters"
    if kind == "nc":
        dataset.to_netcdf(path)
    else:
        dataset.chunk(time=1).to_zarr(path, zarr_format=2)
    stage.write_noise(path, tmp_path / "noise.zarr", NoiseSettings())
    noise = open_zarr(tmp_path / "noise.zarr")
    assert "is not used: band" in caplog.text
    # Summer on the rim: millimetres of delay in an epoch, with the spectrum of turbulence.
    assert 2e-3 < float(noise["epoch_rms"].median()) < 15e-3
    assert 2.0 < float(noise["exponent"]) < 4.0
    np.testing.assert_array_equal(noise["time"].values[[0, -1]], np.array(["2016-07-11", "2016-09-21"], "M8[ns]"))
