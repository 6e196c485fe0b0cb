"""What may be replaced: a stage's own earlier output, and nothing else."""

import json
import logging
import os
import shutil
import struct
import zlib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from slipscan import events, outputs
from slipscan.archive import stage as archive
from slipscan.atomic import write_text, written_beside
from slipscan.denoise import cards
from slipscan.denoise.methods.slipnet.network import SlipNet
from slipscan.detect import calibration
from slipscan.errors import SlipscanError
from slipscan.gnss.stage import COMPARISON_COLUMNS, write_comparison
from slipscan.gnss.stage import KIND as COMPARISON
from slipscan.noise import stage as noise
from slipscan.outputs import NEW, OWN, check_outputs, csv_kind, store_kind
from slipscan.png import png_kind
from slipscan.report import style
from slipscan.report.stage import MAP, PAGE
from slipscan.settings import ArchiveSettings, NoiseSettings
from slipscan.store import write_zarr
from slipscan.vocabulary import annotate
from slipscan_loopback import archive as loopback

STACK = store_kind("stack")


def stack() -> xr.Dataset:
    grid = {"time": np.array(["2020-01-01", "2020-01-13"], "datetime64[ns]"), "y": [1.0, 0.0], "x": [0.0, 1.0]}
    return annotate(xr.Dataset({"displacement": (("time", "y", "x"), np.zeros((2, 2, 2)))}, coords=grid), "stack")


def everything(directory: Path) -> dict[str, bytes]:
    """All files below a directory, with their content."""
    return {str(p.relative_to(directory)): p.read_bytes() for p in directory.rglob("*") if p.is_file()}


def refused(path: Path, kind: outputs.Kind, match: str) -> None:
    """Refused before and at the moment of the renaming, and nothing is changed."""
    before = everything(path.parent)
    with pytest.raises(SlipscanError, match=match):
        check_outputs([(path, kind)])
    with pytest.raises(SlipscanError, match=match), written_beside(path, kind) as beside:
        beside.write_text("new")
    assert everything(path.parent) == before


def test_a_store_is_replaced_by_one_of_its_own_product_only(tmp_path: Path) -> None:
    write_zarr(stack(), tmp_path / "a.zarr")
    (tmp_path / "a.zarr" / ".snakemake_timestamp").touch()
    check_outputs([(tmp_path / "a.zarr", STACK)])
    write_zarr(stack() + 1, tmp_path / "a.zarr", STACK)
    refused(tmp_path / "a.zarr", store_kind("noise"), "is a store of product 'stack', not a store of product 'noise'")
    for name in ("notes.txt", "displacement/notes.txt", "displacement/c/0/0/0.bak", "mask/zarr.json"):
        write_zarr(stack(), tmp_path / "b.zarr")
        (tmp_path / "b.zarr" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "b.zarr" / name).write_text("{}")
        refused(tmp_path / "b.zarr", STACK, f"holds {name}, which slipscan did not write")
        shutil.rmtree(tmp_path / "b.zarr")


def test_anothers_store_and_a_link_in_a_store_are_kept(tmp_path: Path) -> None:
    other = stack().drop_attrs(deep=False)
    write_zarr(other, tmp_path / "theirs.zarr")
    refused(tmp_path / "theirs.zarr", STACK, "is not a store of product 'stack' that slipscan wrote")
    write_zarr(stack(), tmp_path / "a.zarr")
    (tmp_path / "dem").mkdir()
    (tmp_path / "a.zarr" / "dem").symlink_to(tmp_path / "dem")
    refused(tmp_path / "a.zarr", STACK, "holds dem, which")


@pytest.mark.parametrize("kind", [STACK, archive.INVENTORY, events.KIND, calibration.KIND, PAGE, MAP, NEW, OWN])
def test_a_directory_of_the_users_is_kept_by_every_kind(tmp_path: Path, kind: outputs.Kind) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("precious")
    refused(tmp_path / "mine", kind, "mine .*: it is left as it is")


def test_what_is_empty_may_be_replaced(tmp_path: Path) -> None:
    (tmp_path / "directory").mkdir()
    (tmp_path / "file").touch()
    write_zarr(stack(), tmp_path / "directory")
    write_zarr(stack(), tmp_path / "file")
    (tmp_path / "again").mkdir()
    write_text(tmp_path / "again", "text")
    assert (tmp_path / "again").read_text() == "text" and (tmp_path / "file" / "zarr.json").is_file()
    (tmp_path / "tree" / "of" / "directories").mkdir(parents=True)
    refused(tmp_path / "tree", STACK, "is not a store")


