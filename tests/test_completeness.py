"""Magnitudes of completeness: events that are injected into noise of a known size."""

import dataclasses
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import xarray as xr

from completeness_builders import DETECTION, EPOCHS, ONE, SHAPE, THRESHOLD, calibration, opened, white_stack
from event_builders import FAULT, event, scan
from increment_builders import write_source
from simulated import LOS, PIXEL_M, dates, grid
from slipscan.catalogue import geopackage
from slipscan.catalogue.stage import write_catalogue, write_increment
from slipscan.completeness import product
from slipscan.completeness.ground import Ground, ground_of
from slipscan.completeness.injection import OF_RAMP, injected
from slipscan.completeness.node import Z90
from slipscan.completeness.pattern import Place, place_of
from slipscan.completeness.sources import Node, los_change, potency_m3
from slipscan.completeness.stage import completeness, nodes_of, write_completeness
from slipscan.detect import calibration as calibrations
from slipscan.detect.methods.scan import Scan
from slipscan.detect.ramp import Epochs, Ramp
from slipscan.detect.track import track_in
from slipscan.errors import SlipscanError
from slipscan.fit.ramps import projected
from slipscan.geometry import Grid, from_lonlat, utm_crs, write_grid
from slipscan.settings import CatalogueSettings, CompletenessSettings
from slipscan.store import write_zarr

STD_M = 3e-3
NODE = Node("strike_slip", 45.0, 0.0, 0.0, 3.0, 30.0)


def at_the_middle(dataset: xr.Dataset, node: Node = NODE) -> tuple[Ground, Node, Place]:
    """The ground of a stack, a node at its middle, and what it looks like there."""
    one = opened(dataset)
    ground = ground_of(*one[:2], DETECTION, one[2], ONE)
    (_, middle), *_ = nodes_of([one], ONE)[0]
    placed = dataclasses.replace(node, longitude=middle.longitude, latitude=middle.latitude)
    place = place_of(ground, placed.longitude, placed.latitude)
    assert place is not None
    return ground, placed, place


def mc(std_m: float = STD_M, settings: CompletenessSettings = ONE, los: np.ndarray = LOS) -> pd.Series:
    table = completeness([opened(white_stack(std_m, los=los))], settings, DETECTION)
    assert len(table) == 1
    return table.iloc[0]


@pytest.fixture(scope="module")
def found() -> pd.Series:
    return mc(settings=ONE.model_copy(update={"strikes_deg": (45.0,)}))


def matched_filter_mw(node: Node) -> float:
    """Magnitude at which 90 % of events of known source and time reach the threshold: white noise, unknown background.

    Of every size the source is as large as its magnitude makes it. Reached is threshold + 1.28: the matched filter's
    response has the standard deviation 1.
    """
    epochs = Epochs(dates(EPOCHS))
    ramp = Ramp(float(np.mean(epochs.days)), node.duration_d / OF_RAMP)
    rest = projected(epochs.columns([ramp]), epochs.design(), torch.ones(EPOCHS, dtype=torch.float64))
    offset = (np.arange(SHAPE[0]) - (SHAPE[0] - 1) / 2) * PIXEL_M
    east, north = np.meshgrid(offset, -offset)
    los = np.broadcast_to(LOS[:, None, None], (3, *SHAPE))
    sizes = np.arange(3.8, 6.2, 0.1)
    change = [los_change(node.source(mw), east, north, los) for mw in sizes]
    response = [np.sqrt((one - one.mean()).ravel() @ (one - one.mean()).ravel()) for one in change]
    snr = np.array(response) * math.sqrt(float(rest.square().sum())) / STD_M
    return float(np.interp(THRESHOLD + Z90, snr, sizes))


def test_it_is_the_matched_filters_but_for_what_the_scan_loses(found: pd.Series) -> None:
    """The scan, which knows neither source nor time, loses 0.4: a factor of 4 in moment."""
    bound = matched_filter_mw(NODE)
    assert bound + 0.2 < found["mc90"] < bound + 0.6
    assert found["mc50"] < found["mc90"] and 0 < found["mc90_std"] < 0.1 and found["note"] == ""


def test_twice_the_noise_raises_it_by_a_fifth() -> None:
    """Of a source whose size is its volume change alone: 2/3 log10 2, since all is linear in it."""
    volume = ONE.model_copy(update={"kinds": ("volume",)})
    quiet, loud = mc(STD_M, volume), mc(2 * STD_M, volume)
    assert loud["mc90"] - quiet["mc90"] == pytest.approx(2 / 3 * math.log10(2), abs=0.01)
    assert loud["volume_change_m3"] == pytest.approx(potency_m3(loud["mc90"]), rel=0.01)


