"""The loopback HyP3: jobs, credits, products that are ordered."""

from collections.abc import Iterator
from pathlib import Path

import hyp3_sdk
import numpy as np
import pytest
import requests
from hyp3_sdk.exceptions import HyP3Error, HyP3SDKError
from hyp3_sdk.util import extract_zipped_product

from loopback_raster_builders import DATES, SCENE, WAVELENGTH, peak, read
from slipscan.archive.reading.conventions import CONVENTIONS
from slipscan_loopback import bursts, hyp3_rules
from slipscan_loopback.http import LoopbackServer
from slipscan_loopback.hyp3 import Hyp3Api

# hyp3_sdk.util.download_file leaves the file that it wrote to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")
IDS = ("087_185682_IW2", "087_185683_IW2", "087_185682_IW3")
NAMES = [granule.name for granule in bursts.publish(SCENE, IDS)]


def of_date(number: int, count: int = 3) -> list[str]:
    """Names of a date's bursts."""
    return [name for name in NAMES if f"_{DATES[number]:%Y%m%d}T" in name][:count]


def elsewhere(number: int) -> list[str]:
    """A burst of a date that the catalogue does not hold."""
    return [of_date(number)[0].replace("185682", "185681")]


@pytest.fixture
def api(tmp_path: Path) -> Iterator[tuple[Hyp3Api, hyp3_sdk.HyP3]]:
    served = Hyp3Api(SCENE, tmp_path / "products", posting_m=400, token="let-me-in", granules=set(NAMES), page_size=2)
    with LoopbackServer() as server:
        served.register(server)
        yield served, hyp3_sdk.HyP3(api_url=f"{server.url}/hyp3", token="let-me-in")


def submit(client: hyp3_sdk.HyP3, older: int, newer: int, name: str = "pair", count: int = 3) -> hyp3_sdk.Batch:
    return client.submit_insar_isce_multi_burst_job(of_date(older, count), of_date(newer, count), name=name)


# HyP3 ---------------------------------------------------------------------------------------------------------------


def test_jobs_run_through_their_states_and_their_products_can_be_fetched(api, tmp_path: Path) -> None:
    _, client = api
    batch = submit(client, 0, 1) + submit(client, 1, 2)
    seen = [client.refresh(batch)[0].status_code for _ in range(2)]
    assert seen == ["PENDING", "RUNNING"]
    batch = client.watch(batch, interval=0.01)
    assert batch.succeeded()
    files = batch.download_files(tmp_path / "here")
    assert [file.stat().st_size for file in files] == [job.files[0]["size"] for job in batch]
    name = files[0].stem
    assert name.startswith("S1_087_000000s1n00-185682s2n02-185682s3n01_IW_20200103_20200127_VV_INT80_")
    product = extract_zipped_product(files[0])
    held = {path.name.removeprefix(name) for path in product.iterdir()}
    suffixes = ("unw_phase", "corr", "conncomp", "lv_theta", "lv_phi", "dem", "water_mask")
    assert held == {f"_{suffix}.tif" for suffix in suffixes} | {".txt"}
    parameters = dict(line.split(": ") for line in (product / f"{name}.txt").read_text().splitlines())
    assert parameters["Reference Granule"].split(", ") == of_date(0)
    assert parameters["Secondary Granule"].split(", ") == of_date(1)
    expected = SCENE.perpendicular_baseline(DATES[1]) - SCENE.perpendicular_baseline(DATES[0])
    assert float(parameters["Baseline"]) == pytest.approx(expected, abs=1e-4)
    assert float(parameters["Heading"]) == pytest.approx(-12, abs=0.1)
    pattern = CONVENTIONS["hyp3"].interferogram.match(f"{name}_unw_phase.tif")
    assert pattern is not None and (pattern["reference"], pattern["secondary"]) == ("20200103", "20200127")