def png(*chunks: tuple[bytes, bytes]) -> bytes:
    parts = (struct.pack(">I", len(d)) + t + d + struct.pack(">I", zlib.crc32(t + d)) for t, d in chunks)
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def test_pictures(tmp_path: Path) -> None:
    with style.new_figure(2, 2) as figure:
        (tmp_path / "map.png").write_bytes(style.to_png(figure))
        figure.savefig(tmp_path / "former.png", dpi=style.DPI, metadata={"Software": None})
        figure.savefig(tmp_path / "mine.png", dpi=style.DPI)
    check_outputs([(tmp_path / "map.png", MAP), (tmp_path / "former.png", MAP)])
    refused(tmp_path / "mine.png", MAP, "is not a map that slipscan wrote")
    refused(tmp_path / "former.png", png_kind("a map", 72), "is not a map")
    (tmp_path / "rgb.png").write_bytes(png((b"IHDR", b"12345678\x08\x02\0\0\0"), (b"IDAT", b""), (b"IEND", b"")))
    refused(tmp_path / "rgb.png", MAP, "is not a map")


def test_tables_and_texts(tmp_path: Path) -> None:
    kind = csv_kind("a table", "a", "b")
    for name, text in {"more.csv": "a,b,mine\n1,2,3\n", "other.csv": "x\n", "binary.csv": "\xe9\xff"}.items():
        (tmp_path / name).write_bytes(text.encode("latin-1"))
        refused(tmp_path / name, kind, "is not a table that slipscan wrote")
    (tmp_path / "own.csv").write_text("a,b\n")
    check_outputs([(tmp_path / "own.csv", kind)])
    for text in ("{", "[1]", '{"id": 1}'):
        (tmp_path / "c.json").write_text(text)
        refused(tmp_path / "c.json", calibration.KIND, "is not a calibration that slipscan wrote")
    (tmp_path / "page.html").write_text("<!DOCTYPE html><title>my page</title>")
    refused(tmp_path / "page.html", PAGE, "is not a report page")


def test_parquet_tables(tmp_path: Path) -> None:
    write_comparison(tmp_path / "g.parquet", pd.DataFrame(columns=[c.name for c in COMPARISON_COLUMNS]))
    events.write_events(tmp_path / "e.parquet", events.event_table([], events.SOURCE_COLUMNS), [{"region": "A"}])
    both = (*events.SOURCE_COLUMNS, *events.GNSS_COLUMNS)
    with written_beside(tmp_path / "increment.parquet") as beside:
        events.write_events(beside, events.event_table([], both), [{"region": "A"}])
    pd.DataFrame({"event": [1], "station": ["A"], "track": ["B"], "mine": [1]}).to_parquet(tmp_path / "mine.parquet")
    check_outputs([(tmp_path / "g.parquet", COMPARISON), (tmp_path / "e.parquet", events.KIND)])
    for name, kind in {"e": COMPARISON, "mine": COMPARISON, "g": events.KIND, "increment": events.KIND}.items():
        refused(tmp_path / f"{name}.parquet", kind, "that slipscan wrote")
    (tmp_path / "e.parquet").write_text("no Parquet")
    refused(tmp_path / "e.parquet", events.KIND, "is not an event table that slipscan wrote")


