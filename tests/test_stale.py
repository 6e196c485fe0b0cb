"""What would run again and why, of a small workflow that Snakemake ran."""

import subprocess
import sys
from pathlib import Path

import pytest

from slipscan.errors import SlipscanError
from slipscan.project.stale import jobs, status

SNAKEFILE = """
rule all:
    input: "r/AAAA/b.txt", "r/c.txt"
rule denoise:
    output: "r/{region}/{track}.txt"
    params: code="denoise 1, numpy 2", settings="{}"
    shell: "echo > {output}"
rule detect:
    input: "r/AAAA/087A.txt"
    output: "r/AAAA/b.txt"
    params: code="detect 3, numpy 2"
    shell: "cp {input} {output}"
rule report:
    output: "r/c.txt"
    shell: "echo > {output}"
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Run to the end but for the report."""
    (tmp_path / "Snakefile").write_text(SNAKEFILE)
    command = [sys.executable, "-m", "snakemake", "--cores", "1", "r/AAAA/b.txt"]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    return tmp_path


def test_what_never_ran_is_not_stale(project: Path) -> None:
    assert [job.title for job in jobs(None, project)] == ["report"]
    assert status(None, project, stale=True) == "nothing would run again"
    assert status(None, project, stale=False).startswith("report: Missing output files")


def test_a_raised_version_is_named_with_what_follows_from_it(project: Path) -> None:
    (project / "Snakefile").write_text(SNAKEFILE.replace("denoise 1,", "denoise 2,"))
    first, second = status(None, project, stale=True).splitlines()
    assert first == "denoise AAAA 087A: 'denoise 1, numpy 2' became 'denoise 2, numpy 2'"
    assert second == "detect: what it reads is made again"


def test_an_edit_of_a_text_makes_nothing_stale(project: Path) -> None:
    (project / "Snakefile").write_text(SNAKEFILE + "# in other words\n")
    assert status(None, project, stale=True) == "nothing would run again"


def test_what_is_no_project_or_a_broken_one_is_said(project: Path, tmp_path: Path) -> None:
    with pytest.raises(SlipscanError, match="there is no Snakefile in"):
        jobs(None, tmp_path / "elsewhere")
    (project / "Snakefile").write_text("rule all:\n    input: 'nowhere.txt'\n")
    with pytest.raises(SlipscanError, match="Snakemake refuses the project"):
        jobs(None, project)
