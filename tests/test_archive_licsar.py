"""Archive licsar: index pages to a manifest and files."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from job_builders import job_of
from licsar_builders import AS_OF, FRAME, region_of, search, settings_for
from slipscan.archive import manifest
from slipscan.archive.granules import RemoteFile
from slipscan.archive.http.index_pages import is_index, links
from slipscan.archive.licsar.archive import Licsar, frame_url
from slipscan.errors import SlipscanError
from slipscan.settings import ArchiveSettings
from slipscan_loopback.http import LoopbackServer, Request, Response

APACHE = """<!DOCTYPE HTML PUBLIC "-//W3C//DTD HTML 3.2 Final//EN">
<html><head><title>Index of /x</title></head><body><h1>Index of /x</h1><table>
<tr><th><a href="?C=N;O=D">Name</a></th><th><a href="?C=M;O=A">Last modified</a></th></tr>
<tr><td><a href="/">Parent Directory</a></td></tr>
{rows}</table></body></html>
"""


def page(*names: str) -> Response:
    rows = "".join(f'<tr><td><a href="{name}">{name[:20]}..&gt;</a></td><td>1.2M</td></tr>\n' for name in names)
    return Response(body=APACHE.format(rows=rows).encode(), content_type="text/html", ranges=False)


def served(server: LoopbackServer, pages: dict[str, Response | list[Response]]) -> None:
    """Serve pages by path; a list is served one after another, the last one for good."""

    def answer(request: Request) -> Response:
        found = pages.get(request.path, Response(404))
        if isinstance(found, list):
            return found.pop(0) if len(found) > 1 else found[0]
        return found

    server.route(r"/.*", answer)


# Pages made by hand.

HOME = f"/LiCSAR_products/87/{FRAME}/"
PAIRS = ("20200103_20200115", "20200103_20200127", "20200115_20200127")


def hand_made() -> dict[str, Response | list[Response]]:
    pages: dict[str, Response | list[Response]] = {
        f"{HOME}interferograms/": page(*(f"{pair}/" for pair in PAIRS), "20200115_20200103/", "20200140_20200203/"),
        f"{HOME}metadata/": page(*(f"{FRAME}.geo.{name}.tif" for name in ("E", "N", "U", "hgt")), "metadata.txt"),
        f"{HOME}epochs/": page("20200103/", "20200115/"),
        f"{HOME}epochs/20200103/": page("20200103.sltd.geo.tif", "20200103.geo.mli.tif"),
        f"{HOME}epochs/20200115/": page("20200115.sltd.geo.tif"),
    }
    for pair in PAIRS:
        files = () if pair == PAIRS[1] else (f"{pair}.geo.unw.tif", f"{pair}.geo.cc.tif", f"{pair}.geo.unw.png")
        pages[f"{HOME}interferograms/{pair}/"] = page(*files)
    return pages


def test_manifest_lists_pairs_with_data(caplog: pytest.LogCaptureFixture, tmp_path: Path) -> None:
    region = region_of(FRAME)
    with LoopbackServer() as server:
        served(server, hand_made())
        table = search(region, settings_for(server))
        early = search(region, settings_for(server), "2020-01-20")
    assert list(table["granule"]) == [f"{FRAME}_{PAIRS[0]}", f"{FRAME}_{PAIRS[2]}"]
    first = table.iloc[0].to_dict()
    assert first == {
        "granule": f"{FRAME}_{PAIRS[0]}",
        "archive": "licsar",
        "product_version": "",
        "reference_date": "2020-01-03",
        "secondary_date": "2020-01-15",
        "relative_orbit": "87",
        "frame": FRAME,
        "expected_bytes": "",
        "expected_checksum": "",
    }
    assert len(early) == 1
    assert "without an unwrapped interferogram or its coherence, left out: 20200103_20200127" in caplog.text
    assert "left out: 20200115_20200103, 20200140_20200203" in caplog.text
    manifest.write(tmp_path / "manifest.csv", table)
    pd.testing.assert_frame_equal(manifest.read(tmp_path / "manifest.csv"), table, check_dtype=False)


def test_version_is_of_the_metadata_where_it_tells_one() -> None:
    pages = hand_made()
    pages[f"{HOME}metadata/metadata.txt"] = Response(body=b"master=20200103\nprocessing_version=1.4\n")
    with LoopbackServer() as server:
        served(server, pages)
        assert set(search(region_of(FRAME), settings_for(server))["product_version"]) == {"1.4"}


def test_query_names_the_pages_and_asks_none() -> None:
    region = region_of(FRAME, "087A_05100_131313")
    text = Licsar().query(job_of(region, ArchiveSettings(licsar_url="http://127.0.0.1:9/L/")), AS_OF)
    assert text.startswith(f"GET http://127.0.0.1:9/L/87/{FRAME}/interferograms/, http://127.0.0.1:9/L/87/087A_05100")
    assert AS_OF in text


def test_locate_finds_files_and_says_which_delays_are_missing(caplog: pytest.LogCaptureFixture) -> None:
    region = region_of(FRAME)
    with LoopbackServer() as server:
        served(server, hand_made())
        table = search(region, settings_for(server))
        plain = Licsar().locate(table, job_of(region, settings_for(server)))
        assert not any("sltd" in file.name for files in plain.values() for file in files)
        assert "GACOS" not in caplog.text
        found = Licsar().locate(table, job_of(region, settings_for(server, troposphere="gacos")))
        base = server.url + HOME
    files = {file.name: file for file in found[f"{FRAME}_{PAIRS[0]}"]}
    assert files[f"{FRAME}_{PAIRS[0]}.geo.unw.tif"] == RemoteFile(
        f"{FRAME}_{PAIRS[0]}.geo.unw.tif", f"{base}interferograms/{PAIRS[0]}/{PAIRS[0]}.geo.unw.tif"
    )
    assert files[f"{FRAME}.geo.E.tif"] == RemoteFile(
        f"{FRAME}.geo.E.tif", f"{base}metadata/{FRAME}.geo.E.tif", shared=True
    )
    assert files[f"{FRAME}_20200115.sltd.geo.tif"].shared
    assert len(files) == 2 + 4 + 1 + 2  # with metadata.txt
    assert not any("sltd" in file.name for file in found[f"{FRAME}_{PAIRS[2]}"])
    assert f"{FRAME}: no GACOS delay for 20200127" in caplog.text


def test_a_pair_that_has_gone_is_an_error() -> None:
    region, pages = region_of(FRAME), hand_made()
    with LoopbackServer() as server:
        served(server, pages)
        table = search(region, settings_for(server))
        pages[f"{HOME}interferograms/{PAIRS[0]}/"] = page()
        with pytest.raises(SlipscanError, match="no longer has the interferogram 20200103_20200115 of frame"):
            Licsar().locate(table, job_of(region, settings_for(server)))


@pytest.mark.parametrize(
    ("frame", "match"),
    [
        ("087A_09999_131313", "archive 'licsar' has no frame 087A_09999_131313 at http://127.0.0.1"),
        ("021D_04972_131213", "not of relative orbit 87 ascending"),
        ("087D_04900_131313", "not of relative orbit 87 ascending"),
        ("87A", "is no LiCSAR frame: write it as"),
    ],
)
def test_wrong_frames(frame: str, match: str) -> None:
    with LoopbackServer() as server:
        served(server, hand_made())
        with pytest.raises(SlipscanError, match=match) as raised:
            search(region_of(frame), settings_for(server))
        assert "\n" not in str(raised.value)


def test_a_track_number_without_leading_zeros() -> None:
    settings = ArchiveSettings(licsar_url="http://127.0.0.1:9/")
    assert frame_url(settings, "005D_04972_131213") == "http://127.0.0.1:9/5/005D_04972_131213/"


BAD_ANSWERS = {
    "unavailable": Response(503),
    "too many requests": Response(429, headers={"Retry-After": "0"}),
    "a sign-in page": Response(body=b"<html><title>Sign in</title></html>", content_type="text/html", ranges=False),
    "half a list": Response(body=page(*PAIRS).body[:400], content_type="text/html", ranges=False),
}


@pytest.mark.parametrize("kind", sorted(BAD_ANSWERS))
def test_what_may_pass_is_asked_again(kind: str) -> None:
    pages = hand_made()
    whole = pages[f"{HOME}interferograms/"]
    pages[f"{HOME}interferograms/"] = [BAD_ANSWERS[kind], BAD_ANSWERS[kind], whole]
    with LoopbackServer() as server:
        served(server, pages)
        assert len(search(region_of(FRAME), settings_for(server))) == 2
        pages[f"{HOME}interferograms/"] = BAD_ANSWERS[kind]
        with pytest.raises(SlipscanError, match=r"gave no answer in 3 tries .*archive\.licsar_url"):
            search(region_of(FRAME), settings_for(server))


def test_no_server_at_all() -> None:
    with LoopbackServer() as server:
        settings = settings_for(server)
    with pytest.raises(SlipscanError, match="gave no answer in 3 tries"):
        search(region_of(FRAME), settings)


def test_links_of_other_servers_and_elsewhere() -> None:
    """nginx and Python list plain names, Apache sorts by links with a query; parents and other hosts are none."""
    listing = (
        '<html><head><title>Index of /a/</title></head><a href="../">../</a><a href="b%20c.tif">b</a>'
        '<a href="http://127.0.0.2/a/h">h</a>'
        '<a href="/a/d/">d/</a><a href="http://127.0.0.1/a/e.tif">e</a><a href="/z/f">f</a><a href="?C=N">N</a>'
        '<a href="g/h">g</a></html>'
    )
    assert is_index(listing) and not is_index(listing.removesuffix("</html>"))
    assert links(listing, "http://127.0.0.1/a/") == ["b c.tif", "d", "e.tif"]
    assert is_index("<!DOCTYPE HTML><html><head><title>Directory listing for /a/</title></head></html>\n")