def test_hyp3_phase_is_positive_away_and_its_vectors_point_to_the_satellite(api, tmp_path: Path) -> None:
    _, client = api
    batch = client.watch(submit(client, 0, 4) + submit(client, 1, 2), interval=0.01)
    products = [extract_zipped_product(path) for path in batch.download_files(tmp_path)]
    layer = {path.name.rsplit(f"{products[0].name}_")[-1][:-4]: path for path in products[0].glob("*.tif")}
    phase, lon, lat, header = read(layer["unw_phase"])
    assert header.crs.to_epsg() == 32636 and header.nodata == 0 and header.transform.a == 400
    assert header.transform.c % 400 == 0 and header.transform.f % 400 == 0

    covered = phase != 0
    assert 0.9 < covered.mean() < 1
    theta, phi = read(layer["lv_theta"])[0], read(layer["lv_phi"])[0]
    sight = np.cos(theta) * np.cos(phi), np.cos(theta) * np.sin(phi), np.sin(theta)
    for component, true in zip(sight, SCENE.los(lon, lat), strict=True):
        np.testing.assert_allclose(component[covered], true[covered], atol=1e-6)
    row, column = peak(lon, lat)
    assert sight[0][row, column] < -0.5 and sight[2][row, column] > 0.75  # ascending: the satellite is in the west

    # Ground motion of 96 days, projected by hand; a longer path (delay) is away; the unwrapping leaves one constant.
    ground = SCENE.enu(lon, lat, DATES[4]) - SCENE.enu(lon, lat, DATES[0])
    toward = sum(part * motion for part, motion in zip(sight, ground, strict=True))
    toward = toward + SCENE.delay(lon, lat, DATES[4]) - SCENE.delay(lon, lat, DATES[0])
    constant = phase + 4 * np.pi / WAVELENGTH * toward
    assert np.ptp(constant[covered]) < 1e-4 and abs(constant[row, column]) > 4
    assert np.ptp(toward[covered]) > 0.005

    np.testing.assert_allclose(
        read(layer["corr"])[0][covered], SCENE.coherence(lon, lat, DATES[0], DATES[4])[covered], atol=1e-6
    )
    assert np.mean(read(layer["conncomp"])[0][covered] == SCENE.component(lon, lat)[covered]) > 0.995
    assert set(np.unique(read(layer["water_mask"])[0])) == {0, 1}
    second = read(next(products[1].glob("*_unw_phase.tif")))[3]
    assert (second.bounds != header.bounds) and (second.bounds[0] - header.bounds[0]) % 400 == 0


def test_credits_are_spent_and_never_overdrawn(api) -> None:
    served, client = api
    assert client.check_credits() == 8000
    assert client.costs()["INSAR_ISCE_MULTI_BURST"]["cost_table"]["20x4"]["4"] == 1
    assert client.costs()["ARIA_S1_GUNW"] == {"cost": 60}
    (job,) = submit(client, 0, 1)
    assert job.credit_cost == 1 and client.check_credits() == 7999
    served.credits = 1.0
    prepared = client.prepare_insar_isce_multi_burst_job(of_date(0), of_date(1))
    with pytest.raises(HyP3Error, match=r"would cost 2\.0 credits, but you have only 1\.0 remaining"):
        client.submit_prepared_jobs([prepared, prepared])
    checked = requests.post(
        f"{client.url}/jobs", json={"jobs": [prepared], "validate_only": True}, headers=client.session.headers
    )
    assert checked.json()["jobs"][0]["credit_cost"] == 1
    assert client.check_credits() == 1 and len(served.jobs) == 1


@pytest.mark.parametrize(
    ("looks", "count", "credits"), [("20x4", 4, 1), ("20x4", 5, 5), ("20x4", 13, 10), ("10x2", 4, 5), ("5x1", 15, 110)]
)
def test_costs_follow_looks_and_number_of_bursts(looks: str, count: int, credits: float) -> None:
    assert hyp3_rules.cost("INSAR_ISCE_MULTI_BURST", {"looks": looks, "reference": ["burst"] * count}) == credits


def test_wrong_orders_and_wrong_tokens_are_refused(api) -> None:
    served, client = api
    refused = [
        (of_date(1), of_date(0), "older than secondary"),
        (of_date(0), of_date(1)[:2], "same number"),
        (of_date(0)[:2], of_date(1)[1:], "must be the same"),
        (of_date(0)[:1] * 2, of_date(1)[:1] * 2, "unique burst number"),
        ([of_date(0)[0], of_date(1)[1]], of_date(2)[:2], "2-minute window"),
        (elsewhere(0), elsewhere(1), "could not be found"),
        (["S1A_IW_SLC__1SDV"], ["S1A_IW_SLC__1SDV"], "does not match"),
        (of_date(0) * 6, of_date(1) * 6, "between 1 and 15"),
    ]
    for reference, secondary, reason in refused:
        with pytest.raises(HyP3Error, match=reason):
            client.submit_insar_isce_multi_burst_job(reference, secondary)
    with pytest.raises(HyP3Error, match="ARIA_S1_GUNW"):
        client.submit_aria_s1_gunw_job("2020-01-15", "2020-01-03", 1)
    with pytest.raises(HyP3Error, match="not valid"):
        hyp3_sdk.HyP3(api_url=client.url, token="wrong").check_credits()
    with pytest.raises(HyP3Error, match="does not exist"):
        client.get_job_by_id("no-such-job")
    assert served.jobs == [] and served.credits == 8000


