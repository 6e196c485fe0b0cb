"""A denoiser in one file outside the package trains, denoises and stands in slipbench, by the real command line."""

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from typer.testing import CliRunner

from bench_small import SMALL  # tests/bench_small.py
from simulated import stack_dataset  # tests/simulated.py
from slipbench.frozen import freeze
from slipbench.methods import find
from slipscan.cli import app
from slipscan.denoise.registry import build
from slipscan.errors import SlipscanError
from slipscan.field import Observation
from slipscan.settings import DenoiseSettings
from slipscan.store import open_zarr, write_zarr

EXAMPLE = Path(__file__).resolve().parents[1] / "docs" / "examples" / "my_denoiser.py"
BUDGET = {"steps": 3, "batch": 2, "width": 4, "pixels": 32, "workers": 1, "validation_scenes": 2, "name": "mine"}


def called(*words: str) -> str:
    """Run the command line in this process; its output."""
    done = CliRunner().invoke(app, list(words), catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """A copy of the example under a name of its own, and weights that it was trained to for three steps."""
    directory = tmp_path_factory.mktemp("own")
    file = shutil.copy(EXAMPLE, directory / "own_denoiser.py")
    method, weights = f"{file}:MyDenoiser", directory / "w.safetensors"
    settings = [word for key, value in BUDGET.items() for word in ("--set", f"{key}={value}")]
    called("train", str(weights), "--set", f"network={method}", *settings)
    return method, weights


def test_it_is_short() -> None:
    code = [line for line in EXAMPLE.read_text().splitlines() if line.strip() and not line.strip().startswith('"""')]
    assert len(code) <= 55


def test_training_moves_its_weights_and_writes_a_card(trained: tuple[str, Path]) -> None:
    method, weights = trained
    card = json.loads(weights.with_suffix(".json").read_text())
    assert card["architecture"] == {"method": "my_denoiser", "arguments": {"width": 4}}
    assert (card["steps"] == 3 and "unknown_null_rms_mm" in card["validation"]) or "known_null_rms_mm" in card[
        "validation"
    ]
    built = build(DenoiseSettings(method=method, weights=str(weights), device="cpu"))
    fresh = type(built).network_of({"width": 4})
    assert built.label.startswith("mine:") and fresh.state_dict().keys() == built.network.state_dict().keys()


def test_it_denoises_a_stack_and_changes_sign_with_it(trained: tuple[str, Path], tmp_path: Path) -> None:
    method, weights = trained
    write_zarr(stack_dataset(epochs=16, event_m=0.05), tmp_path / "stack.zarr")
    called(
        "denoise", str(tmp_path / "stack.zarr"), str(tmp_path / "out.zarr"), "--set", f"method={method}", "--set",
        f"weights={weights}", "--set", "device=cpu",
    )  # fmt: skip
    out = open_zarr(tmp_path / "out.zarr").load()
    assert out.attrs["weights"].startswith("mine:")
    assert float(abs(out["transient"]).max()) > 0 and np.isfinite(out["denoised_std"]).all()
    denoiser = build(DenoiseSettings(method=method, weights=str(weights), device="cpu"))
    stack = stack_dataset(epochs=16, event_m=0.05)
    seen = [Observation(sign * stack["displacement"].values, stack["time"].values, 500.0) for sign in (1, -1)]
    one, other = denoiser.fields(seen)
    np.testing.assert_allclose(one.transient, -other.transient, atol=1e-6)


@pytest.mark.slow
def test_it_stands_in_slipbench(trained: tuple[str, Path], tmp_path: Path) -> None:
    method, weights = trained
    plan = SMALL.model_copy(update={"events_per_class": 2, "nulls": 10, "validation_nulls": 10, "slow_share": 1.0})
    (tmp_path / "plan.yaml").write_text(yaml.safe_dump(json.loads(plan.model_dump_json()), sort_keys=False))
    freeze(plan, tmp_path / "scenes.csv", 1)
    name = f"{method}@{weights}"
    places = [word for key in ("rows", "out") for word in (f"--{key}", str(tmp_path / key))]
    options = ["--plan", str(tmp_path / "plan.yaml"), "--background", "known", "--workers", "1", *places]
    text = called("bench", "skill", "--method", f"{name},zero", "--page", str(tmp_path / "page.md"), *options)
    own = find(name).name
    assert own.startswith("my_denoiser-") and own in text and own in (tmp_path / "page.md").read_text()
    assert len(pd.read_csv(tmp_path / "out" / f"{own}.csv")) > 0
    assert list((tmp_path / "rows" / own / "v1").glob("*.parquet"))


def test_rows_of_another_file_or_other_weights_do_not_count(trained: tuple[str, Path], tmp_path: Path) -> None:
    method, weights = trained
    for path in (weights, weights.with_suffix(".json")):
        shutil.copy(path, tmp_path / f"other{path.suffix}")
    other = tmp_path / "edited_denoiser.py"
    other.write_text(EXAMPLE.read_text() + "\n# edited\n")
    names = {find(f"{method}@{weights}").name, find(f"{other}:MyDenoiser@{weights}").name}
    assert len(names) == 2
    assert find(f"{method}@{tmp_path / 'other.safetensors'}").name in names, "the same bytes elsewhere are the same"


def test_what_is_no_denoiser_is_said(trained: tuple[str, Path]) -> None:
    method, _ = trained
    file = method.rpartition(":")[0]
    for name, words in (
        ("nowhere.py:Class", "there is no file nowhere.py"),
        (f"{file}:Network", "is no denoiser"),
        (method, "ships no weights"),
        ("magic", "there is no method 'magic'"),
    ):
        with pytest.raises(SlipscanError, match=words):
            find(name)
