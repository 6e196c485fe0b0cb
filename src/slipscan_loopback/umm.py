"""Granules as NASA's Common Metadata Repository (CMR) describes them, in UMM-G JSON.

The fields and their values follow recorded answers of the real CMR for ARIA_S1_GUNW (v3.0.1), OPERA and
SENTINEL-1_BURSTS granules. All traps are kept: GUNW says 'ascending' in lower case and gives the time of the newer
acquisition alone; DISP-S1 gives reference to secondary time and has its frame in FRAME_NUMBER, not CENTER_ESA_FRAME.
"""

from __future__ import annotations

import datetime
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from shapely.geometry import Polygon
from shapely.geometry.polygon import orient

from slipscan_loopback.scene import TrueScene

CONCEPT_IDS = {
    "ARIA_S1_GUNW": "C2859376221-ASF",
    "OPERA_L3_DISP-S1_V1": "C3294057315-ASF",
    "OPERA_L3_DISP-S1-STATIC_V1": "C9000000001-ASF",  # made up: asf_search goes by the short name
    "OPERA_L4_TROPO-ZENITH_V1": "C3717139408-ASF",
    "SENTINEL-1_BURSTS": "C2709161906-ASF",
}
"""Of the collections, by short name."""

FORMATS = {".nc": "netCDF-4", ".png": "PNG", ".tif": "COG", ".xml": "XML", ".tiff": "GeoTIFF", ".gz": "Zarr"}
PRODUCED = datetime.datetime(2024, 9, 16, 4, 33, 10, tzinfo=datetime.UTC)


@dataclass(frozen=True)
class DataFile:
    """A file of a granule: what the archive tells about it."""

    name: str
    bytes: int
    md5: str

    @classmethod
    def of(cls, path: Path) -> DataFile:
        """Describe a file on disk."""
        with path.open("rb") as file:
            return cls(path.name, path.stat().st_size, hashlib.file_digest(file, "md5").hexdigest())


@dataclass(frozen=True, eq=False)
class Granule:
    """One granule of the catalogue.

    Attributes
    ----------
    name
        GranuleUR
    short_name
        of the collection, a key of CONCEPT_IDS
    begin, end
        acquisition, UTC; `end` None is a single date (static layers)
    ring
        footprint: longitude, latitude, closed
    attributes
        AdditionalAttributes: one value, or several
    files
        listed under ArchiveAndDistributionInformation and with a URL each, in this order
    unlisted
        names of files with a URL alone (what the archive does not count)
    service
        URLs are of type USE SERVICE API as those of bursts, and files are not listed
    orbits, platform, input_granules, produced
        further fields
    malformed
        a DISP-S1 granule without links to its .zarr.json.gz: asf_search 14.1 fails on the whole page
    """

    name: str
    short_name: str
    begin: datetime.datetime
    end: datetime.datetime | None
    ring: tuple[tuple[float, float], ...]
    attributes: Mapping[str, str | Sequence[str]] = field(default_factory=dict)
    files: tuple[DataFile, ...] = ()
    unlisted: tuple[str, ...] = ()
    service: bool = False
    orbits: tuple[int, ...] = ()
    platform: str = "Sentinel-1A"
    input_granules: tuple[str, ...] = ()
    produced: datetime.datetime = PRODUCED
    malformed: bool = False

    @cached_property
    def polygon(self) -> Polygon:
        """The footprint, counter-clockwise as CMR wants it."""
        return orient(Polygon(self.ring))

    def values(self, attribute: str) -> tuple[str, ...]:
        """Values of an additional attribute; none where the granule has no such attribute."""
        found = self.attributes.get(attribute, ())
        return (found,) if isinstance(found, str) else tuple(found)

    def item(self, base_url: str) -> dict[str, Any]:
        """The element of `items` in a search's answer, with links to `base_url`/data/NAME."""
        return {
            "meta": {
                "concept-type": "granule",
                "concept-id": f"G{int(hashlib.sha256(self.name.encode()).hexdigest()[:8], 16)}-ASF",
                "revision-id": 1,
                "native-id": self.name,
                "collection-concept-id": CONCEPT_IDS[self.short_name],
                "provider-id": "ASF",
                "format": "application/vnd.nasa.cmr.umm+json",
                "revision-date": _stamp(self.produced),
            },
            "umm": self._umm(base_url),
        }

    def _umm(self, base_url: str) -> dict[str, Any]:
        points = [{"Longitude": lon, "Latitude": lat} for lon, lat in self.polygon.exterior.coords]
        umm: dict[str, Any] = {
            "GranuleUR": self.name,
            "CollectionReference": {"ShortName": self.short_name, "Version": "1"},
            "TemporalExtent": {"SingleDateTime": _stamp(self.begin)}
            if self.end is None
            else {"RangeDateTime": {"BeginningDateTime": _stamp(self.begin), "EndingDateTime": _stamp(self.end)}},
            "SpatialExtent": {
                "HorizontalSpatialDomain": {"Geometry": {"GPolygons": [{"Boundary": {"Points": points}}]}}
            },
            "AdditionalAttributes": [{"Name": name, "Values": list(self.values(name))} for name in self.attributes],
            "RelatedUrls": self._urls(base_url),
            "DataGranule": self._data_granule(),
            "Platforms": [{"ShortName": self.platform, "Instruments": [{"ShortName": "C-SAR"}]}],
            "ProviderDates": [{"Date": _stamp(self.produced), "Type": kind} for kind in ("Insert", "Update")],
            "MetadataSpecification": {
                "URL": "https://cdn.earthdata.nasa.gov/umm/granule/v1.6.6",
                "Name": "UMM-G",
                "Version": "1.6.6",
            },
        }
        if self.orbits:
            umm["OrbitCalculatedSpatialDomains"] = [{"OrbitNumber": orbit} for orbit in self.orbits]
        if self.input_granules:
            umm["InputGranules"] = list(self.input_granules)
        return umm

    def _data_granule(self) -> dict[str, Any]:
        granule: dict[str, Any] = {
            "DayNightFlag": "Unspecified",
            "ProductionDateTime": _stamp(self.produced),
            "Identifiers": [{"IdentifierType": "ProducerGranuleId", "Identifier": self.name}],
        }
        if not self.service:
            granule["ArchiveAndDistributionInformation"] = [
                {
                    "Name": file.name,
                    "SizeInBytes": file.bytes,
                    "Format": FORMATS[Path(file.name).suffix],
                    "Checksum": {"Value": file.md5, "Algorithm": "MD5"},
                }
                for file in self.files
            ]
        return granule

    def _urls(self, base_url: str) -> list[dict[str, str]]:
        urls = []
        for name in [*(file.name for file in self.files), *self.unlisted]:
            if self.malformed and name.endswith(".zarr.json.gz"):
                continue
            kind = {".png": "GET RELATED VISUALIZATION", ".xml": "EXTENDED METADATA"}.get(Path(name).suffix, "GET DATA")
            urls.append({"URL": f"{base_url}/data/{name}", "Type": "USE SERVICE API" if self.service else kind})
            if self.short_name.startswith("OPERA") and kind == "GET DATA":
                direct = f"s3://asf-cumulus-prod-opera-products/{self.short_name}/{self.name}/{name}"
                urls.append({"URL": direct, "Type": "GET DATA VIA DIRECT ACCESS"})
        return urls


