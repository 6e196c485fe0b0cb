"""Every option of every model: numbers out of range, texts, nothing; and where settings come from."""

import contextlib
import math
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, TypeAdapter, ValidationError

from slipbench.bound import BoundConfig
from slipbench.plan import SkillPlan
from slipscan.configuration import from_options, read_settings, stage_settings, to_options
from slipscan.denoise.methods import classical
from slipscan.denoise.methods.slipnet import method as slipnet
from slipscan.errors import SlipscanError
from slipscan.models import validate
from slipscan.regions import Region
from slipscan.settings import (
    ArchiveSettings,
    DenoiseSettings,
    DetectSettings,
    GnssSettings,
    Settings,
    TrainSettings,
    iso_date,
)


def kinds(annotation: Any) -> set[Any]:
    return set().union(*map(kinds, get_args(annotation))) if get_args(annotation) else {annotation}


def models(model: type[BaseModel]) -> Iterator[type[BaseModel]]:
    yield model
    for field in model.model_fields.values():
        for kind in kinds(field.annotation):
            if isinstance(kind, type) and issubclass(kind, BaseModel):
                yield from models(kind)


TOP = (Settings, Region, SkillPlan, BoundConfig, slipnet.Options, classical.Options)
MODELS = sorted({model for top in TOP for model in models(top)}, key=lambda model: (model.__module__, model.__name__))
FIELDS = [(model, name) for model in MODELS for name in model.model_fields]
NO_NUMBERS = (math.nan, math.inf, -math.inf, "nan", "Infinity", "", " ", "x", True, "true", {}, 10**400, -(10**400))
# The options of a denoiser are checked by a model of its own.
NUMBERS = [(m, n) for m, n in FIELDS if {int, float} & kinds(m.model_fields[n].annotation) and n != "options"]
TEXTS = [(m, n) for m, n in FIELDS if kinds(m.model_fields[n].annotation) - {type(None)} == {str}]


def problems(model: type[BaseModel], name: str, value: Any) -> list[str]:
    """What is wrong with one key of a model; others that are missing do not count."""
    try:
        model.model_validate({name: value})
    except ValidationError as error:
        return [str(problem["msg"]) for problem in error.errors() if problem["loc"][:1] == (name,)]
    return []


@pytest.mark.parametrize(("model", "name"), NUMBERS, ids=lambda part: getattr(part, "__name__", part))
def test_what_is_no_number_is_refused_everywhere(model, name: str) -> None:
    for wrong in NO_NUMBERS:
        for value in (wrong, [wrong], [wrong, wrong], [wrong] * 3):
            assert problems(model, name, value), f"{model.__name__}.{name} takes {str(value)[:40]}"


@pytest.mark.parametrize(("model", "name"), NUMBERS, ids=lambda part: getattr(part, "__name__", part))
def test_every_number_of_the_configuration_has_two_limits(model, name: str) -> None:
    if model not in set(models(Settings)):
        return
    for size in (1e300, -1e300):
        assert all(problems(model, name, value) for value in (size, [size], [size] * 3)), f"{model.__name__}.{name}"


@pytest.mark.parametrize(("model", "name"), TEXTS, ids=lambda part: getattr(part, "__name__", part))
def test_texts_that_are_none(model, name: str) -> None:
    for value in ("", "a\0b", 3, True, ["a"]):
        assert problems(model, name, value), value


@given(data=st.data())
def test_any_value_of_any_key_is_taken_or_refused_in_one_sentence(data: st.DataObject) -> None:
    model, name = data.draw(st.sampled_from(FIELDS))
    leaf = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
    value = data.draw(leaf | st.lists(leaf, max_size=4) | st.dictionaries(st.text(max_size=5), leaf, max_size=3))
    with contextlib.suppress(SlipscanError):  # any other exception is a bug
        text = validate(model, {name: value}, "config").model_dump_json()
        assert "NaN" not in text and "Infinity" not in text
        TypeAdapter(model).validate_json(text)


