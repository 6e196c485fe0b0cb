"""The subcommands about a project: begin one, say what it found, bound its cache.

`slipscan.cli` gives them their places in the help; what is heavy is imported inside.
"""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from slipscan.arguments import CacheDir, Config, finite

cache_app = typer.Typer(help="The content-addressed cache.", no_args_is_help=True)

DEMO = "snakemake --logger slipscan --configfile config/demo.yaml"


def summary(
    results: Annotated[Path, typer.Argument(help="results directory")] = Path("results"),
) -> None:
    """Say where catalogue, report and map are, and what was found."""
    from slipscan.catalogue.summary import summarise

    print(summarise(results))


def init(
    directory: Annotated[Path, typer.Argument(help="a new directory, or one without files of these names")],
) -> None:
    """Write what a project begins with: Snakefile, rules, profiles, configuration."""
    from slipscan.project.start import start

    files = start(directory)
    print(f"{len(files)} files written; the demo: cd {shlex.quote(str(directory))} && {DEMO}")


def docs() -> None:
    """Write what is generated from the code: schemas, config/README.md, docs/products.md, docs/catalogue.md."""
    from slipscan.reference import write_all

    write_all(Path.cwd())


@cache_app.command("prune")
def cache_prune(
    cache: CacheDir = None,
    max_gb: Annotated[float, typer.Option(min=0, max=1e9, callback=finite, help="size that is left")] = 10.0,
    config: Config = None,
) -> None:
    """Delete the entries used longest ago until the cache is under a size."""
    from slipscan.cache import prune
    from slipscan.configuration import read_settings

    cache = cache or Path(read_settings(config).cache_dir)
    deleted, left = prune(cache, int(max_gb * 1e9))
    print(f"{deleted} entries deleted, {left / 1e9:.2f} GB left in {cache}")