def _stamp(time: datetime.datetime) -> str:
    return time.astimezone(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def orbit_number(scene: TrueScene, date: datetime.date) -> int:
    """The absolute orbit of Sentinel-1A on a date: 175 in 12 days, relative orbit = (absolute - 73) mod 175 + 1."""
    cycle = (date - datetime.date(2014, 4, 3)).days // 12
    return cycle * 175 + scene.relative_orbit + 72


def slc_name(scene: TrueScene, date: datetime.date) -> str:
    """A name as those of the Sentinel-1 SLC products that a product of the scene was made from."""
    begin = scene.time(date) - datetime.timedelta(seconds=13)
    end = begin + datetime.timedelta(seconds=27)
    digest = hashlib.sha256(date.isoformat().encode()).hexdigest().upper()
    return (
        f"S1A_IW_SLC__1SDV_{begin:%Y%m%dT%H%M%S}_{end:%Y%m%dT%H%M%S}_{orbit_number(scene, date):06d}_{digest[:6]}_"
        + (digest[6:10])
    )


def synthetic_granules(scene: TrueScene, count: int = 10_000) -> list[Granule]:
    """Granules of ARIA_S1_GUNW without files, for tests of paging: four older dates for every newer one."""
    first = scene.time(scene.dates[0])
    granules = []
    for number in range(count):
        newer = first + datetime.timedelta(days=12 + number // 4)
        older = newer - datetime.timedelta(days=12 * (1 + number % 4))
        track = f"{scene.orbit_direction[0].upper()}-R-{scene.relative_orbit:03d}"
        dates = f"{newer:%Y%m%d}_{older:%Y%m%d}-{newer:%H%M%S}"
        name = f"S1-GUNW-{track}-tops-{dates}-00032E_00041N-PP-{number:04x}-v3_0_1"
        attributes = {
            "ASCENDING_DESCENDING": scene.orbit_direction,
            "FRAME_NUMBER": "1",
            "PATH_NUMBER": str(scene.relative_orbit),
            "VERSION": "3.0.1",
        }
        files = (DataFile(f"{name}.nc", 10, ""),)
        end = newer + datetime.timedelta(seconds=52)
        granules.append(Granule(name, "ARIA_S1_GUNW", newer, end, scene.polygon, attributes, files, orbits=(1, 2)))
    return granules
