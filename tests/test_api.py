"""The public API: its examples run, it imports nothing heavy, and says what the stages of the command line say."""

import doctest
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import slipscan
from slipscan import api
from slipscan.denoise.methods.classical import Classical
from slipscan.denoise.stage import write_denoised
from slipscan.detect.stage import write_transients
from slipscan.errors import SlipscanError
from slipscan.events import read_events
from slipscan.settings import DenoiseSettings, DetectSettings, SourceSettings
from slipscan.source.stage import write_event_table
from slipscan.store import open_zarr, write_zarr

NULLS = 8
FEW = {"max_points": 60, "particles": 50, "searched": 64}


@pytest.fixture(scope="module")
def stack():
    """A scene with one event that nobody can miss."""
    return slipscan.simulate(seed=3, epochs=30, pixels=32, peak_m=0.2)


@pytest.mark.parametrize("name", api.__all__)
def test_examples_run(name: str) -> None:
    function = getattr(api, name)
    (test,) = doctest.DocTestFinder(recurse=False).find(function, name, globs={})
    assert test.examples
    result = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE).run(test)
    assert result.failed == 0


def test_importing_slipscan_imports_nothing_heavy() -> None:
    code = "import sys, slipscan; slipscan.__version__; print(*{'torch', 'xarray', 'pandas'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "\n"


def test_what_only_reads_stacks_and_tables_starts_without_torch() -> None:
    stages = ("timeseries.stage", "gnss.stage", "report.stage", "export.stack", "synthetic.positions")
    code = f"import sys, {', '.join(f'slipscan.{stage}' for stage in stages)}; print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"


@pytest.mark.parametrize("before", ["", "import slipscan.denoise.run; import slipscan.detect.stage; "])
def test_stages_are_called_by_name_whatever_was_imported_before(before: str) -> None:
    code = before + (
        "import slipscan; s = slipscan.simulate(3, epochs=12, pixels=32); d = slipscan.denoise(s, 'zero');"
        "print(float(abs(d.transient).max())); from slipscan.denoise import VERSION;"
        "\ntry: slipscan.detect(s, scale=1)\nexcept slipscan.errors.SlipscanError as error: print(error)"
        "\ntry: slipscan.nothing\nexcept AttributeError as error: print(error)"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    first, second, third = out.splitlines()
    assert first == "0.0"
    assert "scale" in second and second.startswith("slipscan.detect:")
    assert third == "module 'slipscan' has no attribute 'nothing'"


def test_it_says_what_the_stages_say(stack, tmp_path: Path) -> None:
    files = {name: tmp_path / f"{name}.zarr" for name in ("stack", "denoised", "transients")}
    write_zarr(stack.drop_vars("events"), files["stack"])
    write_denoised(files["stack"], files["denoised"], DenoiseSettings(method="classical"))
    write_transients(files["stack"], files["transients"], DetectSettings(nulls=NULLS), denoised=files["denoised"])
    write_event_table([files["transients"]], tmp_path / "events.parquet", SourceSettings(**FEW))

    denoised = slipscan.denoise(stack, "classical")
    assert denoised.equals(open_zarr(files["denoised"]).load())
    transients = slipscan.detect(stack, denoised, nulls=NULLS)
    product = open_zarr(files["transients"])
    assert len(transients) == product.sizes["transient"] > 0
    assert np.array_equal(transients["t50"], product["t50"])
    assert np.array_equal(transients["statistic"], product["statistic"])
    assert set(transients["threshold"]) == {product.attrs["threshold"]}
    events, _ = read_events(tmp_path / "events.parquet")
    again = slipscan.invert(stack, transients, **FEW)
    assert list(again.columns) == list(events.columns)
    for column in ("type", "t05", "region", "calibration_id", "found_by", "t50_err_days"):
        assert list(again[column]) == list(events[column])
    for column in ("longitude", "depth_km", "variance_explained", "peak_positive_mm", "area_km2", "statistic"):
        np.testing.assert_allclose(again[column], events[column], rtol=1e-3)


def test_a_footprint_is_where_the_ground_moved(stack) -> None:
    transients = slipscan.detect(stack, nulls=NULLS)
    row, column = np.unravel_index(int(np.abs(stack.events[-1].values).argmax()), stack.events.shape[1:])
    from slipscan.geometry import read_grid

    lon, lat = read_grid(stack).lonlat()
    from shapely import Point

    assert transients.geometry.iloc[0].buffer(0.02).contains(Point(lon[row, column], lat[row, column]))


def test_what_was_derived_is_left_aside_and_a_wrong_dataset_is_refused(stack, tmp_path: Path) -> None:
    denoised = slipscan.denoise(stack, Classical())
    assert denoised.attrs["weights"] == "classical" and "made by hand" in denoised.attrs["denoise_settings"]
    write_zarr(stack.drop_vars("events"), tmp_path / "stack.zarr")
    write_zarr(denoised, tmp_path / "denoised.zarr")
    whole = slipscan.open_stack(str(tmp_path / "stack.zarr"), str(tmp_path / "denoised.zarr"))
    assert slipscan.denoise(whole, "classical")["transient"].equals(denoised["transient"])
    with pytest.raises(SlipscanError, match="made by hand"):
        slipscan.detect(stack, denoised, method="field")
    with pytest.raises(SlipscanError, match="of another stack"):
        slipscan.detect(stack.isel(time=slice(0, 25)), denoised, nulls=NULLS)
    with pytest.raises(SlipscanError, match="displacement"):
        slipscan.denoise(stack.drop_vars("displacement"))
    with pytest.raises(SlipscanError, match="lacks the column 't05'"):
        slipscan.invert(stack, slipscan.detect(stack, nulls=NULLS).drop(columns="t05"))


def test_an_implausible_value_is_left_out_but_not_in_the_array_of_the_caller(stack) -> None:
    given = stack.copy(deep=True)
    given["displacement"][5, 4, 3] = 9999.0
    before = given.copy(deep=True)
    found = slipscan.denoise(given, "classical")
    assert given.identical(before)
    assert float(abs(found["transient"]).max()) < 1.0