def test_a_strike_to_which_the_line_of_sight_is_blind_has_none() -> None:
    """What the ends of the fault move is not enough; and the note says why."""
    across = np.array([0.0, -0.6, 0.8])
    settings = ONE.model_copy(update={"strikes_deg": (0.0, 90.0), "largest_mw": 5.5, "depths_km": (2.0,)})
    table = completeness([opened(white_stack(STD_M, los=across))], settings, DETECTION).set_index("strike_deg")
    assert table["los_share"][0.0] == pytest.approx(0.6) and table["los_share"][90.0] == pytest.approx(0, abs=1e-6)
    assert table["mc90"][0.0] < 5.5 and table["note"][0.0] == ""
    assert math.isnan(table["mc90"][90.0]) and "blind" in table["note"][90.0] and "5.5" in table["note"][90.0]


def test_what_is_laid_on_the_bands_is_what_the_road_makes_of_it() -> None:
    """The same event added to the stack, cleaned, filtered and searched with it gives the same statistic to a tenth."""
    dataset = white_stack(STD_M)
    ground, node, place = at_the_middle(dataset)
    mw, day = 5.15, float(np.mean(Epochs(dates(EPOCHS)).days)) + 2.5
    pattern = place.pattern(node, mw)
    assert pattern is not None
    search = Scan().search(track_in(dataset, DETECTION)[1], DETECTION)  # as it is, not as noise
    plain = dataclasses.replace(ground, noise=search, orders=[np.arange(EPOCHS)], nulls=[search])
    laid = injected(plain, pattern, day, 30.0, 0).weighed(1.0)
    change = los_change(node.source(mw), place.east, place.north, ground.los)
    history = Ramp(day, 30.0 / OF_RAMP).column(dates(EPOCHS))
    with_event = dataset.assign(displacement=dataset["displacement"] + history.astype("f4")[:, None, None] * change)
    best = Scan().search(track_in(with_event, DETECTION)[1], DETECTION).strongest()
    assert best is not None and best.statistic > THRESHOLD / 2
    assert laid.statistic(1.0) == pytest.approx(best.statistic, rel=0.1)
    assert laid.statistic(0.0) < THRESHOLD


