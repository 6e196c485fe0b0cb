"""A wheel alone, without a clone: every command, every data file, and a project that `slipscan init` begins."""

import importlib.metadata
import zipfile
from pathlib import Path

import pytest

from installed import REPOSITORY, Installation
from simulated import stack_dataset
from slipscan.project.start import starting_files
from slipscan.store import open_zarr, write_zarr
from slipscan.vocabulary import check

DEMO = ("-m", "snakemake", "--logger", "slipscan", "--configfile", "config/demo.yaml", "--cores", "2")

EVERY_MODULE_AND_COMMAND = """
import importlib, pathlib, pkgutil, sys
import slipscan
assert pathlib.Path(sys.prefix) in pathlib.Path(slipscan.__file__).parents, slipscan.__file__
names = [m.name for m in pkgutil.walk_packages(slipscan.__path__, "slipscan.") if m.name != "slipscan.__main__"]
for name in names:
    importlib.import_module(name)
import typer.main, typer.testing
from slipscan.cli import app
def paths(command, path=()):
    yield path
    for name, inner in getattr(command, "commands", {}).items():
        yield from paths(inner, (*path, name))
commands = list(paths(typer.main.get_command(app)))
for path in commands:
    done = typer.testing.CliRunner().invoke(app, [*path, "--help"])
    assert done.exit_code == 0 and "Usage: " in done.output and " ".join(path) in done.output, (path, done.output)
print(len(names), "modules", len(commands), "commands")
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installation:
    return Installation(tmp_path_factory.mktemp("wheel"))


@pytest.fixture
def project(installed: Installation, tmp_path: Path) -> Path:
    directory = tmp_path / "my project"
    said = installed.run("init", directory, cwd=tmp_path)
    assert f"cd '{directory}' && snakemake" in said
    return directory


def test_the_wheel_holds_every_data_file(installed: Installation) -> None:
    package = REPOSITORY / "src/slipscan"
    linked = package / "project/files"
    plain = [path for path in package.rglob("*") if path.is_file() and linked not in path.parents]
    data = {path.relative_to(package) for path in plain if path.suffix not in (".py", ".pyc")}
    expected = data | {Path("project/files") / name for name in starting_files()}
    with zipfile.ZipFile(installed.wheel) as wheel:
        held = {Path(name).relative_to("slipscan") for name in wheel.namelist() if name.startswith("slipscan/")}
    assert {name for name in held if name.suffix != ".py"} == expected


def test_every_module_and_every_command_from_anywhere(installed: Installation, tmp_path: Path) -> None:
    _, _, commands, _ = installed.run_python("-c", EVERY_MODULE_AND_COMMAND, cwd=tmp_path).split()[-4:]
    assert int(commands) > 25
    version = f"slipscan {importlib.metadata.version('slipscan')}\n"
    assert installed.run("--version", cwd=tmp_path) == version
    assert installed.run_python("-m", "slipscan", "--version", cwd=tmp_path) == version
    assert list(tmp_path.iterdir()) == []


def test_a_network_runs_with_the_weights_of_the_wheel(installed: Installation, tmp_path: Path) -> None:
    write_zarr(stack_dataset(epochs=16), tmp_path / "stack.zarr")
    installed.run("denoise", "stack.zarr", "denoised.zarr", cwd=tmp_path)
    check(open_zarr(tmp_path / "denoised.zarr"), "denoised")


def test_a_project_begins_with_the_files_of_the_clone(project: Path) -> None:
    written = sorted(path.relative_to(project) for path in project.rglob("*") if path.is_file())
    assert written == starting_files()
    for name in written:
        assert (project / name).read_bytes() == (REPOSITORY / name).read_bytes(), name
    rules = {path.relative_to(REPOSITORY) for path in (REPOSITORY / "workflow").rglob("*") if path.is_file()}
    assert rules <= set(written)


def test_a_project_runs_without_a_clone(installed: Installation, project: Path) -> None:
    plan = installed.run_python(*DEMO, "--dry-run", cwd=project)
    assert all(rule in plan for rule in ("archive", "denoise", "gnss", "report"))
    said = installed.run_python(*DEMO, "--", "manifests", "results/demo/ISMT-TWIN/truth.json", cwd=project)
    assert "3/3 " in said and (project / "results/demo/ISMT-TWIN/087A/manifest.csv").is_file()


@pytest.mark.slow
def test_the_demo_of_a_project(installed: Installation, project: Path) -> None:
    installed.run_python(*DEMO, cwd=project)
    said = installed.run("score", "results/demo/catalogue.gpkg", "results/demo/ISMT-TWIN/truth.json", cwd=project)
    assert "2 of 2 planted events found, 0 missed, 0 false" in said
