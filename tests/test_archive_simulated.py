"""The simulated archive through the readers of real data: signs, units, increments, GNSS files."""

from __future__ import annotations

import datetime
import math
import shutil
from pathlib import Path

import numpy as np
import pytest
import rasterio

from job_builders import job_of
from slipscan.archive import manifest as manifests
from slipscan.archive.simulated.archive import Simulated
from slipscan.archive.simulated.files import frame_directory, raster_grid
from slipscan.errors import SlipscanError
from slipscan.gnss.tenv3 import read_tenv3
from slipscan.regions import Region, Track
from slipscan.settings import ArchiveSettings, SimulatedArchive
from slipscan.store import sha256_file
from slipscan.synthetic import ismetpasa, positions, terrain
from slipscan.synthetic.interferograms import TrackSimulator

DATA = Path(__file__).resolve().parents[1].parent / "shared" / "data"
ASCENDING = Track(id="087A", relative_orbit=87, orbit_direction="ascending")
DESCENDING = Track(id="167D", relative_orbit=167, orbit_direction="descending")
REGION = Region(
    id="TWIN",
    name="a small piece of the twin",
    archive="simulated",
    tracks=(ASCENDING, DESCENDING),
    reference_point=(32.70, 40.80),
    tectonic_setting="continental transform",
    polygon=((32.68, 40.78), (32.90, 40.78), (32.90, 40.98), (32.68, 40.98), (32.68, 40.78)),
)
SILENT = {"turbulence_std_mm": 0, "stratified_mm_per_km": 0, "ramp_std_mm": 0, "white_std_mm": 0}


def archive(**keys) -> ArchiveSettings:
    return ArchiveSettings(simulated=SimulatedArchive(**{"posting_deg": 0.01, "epochs": 8, **keys}))


def observe(track: Track, settings: ArchiveSettings, cache: Path, as_of: str = "2030-01-01"):
    manifest = Simulated().search(job_of(REGION, settings, track=track), as_of)
    files = Simulated().files(manifest, job_of(REGION, settings, cache, track=track))
    return manifest, files, Simulated().read(manifest, job_of(REGION, settings, cache, track=track), np.zeros)[0]


def hashes(files: list[Path]) -> dict[str, str]:
    return {path.name: sha256_file(path) for path in files}


def test_the_manifest_holds_the_pairs_of_a_small_baseline_network(tmp_path):
    settings = archive(epochs=30, missing_epoch_fraction=0.2)
    manifest = Simulated().search(job_of(REGION, settings, track=ASCENDING), "2030-01-01")
    manifests.write(tmp_path / "manifest.csv", manifest)
    assert manifests.read(tmp_path / "manifest.csv").equals(manifest.astype(str))
    dates = sorted({*manifest["reference_date"], *manifest["secondary_date"]})
    assert dates[0] == "2018-01-04" and 18 <= len(dates) < 30
    assert len(manifest) == 3 * len(dates) - 6
    assert (manifest["reference_date"] < manifest["secondary_date"]).all()
    cut = Simulated().search(job_of(REGION, settings, track=ASCENDING), "2018-06-30")
    assert cut.equals(manifest[manifest["secondary_date"] <= "2018-06-30"].reset_index(drop=True))
    other = Simulated().search(job_of(REGION, settings, track=DESCENDING), "2030-01-01")
    assert set(other["secondary_date"]) != set(manifest["secondary_date"])  # tracks lose other epochs


def test_what_is_read_is_the_true_motion_of_the_ground(tmp_path):
    """No noise: displacement between the dates, in metres toward the satellite."""
    settings = archive(start="2018-05-24", missing_epoch_fraction=0, **SILENT)
    for track in REGION.tracks:
        manifest, _, dataset = observe(track, settings, tmp_path)
        lon, lat = (v.ravel() for v in np.meshgrid(dataset["x"], dataset["y"]))
        los = np.stack([dataset[f"los_{c}"].values.ravel() for c in ("east", "north", "up")], axis=1)
        np.testing.assert_allclose(los, terrain.line_of_sight(lon, lat, track.orbit_direction), atol=1e-6)
        np.testing.assert_allclose(dataset["height"].values.ravel(), terrain.height(lon, lat), atol=1e-3)
        days = np.array([[_days(d) for d in manifest[c]] for c in ("reference_date", "secondary_date")])
        before, after = (ismetpasa.ground(lon, lat, when) for when in days)
        expected = ((after - before) * los).sum(-1).reshape(dataset["interferogram"].shape)
        read = dataset["interferogram"].values
        valid = np.isfinite(read)
        assert valid.mean() > 0.9
        np.testing.assert_allclose(read[valid], expected[valid], atol=3e-6)  # phase is rounded to a micrometre


def _days(text: str) -> float:
    return float((datetime.date.fromisoformat(text) - datetime.date(2014, 1, 1)).days)


