"""The workflow through Snakemake itself, on a small quiet region: contracts, increments, failures."""

import json
import shutil
import sqlite3
from pathlib import Path

import pytest

import insar_scene
from event_builders import event, scan
from increment_builders import write_source
from slipscan.catalogue import geopackage
from slipscan.catalogue.stage import write_catalogue, write_increment
from slipscan.regions import Region
from slipscan.settings import CatalogueSettings
from slipscan.store import same_store
from workflow import REPOSITORY, Workflow, feature_collection

SMALL = {
    "regions": ["SMALL"],
    "as_of": "2018-09-30",
    "archive": {"simulated": {"scenario": "quiet", "epochs": 36, "posting_deg": 0.01}},
    "timeseries": {"pixel_m": 1000},
    "denoise": {"method": "classical"},
    "detect": {"nulls": 8},
    "source": {"particles": 50, "searched": 64},
    "completeness": {"places": 1, "depths_km": [3], "durations_d": [30], "kinds": ["volume"], "injections": 4},
}


def small_region(identifier: str = "SMALL") -> Region:
    ring = ((32.45, 40.75), (32.75, 40.75), (32.75, 41.0), (32.45, 41.0), (32.45, 40.75))
    track = {"id": "087A", "relative_orbit": 87, "orbit_direction": "ascending"}
    return Region.model_validate(
        {
            "id": identifier, "name": "small", "archive": "simulated", "tracks": [track],
            "reference_point": (32.5, 40.97), "tectonic_setting": "continental transform", "polygon": ring,
        }
    )  # fmt: skip


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Workflow:
    """A region run to the end on one core."""
    flow = Workflow(tmp_path_factory.mktemp("one"), SMALL, feature_collection(small_region()))
    flow.run(cores=1)
    return flow


def copy_of(flow: Workflow, directory: Path) -> Workflow:
    """The same run in another place, to be changed; time stamps are kept."""
    copied = Workflow.__new__(Workflow)
    copied.directory, copied.environment = directory, dict(flow.environment)
    shutil.copytree(flow.directory, directory, dirs_exist_ok=True)
    return copied


def test_a_finished_run_has_nothing_to_do(finished: Workflow) -> None:
    assert "Nothing to be done" in finished.run()
    for name in ("catalogue.gpkg", "report.html", "map.png", "SMALL/truth.json", "SMALL/087A/inventory.csv"):
        assert (finished.directory / "results" / name).is_file(), name
    assert len(finished.files("SMALL/increments/00001-*.parquet")) == 1


@pytest.mark.slow
def test_one_core_or_two_give_the_same_bytes(finished: Workflow, tmp_path: Path) -> None:
    other = Workflow(tmp_path, SMALL, feature_collection(small_region()))
    other.run(cores=2)
    tables = [f"SMALL/{name}.parquet" for name in ("events", "completeness", "gnss")]
    for name in ("catalogue.gpkg", "report.html", "map.png", *tables):
        one, two = (flow.directory / "results" / name for flow in (finished, other))
        assert one.read_bytes() == two.read_bytes(), name
    for store in ("observations", "stack", "noise", "denoised", "transients"):
        one, two = (flow.directory / f"results/SMALL/087A/{store}.zarr" for flow in (finished, other))
        assert same_store(one, two), store


def test_time_stamps_of_the_search_and_new_epochs(finished: Workflow, tmp_path: Path) -> None:
    flow = copy_of(finished, tmp_path)
    others = rows_of_another_region(flow.directory / "results")
    flow.configure({**SMALL, "as_of": "2018-10-01"})  # no acquisition on the day that was added
    assert "manifest" in flow.run("--", "manifests")
    assert "Nothing to be done" in flow.run()
    flow.configure({**SMALL, "as_of": "2018-12-31"})  # new acquisitions
    flow.run("--", "manifests")
    flow.run("--config", 'regions=["SMALL"]')
    assert rows_of(flow.directory / "results", "OTHER") == others
    increments = flow.files("SMALL/increments/*.parquet")
    assert [path.name[:5] for path in increments] == ["00001", "00002"]
    assert increments[0].read_bytes() == finished.files("SMALL/increments/*.parquet")[0].read_bytes()
    with sqlite3.connect(flow.directory / "results/catalogue.gpkg") as database:
        (until,) = database.execute("SELECT max(data_until) FROM runs WHERE region = 'SMALL'").fetchone()
    assert until > "2018-10-01"


def rows_of_another_region(results: Path) -> dict[str, str]:
    """Two increments of a region that this workflow does not run, folded: what the catalogue says of it."""
    for seq, rows in enumerate(([event("OTHER"), event("OTHER", lon=33.0)], [event("OTHER", mw=5.5)]), 1):
        source = write_source(results / "OTHER", *rows, scans=[scan("OTHER", until=f"2018-0{seq}-01")])
        write_increment(*source, results / "OTHER/increments", results / "OTHER/increment.json")
    write_catalogue(results, results / "catalogue.gpkg", CatalogueSettings())
    return rows_of(results, "OTHER")


def rows_of(results: Path, region: str) -> dict[str, str]:
    """Every row of a region in every layer."""
    texts = {}
    for name, layer in geopackage.read_layers(results / "catalogue.gpkg").items():
        own = layer[layer["region"] == region].reset_index(drop=True)
        texts[name] = (own.to_wkb(hex=True) if "geometry" in own else own).to_csv(index=False)
    assert region in texts["events"] and "revised" in texts["history"]
    return texts


FUTURE = "from __future__ import annotations"
AFTER_SOURCE = {"source", "gnss", "increment", "catalogue", "report"}
RAISED = ("VERSION = ", "VERSION = 1000 + ")


