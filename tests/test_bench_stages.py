"""The table of speeds: real processes on a stack that is what it says."""

import re
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from slipbench import stages
from slipscan.cli import app
from slipscan.errors import SlipscanError
from slipscan.stack import open_stack


@pytest.mark.slow
def test_every_stage_is_run_and_measured(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    options = ["--size", "40x48x24", "--directory", str(tmp_path), "--set", "method=classical", "--page", str(page)]
    few = ("places=1", "injections=4", 'kinds=["volume"]', "depths_km=[3]", "durations_d=[30]")
    options += [word for option in few for word in ("--completeness", option)]
    done = CliRunner().invoke(app, ["bench", "stages", *options], catch_exceptions=False)
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in done.stdout.splitlines() if "40 x 48" in line]
    names = ["noise", "denoise", "calibrate", "detect", "source", "completeness", "calibrate + detect"]
    assert [row[1] for row in rows] == names
    for wall, processor, rate, floor, passes, files, peak in (row[2:] for row in rows):
        assert float(wall) > 0.2 and float(processor) > 0 and 0.05 < float(peak) < 4 and float(files) >= 0
        assert rate == "-" or 0 < float(rate) < 40 * 48 * 24 / 1e6 / 0.05
        assert 0 < float(floor) < float(wall) and float(passes.replace(",", "")) > 1
    text = page.read_text()
    assert "--size 40x48x24" in text and "method=classical" in text and all(name in text for name in names)
    assert list(tmp_path.iterdir()) == [page], "stacks and products are removed"


def test_the_stack_has_air_without_a_seam_and_one_step(tmp_path: Path) -> None:
    size = stages.Size(20, stages.TORUS + 40, 4)
    stages.make_stack(tmp_path / "stack.zarr", size)
    values = open_stack(tmp_path / "stack.zarr", metric=False)["displacement"].values
    assert values.shape == (4, 20, stages.TORUS + 40) and not values[0].any()
    steps = np.abs(np.diff(values[1], axis=1)).mean(axis=0)
    assert steps[stages.TORUS - 1] < 3 * np.median(steps)
    assert values[3, 10, size.columns // 2] - values[1, 10, size.columns // 2] == pytest.approx(
        stages.EVENT_M, abs=0.025
    )


@pytest.mark.parametrize("text", ["512", "0x1x1", "512x512", "axbxc"])
def test_a_size_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(SlipscanError, match=re.escape(repr(text))):
        stages.Size.of(text)


def test_a_stage_that_fails_says_why(tmp_path: Path) -> None:
    with pytest.raises(SlipscanError, match="slipscan noise failed: slipscan: error: "):
        stages.cost_of("noise", [str(tmp_path / "none.zarr"), str(tmp_path / "out.zarr")])


def test_the_peak_is_that_of_the_stage_not_of_the_process_that_measures() -> None:
    held = bytearray(600_000_000)
    small = stages._cost("small", ["-c", "import time; time.sleep(0.2)"])
    large = stages._cost("large", ["-c", "import time; held = bytearray(b'1') * 200_000_000; time.sleep(0.2)"])
    del held
    assert small.peak_bytes < 1e8 < 2e8 <= large.peak_bytes < 4e8