def test_jobs_are_found_by_name_state_and_time_over_pages(api) -> None:
    _, client = api
    for older in range(4):
        submit(client, older, older + 1, name="chain", count=1)
    submit(client, 0, 2, name="other", count=1)
    found = client.find_jobs(name="chain")
    assert len(found) == 4 and len({job.job_id for job in found}) == 4  # two pages of two
    assert client.find_jobs(status_code="SUCCEEDED", name="other").jobs == []
    client.watch(client.find_jobs(name="other"), interval=0.01)
    assert [job.name for job in client.find_jobs(status_code="SUCCEEDED")] == ["other"]
    assert len(client.find_jobs(user_id="somebody-else")) == 0 and len(client.find_jobs(job_type="ARIA_S1_GUNW")) == 0
    assert len(client.find_jobs(start="2020-01-01", end="2020-02-01")) == 0
    client.update_jobs(found[:1], "renamed")
    assert [job.job_id for job in client.find_jobs(name="renamed")] == [found[0].job_id]
    assert client.my_info()["job_names"] == ["chain", "other", "renamed"]


def test_a_job_fails_on_demand(api) -> None:
    served, client = api
    served.failing = {(DATES[0].isoformat(), DATES[1].isoformat())}
    batch = client.watch(submit(client, 0, 1, count=1) + submit(client, 1, 2, count=1), interval=0.01)
    assert [job.status_code for job in batch] == ["FAILED", "SUCCEEDED"]
    with pytest.raises(HyP3SDKError, match="FAILED"):
        batch[0].download_files()


def test_a_submission_whose_answer_is_lost_is_registered(api) -> None:
    served, client = api
    served.lost_answers = 1
    with pytest.raises(requests.ConnectionError):
        submit(client, 0, 1, name="lost")
    assert [job.name for job in client.find_jobs(name="lost")] == ["lost"]
    assert client.check_credits() == 7999
    assert len(submit(client, 1, 2)) == 1


def test_jobs_outlive_their_server(api) -> None:
    served, client = api
    (job,) = client.watch(submit(client, 0, 1, count=1), interval=0.01)
    with LoopbackServer() as server:
        Hyp3Api(SCENE, served.directory).register(server)
        again = hyp3_sdk.HyP3(api_url=f"{server.url}/hyp3", token="any")
        found = again.get_job_by_id(job.job_id)
        assert found.succeeded() and requests.get(found.files[0]["url"]).ok and again.check_credits() == 7999


def test_expired_links_are_renewed_and_deleted_products_are_not(api, tmp_path: Path) -> None:
    served, client = api
    (job,) = client.watch(submit(client, 0, 1, count=1), interval=0.01)
    served.expire_links()
    assert requests.get(job.files[0]["url"]).status_code == 403
    with pytest.raises(HyP3SDKError, match="Unable to download"):
        job.download_files(tmp_path)
    job = client.refresh(job)
    assert not job.expired() and job.download_files(tmp_path)[0].stat().st_size == job.files[0]["size"]
    served.expire_products()
    job = client.refresh(job)
    assert job.expired() and requests.get(job.files[0]["url"]).status_code == 403
    (again,) = client.watch(submit(client, 0, 1, count=1), interval=0.01)
    assert again.job_id != job.job_id and again.download_files(tmp_path / "again")


def test_a_link_is_valid_for_a_while(api) -> None:
    served, client = api
    served.link_s = 0.0
    (job,) = client.watch(submit(client, 0, 1, count=1), interval=0.01)
    assert job.expired() and requests.get(job.files[0]["url"]).status_code == 403
    served.link_s = 60.0
    assert requests.get(client.refresh(job).files[0]["url"]).ok
    altered = client.refresh(job).files[0]["url"].replace("signature=", "signature=0")
    assert requests.get(altered).status_code == 403