def test_uplift_is_negative_phase_and_comes_back_positive(tmp_path):
    """From March to September the water goes and the ground rises.

    East-west motion cancels in the sum of an ascending and a descending track, so that it shows uplift.
    """
    settings = archive(start="2018-03-14", interval_d=45, epochs=5, pairs_per_epoch=4, missing_epoch_fraction=0,
                       scenario="quiet", **SILENT)  # fmt: skip
    phase, metres, lift = 0.0, 0.0, 0.0
    for track in REGION.tracks:
        manifest, files, dataset = observe(track, settings, tmp_path)
        pair = manifest.index[manifest["secondary_date"] == "2018-09-10"][0]
        assert manifest.loc[pair, "reference_date"] == "2018-03-14"
        with rasterio.open(next(f for f in files if f.name == "20180314_20180910.geo.unw.tif")) as raster:
            raw = raster.read(1)
        assert raw.dtype == np.float32
        displacement = dataset["interferogram"].values[pair]
        np.testing.assert_array_equal(np.isnan(displacement), raw == 0)
        phase, metres = phase + np.median(raw[raw != 0]), metres + np.nanmedian(displacement)
        lift += float(dataset["los_up"].mean())
    east_lon, lat = np.array([32.8]), np.array([40.9])
    up = np.ptp(ismetpasa.ground(east_lon, lat, [_days("2018-03-14"), _days("2018-09-10")], parts=("season",))[:, 0, 2])
    assert up > 3e-3
    assert phase < 0 < metres
    assert metres == pytest.approx(up * lift, rel=0.3)
    assert metres == pytest.approx(-phase * ASCENDING.radar_wavelength_m / (4 * math.pi), rel=1e-3)


def test_files_are_laid_out_as_licsar_does(tmp_path):
    manifest, files, dataset = observe(ASCENDING, archive(), tmp_path)
    assert files == sorted(files) and len(files) == 2 * len(manifest) + 4
    assert all(path.is_file() for path in files)
    frame = files[0].parents[2]
    assert frame.parent.parent == tmp_path / "granules" / "simulated"
    names = {str(path.relative_to(frame)) for path in files}
    assert "interferograms/20180104_20180116/20180104_20180116.geo.cc.tif" in names
    assert f"metadata/{frame.name}.geo.hgt.tif" in names
    with rasterio.open(next(f for f in files if f.name.endswith(".geo.cc.tif"))) as raster:
        assert raster.dtypes == ("uint8",) and raster.crs.to_epsg() == 4326
        assert raster.bounds.left <= 32.68 - 0.01 and raster.bounds.top >= 40.98 + 0.01
    assert not [path for path in tmp_path.rglob("*") if path.name.startswith(".")]
    coherence = dataset["coherence"]
    span = (dataset["secondary_date"] - dataset["reference_date"]).values / np.timedelta64(1, "D")
    short, long = (float(coherence[span == d].mean()) for d in (span.min(), span.max()))
    assert short > long + 0.1  # decorrelation


def test_a_later_search_adds_files_and_changes_none(tmp_path):
    settings = archive(missing_epoch_fraction=0)
    manifest = Simulated().search(job_of(REGION, settings, track=ASCENDING), "2018-02-10")
    early = Simulated().files(manifest, job_of(REGION, settings, tmp_path / "one", track=ASCENDING))
    before = {path: path.stat().st_mtime_ns for path in early}
    _, later, _ = observe(ASCENDING, settings, tmp_path / "one")
    assert set(early) < set(later)
    assert {path: path.stat().st_mtime_ns for path in early} == before
    _, at_once, _ = observe(ASCENDING, settings, tmp_path / "other")
    assert hashes(at_once) == hashes(later)


def test_a_lost_file_is_made_again_with_the_same_bytes(tmp_path):
    manifest, files, _ = observe(ASCENDING, archive(), tmp_path)
    before = hashes(files)
    files[0].unlink()
    shutil.rmtree(files[-1].parent)
    assert hashes(Simulated().files(manifest, job_of(REGION, archive(), tmp_path, track=ASCENDING))) == before


def test_other_settings_lie_elsewhere(tmp_path):
    directories = {
        frame_directory(job_of(REGION, archive(seed=seed), tmp_path, track=track))
        for track in REGION.tracks
        for seed in (1, 2)
    }
    assert len({directory.parent for directory in directories}) == 4


def test_noise_is_that_of_epochs_and_closes_in_triplets():
    settings = archive(white_std_mm=0, posting_deg=0.02).simulated
    simulator = TrackSimulator(raster_grid(REGION, 0.02), ASCENDING, settings)
    a, b, c = (datetime.date(2018, 1, 4) + datetime.timedelta(days=12 * n) for n in range(3))
    ab, bc, ac = (simulator.interferogram(*pair)[0] for pair in ((a, b), (b, c), (a, c)))
    valid = (ab != 0) & (bc != 0) & (ac != 0)
    assert valid.mean() > 0.8 and np.abs(ab[valid]).max() > 0.2
    np.testing.assert_allclose((ab + bc - ac)[valid], 0, atol=1e-3)
    other = TrackSimulator(raster_grid(REGION, 0.02), DESCENDING, settings)
    assert np.abs(other.delay(a) - simulator.delay(a)).max() > 1e-3  # another time of day, another air


