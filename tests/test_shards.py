"""Shards of one results directory at the same time, and the fold of what they made."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from test_workflow import SMALL, small_region
from workflow import Workflow, feature_collection

NAMES = ("EAST", "WEST")


def two_regions(directory: Path) -> Workflow:
    directory.mkdir()
    config = {**SMALL, "regions": list(NAMES)}
    return Workflow(directory, config, feature_collection(*map(small_region, NAMES)))


@pytest.mark.slow
def test_shards_at_once_and_their_fold_equal_one_run(tmp_path: Path) -> None:
    whole, parts = two_regions(tmp_path / "whole"), two_regions(tmp_path / "parts")
    whole.run(cores=2)
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda shard: parts.run("--config", f"shard={shard}/2", cores=1), range(2)))
    assert not (parts.directory / "results/catalogue.gpkg").exists()
    assert parts.would_run() == {"catalogue": 1, "report": 1}
    parts.run()
    for name in ("catalogue.gpkg", "report.html", *(f"{region}/events.parquet" for region in NAMES)):
        one, two = (flow.directory / "results" / name for flow in (whole, parts))
        assert one.read_bytes() == two.read_bytes(), name
