"""What reruns a stage: its stated version and the numeric libraries, never an edit of a text."""

from pathlib import Path

import pytest

from slipscan import versions
from slipscan.settings import DenoiseSettings

PACKAGE = Path(versions.__file__).parent


@pytest.mark.parametrize("stage", list(versions.STAGES))
def test_every_stage_states_a_version(stage: str) -> None:
    assert versions.version_of(stage) >= 1
    identity = versions.code_identity(stage)
    assert identity.startswith(f"{versions.STAGES[stage]} {versions.version_of(stage)}, numpy ")
    assert identity == versions.code_identity(stage)


def test_every_rule_carries_the_version_of_its_stage() -> None:
    rules = "".join(path.read_text() for path in (PACKAGE.parents[1] / "workflow" / "rules").glob("*.smk"))
    for stage in versions.STAGES:
        assert f'code=code("{stage}")' in rules, stage


def test_weights_are_known_without_importing_the_network() -> None:
    shipped = versions.weights_identity(DenoiseSettings())
    assert len(shipped) == 64 and shipped == versions.weights_identity(DenoiseSettings(weights="slipscan-1"))
    assert shipped != versions.weights_identity(DenoiseSettings(method="rouet_leduc_2021"))
    assert versions.weights_identity(DenoiseSettings(method="classical")) == ""
    assert versions.weights_identity(DenoiseSettings(weights="none")) == "missing"