def test_a_region_elsewhere_is_refused(tmp_path):
    ring = tuple((lon + 5, lat) for lon, lat in REGION.polygon)
    far = REGION.model_copy(update={"polygon": ring})
    with pytest.raises(SlipscanError, match="TWIN of archive 'simulated' reaches outside the scenario"):
        Simulated().search(job_of(far, archive(), track=ASCENDING), "2030-01-01")
    with pytest.raises(SlipscanError, match="reaches outside"):
        Simulated().write_stations(far, archive(), tmp_path)


def test_truth_lists_the_events_within_the_series():
    full = Simulated().truth(REGION, archive(epochs=60))
    assert full["region"] == "TWIN" and [e["id"] for e in full["events"]] == ["A", "B"]
    assert full["events"][1]["depth_km"] == pytest.approx(3.6, abs=0.1)
    assert [e["id"] for e in Simulated().truth(REGION, archive(epochs=30))["events"]] == ["A"]
    assert Simulated().truth(REGION, archive(epochs=60, scenario="quiet"))["events"] == []


@pytest.fixture(scope="module")
def stations(tmp_path_factory) -> Path:
    directory = tmp_path_factory.mktemp("stations")
    Simulated().write_stations(REGION, archive(), directory)
    return directory


def test_stations_show_the_events_and_where_they_stand(stations):
    files = sorted(stations.iterdir())
    assert [f.name for f in files] == sorted(f"{s.id}.tenv3" for s in ismetpasa.STATIONS)
    for station in ismetpasa.STATIONS:
        series = read_tenv3(stations / f"{station.id}.tenv3")
        lon, lat = station.lonlat()
        assert series.longitude == pytest.approx(lon, abs=1e-5) and series.latitude == pytest.approx(lat, abs=1e-5)
        assert len(series.time) == pytest.approx(0.97 * 2557, rel=0.01)
        days = (series.time - np.datetime64("2014-01-01", "ns")) / np.timedelta64(1, "D")
        noise = series.enu - ismetpasa.ground([lon], [lat], days)[:, 0]
        assert np.abs(noise - noise.mean(axis=0)).max() < 0.06
        white = np.diff(noise, axis=0).std(axis=0) / math.sqrt(2)
        np.testing.assert_allclose(white, [1.87e-3, 1.85e-3, 4.5e-3], rtol=0.1)  # white, common mode, flicker's day


def test_station_files_are_a_function_of_seed_and_scenario(stations):
    station = ismetpasa.STATIONS[2]
    written = (stations / f"{station.id}.tenv3").read_text()
    seed = archive().simulated.seed
    assert written == positions.tenv3(station, ismetpasa.EVENTS, seed)
    assert written != positions.tenv3(station, ismetpasa.EVENTS, seed + 1)
    assert written != positions.tenv3(station, (), seed)


def test_flicker_noise_has_the_power_of_williams():
    """One-sided power 2 dT^(1/2) / (2 pi f) at low frequency, for an amplitude of 1 yr^-1/4."""
    step = 1 / 365.25
    generator = np.random.default_rng(4)
    series = np.stack([positions.flicker_noise(generator, 2048, step) for _ in range(200)])
    tapered = (series - series.mean(axis=1, keepdims=True)) * np.hanning(2048)
    power = 2 * step * np.mean(np.abs(np.fft.rfft(tapered)) ** 2, axis=0) / np.sum(np.hanning(2048) ** 2)
    frequency = np.fft.rfftfreq(2048, step)
    band = slice(8, 200)
    np.testing.assert_allclose(np.mean((power * frequency)[band]), 2 * math.sqrt(step) / (2 * math.pi), rtol=0.05)


def test_lines_are_those_of_real_ngl_files():
    """A real line, taken apart and written again."""
    file = DATA / "kilauea" / "gnss" / "HLNA.tenv3"
    if not file.is_file():
        pytest.skip(f"real NGL series are not here: {file}")
    header, *lines = file.read_text().splitlines()
    assert header == positions.HEADER
    line = lines[1000]
    field = line.split()
    date = datetime.date.fromordinal(int(field[3]) - positions._MJD_OF_ORDINAL_ZERO)
    lon, lat = float(field[21]), float(field[20])
    ours = positions.format_line(
        field[0], date, (lon, lat, float(field[22])), np.zeros(3), np.array(field[14:17], float),
        np.array(field[17:20], float),
    )  # fmt: skip
    assert len(ours) == len(line)
    for number, (mine, theirs) in enumerate(zip(ours.split(), field, strict=True)):
        if number in (7, 8, 9, 10, 11, 12, 13):  # whole metres, fractions, antenna height
            assert len(mine) == len(theirs)
        else:
            assert mine == theirs
    for whole in (7, 9, 11):
        mine, theirs = (float(f[whole]) + float(f[whole + 1]) for f in (ours.split(), field))
        assert mine == pytest.approx(theirs, abs=1.0)