def test_weights(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    network = SlipNet(4)
    card = {"name": "x", "training": {}}
    path = tmp_path / "w.safetensors"
    cards.save(network, path, card, "slipnet", {"width": 4})
    cards.save(network, path, card, "slipnet", {"width": 4})
    save_file(
        {name: part.contiguous() for name, part in network.state_dict().items()}, path
    )  # as up to version 0.1, which left no mark in the file
    refused(path, cards.KIND, "is not weights that slipscan wrote")
    content = json.loads(path.with_suffix(".json").read_text())
    path.with_suffix(".json").write_text(json.dumps({**content, "sha256": outputs.sha256_file(path)}))
    check_outputs([(path, cards.KIND)])
    path.write_text("no weights")
    refused(path, cards.KIND, "is not weights that slipscan wrote")


def test_inputs_are_kept_however_they_are_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = tmp_path / "data"
    write_zarr(stack(), data / "a.zarr")
    (tmp_path / "link.zarr").symlink_to(data / "a.zarr")
    (tmp_path / "linked").symlink_to(data)
    monkeypatch.chdir(data)
    for path in ("a.zarr", "a.zarr/", "./a.zarr", "../data/a.zarr", str(tmp_path / "link.zarr"), "../linked/a.zarr"):
        with pytest.raises(SlipscanError, match=r"is, or holds, the input .*a.zarr"):
            check_outputs([(Path(path), STACK)], [data / "a.zarr"])
    for path in ("..", "../../" + tmp_path.name, "../linked"):
        with pytest.raises(SlipscanError, match=r"is, or holds, the input|is no name for an output"):
            check_outputs([(Path(path), NEW)], ["a.zarr"])
    with pytest.raises(SlipscanError, match=r"lies in the Zarr store .*data/a.zarr"):
        check_outputs([(Path("a.zarr/noise.zarr"), NEW)], [])
    os.link(data / "a.zarr" / "zarr.json", tmp_path / "hard.json")
    with pytest.raises(SlipscanError, match="is, or holds, the input"):
        check_outputs([(tmp_path / "hard.json", OWN)], [data / "a.zarr" / "zarr.json"])


def test_outputs_of_one_command_are_apart(tmp_path: Path) -> None:
    (tmp_path / "linked").symlink_to(tmp_path)
    for one, other in (("a", "a"), ("a", "A"), ("a", "linked/a"), ("a.zarr", "a.zarr/b.csv"), ("x/y", "x")):
        with pytest.raises(SlipscanError, match="give each a path of its own"):
            check_outputs([(tmp_path / one, OWN), (tmp_path / other, OWN)])
    check_outputs([(tmp_path / "a", OWN), (tmp_path / "ab", OWN)], [tmp_path / "abc"])


@pytest.mark.parametrize("path", [".", "", "/", ".."])
def test_what_is_no_path_of_an_output(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SlipscanError, match="is no name for an output"):
        noise.write_noise(tmp_path / "stack.zarr", Path(path), NoiseSettings())


def test_below_a_file_a_loop_of_links_and_a_device(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SlipscanError, match=r"because .*file is a file and no directory"):
        check_outputs([(tmp_path / "file" / "deep" / "a.csv", NEW)])
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(SlipscanError, match="leads back to itself"):
        check_outputs([(tmp_path / "loop", NEW)])
    with pytest.raises(SlipscanError, match="/dev/null is no file"):
        check_outputs([(Path("/dev/null"), OWN)])
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(SlipscanError, match="pipe is no file"):
        check_outputs([(tmp_path / "pipe", OWN)])


def test_stations_that_someone_added_to_are_kept(tmp_path: Path) -> None:
    import insar_scene as scenes

    (tmp_path / "gnss").mkdir()
    text = "site YYMMMDD\n"
    (tmp_path / "gnss" / "ABCD.tenv3").write_text(text)
    region = scenes.region("gamma", gnss="gnss")
    settings, out = ArchiveSettings(data_root=str(tmp_path)), tmp_path / "out"
    archive.write_stations(region, settings, None, out)
    (tmp_path / "gnss" / "ABCD.tenv3").write_text(text + "a day more\n")
    archive.write_stations(region, settings, None, out)
    assert (out / "ABCD.tenv3").read_text().endswith("a day more\n")
    for name, content in (("MINE.tenv3", "mine"), ("ABCD.tenv3", "corrected by hand")):
        before = everything(out)
        (out / name).write_text(content)
        with pytest.raises(SlipscanError, match=f"holds {name}, which slipscan did not write"):
            archive.write_stations(region, settings, None, out)
        assert (out / name).read_text() == content
        (out / name).unlink()
        for file, data in before.items():
            (out / file).write_bytes(data)
    (out / outputs.LISTING).unlink()  # of version 0.1, which wrote no list: the files are those of the source
    archive.write_stations(region, settings, None, out)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "EFGH.tenv3").write_text(text)
    for path in (tmp_path / "mine", tmp_path / "gnss", tmp_path):
        before = everything(tmp_path)
        with pytest.raises(SlipscanError, match=r"did not write|is, or holds, the input"):
            archive.write_stations(region, settings, None, path)
        assert everything(tmp_path) == before


def test_the_loopback_archive_takes_no_directory_of_the_users(tmp_path: Path) -> None:
    (tmp_path / "products").mkdir()
    (tmp_path / "products" / "mine.tif").write_text("precious")
    (tmp_path / "config.yaml").write_text("regions: [TST]\n")
    for sentence in ("config.yaml is not a configuration", "products exists"):
        with pytest.raises(SlipscanError, match=sentence):
            loopback.serve(tmp_path, wait=lambda: None)
        assert (tmp_path / "products" / "mine.tif").read_text() == "precious"
        (tmp_path / "config.yaml").unlink(missing_ok=True)


def test_a_replaced_file_is_no_reason_to_refuse(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Another writer renames its own in while we look: we look again."""
    write_text(tmp_path / "a", "1")

    def why_not(path: Path) -> str:
        if path.read_text() == "1":
            write_text(path, "2", OWN)
            return "was replaced"
        return ""

    with caplog.at_level(logging.WARNING):
        write_text(tmp_path / "a", "3", outputs.Kind("one", why_not))
    assert (tmp_path / "a").read_text() == "3" and not caplog.records
