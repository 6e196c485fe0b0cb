"""Archives by name: all offer one Protocol, none is told from another by its name, and each loads alone."""

from __future__ import annotations

import ast
import inspect
import subprocess
import sys
from pathlib import Path
from typing import get_args

import pandas as pd
import pytest

import insar_scene as scenes
from job_builders import job_of
from slipscan.archive.manifest import COLUMNS
from slipscan.archive.protocol import Archive
from slipscan.archive.registry import ARCHIVES, archive_of, has_truth
from slipscan.archive.remote import RemoteArchive
from slipscan.errors import SlipscanError
from slipscan.regions import SOURCES, Region, Track
from slipscan.settings import ArchiveSettings

PACKAGE = Path(__file__).resolve().parents[1] / "src" / "slipscan"
REGION: Region = scenes.region("licsar")


def of(name: str) -> Archive:
    return archive_of(REGION.model_copy(update={"archive": name}))


@pytest.mark.parametrize("name", sorted(ARCHIVES))
def test_every_archive_offers_the_protocol(name: str) -> None:
    archive = of(name)
    assert archive.name == name
    wanted = RemoteArchive if RemoteArchive in type(archive).__mro__ else Archive
    for method, function in inspect.getmembers(wanted, inspect.isfunction):
        if not method.startswith("_"):
            own = getattr(type(archive), method)
            assert list(inspect.signature(own).parameters) == list(inspect.signature(function).parameters), method
    if name != "hyp3":
        with pytest.raises(SlipscanError, match=f"'{name}': only 'hyp3' takes orders"):
            archive.order(pd.DataFrame(), job_of(REGION))
    assert has_truth(REGION.model_copy(update={"archive": name})) == archive.has_truth
    if not archive.has_truth:
        with pytest.raises(SlipscanError, match=f"'{name}': only simulated regions have a truth"):
            archive.truth(REGION, ArchiveSettings())


def test_the_archives_of_the_regions_file_are_those_of_the_registry() -> None:
    assert set(get_args(Region.model_fields["archive"].annotation)) == set(ARCHIVES)
    assert set(SOURCES) == set(ARCHIVES) & set(Track.model_fields)


def test_no_module_outside_its_folder_compares_the_name_of_an_archive() -> None:
    folders = [PACKAGE / "archive" / name for name in ARCHIVES]
    for path in sorted(PACKAGE.rglob("*.py")):
        if any(folder in path.parents for folder in folders):
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Compare) and "archive" in ast.unparse(node):
                words = {part.value for part in ast.walk(node) if isinstance(part, ast.Constant)}
                assert not words & set(ARCHIVES), f"{path}: {ast.unparse(node)}"


def test_no_rule_compares_the_name_of_an_archive() -> None:
    root = PACKAGE.parents[1]
    for path in [root / "Snakefile", *sorted((root / "workflow" / "rules").glob("*.smk"))]:
        for name in ARCHIVES:
            assert f'"{name}"' not in path.read_text() and f"'{name}'" not in path.read_text(), path


@pytest.mark.parametrize("name", sorted(set(ARCHIVES) - {"simulated"}))
def test_a_real_archive_loads_without_torch_and_without_the_libraries_of_another(name: str) -> None:
    lost = {"asf_search", "hyp3_sdk", "torch", *(f"slipscan.archive.{other}.archive" for other in ARCHIVES)}
    code = f"""
import sys
sys.modules.update(dict.fromkeys({sorted(lost - {f"slipscan.archive.{name}.archive"})}))
from types import SimpleNamespace
from slipscan.archive import stage
from slipscan.archive.registry import archive_of
assert archive_of(SimpleNamespace(archive={name!r})).name == {name!r}
"""
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(("name", "differ"), [("aria", True), ("hyp3", True), ("opera", False)])
def test_crops_at_the_heights_of_one_dem_are_not_those_of_another(name: str, differ: bool, tmp_path: Path) -> None:
    archive = of(name)
    assert RemoteArchive in type(archive).__mro__
    keys = []
    for number in range(2):
        (tmp_path / f"{number}.tif").write_bytes(bytes([number]))
        job = job_of(scenes.region("licsar"), ArchiveSettings(dem=str(tmp_path / f"{number}.tif")))
        keys.append(archive._entry(pd.Series(dict.fromkeys(COLUMNS, "x")), job))
    assert (keys[0] != keys[1]) is differ
