"""Results of a stage do not change unless its version says so."""

import dataclasses
import importlib
from typing import Any

import pytest

import golden
from slipscan import versions


@pytest.mark.parametrize("name", list(golden.GOLDEN))
def test_results_are_those_of_the_stated_version(name: str) -> None:
    said = golden.verdict(name, golden.measured(name), golden.read())
    assert not said, said


def other_text(monkeypatch: pytest.MonkeyPatch) -> None:
    from slipscan import vocabulary

    table = vocabulary.PRODUCTS["stack"]
    worded = tuple(dataclasses.replace(variable, long_name="in other words") for variable in table)
    monkeypatch.setitem(vocabulary.PRODUCTS, "stack", worded)


def other_value(module: str, name: str, value: Any) -> Any:
    return lambda monkeypatch: monkeypatch.setattr(importlib.import_module(module), name, value)


EDITS = {
    "a text of the vocabulary": (other_text, "timeseries", False),
    "a release": (other_value("slipscan", "__version__", "9.9.9"), "timeseries", False),
    "a default of the simulator": (other_value("slipscan.synthetic.scene", "SCENE", 4), "timeseries", False),
    "the clip of a pixel's noise": (
        other_value("slipscan.denoise.run", "PIXEL_NOISE_RANGE", (0.9, 1.1)), "denoise classical", True,
    ),
    "when two scans saw one event": (
        other_value("slipscan.catalogue.chains", "compatible", lambda _, one, other: one < 0), "catalogue", True,
    ),
}  # fmt: skip


@pytest.mark.parametrize("edit", list(EDITS))
def test_an_edit_counts_where_it_changes_results(edit: str, monkeypatch: pytest.MonkeyPatch) -> None:
    make, name, counts = EDITS[edit]
    stage = name.split()[0]
    before = versions.code_identity(stage)
    make(monkeypatch)
    assert versions.code_identity(stage) == before
    said = golden.verdict(name, golden.measured(name), golden.read())
    assert bool(said) == counts
    if counts:
        assert said.startswith(f"results of {name} changed") and f"slipscan/{stage}/__init__.py" in said


def test_a_raised_version_asks_for_new_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = golden.read()
    monkeypatch.setattr("slipscan.catalogue.VERSION", kept["catalogue"]["version"] + 1)
    said = golden.verdict("catalogue", kept["catalogue"]["numbers"], kept)
    assert said.endswith("run python tests/golden.py --write")
