"""The whole loopback archive: one true scene in every family's layout, served from one address on 127.0.0.1."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from types import TracebackType
from typing import Any

import yaml

from slipscan.atomic import write_text
from slipscan.outputs import NEW, OWN, Kind, check_outputs, file_kind, head
from slipscan_loopback import bursts, cmr, disp, gunw, licsar, tropo
from slipscan_loopback.http import Faults, LoopbackServer
from slipscan_loopback.hyp3 import Hyp3Api
from slipscan_loopback.scene import TrueScene
from slipscan_loopback.umm import Granule

log = logging.getLogger(__name__)

HEADER = "# Written by `slipscan loopback`: it points the archives to this machine.\n"
FAMILIES = ("aria", "opera", "hyp3", "licsar")
HYP3 = "/hyp3"
LICSAR = "/LiCSAR_products"
_MARKS = (HEADER.encode(), b"cmr_url: http://127.0.0.1:")
CONFIG = file_kind("a configuration", lambda path: any(mark in head(path) for mark in _MARKS))
"""The second mark: of those up to version 0.1."""


@dataclass(frozen=True)
class Layout:
    """How the scene is cut into products.

    Attributes
    ----------
    neighbours
        interferograms from a date to so many later ones (aria, licsar)
    aria_frames, licsar_frames
        overlapping frames along the track; the unwrapping leaves each a constant of its own
    opera_reference_every
        the reference date of DISP-S1 moves every so many epochs
    bursts
        burst ids without the track, from south to north
    opera_posting_m, hyp3_posting_m, licsar_posting_deg
        those of the real products by default
    gacos
        whether LiCSAR has GACOS delays
    opera_tropo
        whether there are OPERA TROPO-ZENITH files around every acquisition
    tropo_step_deg
        their nodes; the real ones do not resolve the waves of 10 km in the scene's delay
    """

    neighbours: int = 3
    aria_frames: int = 2
    licsar_frames: int = 1
    opera_reference_every: int = 5
    bursts: tuple[str, ...] = ("185682_IW2", "185683_IW2")
    opera_posting_m: float = disp.POSTING_M
    hyp3_posting_m: float = 80.0
    licsar_posting_deg: float = 0.001
    gacos: bool = True
    opera_tropo: bool = False
    tropo_step_deg: float = tropo.STEP


class LoopbackArchive:
    """Archives of a true scene, running within a `with` block.

    Products of the on-demand archive are written when a job succeeds, all others at the beginning of the block.

    Parameters
    ----------
    directory
        where products are written
    faults
        what happens to requests for files
    families
        some of FAMILIES
    port
        0 takes a free one
    token
        what the HyP3 API accepts; None: any token
    polls
        how often a HyP3 job is seen unfinished

    Attributes
    ----------
    server
        the HTTP server with its log of requests
    catalogue
        the granules that CMR searches find
    hyp3
        the HyP3 API with its jobs, and what can go wrong with them
    files
        path of every file below /data, by name
    """

    def __init__(
        self,
        directory: Path,
        scene: TrueScene | None = None,
        faults: Faults | None = None,
        families: Sequence[str] = FAMILIES,
        layout: Layout | None = None,
        port: int = 0,
        token: str | None = None,
        polls: int = 2,
    ) -> None:
        self.directory = Path(directory)
        self.scene = scene or TrueScene()
        self.families = tuple(families)
        self.layout = layout or Layout()
        self.server = LoopbackServer(faults, port)
        self.catalogue = cmr.Catalogue()
        self.files: dict[str, Path] = {}
        self.hyp3 = Hyp3Api(
            self.scene,
            self.directory / "hyp3",
            self.layout.hyp3_posting_m,
            token=token,
            polls=polls,
            gunw=self._write_gunw,
        )

    def __enter__(self) -> LoopbackArchive:
        self._publish()
        cmr.register(self.server, self.catalogue, self.files)
        self.hyp3.register(self.server, HYP3)
        licsar.register(self.server, self._licsar_directory, LICSAR)
        self.server.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:  # fmt: skip
        self.server.__exit__(kind, error, trace)

    @property
    def url(self) -> str:
        """Address of the server; CMR's search lies at its root."""
        return self.server.url

    @property
    def _licsar_directory(self) -> Path:
        return self.directory / "licsar"

    # Products --------------------------------------------------------------------------------------------------------

    def _publish(self) -> None:
        """Write the products of the chosen families and fill the catalogue."""
        scene, layout = self.scene, self.layout
        if "aria" in self.families:
            pairs = scene.pairs(layout.neighbours)
            self._add(*gunw.publish(scene, self.directory / "aria", pairs, layout.aria_frames))
        if "opera" in self.families:
            references = disp.moving_references(scene, layout.opera_reference_every)
            directory = self.directory / "opera"
            self._add(*disp.publish(scene, directory, references, posting_m=layout.opera_posting_m))
        if "hyp3" in self.families:
            granules = bursts.publish(scene, [f"{scene.relative_orbit:03d}_{burst}" for burst in layout.bursts])
            self.hyp3.granules = {granule.name for granule in granules}
            self._add(granules, {})
        if layout.opera_tropo:
            self._add(*tropo.publish(scene, self.directory / "tropo", layout.tropo_step_deg))
        if "licsar" in self.families:
            for frame, rows in self._licsar_frames().items():
                licsar.write_frame(
                    scene,
                    self._licsar_directory,
                    frame,
                    layout.licsar_posting_deg,
                    layout.neighbours,
                    rows,
                    layout.gacos,
                )

    def _add(self, granules: list[Granule], files: dict[str, Path]) -> None:
        self.catalogue.add(granules)
        self.files.update(files)

    def _licsar_frames(self) -> dict[str, tuple[float, float]]:
        """Frame ids from south to north and the part of the scene that each covers, with a tenth of it shared."""
        count = self.layout.licsar_frames
        shared = 0.1 if count > 1 else 0.0
        return {
            licsar.frame_id(self.scene, 4900 + 50 * index): (
                max(0.0, index / count - shared / 2),
                min(1.0, (index + 1) / count + shared / 2),
            )
            for index in range(count)
        }

    def _write_gunw(self, newer: date, older: date, number: int, directory: Path) -> Path:
        """The product of an order of a GUNW: a known frame, or one of the number asked for over the whole scene."""
        known = {frame.number: frame for frame in gunw.frames(self.scene, self.layout.aria_frames)}
        frame = known.get(number) or replace(gunw.frames(self.scene)[0], number=number)
        path = directory / gunw.file_name(self.scene, older, newer, frame)
        gunw.write(path, self.scene, older, newer, frame)
        return path

    # What a user needs to work with it -------------------------------------------------------------------------------

    def regions(self) -> dict[str, Any]:
        """The regions as GeoJSON: one for each family (LOOP-ARIA, ...), of the same polygon and track."""
        geometry = {"type": "Polygon", "coordinates": [[list(vertex) for vertex in self.scene.polygon]]}
        features = [
            {
                "type": "Feature",
                "geometry": geometry,
                "properties": {
                    "id": f"LOOP-{family.upper()}",
                    "name": f"Loopback archive, {family}",
                    "archive": family,
                    "tracks": [self._track(family)],
                    "reference_point": list(self.scene.reference_point),
                    "tectonic_setting": "continental transform",
                },
            }
            for family in self.families
        ]
        return {"type": "FeatureCollection", "features": features}

    def _track(self, family: str) -> dict[str, Any]:
        scene = self.scene
        sources: dict[str, dict[str, Any]] = {
            "opera": {"opera": {"frames": [disp.FRAME]}},
            "licsar": {"licsar": {"frames": list(self._licsar_frames())}},
        }
        return {
            "id": f"{scene.relative_orbit:03d}{scene.orbit_direction[0].upper()}",
            "relative_orbit": scene.relative_orbit,
            "orbit_direction": scene.orbit_direction,
            "radar_wavelength_m": scene.wavelength_m,
            **sources.get(family, {}),
        }

    def config(self) -> dict[str, Any]:
        """The part of a configuration that points the archives to this server."""
        urls = {"cmr_url": self.url, "hyp3_url": f"{self.url}{HYP3}", "licsar_url": f"{self.url}{LICSAR}"}
        return {"archive": urls}


