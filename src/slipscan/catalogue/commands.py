"""`slipscan catalogue`: fold increments, tell what changed, ask, export, and learn from it; and `slipscan increment`.

What is heavy is imported inside.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from typer.core import TyperGroup

from slipscan.arguments import Config, In, Options, Out


class FoldUnlessNamed(TyperGroup):
    """`slipscan catalogue RESULTS OUT` is `slipscan catalogue fold RESULTS OUT`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Put the command's name where none is given."""
        if args and args[0] not in self.commands and args[0] != "--help":
            args = ["fold", *args]
        return list(super().parse_args(ctx, args))


app = typer.Typer(
    cls=FoldUnlessNamed,
    no_args_is_help=True,
    help="The catalogue: `slipscan catalogue RESULTS OUT` folds all increments into a GeoPackage.",
)
View = Annotated[
    Literal["published", "candidate"] | None, typer.Option(help="only these; default: both (docs/catalogue.md)")
]


def increment(
    events: In, gnss: In, directory: Annotated[Path, typer.Argument(help="increments of the region")], out: Out,
    regions: Annotated[Path | None, typer.Option(help="GeoJSON of regions: the outline goes along")] = None,
    completeness: Annotated[
        Path | None, typer.Option(help="of `slipscan completeness`: events get their magnitude of completeness")
    ] = None,
) -> None:  # fmt: skip
    """Append a region's scan as one immutable increment; `out` points to it."""
    from slipscan.catalogue.stage import write_increment

    write_increment(events, gnss, directory, out, regions, completeness)


@app.command()
def fold(
    results: Annotated[Path, typer.Argument(help="results directory: all increments below it are folded")],
    out: Out,
    config: Config = None,
    options: Options = None,
    pointer: Annotated[Path | None, typer.Option(help="JSON that names the catalogue and its sha256")] = None,
) -> None:
    """Fold all increments into the catalogue, a GeoPackage."""
    from slipscan.catalogue.stage import write_catalogue
    from slipscan.configuration import stage_settings
    from slipscan.settings import CatalogueSettings

    write_catalogue(results, out, stage_settings(CatalogueSettings, config, options), pointer)


@app.command()
def diff(
    before: Annotated[Path, typer.Argument(help="a catalogue")],
    after: Annotated[Path, typer.Argument(help="another one")],
    table: Annotated[Path | None, typer.Option(help="also as a table (.csv)")] = None,
) -> None:
    """Say what changed from one catalogue to another."""
    from slipscan.atomic import written_beside
    from slipscan.catalogue import diff as differences
    from slipscan.outputs import check_outputs, csv_kind

    kind = csv_kind("a table of changes", *differences.COLUMNS)
    if table:
        check_outputs([(table, kind)], [before, after])
    changed = differences.diff(before, after)
    if table:
        with written_beside(table, kind) as beside:
            changed.to_csv(beside, index=False, lineterminator="\n")
    print(differences.in_words(changed))


@app.command()
def query(
    catalogue: In,
    bbox: Annotated[
        tuple[float, float, float, float] | None, typer.Option(help="west south east north, degrees")
    ] = None,
    since: Annotated[str | None, typer.Option("--from", help="events that last until this date or longer")] = None,
    until: Annotated[str | None, typer.Option("--to", help="events that begin at this date or before")] = None,
    min_mw: Annotated[float | None, typer.Option(help="smallest magnitude")] = None,
    kind: Annotated[list[str] | None, typer.Option("--type", help="of this type (may be repeated)")] = None,
    status: Annotated[list[str] | None, typer.Option(help="active (default), retracted or merged")] = None,
    region: Annotated[str | None, typer.Option(help="id of a region")] = None,
    view: View = None,
) -> None:
    """Print events as a table."""
    from slipscan.catalogue.geopackage import read_layers
    from slipscan.catalogue.query import Question, as_text, select
    from slipscan.models import iso_date

    asked = Question(
        bbox, since and iso_date(since, "--from"), until and iso_date(until, "--to"), min_mw, kind or (),
        status or ("active",), view, region,
    )  # fmt: skip
    print(as_text(select(read_layers(catalogue, "events")["events"], asked)))


@app.command()
def export(
    kind: Annotated[
        Literal["geoparquet", "geojson", "csv", "kml", "sed", "stac"],
        typer.Argument(help="format; sed: columns of the Slow Earthquake Database; stac: a directory"),
    ],
    catalogue: In,
    out: Out,
    view: View = None,
    status: Annotated[list[str] | None, typer.Option(help="active (default), retracted or merged")] = None,
) -> None:
    """Write events for other tools."""
    from slipscan.catalogue.export import KINDS
    from slipscan.catalogue.export import export as write
    from slipscan.catalogue.geopackage import read_layers
    from slipscan.catalogue.query import Question, select
    from slipscan.outputs import check_outputs

    if kind in KINDS:
        check_outputs([(out, KINDS[kind])], [catalogue])
    events = select(read_layers(catalogue, "events")["events"], Question(view=view, statuses=status or ("active",)))
    print(f"{write(events, kind, out)} events in {out}")


@app.command()
def stats(
    catalogue: In,
    mc: Annotated[
        float | None, typer.Option(help="magnitude of completeness; default: what the catalogue says")
    ] = None,
    earthquakes: Annotated[
        Path | None, typer.Option(help="CSV (time, latitude, longitude, mag; ComCat's): which events did one follow?")
    ] = None,
    config: Config = None,
    options: Options = None,
) -> None:
    """Print scaling laws, rates, recurrence, and with earthquakes the precursor study (section precursors)."""
    from slipscan.catalogue.geopackage import read_layers
    from slipscan.catalogue.learned import report
    from slipscan.catalogue.quakes import read_quakes
    from slipscan.configuration import stage_settings
    from slipscan.settings import PrecursorSettings

    settings = stage_settings(PrecursorSettings, config, options)
    layers = read_layers(catalogue, "events", "regions", "history")
    print(report(layers, mc, read_quakes(earthquakes) if earthquakes else None, settings))
