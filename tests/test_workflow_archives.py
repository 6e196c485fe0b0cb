"""The rules on archives that are fetched over HTTP, through Snakemake and the real clients."""

import dataclasses
from pathlib import Path

import pytest

from slipscan_loopback.archive import Layout, LoopbackArchive
from slipscan_loopback.scene import TrueScene, acquisitions
from workflow import Workflow

FAMILIES = ("aria",)  # the others are fetched as the rules do in test_archives_agree.py
SCENE = TrueScene(dates=acquisitions(count=4))
LAYOUT = Layout(neighbours=1, aria_frames=1)
STACKS = [f"results/LOOP-{family.upper()}/087A/stack.zarr" for family in FAMILIES]


def test_rules_fetch_what_is_new_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EARTHDATA_TOKEN", "loopback-secret")
    with LoopbackArchive(tmp_path / "loopback", SCENE, families=FAMILIES, layout=LAYOUT) as archive:
        config = {**archive.config(), "timeseries": {"pixel_m": 400, "reference_radius_m": 1200}}
        config["as_of"] = SCENE.dates[-2].isoformat()
        flow = Workflow(tmp_path / "flow", config, archive.regions())
        flow.run("--", "manifests")
        flow.run("--", *STACKS)
        assert all((flow.directory / stack).is_dir() for stack in STACKS)

        before = len([record for record in archive.server.requests if record.path.endswith((".nc", ".unw.tif"))])
        flow.configure({**config, "as_of": SCENE.dates[-1].isoformat()})
        flow.run("--", "manifests")
        flow.run("--", *STACKS)
        fetched = [record for record in archive.server.requests if record.path.endswith((".nc", ".unw.tif"))][before:]
        assert len(fetched) == len(FAMILIES), "one new interferogram each"
    assert not [
        log
        for log in (flow.directory / "results").rglob("*")
        if log.is_file() and b"loopback-secret" in log.read_bytes()
    ], "no token in logs, manifests or products"


def test_an_archive_that_cannot_be_reached_is_one_sentence(tmp_path: Path) -> None:
    layout = dataclasses.replace(LAYOUT)
    with LoopbackArchive(tmp_path / "loopback", SCENE, families=("licsar",), layout=layout) as archive:
        config, regions = archive.config(), archive.regions()
    config["archive"]["download"] = {"attempts": 2, "backoff_s": 0.01}
    flow = Workflow(tmp_path / "flow", {**config, "as_of": "2021-01-01"}, regions)
    output = flow.run("--", "manifests", expect=1)
    assert "slipscan: error: " in output and "127.0.0.1" in output
    assert not list((flow.directory / "results").rglob("manifest.csv"))