def wait_for_interrupt() -> None:
    """Wait until the user presses Ctrl-C."""
    try:
        threading.Event().wait()
    except KeyboardInterrupt:
        log.info("stopped")


def serve(
    directory: Path,
    port: int = 0,
    scene: TrueScene | None = None,
    layout: Layout | None = None,
    wait: Callable[[], None] = wait_for_interrupt,
) -> None:
    """Run the archive in the foreground.

    Parameters
    ----------
    directory
        gets regions.geojson and config.yaml, which let every archive be tried without an account, and the products
        below `products`
    port
        0 takes a free one
    wait
        returns when the archive is to stop
    """
    directory = Path(directory).resolve()
    regions, config, products = (directory / name for name in ("regions.geojson", "config.yaml", "products"))
    check_outputs([(config, CONFIG)])
    ours = config.exists()
    check_outputs([(regions, OWN if ours else NEW), (products, Kind("", lambda path: "" if ours else "exists"))])
    log.info("writing the products of every family below %s (a minute or less)", directory)
    with LoopbackArchive(directory / "products", scene, layout=layout, port=port) as archive:
        write_text(regions, json.dumps(archive.regions(), indent=2) + "\n", OWN)
        settings = {
            "regions_file": str(regions),
            "results_dir": str(directory / "results"),
            "cache_dir": str(directory / "cache"),
            **archive.config(),
        }
        write_text(config, HEADER + yaml.safe_dump(settings, sort_keys=False), CONFIG)
        log.info("the archive runs at %s until you press Ctrl-C; use it with %s", archive.url, config)
        log.info("any token will do: export EARTHDATA_TOKEN=loopback")
        wait()
