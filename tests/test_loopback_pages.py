"""The loopback LiCSAR: pages and files; every family on one server."""

import json
import math
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import urljoin

import hyp3_sdk
import numpy as np
import pytest
import requests
import yaml

from loopback_raster_builders import DATES, SCENE, WAVELENGTH, peak, read
from slipscan.regions import read_regions
from slipscan.settings import Settings
from slipscan_loopback import licsar
from slipscan_loopback.archive import Layout, LoopbackArchive, serve
from slipscan_loopback.http import Faults, LoopbackServer
from slipscan_loopback.scene import TrueScene

# hyp3_sdk.util.download_file leaves the file that it wrote to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")

FRAME = "087A_04900_131313"


class Links(HTMLParser):
    """Targets of a page's links."""

    def __init__(self) -> None:
        super().__init__()
        self.targets: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.targets += [value for name, value in attrs if tag == "a" and name == "href" and value]


def listed(url: str) -> list[str]:
    """URLs below a page: neither the links that sort nor the one to the parent."""
    answer = requests.get(url)
    answer.raise_for_status()
    assert answer.headers["Content-Type"].startswith("text/html")
    links = Links()
    links.feed(answer.text)
    below = [urljoin(answer.url, target) for target in links.targets if not target.startswith("?")]
    return [target for target in below if target.startswith(answer.url)]


