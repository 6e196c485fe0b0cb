"""slipscan as a user of pip has it: built, and installed into an environment of its own."""

import os
import shutil
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

from waiting import LONG_S

REPOSITORY = Path(__file__).resolve().parents[1]
BUILT_FROM = ("src", "workflow", "profiles", "config")
ENVIRONMENT = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "SLIPSCAN_DATA")}


class Installation:
    """A wheel built from a copy of the repository, in an environment that borrows the dependencies of this one."""

    def __init__(self, directory: Path) -> None:
        source, self.home = directory / "source", directory / "environment"
        for name in BUILT_FROM:
            unwanted = shutil.ignore_patterns("__pycache__", "*.egg-info")
            shutil.copytree(REPOSITORY / name, source / name, symlinks=True, ignore=unwanted)
        for name in ("pyproject.toml", "README.md", "LICENSE", "Snakefile"):
            shutil.copy(REPOSITORY / name, source)
        self._call(
            sys.executable, "-m", "build", "--no-isolation", "--outdir", directory / "dist", source, cwd=directory
        )
        (self.wheel,) = (directory / "dist").glob("*.whl")
        venv.create(self.home, symlinks=True)
        self.python = self.home / "bin/python"
        borrowed = "\n".join({sysconfig.get_path("purelib"), sysconfig.get_path("platlib")})
        (next(self.home.glob("lib/python*/site-packages")) / "borrowed.pth").write_text(borrowed)
        pip = (sys.executable, "-m", "pip", "--python", self.python, "install", "--no-deps", "--no-index", self.wheel)
        self._call(*pip, cwd=directory)

    def run(self, *arguments: str | Path, cwd: Path) -> str:
        """Run `slipscan ...` and give what it says on both streams."""
        return self._call(self.home / "bin/slipscan", *arguments, cwd=cwd)

    def run_python(self, *arguments: str | Path, cwd: Path) -> str:
        """Run `python ...` and give what it says on both streams."""
        return self._call(self.python, *arguments, cwd=cwd)

    @staticmethod
    def _call(*command: str | Path, cwd: Path) -> str:
        done = subprocess.run(
            command, cwd=cwd, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            check=False, timeout=3 * LONG_S,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout
        return done.stdout
