"""Costs of a region table that one can sum by hand."""

import math
from pathlib import Path

import pytest

from slipscan.detect import calibrate
from slipscan.detect.nulls import KINDS, SIMULATED
from slipscan.errors import SlipscanError
from slipscan.fleet.plan import Machines, Work, measured, plan, seconds, works
from slipscan.fleet.plan_page import describe
from slipscan.fleet.rates import Rates
from slipscan.regions import Region
from slipscan.settings import Settings

FREE = {
    name: 0.0
    for name in Rates.model_fields
    if name.endswith(("t_s", "r_s", "null_s", "_per_million", "_growth", "_price"))
}
ONE = Machines(nodes=1, cores=1, gpus=0, streams=1)
SETTINGS = Settings(as_of="2015-10-01", regions=None)


def region(archive: str = "aria") -> Region:
    """A square of 0.9 degrees at the equator with two tracks: 9,970 km2, 249,000 pixels of 200 m."""
    ring = ((0, 0), (0.9, 0), (0.9, 0.9), (0, 0.9), (0, 0))
    tracks = [
        {"id": "001A", "relative_orbit": 1, "orbit_direction": "ascending"},
        {"id": "002D", "relative_orbit": 2, "orbit_direction": "descending"},
    ]
    return Region.model_validate(
        {
            "id": "AAAA", "name": "a", "archive": archive, "tracks": tracks, "reference_point": (0.1, 0.1),
            "tectonic_setting": "any", "polygon": ring,
        }
    )  # fmt: skip


def test_work_follows_from_area_dates_and_grid() -> None:
    first, second = works([region()], SETTINGS, Rates(found=1.0, revisit_d=10.0, pairs_per_epoch=2.0))
    assert (first.track, second.track) == ("001A", "002D")
    # 365 days, one acquisition in ten days, two pairs each; a fifth of a frame, which lies in one or across two.
    assert (first.epochs, first.pairs, first.granules) == (36, 73, 89)
    assert math.isclose(first.pixels, (0.9 * 111_320) * (0.9 * 110_574) / 200**2, rel_tol=1e-3)
    coarse, _ = works([region("opera")], SETTINGS, Rates(found=1.0, revisit_d=10.0, pairs_per_epoch=2.0))
    assert coarse.pairs == coarse.epochs  # OPERA gives one displacement a date


def test_hours_are_work_times_rate_and_what_binds_is_the_largest() -> None:
    rates = Rates(**{**FREE, "denoise_s_per_million": 3600.0, "stream_mb_s": 1000.0})
    (work, _) = works([region()], SETTINGS, rates)
    made = plan([region()], SETTINGS, rates, ONE)
    hours = made.stages.set_index("stage")["cpu_h"]
    assert math.isclose(hours["denoise"], 2 * work.million_epochs) and math.isclose(hours.sum(), hours["denoise"])
    assert made.binds == "cpu" and math.isclose(made.wall_h, hours["denoise"])
    assert math.isclose(made.download_gb, 2 * work.granules * rates.granule_gb["aria"])
    half = plan([region()], SETTINGS, rates, Machines(nodes=2, cores=3, gpus=0, streams=1))
    # Each track needs its time, whatever the number of machines.
    assert half.binds == "the longest track" and math.isclose(half.wall_h, work.million_epochs)
    on_gpu = plan([region()], SETTINGS, rates, Machines(nodes=1, cores=1, gpus=1, streams=1))
    assert math.isclose(on_gpu.stages["gpu_h"].sum(), hours["denoise"] / rates.gpu_speedup)
    slow = plan([region()], SETTINGS, rates.model_copy(update={"stream_mb_s": 0.001}), ONE)
    assert slow.binds == "download" and math.isclose(slow.wall_h, slow.download_gb * 1e3 / 0.001 / 3600)


def test_null_stacks_count_both_passes() -> None:
    assert (len((*KINDS, SIMULATED)), calibrate.FIRST_PASS_NULLS) == (3, 32)
    rates = Rates(**{**FREE, "null_s_per_million": 3600.0})
    (work, _) = works([region()], SETTINGS, rates)
    for nulls, stacks in ((8, 3 * 16), (64, 3 * 96)):
        settings = Settings.model_validate({**SETTINGS.model_dump(), "detect": {"nulls": nulls}})
        assert math.isclose(
            plan([region()], settings, rates, ONE).stages["cpu_h"].sum(), 2 * stacks * work.million_epochs
        )


def test_a_run_stands_beside_its_plan(tmp_path: Path) -> None:
    tables = tmp_path / "results/benchmarks/AAAA"
    for track in ("001A", "002D"):
        (tables / track).mkdir(parents=True)
        (tables / track / "noise.tsv").write_text("s\tcpu_time\n10.0\t1800\n")
    (tables / "source.tsv").write_text("s\tcpu_time\n10.0\t-\n")
    assert measured(tmp_path / "results").to_dict() == {"noise": 1.0, "source": 0.0}
    config = tmp_path / "config.yaml"
    config.write_text("as_of: '2015-10-01'\n")
    repository = Path(__file__).parents[1]
    regions = repository / "config/regions.geojson"
    said = describe(config, regions, None, ONE, tmp_path / "plan.png", tmp_path / "results")
    noise = next(line for line in said.splitlines() if line.startswith("| noise |"))
    assert noise.endswith("| 1 |") and "measured CPU h" in said
    assert (tmp_path / "plan.png").read_bytes().startswith(b"\x89PNG")
    with pytest.raises(SlipscanError, match="no tables in benchmarks"):
        describe(config, regions, None, ONE, None, tmp_path)


MEASURED = {
    (128, 24): {"noise": 4.0, "denoise": 4.3, "calibrate": 8.5, "detect": 3.8},
    (512, 120): {"noise": 6.1, "denoise": 10.8, "calibrate": 42.5, "detect": 11.3},
    (1250, 300): {"noise": 19.6, "denoise": 220.8, "calibrate": 764.6, "detect": 210.1},
}
"""Processor seconds of stages with 8 null stacks on squares of pixels, by epochs (docs/benchmarks/stages.md)."""


@pytest.mark.parametrize("size", MEASURED)
def test_the_rates_give_what_was_measured_within_30_percent(size: tuple[int, int]) -> None:
    side, epochs = size
    settings = Settings.model_validate({"detect": {"nulls": 8}})
    planned = seconds(Work("A", "B", "aria", epochs, 0, side * side, 0), settings, Rates())
    for stage, cpu_s in MEASURED[size].items():
        assert Rates().start_s + planned[stage] == pytest.approx(cpu_s, rel=0.3), stage
