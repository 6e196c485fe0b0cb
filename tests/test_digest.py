import shutil
from pathlib import Path

import pytest

from slipscan import digest
from slipscan.errors import SlipscanError


@pytest.fixture
def copied_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the package's source that a test may edit."""
    package = tmp_path / "slipscan"
    shutil.copytree(digest.PACKAGE, package, ignore=shutil.ignore_patterns("__pycache__", "*.safetensors"))
    monkeypatch.setattr(digest, "PACKAGE", package)
    return package


def all_digests() -> dict[str, str]:
    digest._imports.cache_clear()
    digest._syntax.cache_clear()
    return {stage: digest.code_digest(stage) for stage in digest.STAGES}


def changed(before: dict[str, str]) -> set[str]:
    after = all_digests()
    return {stage for stage in before if before[stage] != after[stage]}


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def test_docstrings_and_comments_change_nothing(copied_package: Path) -> None:
    before = all_digests()
    edit(copied_package / "detect" / "cluster.py", '"""From maps of', '"""Out of maps of')
    edit(copied_package / "noise" / "estimate.py", "import numpy as np\n", "import numpy as np  # arrays\n")
    assert changed(before) == set()


def test_arithmetic_changes_the_stages_that_import_it(copied_package: Path) -> None:
    before = all_digests()
    edit(copied_package / "noise" / "estimate.py", "MIN_VALID_SHARE = 0.5", "MIN_VALID_SHARE = 0.6")
    # Training draws from a region's own noise, too.
    assert changed(before) == {"noise", "train"}


def test_the_ground_floor_changes_every_stage_above(copied_package: Path) -> None:
    before = all_digests()
    edit(copied_package / "seriesmodel.py", "DAYS_PER_YEAR = 365.25", "DAYS_PER_YEAR = 365.0")
    assert {"noise", "denoise", "detect", "calibrate", "gnss", "train"} <= changed(before)
    assert "catalogue" not in changed(before)


def test_imports_inside_functions_count() -> None:
    archives = digest.imported_modules("slipscan.archive.stage")
    for name in ("simulated", "local", "aria", "opera", "hyp3", "licsar"):
        assert f"slipscan.archive.{name}" in archives
    assert "slipscan.noise.simulate" in digest.imported_modules("slipscan.denoise.train")


def test_modes() -> None:
    assert digest.code_identity("noise", "version").startswith("version:")
    assert digest.code_identity("noise", "digest").startswith("digest:")
    with pytest.raises(SlipscanError, match="has no stage 'x'"):
        digest.recorded("x")
