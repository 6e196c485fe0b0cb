"""A Slurm of this host for these tests alone (cluster.py), and a small configuration that ran on it and without it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from cluster import Cluster
from small import QUICK, small_workflow

from workflow import Workflow


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    started = Cluster()
    try:
        started.start()
        yield started
    finally:
        started.stop()


@pytest.fixture(scope="session")
def local(tmp_path_factory: pytest.TempPathFactory) -> Workflow:
    """Run to the end on two cores, without Slurm."""
    flow = small_workflow(tmp_path_factory.mktemp("local") / "run")
    flow.run(cores=2)
    return flow


@pytest.fixture(scope="session")
def through_slurm(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> tuple[Workflow, str]:
    """Run to the end through Slurm, with the profile as it is; the workflow, and what Snakemake said."""
    flow = small_workflow(tmp_path_factory.mktemp("slurm") / "run")
    return flow, flow.run("--workflow-profile", "profiles/slurm", "--logger", "slipscan", *QUICK)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker("slurm")
