"""A small region with the network: what is run through Slurm."""

from __future__ import annotations

from pathlib import Path

from test_workflow import SMALL, small_region
from workflow import Workflow, feature_collection

ACCOUNT = "geodesy"
QUICK = (
    "--slurm-init-seconds-before-status-checks", "2", "--seconds-between-status-checks", "2", "--latency-wait", "20",
)  # fmt: skip
"""Status checks as a test has the patience for; a cluster that is shared is asked less often."""


def small_workflow(directory: Path) -> Workflow:
    """One track of a quiet region, denoised by the shipped network; the profile's account is filled in."""
    directory.mkdir()
    config = {**SMALL, "denoise": {"method": "slipnet"}}
    flow = Workflow(directory, config, feature_collection(small_region()))
    profile = directory / "profiles/slurm/config.yaml"
    edited = profile.read_text().replace('# - slurm_account="geodesy"', f'- slurm_account="{ACCOUNT}"')
    assert ACCOUNT in edited and edited != profile.read_text()
    profile.write_text(edited)
    return flow
