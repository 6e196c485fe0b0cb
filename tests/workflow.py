"""A copy of the workflow in a directory of its own, and Snakemake run in it."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from waiting import LONG_S

REPOSITORY = Path(__file__).resolve().parents[1]


class Workflow:
    """What a fresh clone holds, below `directory`."""

    def __init__(self, directory: Path, config: Mapping[str, Any], regions: Mapping[str, Any] | None = None) -> None:
        self.directory = directory
        for name in ("workflow", "profiles", "config"):
            shutil.copytree(REPOSITORY / name, directory / name)
        shutil.copy(REPOSITORY / "Snakefile", directory)
        self.environment = {key: value for key, value in os.environ.items() if key != "SLIPSCAN_DATA"}
        self.configure(config)
        if regions is not None:
            (directory / "config/regions.geojson").write_text(json.dumps(regions))

    def configure(self, config: Mapping[str, Any]) -> None:
        (self.directory / "config/test.yaml").write_text(yaml.safe_dump(dict(config)))

    def run(self, *arguments: str, cores: int = 2, expect: int = 0) -> str:
        """Run Snakemake; its whole output, after checking the exit status."""
        command = [sys.executable, "-m", "snakemake", "--configfile", "config/test.yaml", "--cores", str(cores)]
        done = subprocess.run(
            [*command, *arguments], cwd=self.directory, env=self.environment, text=True, capture_output=True,
            check=False, timeout=3 * LONG_S,
        )  # fmt: skip
        output = done.stdout + done.stderr
        assert done.returncode == expect, output
        return output

    def would_run(self, *targets: str) -> dict[str, int]:
        """Rules that a dry run would run, with their number of jobs."""
        output = self.run("--dry-run", "--quiet", "rules", "--", *targets)
        counts: dict[str, int] = {}
        for line in output.splitlines():
            parts = line.split()
            if len(parts) == 2 and parts[1].isdigit() and parts[0] not in ("total", "all", "manifests"):
                counts[parts[0]] = int(parts[1])
        return counts

    def files(self, pattern: str) -> list[Path]:
        return sorted((self.directory / "results").glob(pattern))


def feature_collection(*regions: Any) -> dict[str, Any]:
    """GeoJSON of Region models."""
    features = []
    for region in regions:
        properties = json.loads(region.model_dump_json(exclude={"polygon"}, exclude_none=True))
        geometry = {"type": "Polygon", "coordinates": [[list(vertex) for vertex in region.polygon]]}
        features.append({"type": "Feature", "properties": properties, "geometry": geometry})
    return {"type": "FeatureCollection", "features": features}
