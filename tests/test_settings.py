import datetime
from pathlib import Path

import jsonschema
import pytest
import yaml

from slipscan import reference
from slipscan.configuration import from_options, read_settings, to_options
from slipscan.errors import SlipscanError
from slipscan.models import validate
from slipscan.settings import (
    DetectSettings,
    Settings,
    SimulatedArchive,
)

REPOSITORY = Path(__file__).resolve().parents[1]


def test_missing_and_null_sections_take_the_defaults() -> None:
    assert Settings.model_validate({}) == Settings()
    assert Settings.model_validate({"detect": None, "archive": None}) == Settings()


def test_an_unquoted_date_becomes_a_string() -> None:
    config = yaml.safe_load("as_of: 2019-06-30\narchive:\n  simulated:\n    start: 2018-01-04\n")
    assert isinstance(config["as_of"], datetime.date)
    settings = Settings.model_validate(config)
    assert settings.as_of == "2019-06-30"
    assert settings.archive.simulated.start == "2018-01-04"


@pytest.mark.parametrize(
    ("config", "sentence"),
    [
        ({"detct": {}}, "detct: unknown key"),
        ({"detect": {"threshold": 3}}, "detect.threshold: unknown key"),
        ({"detect": {"nulls": 2}}, "detect.nulls: input should be greater than or equal to 8 (got 2)"),
        ({"as_of": "yesterday"}, "as_of"),
        ({"shard": "1-2"}, "shard"),
        ({"timeseries": {"pixel_m": -1}}, "timeseries.pixel_m"),
    ],
)
def test_a_wrong_key_is_one_sentence(config, sentence) -> None:
    with pytest.raises(SlipscanError) as caught:
        validate(Settings, config, "config")
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)


def test_dates_have_one_form_since_they_are_compared_as_texts() -> None:
    assert Settings(as_of="20200131").as_of == "2020-01-31"


def test_options_rebuild_the_settings() -> None:
    settings = DetectSettings(nulls=99, durations_d=(0.0, 12.5))
    assert from_options(DetectSettings, to_options(settings)) == settings
    assert to_options(DetectSettings()) == []
    nested = Settings(archive={"simulated": {"scenario": "quiet"}}).archive
    assert to_options(nested) == ['simulated.scenario="quiet"']
    assert from_options(type(nested), to_options(nested)).simulated == SimulatedArchive(scenario="quiet")


@pytest.mark.parametrize("options", [["nulls"], ["unknown=1"], ["nulls=many"]])
def test_bad_options(options) -> None:
    with pytest.raises(SlipscanError, match="--set"):
        from_options(DetectSettings, options)


def test_bad_files(tmp_path: Path) -> None:
    with pytest.raises(SlipscanError, match="there is no configuration file"):
        read_settings(tmp_path / "none.yaml")
    (tmp_path / "bad.yaml").write_text("a: [")
    with pytest.raises(SlipscanError, match="is no YAML"):
        read_settings(tmp_path / "bad.yaml")


@pytest.mark.parametrize("name", ["config.yaml", "demo.yaml", "real.yaml", "train.yaml", "train-rouet-leduc-2021.yaml"])
def test_shipped_configurations_follow_model_and_schema(name: str) -> None:
    config = yaml.safe_load((REPOSITORY / "config" / name).read_text())
    validate(Settings, config, name)
    schema = yaml.safe_load((REPOSITORY / "workflow/schemas/config.schema.json").read_text())
    jsonschema.validate(config, schema)


@pytest.mark.parametrize("name", sorted(reference.generated()))
def test_generated_files_are_in_step(name: str) -> None:
    assert (REPOSITORY / name).read_text() == reference.generated()[name], "run: slipscan docs"