@pytest.fixture(scope="module")
def products(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("licsar")
    licsar.write_frame(
        SCENE,
        directory,
        FRAME,
        posting_deg=0.004,
        neighbours=2,
        without_gacos={DATES[3]},
        without_unwrapped={(DATES[0], DATES[1])},
    )
    (directory.parent / "secret.txt").write_text("not for you")
    return directory


@pytest.fixture
def pages(products: Path) -> Iterator[str]:
    with LoopbackServer() as server:
        licsar.register(server, products)
        yield f"{server.url}/LiCSAR_products"


def fetch(url: str, directory: Path) -> Path:
    path = directory / url.rsplit("/", 1)[1]
    answer = requests.get(url)
    answer.raise_for_status()
    path.write_bytes(answer.content)
    return path


def test_pages_lead_from_the_track_to_every_file(pages: str) -> None:
    assert listed(pages) == [f"{pages}/87/"]
    frame = f"{pages}/87/{FRAME}/"
    assert listed(f"{pages}/87") == [frame]  # a directory without its slash is redirected
    assert listed(frame) == [f"{frame}{name}/" for name in ("epochs", "interferograms", "metadata")]
    pairs = listed(f"{frame}interferograms/")
    assert [url[len(frame) + 15 : -1] for url in pairs] == [
        f"{older:%Y%m%d}_{newer:%Y%m%d}" for older, newer in SCENE.pairs(2)
    ]
    first, second = (sorted(url.rsplit("/", 1)[1] for url in listed(pair)) for pair in pairs[:2])
    assert first == ["20200103_20200127.geo.cc.tif"]  # not unwrapped yet
    assert second == ["20200103_20200220.geo.cc.tif", "20200103_20200220.geo.unw.tif"]
    metadata = {url.rsplit("/", 1)[1] for url in listed(f"{frame}metadata/")}
    assert metadata == {f"{FRAME}.geo.{name}.tif" for name in ("E", "N", "U", "hgt")} | {"baselines", "metadata.txt"}
    epochs = [listed(url) for url in listed(f"{frame}epochs/")]
    assert [len(files) for files in epochs] == [1, 1, 1, 0, 1]
    baselines = [line.split() for line in requests.get(f"{frame}metadata/baselines").text.splitlines()]
    assert [row[1] for row in baselines] == [f"{date:%Y%m%d}" for date in DATES] and float(baselines[0][2]) == 0
    for path in (f"{frame}nothing.tif", f"{pages}/87/nothing/", f"{pages}/%2e%2e/secret.txt"):
        assert requests.get(path).status_code == 404


def test_licsar_phase_is_positive_away_and_gacos_takes_the_delay_out(pages: str, tmp_path: Path) -> None:
    frame = f"{pages}/87/{FRAME}"
    older, newer = DATES[2], DATES[4]
    name = f"{older:%Y%m%d}_{newer:%Y%m%d}"
    phase, lon, lat, header = read(fetch(f"{frame}/interferograms/{name}/{name}.geo.unw.tif", tmp_path))
    assert header.crs.to_epsg() == 4326 and header.nodata == 0 and header.transform.a == pytest.approx(0.004)
    west, south, east, north = SCENE.extent
    bounds = header.bounds
    assert bounds.left < west and bounds.bottom < south and bounds.right > east and bounds.top > north
    covered = phase != 0
    assert 0 < np.mean(~covered) < 0.2
    assert np.mean(covered == SCENE.incoherent(lon, lat)) < 0.005  # a cell on a shore may fall on either side

    sight = [read(fetch(f"{frame}/metadata/{FRAME}.geo.{letter}.tif", tmp_path))[0] for letter in "ENU"]
    row, column = peak(lon, lat)
    assert sight[0][row, column] < -0.5 and sight[2][row, column] > 0.75  # ascending: the satellite is in the west
    np.testing.assert_allclose(sum(part**2 for part in sight), 1, atol=1e-5)

    ground = SCENE.enu(lon, lat, newer) - SCENE.enu(lon, lat, older)
    toward = sum(part * motion for part, motion in zip(sight, ground, strict=True))
    slant = [
        read(fetch(f"{frame}/epochs/{date:%Y%m%d}/{date:%Y%m%d}.sltd.geo.tif", tmp_path))[0] for date in (older, newer)
    ]
    assert slant[0].min() > 4 * math.pi / WAVELENGTH * 2.0  # more than 2 m of delay, in radians
    constant = phase + 4 * np.pi / WAVELENGTH * toward
    assert np.ptp(constant[covered]) > 1  # the delay is in the phase,
    constant = constant - (slant[1] - slant[0])
    assert np.ptp(constant[covered]) < 1e-3  # and GACOS takes it out
    assert abs(constant[row, column]) > 9

    coherence = read(fetch(f"{frame}/interferograms/{name}/{name}.geo.cc.tif", tmp_path))[0]
    assert coherence.dtype == np.uint8
    both = covered & ~SCENE.incoherent(lon, lat)
    np.testing.assert_allclose((coherence / 255)[both], SCENE.coherence(lon, lat, older, newer)[both], atol=0.002)


def test_a_frame_covers_its_part_of_the_scene(tmp_path: Path) -> None:
    bounds = []
    for number, rows in ((4900, (0.0, 0.6)), (4950, (0.4, 1.0))):
        frame = licsar.frame_id(SCENE, number)
        path = licsar.write_frame(SCENE, tmp_path, frame, 0.004, neighbours=1, rows=rows, gacos=False)
        bounds.append(read(path / "metadata" / f"{frame}.geo.hgt.tif")[3].bounds)
    south, north = bounds
    assert south.bottom < north.bottom < south.top < north.top
    assert (north.bottom - south.bottom) / 0.004 == pytest.approx(round((north.bottom - south.bottom) / 0.004))


def test_files_have_faults_and_pages_have_none(products: Path) -> None:
    with LoopbackServer(Faults(1.0, ("unavailable",), per_path=1)) as server:
        licsar.register(server, products)
        frame = f"{server.url}/LiCSAR_products/87/{FRAME}/"
        assert requests.get(f"{frame}metadata/").status_code == 200
        assert [requests.get(f"{frame}metadata/baselines").status_code for _ in range(2)] == [503, 200]


# All together -------------------------------------------------------------------------------------------------------

SMALL = Layout(neighbours=1, opera_posting_m=400, hyp3_posting_m=400, licsar_posting_deg=0.004, licsar_frames=2)


def test_one_server_holds_every_family_and_says_how_to_use_it(tmp_path: Path) -> None:
    scene = TrueScene(dates=DATES[:3])
    with LoopbackArchive(tmp_path, scene, layout=SMALL) as archive:
        settings = Settings.model_validate(archive.config()).archive
        path = tmp_path / "regions.geojson"
        path.write_text(json.dumps(archive.regions()))
        regions = read_regions(path)
        assert list(regions) == ["LOOP-ARIA", "LOOP-OPERA", "LOOP-HYP3", "LOOP-LICSAR"]
        assert {region.polygon for region in regions.values()} == {scene.polygon}

        for collection, count in (("ARIA_S1_GUNW", 4), ("OPERA_L3_DISP-S1_V1", 2), ("SENTINEL-1_BURSTS", 6)):
            answer = requests.post(
                f"{settings.cmr_url}/search/granules.umm_json", data={"short_name": collection, "page_size": 100}
            ).json()
            assert answer["hits"] == count
            urls = [url["URL"] for item in answer["items"] for url in item["umm"]["RelatedUrls"]]
            data = [url for url in urls if url.endswith(".nc") and url.startswith("http")]
            assert len(data) == (0 if "BURSTS" in collection else count)
            assert all(requests.head(url).ok for url in data)

        source = regions["LOOP-LICSAR"].tracks[0].licsar
        assert source is not None
        frames = source.frames
        assert len(frames) == 2 and all(listed(f"{settings.licsar_url}/87/{frame}") for frame in frames)

        client = hyp3_sdk.HyP3(api_url=settings.hyp3_url, token="any")
        ordered = [sorted(name for name in archive.hyp3.granules or () if f"_{date:%Y%m%d}T" in name) for date in DATES]
        batch = client.submit_insar_isce_multi_burst_job(ordered[0], ordered[2])
        batch += client.submit_aria_s1_gunw_job(DATES[2].isoformat(), DATES[0].isoformat(), 4711)
        batch = client.watch(batch, interval=0.01)
        assert client.check_credits() == 8000 - 1 - 60
        names = [path.name for path in batch.download_files(tmp_path / "ordered")]
        assert "s1n00-185682s2n02-000000s3n00_IW_20200103_20200220" in names[0]
        assert names[1].startswith("S1-GUNW-A-R-087-tops-20200220_20200103")


def test_serving_writes_what_a_user_needs(tmp_path: Path) -> None:
    asked = []

    def wait() -> None:
        config = yaml.safe_load((tmp_path / "config.yaml").read_text())
        settings = Settings.model_validate(config)
        asked.append(requests.get(f"{settings.archive.hyp3_url}/costs").status_code)
        assert len(read_regions(Path(settings.regions_file))) == 4

    serve(tmp_path, scene=TrueScene(dates=DATES[:2]), layout=SMALL, wait=wait)
    assert asked == [200]