@pytest.mark.parametrize(
    ("edits", "rerun"),
    [
        # A text, a comment, a default of the simulator, new code that changes no result: nothing.
        (
            {
                "products.py": ("slope of the residual of an epoch", "slope of an epoch's residual"),
                "noise/simulate.py": (FUTURE, f"# A comment.\n{FUTURE}"),
                "source/classify.py": (FUTURE, f"{FUTURE}\n\nEXTRA = 1"),
            },
            set(),
        ),
        # A stage whose results changed, and says so: it, and what follows from it.
        ({"source/__init__.py": RAISED}, AFTER_SOURCE),
        pytest.param(
            {"detect/__init__.py": RAISED},
            {"calibrate", "detect", "completeness"} | AFTER_SOURCE,
            marks=pytest.mark.slow,
        ),
        pytest.param({"report/__init__.py": RAISED}, {"report"}, marks=pytest.mark.slow),
    ],
)
def test_edits_of_the_code(
    finished: Workflow, tmp_path: Path, edits: dict[str, tuple[str, str]], rerun: set[str]
) -> None:
    flow = copy_of(finished, tmp_path / "run")
    shutil.copytree(REPOSITORY / "src", tmp_path / "src", ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    flow.environment["PYTHONPATH"] = str(tmp_path / "src")
    for file, (old, new) in edits.items():
        edited = tmp_path / "src/slipscan" / file
        assert old in edited.read_text()
        edited.write_text(edited.read_text().replace(old, new, 1))
    assert set(flow.would_run()) == rerun


def test_another_region_leaves_the_first_untouched(finished: Workflow, tmp_path: Path) -> None:
    flow = copy_of(finished, tmp_path)
    regions = feature_collection(small_region(), small_region("OTHER"))
    (tmp_path / "config/regions.geojson").write_text(json.dumps(regions))
    flow.configure({**SMALL, "regions": ["SMALL", "OTHER"]})
    planned = flow.would_run()
    assert planned["timeseries"] == 1 and planned["increment"] == 1
    # OTHER is first in order; what all regions share is no shard's.
    shard = flow.run("--dry-run", "--config", "shard=0/2")
    assert "OTHER" in shard and "SMALL" not in shard and "rule increment:" in shard
    assert "rule catalogue:" not in shard and "rule report:" not in shard


PAIRS = [(0, 1), (1, 2), (3, 4), (4, 5), (5, 6)]


def local_workflow(tmp_path: Path, **changes: object) -> Workflow:
    """A workflow over GeoTIFFs in the GAMMA convention below tmp_path/data."""
    config = {"regions": ["TEST"], "as_of": "2020-12-31", "archive": {"data_root": str(tmp_path / "data")}}
    regions = feature_collection(insar_scene.region("gamma", **changes))
    return Workflow(tmp_path / "run", {**config, "timeseries": {"pixel_m": 250}}, regions)


def spoil_tif(data: Path) -> None:
    victim = sorted(data.rglob("*unw.tif"))[2]
    victim.write_bytes(victim.read_bytes()[:900])


def mix_conventions(data: Path) -> None:
    insar_scene.write_licsar(data, insar_scene.scene())


FAILURES = {
    "unreadable": (spoil_tif, insar_scene.scene(), {}, 0.7, "unw.tif"),
    "mixed": (mix_conventions, insar_scene.scene(), {}, 0.7, "convention"),
    "disconnected": (None, insar_scene.scene(PAIRS), {}, 0.7, "2020-01-27"),
    "outside": (
        None,
        insar_scene.scene(),
        {"polygon": ((10, 10), (10.1, 10), (10.1, 10.1), (10, 10)), "reference_point": (10.05, 10.02)},
        0.7,
        "outside",
    ),
    "no valid pixel": (None, insar_scene.scene(), {}, 0.01, "has no valid pixel at all"),
}


QUICK = ("unreadable", "no valid pixel")
"""Bad when it is fetched, and when it is inverted; the others take the same two ways."""


@pytest.mark.parametrize(
    "name", [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in FAILURES]
)
def test_bad_data_ends_in_one_sentence_in_the_log_and_on_the_screen(name: str, tmp_path: Path) -> None:
    spoil, scene, changes, coherence, word = FAILURES[name]
    insar_scene.write_gamma(tmp_path / "data", scene, coherence)
    if spoil is not None:
        spoil(tmp_path / "data")
    flow = local_workflow(tmp_path, **changes)
    output = flow.run("--", "results/TEST/087A/stack.zarr", expect=1)
    last = [log.read_text().splitlines()[-1] for log in flow.files("logs/TEST/087A/*.log") if log.stat().st_size]
    sentences = [line for line in last if line.startswith("slipscan: error: ")]
    assert len(sentences) == 1
    assert word in sentences[0]
    assert sentences[0] in output  # shown by Snakemake
    assert "Traceback" not in output
    assert not flow.files("TEST/087A/stack.zarr") and not flow.files("TEST/087A/.*partial*")


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda properties: properties.pop("reference_point"), "reference_point: missing key"),
        (lambda properties: properties.update(colour="red"), "colour: unknown key"),
    ],
)
def test_a_bad_region_is_refused_before_any_job(tmp_path: Path, change, sentence: str) -> None:
    regions = feature_collection(small_region())
    change(regions["features"][0]["properties"])
    output = Workflow(tmp_path, SMALL, regions).run(expect=1)
    assert sentence in output and "Traceback" not in output
    assert not (tmp_path / "results").exists()


def test_a_bad_configuration_is_refused_before_any_job(tmp_path: Path) -> None:
    output = Workflow(tmp_path, {**SMALL, "detect": {"treshold": 3}}, feature_collection(small_region())).run(expect=1)
    assert "detect.treshold: unknown key" in output and "Traceback" not in output