def test_an_event_in_a_gap_longer_than_itself_is_found_all_the_same() -> None:
    """No epoch and no candidate lies within weeks of it: the real series of Erta Ale has a gap of 222 days."""
    dataset = white_stack(STD_M)
    time = dates(EPOCHS)
    time[EPOCHS // 2 :] += np.timedelta64(300, "D")
    dataset = dataset.assign_coords(time=time)
    ground, node, place = at_the_middle(dataset)
    pattern = place.pattern(node, 5.5)
    assert pattern is not None
    days = Epochs(time).days
    in_the_gap = float(days[EPOCHS // 2 - 1 : EPOCHS // 2 + 1].mean())
    assert 0.1 < injected(ground, pattern, in_the_gap, 30.0, 0).least_size(1.0) < 2.0


def test_places_of_a_region_across_180_degrees_lie_in_it() -> None:
    zone, own = utm_crs(179.9, -16.8), grid(SHAPE)
    x, y = (float(value[0]) for value in from_lonlat(np.array([180.0]), np.array([-16.8]), zone))
    moved = Grid(own.x - own.x.mean() + x, own.y - own.y.mean() + y, zone)
    settings = ONE.model_copy(update={"places": 2})
    bare = white_stack(STD_M).drop_vars("spatial_ref", errors="ignore")
    nodes = nodes_of([opened(write_grid(bare, moved))], settings)
    longitudes = [node.longitude for place in nodes for _, node in place]
    assert all(179.5 < abs(longitude) <= 180 for longitude in longitudes)
    assert min(longitudes) < 0 < max(longitudes)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["strike_slip", "volume"])
def test_on_the_whole_road_nine_in_ten_are_found_above_it_and_few_below(kind: str) -> None:
    """Other noise, any day: events go into the stack, and through cleaning, bands and the whole search."""
    settings = ONE.model_copy(update={"strikes_deg": (45.0,), "kinds": (kind,), "injections": 12})
    row = completeness([opened(white_stack(STD_M))], settings, DETECTION).iloc[0]
    strike = math.nan if kind == "volume" else 45.0
    ground, node, place = at_the_middle(white_stack(STD_M), dataclasses.replace(NODE, kind=kind, strike_deg=strike))
    generator, count = np.random.default_rng(5), 30
    shares = []
    for mw in (row["mc50"] - 0.1, row["mc90"] + 0.05):
        change = los_change(node.source(mw), place.east, place.north, ground.los)
        found = 0
        for seed in range(100, 100 + count):
            history = Ramp(generator.uniform(*ground.window), 30.0 / OF_RAMP).column(dates(EPOCHS)).astype("f4")
            dataset = white_stack(STD_M, seed)
            dataset = dataset.assign(displacement=dataset["displacement"] + history[:, None, None] * change)
            best = Scan().search(track_in(dataset, DETECTION)[1], DETECTION).strongest()
            found += best is not None and best.statistic >= THRESHOLD
        shares.append(found / count)
    assert shares[0] <= 0.3 and shares[1] >= 0.8


def test_two_tracks_find_what_one_of_them_does() -> None:
    settings = ONE.model_copy(update={"strikes_deg": (45.0,)})
    loud, quiet = opened(white_stack(10 * STD_M, 1, track="A")), opened(white_stack(STD_M, 2, track="B"))
    both = completeness([loud, quiet], settings, DETECTION).iloc[0]
    alone = completeness([quiet], settings, DETECTION).iloc[0]
    assert both["mc90"] == pytest.approx(alone["mc90"], abs=0.02) and both["track_mc"].startswith("A:")
    twins = [opened(white_stack(STD_M, seed, track=name)) for seed, name in ((2, "A"), (3, "B"))]
    assert completeness(twins, settings, DETECTION).iloc[0]["mc90"] < alone["mc90"]


def test_where_nothing_can_be_injected_a_note_says_why() -> None:
    blind = white_stack().drop_vars(["los_east", "los_north", "los_up"])
    table = completeness([opened(blind)], ONE, DETECTION)
    assert table["mc90"].isna().all() and "line of sight" in table["note"][0] and len(table) == 4
    other = completeness(
        [opened(white_stack(fault_strike_deg=30.0))], ONE, DETECTION.model_copy(update={"method": "field"})
    )
    assert other["mc90"].isna().all() and list(other["strike_deg"]) == [30.0] and "field" in other["note"][0]
    hole = white_stack()
    hole["displacement"][:, 12:36, 12:36] = np.nan
    table = completeness([opened(hole)], ONE.model_copy(update={"strikes_deg": (0.0,)}), DETECTION)
    assert table["mc90"].isna().all() and table["note"][0] == "no data there"


def test_sources_have_the_moment_of_their_magnitude() -> None:
    for kind in ("strike_slip", "thrust", "normal"):
        for mw in (4.0, 5.5, 7.0):
            fault = Node(kind, 10.0, 0, 0, 3.0, 30.0).source(mw)
            assert fault.potency_m3 == pytest.approx(potency_m3(mw))
            assert fault.width / 2 * math.sin(math.radians(fault.dip_deg)) < fault.depth
    assert Node("volume", math.nan, 0, 0, 3.0, 30.0).source(5.0).volume_change == pytest.approx(potency_m3(5.0))
    # Slip of a vertical fault that strikes north is seen by the north component alone.
    share = Node("strike_slip", 0.0, 0, 0, 3.0, 30.0).los_share(np.array([0.6, -0.1, 0.8]))
    assert share == pytest.approx(0.1)
    up = Node("thrust", 0.0, 0, 0, 3.0, 30.0).los_share(np.array([0.0, 0.0, 1.0]))
    assert up == pytest.approx(0.5)


def grid_table(**columns: list[object]) -> pd.DataFrame:
    count = len(next(iter(columns.values())))
    plain = {c.name: ["" if c.dtype == "str" else math.nan] * count for c in product.COLUMNS}
    return pd.DataFrame({**plain, "region": ["TEST"] * count, **columns})


def test_an_event_has_the_magnitude_of_the_nearest_node() -> None:
    table = grid_table(
        kind=["strike_slip"] * 5 + ["volume"], strike_deg=[80.0, 80.0, 80.0, 80.0, 170.0, math.nan],
        depth_km=[3.0, 3.0, 10.0, 3.0, 3.0, 3.0], duration_d=[30.0, 180.0, 30.0, 30.0, 30.0, 30.0],
        longitude=[32.0, 32.0, 32.0, 33.0, 32.0, 32.0], latitude=[40.0] * 6, mc90=[5.0, 5.1, 5.2, 5.3, 5.4, 5.5],
    )  # fmt: skip
    plain = {"longitude": 32.1, "latitude": 40.0, "depth_km": 3.5, "duration_d": 20.0, "strike_deg": 255.0,
             "rake_deg": 170.0, "volume_change_m3": math.nan}  # fmt: skip
    changes = (
        {}, {"duration_d": 100.0}, {"depth_km": 7.0}, {"longitude": 33.4}, {"strike_deg": 150.0},
        {"rake_deg": math.nan, "volume_change_m3": 1e6}, {"rake_deg": 90.0}, {"depth_km": math.nan},
    )  # fmt: skip
    local = product.local_mc(table, pd.DataFrame([{**plain, **change} for change in changes]))
    assert local == pytest.approx([5.0, 5.1, 5.2, 5.3, 5.4, 5.5, math.nan, math.nan], nan_ok=True)
    assert product.region_mc(table) == 5.5 and product.region_mc(grid_table(kind=["volume"])) is None


def test_events_and_regions_of_the_catalogue_hold_it(tmp_path: Path) -> None:
    table = grid_table(
        kind=["strike_slip", "volume"], strike_deg=[80.0, math.nan], depth_km=[3.0, 3.0], duration_d=[30.0, 30.0],
        longitude=[32.0, 32.0], latitude=[40.0, 40.0], mc90=[5.0, math.nan], note=["", "blind"],
    ).assign(region="AAAA")  # fmt: skip
    product.write(tmp_path / "completeness.parquet", table, {})
    rows = event(**FAULT, rake_deg=180.0), event(t50="2019-09-01", volume_change_m3=1e6)
    inputs = write_source(tmp_path / "AAAA", *rows)
    increments = tmp_path / "AAAA/increments"
    write_increment(*inputs, increments, tmp_path / "i.json", None, tmp_path / "completeness.parquet")
    write_catalogue(tmp_path, tmp_path / "catalogue.gpkg", CatalogueSettings())
    layers = geopackage.read_layers(tmp_path / "catalogue.gpkg")
    assert list(layers["events"]["mc_local"].fillna(0)) == [5.0, 0.0] and list(layers["regions"]["mc"]) == [5.0]
    held = layers["completeness"]
    assert (
        list(held["node"]) == [1, 2]
        and list(held["note"])[1] == "blind"
        and held["mc90"].isna().tolist() == [False, True]
    )
    assert [(point.x, point.y) for point in held.geometry] == [(32.0, 40.0)] * 2
    other = write_source(tmp_path / "BBBB", event("BBBB"), scans=[scan("BBBB")])
    with pytest.raises(SlipscanError, match="of region AAAA"):
        write_increment(
            *other, tmp_path / "BBBB/increments", tmp_path / "j.json", None, tmp_path / "completeness.parquet"
        )


def test_the_command_writes_the_same_table_from_the_cache_and_on_threads(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write_zarr(white_stack(fault_strike_deg=45.0), tmp_path / "stack.zarr")
    calibrations.write(tmp_path / "calibration.json", calibration())
    inputs = [tmp_path / "stack.zarr"], [tmp_path / "calibration.json"]
    settings = ONE.model_copy(update={"injections": 4, "places": 2})
    with caplog.at_level("INFO"):
        write_completeness(*inputs, tmp_path / "1.parquet", settings, DETECTION, cache_dir=tmp_path / "cache")
        write_completeness(*inputs, tmp_path / "2.parquet", settings, DETECTION, cache_dir=tmp_path / "cache")
    write_completeness(*inputs, tmp_path / "3.parquet", settings, DETECTION, threads=2)
    one, two, three = (tmp_path / f"{n}.parquet" for n in (1, 2, 3))
    assert one.read_bytes() == two.read_bytes() == three.read_bytes()
    assert "16 injections, about" in caplog.text and "from the cache" in caplog.text
    table, about = product.read(one)
    assert len(table) == 4 and about["calibration_ids"] == [calibration().id] and about["tracks"] == ["087A"]
    with pytest.raises(SlipscanError, match="give one a track"):
        write_completeness(inputs[0], [], tmp_path / "4.parquet", settings, DETECTION)
    with pytest.raises(SlipscanError, match="same track"):
        write_completeness(inputs[0] * 2, inputs[1] * 2, tmp_path / "4.parquet", settings, DETECTION)
    with pytest.raises(SlipscanError, match="no grid of completeness"):
        product.read(tmp_path / "calibration.json")
