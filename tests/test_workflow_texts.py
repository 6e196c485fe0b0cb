"""Texts of the configuration that Snakemake could take for its own: braces, spaces, quotes, other scripts."""

from pathlib import Path

import pytest

from test_workflow import SMALL, small_region
from workflow import Workflow, feature_collection

ODD = {
    "results_dir": "my 'results' d'été",
    "regions_file": 'config/my {region} "regions".geojson',
    "cache_dir": "{track} cache",
    "report": {"title": "Slip in {region}, {wildcards.track} of {0} {{x}} – ‘2019’ $HOME `id`"},
    "gnss": {"directory": "/data/{ngl} stations"},
    "archive": {**SMALL["archive"], "manifests": None, "dem": "{dem}.tif", "troposphere_dir": "-{t}"},
    "train": {"finetune_region": "{noise}.zarr"},
}


def test_odd_texts_plan_every_rule_and_run(tmp_path: Path) -> None:
    flow = Workflow(tmp_path, {**SMALL, **ODD}, feature_collection(small_region()))
    (tmp_path / "config/regions.geojson").rename(tmp_path / str(ODD["regions_file"]))
    planned = flow.would_run()
    assert {"manifest", "archive", "stations", "denoise", "calibrate", "report"} <= set(planned)
    flow.run("--", f"{ODD['results_dir']}/SMALL/087A/manifest.csv", f"{ODD['results_dir']}/SMALL/truth.json")
    assert (tmp_path / str(ODD["results_dir"]) / "SMALL/truth.json").is_file()


@pytest.mark.parametrize("results_dir", ["out{region}", "-out", ""])
def test_results_dirs_that_name_no_file_are_one_sentence(results_dir: str, tmp_path: Path) -> None:
    flow = Workflow(tmp_path, {**SMALL, "results_dir": results_dir}, feature_collection(small_region()))
    assert "slipscan: error: the configuration: results_dir: " in flow.run("--dry-run", expect=1)
