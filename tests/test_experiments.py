"""The scripts in benchmarks/ run on today's rooms, at a budget of nearly nothing."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pandas as pd
import pytest

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"
SCRIPTS = ("experiments/run", "experiments/separable", "skill/check_rows", "skill/symmetries", "skill/goals")


def loaded(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"benchmarks_{name.replace('/', '_')}", BENCHMARKS / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def run(monkeypatch: pytest.MonkeyPatch, module: ModuleType, *words: str) -> object:
    monkeypatch.setattr(sys, "argv", ["script", *words])
    return module.main()


@pytest.mark.parametrize("name", SCRIPTS)
def test_no_script_patches_the_product(name: str) -> None:
    assert "patch" not in (BENCHMARKS / f"{name}.py").read_text()
    loaded(name)


def test_ablations_are_trained_and_measured_without_patching(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = loaded("experiments/run")
    for name in ("WORK", "ROWS", "LOGS"):
        monkeypatch.setattr(module, name, tmp_path / name)
    small = {"width": 8, "pixels": 32, "batch": 1, "validation_scenes": 1}
    monkeypatch.setattr(module, "BUDGET", module.BUDGET.model_copy(update=small))
    for name in ("pixel-series", "full"):
        run(monkeypatch, module, "train", name, "--steps", "1")
        assert (tmp_path / "WORK" / f"{name}.safetensors").is_file()
    (tmp_path / "WORK" / "full.csv").write_text("step\n")
    monkeypatch.setattr(module.skill, "selected", lambda manifest, share: manifest.iloc[:2])
    rows = {}
    for name in ("full", "pixel-series"):
        (tmp_path / "WORK" / f"{name}.csv").write_text("step\n")
        run(monkeypatch, module, "measure", name)
        rows[name] = pd.read_parquet(tmp_path / "ROWS" / f"{name}.parquet")
        assert len(rows[name]) == 2 and rows[name]["score"].notna().all()


def test_symmetries_and_goals_print_their_tables(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run(monkeypatch, loaded("skill/symmetries"), "--scenes", "3")
    out = capsys.readouterr().out
    assert "sign" in out and "median 0.0000" in out.splitlines()[0]
    loaded("skill/goals").main()
    assert "| false alarms on test nulls |" in capsys.readouterr().out


def test_kept_rows_are_compared_with_todays_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    module = loaded("skill/check_rows")
    words = ("--method", "zero", "--scenes", "2")
    assert run(monkeypatch, module, str(BENCHMARKS / "skill" / "rows"), *words, "--relative", "1e-3") == 0
    assert "as kept" in capsys.readouterr().out
    kept = BENCHMARKS / "skill" / "rows" / "zero" / "v1" / "measured.parquet"
    target = tmp_path / "zero" / "v1" / kept.name
    target.parent.mkdir(parents=True)
    table = pd.read_parquet(kept)
    table["nrmse"] += 0.1
    table.to_parquet(target)
    assert run(monkeypatch, module, str(tmp_path), *words, "--relative", "1e-3") == 1
