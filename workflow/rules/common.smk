# The configuration, the table of regions and tracks, and small helpers of the rules.
import gc
import os
import shlex
import sys
import hashlib
import inspect

from snakemake import resources as resources_of_snakemake
from snakemake.exceptions import WorkflowError
from snakemake.io import WILDCARD_REGEX

from slipscan.archive.registry import has_truth
from slipscan.versions import code_identity, weights_identity
from slipscan.errors import SlipscanError
from slipscan.regions import read_regions, select
from slipscan.configuration import to_options
from slipscan.models import validate
from slipscan.settings import Settings

# A graph is millions of small objects that live to the end: looking for garbage among them takes a tenth of its time.
gc.set_threshold(200_000, 50, 1000)


# The rules call `slipscan` of the environment that runs Snakemake, whether it is activated or not.
shell.prefix(f"export PATH={shlex.quote(os.path.dirname(sys.executable))}:$PATH; ")

try:
    SETTINGS = validate(Settings, dict(config), "the configuration")
    REGIONS = select(
        read_regions(SETTINGS.regions_file), SETTINGS.regions, SETTINGS.shard
    )
except SlipscanError as error:
    raise WorkflowError(f"slipscan: error: {error}") from None

# Regions whose entry names their stations, by list or distance: these come from the archive of positions.
FETCHED = [
    name
    for name, region in REGIONS.items()
    if (region.gnss_stations or region.gnss_distance_km is not None)
    and not (region.gnss or SETTINGS.gnss.directory)
]
WITH_TRUTH = [name for name, region in REGIONS.items() if has_truth(region)]


wildcard_constraints:
    region="[A-Za-z0-9-]+",
    track="[A-Za-z0-9-]+",


def one_of(names):
    """A pattern that matches these names and nothing else."""
    return "|".join(names) or "(?!)"


def path(*parts):
    """A path below the results directory."""
    return os.path.join(SETTINGS.results_dir, *parts)


def per_track(name):
    """A file of every region and track."""
    return [
        path(region, track.id, name)
        for region in REGIONS
        for track in REGIONS[region].tracks
    ]


def tracks_of(name):
    """An input function: a file of every track of the rule's region."""
    return signed(
        lambda wildcards: [
            path(wildcards.region, track.id, name)
            for track in REGIONS[wildcards.region].tracks
        ]
    )


def signed(function):
    """The function with its signature beside it, for which Snakemake asks many times a job: a sixth of a dry run."""
    function.__signature__ = inspect.signature(function)
    return function


# Snakemake asks for that of its own method once a resource and job, too; older versions have none.
if hasattr(resources_of_snakemake, "Resource"):
    signed(resources_of_snakemake.Resource.evaluate)


def plain(value):
    """A value of the configuration as it is: braces in a text are wildcards to Snakemake, in a function's they are not.

    Snakemake looks at the signature of every function again for each job, so what has no wildcard is no function.
    """
    texts = [value] if isinstance(value, str) else value
    if isinstance(texts, list) and any(WILDCARD_REGEX.search(text) for text in texts):
        return signed(lambda wildcards: value)
    return value


def named(*files):
    """Files that the settings name: an edit of them reruns the stage."""
    return [file for file in files if file is not None]


def options(stage):
    """The stage's settings as options of the command line: what differs from the defaults."""
    return plain(
        [
            part
            for option in to_options(getattr(SETTINGS, stage))
            for part in ("--set", option)
        ]
    )


def settings(stage):
    """All of a stage's settings as text, so that a changed default reruns the stage too."""
    return plain(getattr(SETTINGS, stage).model_dump_json(exclude={"data_root"}))


def code(stage):
    """The version of the code behind a stage."""
    return code_identity(stage)


@signed
def region_entry(wildcards):
    """The rule's region (and its track alone) as a digest: an edit of another region reruns nothing."""
    region = REGIONS[wildcards.region]
    track = getattr(wildcards, "track", None)
    chosen = (
        region.model_copy(update={"tracks": (region.track(track),)})
        if track
        else region
    )
    return hashlib.sha256(chosen.model_dump_json().encode()).hexdigest()[:16]
