"""Imports point one way, along the flow of the data; this table is the architecture."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "src" / "slipscan"

GROUND = {
    "errors", "outputs", "atomic", "vocabulary", "settings", "regions", "geometry", "store", "outofcore", "fit",
    "field", "coarse", "events", "progress", "stack", "cache", "conform", "dates", "gridmapping", "metric", "screening",
    "units", "plausible", "arguments", "configuration", "earthquakes", "isolated", "longitudes", "models", "png",
    "products", "settings_archive", "settings_catalogue", "settings_completeness", "settings_gnss", "settings_source",
    "events_source", "space", "faults",
    "patches", "texts", "vintage", "workers",
}  # fmt: skip
FIRST_FLOOR = {"forward", "noise.simulate", "synthetic"}
FLOW = ["archive", "timeseries", "noise", "denoise", "detect", "source", "completeness", "gnss", "catalogue", "report"]
"""A stage may import what stands before it."""
ABOVE_ALL = {"__main__", "api", "cli", "ending", "fleet", "versions", "reference", "export", "project"}
"""May import everything."""
BESIDE = ("slipbench", "slipscan_loopback")
"""Packages of their own, which import slipscan; of slipscan, the command line alone knows them."""


def modules() -> list[Path]:
    return sorted(p for p in PACKAGE.rglob("*.py") if p.name != "__init__.py")


def room(name: str) -> str:
    """The row of the table that a module (without 'slipscan.') stands in."""
    return "noise.simulate" if name.startswith("noise.simulate") else name.split(".")[0]


def imported(path: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module == "slipscan":
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("slipscan."):
            module = node.module.removeprefix("slipscan.")
            is_package = (PACKAGE / module.replace(".", "/")).is_dir()
            names |= {f"{module}.{alias.name}" for alias in node.names} if is_package else {module}
        elif isinstance(node, ast.Import):
            names |= {a.name.removeprefix("slipscan.") for a in node.names if a.name.startswith("slipscan.")}
    return names


def allowed(own: str) -> set[str]:
    if own in GROUND:
        return GROUND
    if own in FIRST_FLOOR:
        return GROUND | FIRST_FLOOR
    if own in FLOW:
        return GROUND | FIRST_FLOOR | set(FLOW[: FLOW.index(own) + 1])
    assert own in ABOVE_ALL, f"{own} has no row in the table of tests/test_imports.py"
    return GROUND | FIRST_FLOOR | set(FLOW) | ABOVE_ALL


@pytest.mark.parametrize("path", modules(), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_point_one_way(path: Path) -> None:
    own = room(".".join(path.relative_to(PACKAGE).with_suffix("").parts))
    for name in imported(path):
        if (PACKAGE / f"{name.split('.')[0]}.py").exists() or (PACKAGE / name.split(".")[0]).is_dir():
            assert room(name) in allowed(own), f"{own} imports {name}: the arrow runs back"


def test_the_product_does_not_know_the_benchmark_nor_the_loopback_archives() -> None:
    for path in modules():
        if path.name != "cli.py":
            assert not any(f"import {name}" in path.read_text() for name in BESIDE), path
            assert not any(f"from {name}" in path.read_text() for name in BESIDE), path


def test_the_table_knows_a_backward_arrow() -> None:
    assert "detect" not in allowed("denoise") and "denoise" in allowed("detect")


def test_init_files_are_nearly_empty() -> None:
    for path in PACKAGE.rglob("*/__init__.py"):
        assert len(path.read_text().splitlines()) <= 9, path


def test_the_top_level_exposes_the_api_alone() -> None:
    """And imports nothing of slipscan, nor anything heavy, until it is asked for."""
    path = PACKAGE / "__init__.py"
    assert len(path.read_text().splitlines()) <= 50 and imported(path) == {"api"}


def test_stores_alone_open_zarr() -> None:
    for path in modules():
        text = path.read_text()
        if path.name != "store.py":
            assert "xr.open_zarr" not in text and ".to_zarr(" not in text, path
