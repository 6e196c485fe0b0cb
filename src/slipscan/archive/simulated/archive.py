"""Archive 'simulated': a synthetic region as LiCSAR-layout GeoTIFFs, so that it goes through the readers of real data.

What is simulated brings torch: a real archive does without, since `registry` imports this module for its regions alone.
"""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import xarray as xr

from slipscan.archive import manifest as manifests
from slipscan.archive.granules import Received
from slipscan.archive.job import Job
from slipscan.archive.local.interferograms import read_interferograms
from slipscan.archive.protocol import OnDisk
from slipscan.archive.simulated.files import FILES_VERSION, check_bounds, frame_directory, frame_name, write_files
from slipscan.archive.stations import STEPS
from slipscan.atomic import write_text
from slipscan.outofcore import Empty
from slipscan.regions import LocalSource, Region
from slipscan.settings import ArchiveSettings
from slipscan.synthetic import positions
from slipscan.synthetic.interferograms import acquisition_dates, pairs
from slipscan.synthetic.north_anatolian import SCENARIOS


class Simulated(OnDisk):
    """Archive 'simulated'."""

    name = "simulated"
    has_truth = True

    def search(self, job: Job, as_of: str) -> pd.DataFrame:
        """List the pairs whose newer date is not after `as_of`; raises SlipscanError outside the scenario."""
        check_bounds(job.region)
        frame = frame_name(job.track)
        rows = [
            {
                "granule": f"{frame}_{older:%Y%m%d}_{newer:%Y%m%d}",
                "product_version": str(FILES_VERSION),
                "reference_date": older.isoformat(),
                "secondary_date": newer.isoformat(),
                "frame": frame,
            }
            for older, newer in pairs(job.track, job.settings.simulated)
            if newer.isoformat() <= as_of
        ]
        return manifests.table(self.name, job.track, rows)

    def files(self, manifest: pd.DataFrame, job: Job) -> list[Path]:
        """Simulate the files of a manifest that are not there yet: see `files.write_files`."""
        return write_files(manifest, job)

    def read(self, manifest: pd.DataFrame, job: Job, empty: Empty) -> tuple[xr.Dataset, Sequence[Received]]:
        """Read the files with the reader of real LiCSAR data: product 'interferograms' on the native grid."""
        source = LocalSource(convention="licsar", path=".")
        return read_interferograms(frame_directory(job), source, job.track, manifest), ()

    def write_stations(self, region: Region, settings: ArchiveSettings, directory: Path) -> bool:
        """Write the daily positions of the scenario's GNSS stations, one NGL .tenv3 file each, 2015 to 2021."""
        check_bounds(region)
        planted = SCENARIOS[settings.simulated.scenario]
        for station in planted.stations:
            text = positions.tenv3(
                station, planted.movers, settings.simulated.seed, planted.common_share, planted.antennas
            )
            write_text(Path(directory) / f"{station.id}.tenv3", text)
        if planted.antennas:
            write_text(Path(directory) / STEPS, positions.steps(planted.antennas))
        return True

    def truth(self, region: Region, settings: ArchiveSettings) -> dict[str, Any]:
        """What was planted: region, scenario and the events whose middle lies within the series.

        Returns
        -------
        truth
            'region', 'scenario', 'events': id, type, t05, t50, t95 (ISO dates), longitude, latitude and depth_km
            of the source's centre, mw, strike_deg, dip_deg, rake_deg, length_km, width_km, slip_mm; 'distractors':
            what moved the ground and is no slow slip
        """
        simulated = settings.simulated
        first = datetime.date.fromisoformat(simulated.start)
        last = max(acquisition_dates(track, simulated)[-1] for track in region.tracks)
        planted = SCENARIOS[simulated.scenario]
        events, others = (
            [one.describe() for one in movers if first <= one.t50 <= last]
            for movers in (planted.events, planted.distractors)
        )
        truth = {"region": region.id, "scenario": simulated.scenario, "events": events}
        return truth | ({"distractors": others} if others else {})
