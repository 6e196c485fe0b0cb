"""The page of detection: both detectors on a few scenes of a small set, with what was not measured said."""

from pathlib import Path

import pytest
import yaml

from bench_small import SMALL  # tests/bench_small.py
from slipbench.detection import measure_detection
from slipbench.frozen import freeze
from slipscan.errors import SlipscanError


@pytest.mark.slow
def test_both_detectors_stand_in_one_table(tmp_path: Path) -> None:
    plan = SMALL.model_copy(update={"events_per_class": 2, "nulls": 10, "validation_nulls": 10, "families": ("A",)})
    path, page = tmp_path / "plan.yaml", tmp_path / "detection.md"
    path.write_text(yaml.safe_dump(plan.model_dump(mode="json"), sort_keys=False), encoding="utf-8")
    freeze(plan, tmp_path / plan.scenes, 1)
    text = measure_detection(path, 2, 2, 1, page)
    assert page.read_text(encoding="utf-8").strip() == text.strip()
    rows = [line for line in text.splitlines() if line.startswith(("| field", "| scan"))]
    assert len(rows) == 4 and all(" of 2 " in row for row in rows[:2]) and "planted.md" in text
    assert page.with_suffix(".png").stat().st_size > 10_000
    with pytest.raises(SlipscanError, match="ask for fewer"):
        measure_detection(path, 2, 1000, 1, None)
