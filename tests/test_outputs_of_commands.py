"""Every command that writes keeps what is the user's, before it has read any input."""

from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from slipscan.cli import app
from slipscan.errors import SlipscanError

REPOSITORY = Path(__file__).resolve().parents[1]
REGIONS = ("--regions", str(REPOSITORY / "config/regions.geojson"))
PLAN = ("--plan", str(REPOSITORY / "benchmarks/skill/slipbench.yaml"))

WRITES = {
    "timeseries": ("IN", "OUT"),
    "noise": ("IN", "OUT"),
    "denoise": ("IN", "OUT"),
    "calibrate": ("IN", "OUT"),
    "detect": ("IN", "OUT"),
    "source": ("IN", "--out", "OUT"),
    "completeness": ("IN", "--calibration", "IN", "--out", "OUT"),
    "gnss compare": ("IN", "stations", "tracks", "--out", "OUT"),
    "gnss detect": ("stations", "OUT"),
    "gnss fetch": ("ISMT", "OUT", *REGIONS),
    "agreement": ("stations", "--out", "OUT", "--stack", "s.zarr", "--denoised", "d.zarr"),
    "increment": ("IN", "gnss", "increments", "OUT"),
    "catalogue fold": (".", "OUT"),
    "catalogue fold with its pointer": (".", "c.gpkg", "--pointer", "OUT"),
    "catalogue export": ("csv", "IN", "OUT"),
    "catalogue diff": ("IN", "c.gpkg", "--table", "OUT"),
    "regions world": ("OUT", "--boundaries", "IN"),
    "plan": ("--plot", "OUT", *REGIONS),
    "report": ("IN", "results", "OUT", "map.png", "--region", "X"),
    "report with its map": ("IN", "results", "page.html", "OUT", "--region", "X"),
    "train": ("OUT",),
    "export": ("netcdf", "IN", "OUT"),
    "archive search": ("ISMT-TWIN", "087A", "OUT", "--as-of", "2020-01-01", *REGIONS),
    "archive fetch": ("ISMT-TWIN", "087A", "IN", "OUT", "inventory.csv", *REGIONS),
    "archive fetch with its inventory": ("ISMT-TWIN", "087A", "IN", "observations.zarr", "OUT", *REGIONS),
    "archive stations": ("ISMT-TWIN", "OUT", *REGIONS),
    "archive truth": ("ISMT-TWIN", "OUT", *REGIONS),
    "bench freeze": ("OUT", *PLAN),
    "bench skill": ("--method", "zero", "--page", "OUT", *PLAN),
    "bench stages": ("--page", "OUT"),
    "bench gnss": ("--stations", "stations", "--steps", "steps.txt", "--page", "OUT"),
    "bench twin": ("results", "X", "OUT"),
    "bench detect": ("--page", "OUT"),
    "bench source": ("--page", "OUT"),
    "bench planted": ("--page", "OUT"),
    "bench false-alarms": ("--page", "OUT"),
    "bench real": ("--data", "IN", "--method", "zero", "--page", "OUT"),
}
ELSEWHERE = {"docs", "init", "loopback", "cache prune"}
"""Commands with tests of their own."""
WRITES_NOTHING = {
    "score",
    "summary",
    "archive order",
    "catalogue query",
    "catalogue stats",
    "cluster clean",
    "archive status",
    "bench denoise",
    "bench bound",
    "bench gnss-verdict",
    "bench verify",
    "status",
}


def commands(group: typer.Typer, before: str = "") -> set[str]:
    found = {before + (c.name or c.callback.__name__) for c in group.registered_commands if c.callback}
    for inner in group.registered_groups:
        assert inner.typer_instance is not None
        found |= commands(inner.typer_instance, f"{inner.name} ")
    return found


def test_the_table_holds_every_command() -> None:
    written = {name.partition(" with ")[0] for name in WRITES}
    assert commands(app) == written | ELSEWHERE | WRITES_NOTHING


@pytest.mark.parametrize("command", WRITES)
def test_a_directory_of_the_users_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("precious")
    arguments = ["mine" if part == "OUT" else part for part in WRITES[command]]
    result = CliRunner().invoke(app, [*command.partition(" with ")[0].split(), *arguments])
    assert isinstance(result.exception, SlipscanError), result.output
    assert "mine" in str(result.exception) and "it is left as it is" in str(result.exception)
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "precious"