@given(value=st.floats() | st.integers() | st.text(max_size=8))
def test_options_that_are_taken_come_back(value) -> None:
    with contextlib.suppress(SlipscanError):
        found = from_options(GnssSettings, [f"window_yr={value}", f"min_epochs={value}"])
        assert from_options(GnssSettings, to_options(found)) == found


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["corrections=1", "corrections.tide=false"], "set twice"),
        (["corrections.tide=false", "corrections=1"], "set twice"),
        (["dem=a", "dem=b"], "set twice"),
        (["dem"], "write key=value"),
        (["=1"], "write key=value"),
        (["a..b=1"], "write key=value"),
        ([".=1"], "write key=value"),
        (["dem.a.b.c=1"], "dem: input should be a valid string"),
        (["tide=false"], "did you mean corrections.tide"),
        (["corections.tide=false"], "did you mean corrections?"),
        (["simulated.epoch=8"], "did you mean simulated.epochs"),
        (["cmr_url=ftp://x"], "cmr_url"),
        (["hyp3.start=0001-01-01"], "not of the years"),
        (["simulated.seed=" + "9" * 5000], "simulated.seed"),
        (["corrections=" + "[" * 5000], "corrections"),
    ],
)
def test_options_that_cannot_be(options: list[str], words: str) -> None:
    with pytest.raises(SlipscanError) as caught:
        from_options(ArchiveSettings, options)
    assert words in str(caught.value) and str(caught.value).startswith("--set") and "\n" not in str(caught.value)


def test_a_file_and_options_over_it(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text("detect: {nulls: 99, seed: 5}\narchive: {simulated: {epochs: 20, seed: 3}}\n")
    found = stage_settings(DetectSettings, tmp_path / "c.yaml", ["seed=7"])
    assert (found.nulls, found.seed) == (99, 7)
    simulated = stage_settings(ArchiveSettings, tmp_path / "c.yaml", ["simulated.seed=4"]).simulated
    assert (simulated.epochs, simulated.seed) == (20, 4)
    assert stage_settings(DenoiseSettings, tmp_path / "c.yaml", None) == DenoiseSettings()
    with pytest.raises(SlipscanError, match="--set: nonsense: unknown key"):
        stage_settings(TrainSettings, tmp_path / "c.yaml", ["nonsense=1"])


@pytest.mark.parametrize("text", ["2018-06-31", "yesterday", "", "2018", "1500-01-01", "9999-12-31", "2018-06-01T10"])
def test_dates_that_are_none(text: str) -> None:
    with pytest.raises(SlipscanError, match="--until"):
        iso_date(text, "--until")


@pytest.mark.parametrize("text", ["[1, 2]", "3", "detect: 3", "regions: []", "results_dir: 'a{b}'", "results_dir: -x"])
def test_configurations_that_are_none(text: str, tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text(text)
    with pytest.raises(SlipscanError, match=r"c\.yaml"):
        read_settings(tmp_path / "c.yaml")


def slipscan(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "slipscan", *arguments]
    return subprocess.run(command, cwd=cwd, text=True, capture_output=True, check=False, timeout=300)


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (("noise",), 2, "Missing argument"),
        (("noise", "a", "b", "--nonsense"), 2, "No such option"),
        (("nosuch",), 2, "No such command"),
        (("cache", "prune", "--max-gb", "nan"), 2, "--max-gb"),
        (("cache", "prune", "--max-gb", "inf"), 2, "--max-gb"),
        (("bench", "verify", "--share", "nan"), 2, "--share"),
        (("loopback", "x", "--port", "70000"), 2, "--port"),
        (("timeseries", "a", "b", "--threads", "0"), 2, "--threads"),
        (("timeseries", "a", "b", "--threads", "1e3"), 2, "--threads"),
        (("train", "w.safetensors", "--config", "c.yaml", "--set", "nonsense=1"), 1, "nonsense: unknown key"),
        (("archive", "search", "X", "087A", "m.csv"), 1, "--as-of YYYY-MM-DD, or --config"),
        (("archive", "search", "X", "087A", "m.csv", "--as-of", "soon"), 1, "--as-of: 'soon' is no date"),
        (("archive", "order", "X", "087A", "m.csv", "--config", "c.yaml"), 1, "no regions file mine.geojson"),
        (("archive", "fetch", "X", "0", "m.csv", "o", "i", "--config", "c.yaml", "--regions", "r"), 1, "file r:"),
        (("report", "c.gpkg", ".", "p.html", "m.png"), 1, "--region ID"),
    ],
)
def test_the_command_line_says_one_sentence(arguments, status: int, words: str, tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text("regions_file: mine.geojson\n")
    done = slipscan(*arguments, cwd=tmp_path)
    assert done.returncode == status, done.stderr
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("slipscan: error: ")]
    assert words in line and done.stderr.splitlines()[-1] == line and "Traceback" not in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["c.yaml"]


def test_a_group_without_a_subcommand_is_answered_with_its_help(tmp_path: Path) -> None:
    done = slipscan("archive", cwd=tmp_path)
    assert done.returncode == 2 and "search" in done.stdout + done.stderr and "error" not in done.stderr
