"""Tests run single-threaded, as the command line does: byte identity must not depend on the machine."""

import os
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

for _variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_variable] = "1"
os.environ.setdefault("MPLBACKEND", "Agg")

# How long an example takes says how busy the machine is.
settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture
def no_login(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Neither token nor netrc of who runs the tests."""
    monkeypatch.delenv("EARTHDATA_TOKEN", raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "no-netrc"))


@pytest.fixture
def granules(tmp_path: Path) -> Path:
    """Where granules are fetched to; not there yet."""
    return tmp_path / "granules"


LONG_FILES = ("test_workflow", "test_project", "test_full_disk", "test_wheel", "test_bench_stages", "test_parallel")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files whose few tests take long come first: at the end one core would wait for the other."""
    items.sort(key=lambda item: not item.path.name.startswith(LONG_FILES))
