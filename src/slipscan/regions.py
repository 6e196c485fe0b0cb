"""Regions of interest and their satellite tracks, read from a GeoJSON file.

One feature a region: a polygon (longitude, latitude) and the properties of `Region`. A polygon across 180 degrees is
cut there into a MultiPolygon (RFC 7946), or runs on past 180, or has edges that jump from 179 to -179. What a file of
interferograms means (sign, unit, geometry) is stated here by `convention`, never guessed.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field, field_validator, model_validator
from shapely.errors import ShapelyError
from shapely.geometry import MultiPolygon, Polygon, shape

from slipscan.errors import SlipscanError
from slipscan.longitudes import continuous, joined, near
from slipscan.models import SHOWN, Frozen, shown, validate
from slipscan.texts import read_json
from slipscan.vocabulary import RADAR_WAVELENGTH_M

RESERVED = ("logs", "benchmarks", "weights", "increments", "stations")
"""Names that the workflow gives to folders beside those of regions and tracks."""
Identifier = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9-]{0,31}$")]


class LocalSource(Frozen):
    """Where a track's files lie and what they mean (archive 'local')."""

    convention: Literal["gamma", "hyp3", "licsar", "displacement", "mintpy", "licsbas", "flatsim"] = Field(
        description="sign, unit, nodata, names and geometry of the files; 'displacement' is a ready series (NetCDF or"
        " Zarr) that follows the stack contract, 'mintpy', 'licsbas' and 'flatsim' are ready series of these tools"
    )
    path: str = Field(description="directory (or file, for a ready series) below archive.data_root")
    incidence_deg: float | None = Field(
        None, gt=15, lt=60, description="incidence angle where the files hold no geometry (GAMMA)"
    )
    heading_deg: float | None = Field(
        None, gt=-360, lt=360, description="flight direction where the files hold no geometry (GAMMA)"
    )


class AriaSource(Frozen):
    """ARIA-S1-GUNW products (archive 'aria')."""

    version: str = Field("3", pattern=r"^[0-9]+(\.[0-9]+)*$", description="product versions that begin so are taken")


class OperaSource(Frozen):
    """OPERA DISP-S1 frames (archive 'opera')."""

    frames: tuple[Annotated[int, Field(ge=1, le=99999)], ...] = Field(
        (), description="frame ids of one UTM zone (F11116 is 11116); none: all of the track that touch the polygon"
    )
    version: str = Field("1", pattern=r"^[0-9]+(\.[0-9]+)*$", description="product versions that begin so are taken")


class Hyp3Source(Frozen):
    """On-demand interferograms (archive 'hyp3')."""

    bursts: tuple[str, ...] = Field(
        (),
        max_length=15,
        description="full burst ids, e.g. 087_185682_IW2; none: all of the track that touch the polygon",
    )
    polarization: Literal["VV", "HH"] = "VV"


class LicsarSource(Frozen):
    """COMET LiCSAR frames (archive 'licsar')."""

    frames: tuple[str, ...] = Field(min_length=1, description="frame ids, e.g. 021D_04972_131213")


SOURCES: dict[str, type[Frozen]] = {
    "local": LocalSource,
    "aria": AriaSource,
    "opera": OperaSource,
    "hyp3": Hyp3Source,
    "licsar": LicsarSource,
}
"""What a track says of an archive, under the key of its name."""


def _required(archive: str) -> str:
    """What a track must say of an archive, for a sentence; nothing where all has a default."""
    fields = SOURCES[archive].model_fields if archive in SOURCES else {}
    return " and ".join(name for name, field in fields.items() if field.is_required())


class Track(Frozen):
    """One satellite track over a region."""

    id: Identifier = Field(description="name in paths and tables, e.g. 087A")
    relative_orbit: int = Field(ge=1, le=175, description="Sentinel-1 relative orbit (track) number")
    orbit_direction: Literal["ascending", "descending"]
    radar_wavelength_m: float = Field(RADAR_WAVELENGTH_M, gt=0.02, lt=0.3)
    local: LocalSource | None = Field(None, description="for archive 'local'")
    aria: AriaSource | None = Field(None, description="for archive 'aria'; default: every frame of the track")
    opera: OperaSource | None = Field(None, description="for archive 'opera'; default: every frame of the track")
    hyp3: Hyp3Source | None = Field(
        None, description="for archive 'hyp3'; default: every burst that touches the polygon"
    )
    licsar: LicsarSource | None = Field(None, description="for archive 'licsar'")


class Region(Frozen):
    """One region of interest."""

    id: Identifier = Field(description="name in paths and tables, e.g. ISMT")
    name: str
    archive: Literal["local", "simulated", "aria", "opera", "hyp3", "licsar"] = Field(
        description="where the data come from"
    )
    tracks: tuple[Track, ...] = Field(min_length=1)
    reference_point: tuple[Annotated[float, Field(ge=-360, le=360)], Annotated[float, Field(ge=-90, le=90)]] = Field(
        description="longitude, latitude of the reference area's centre: coherent, off faults and volcanoes"
    )
    tectonic_setting: str = Field(
        description="e.g. 'continental transform', 'subduction'; in a 'volcano' changes of volume are likelier a"
        " priori, in a 'basin' those of water"
    )
    fault_strike_deg: float | None = Field(
        None,
        ge=0,
        lt=360,
        description="Aki-Richards strike of the main fault, a start for the source inversion",
    )
    plate: Literal["AN", "AR", "AU", "EU", "IN", "NA", "NB", "NZ", "PA", "SA", "SO"] | None = Field(
        None, description="plate that the region rides on (for archive.corrections.plate_motion)"
    )
    gnss: str | None = Field(
        None,
        description="directory of NGL .tenv3 files below archive.data_root ('simulated' regions make theirs)",
    )
    gnss_stations: tuple[Annotated[str, Field(pattern=r"^[A-Za-z0-9]{4}$")], ...] | None = Field(
        None, min_length=1, description="names of the stations that `slipscan gnss fetch` gets"
    )
    gnss_distance_km: float | None = Field(
        None, ge=0, le=2000, description="or: all within so far of the polygon (default: ngl.max_distance_km)"
    )
    polygon: tuple[tuple[float, float], ...] = Field(
        min_length=4,
        description="exterior ring of the feature's geometry: longitude, latitude, degrees; continuous where it crosses"
        " 180 degrees",
    )

    @field_validator("polygon")
    @classmethod
    def _valid_polygon(cls, ring: tuple[tuple[float, float], ...]) -> tuple[tuple[float, float], ...]:
        if not all(-360 <= lon <= 360 and -90 <= lat <= 90 for lon, lat in ring):
            raise ValueError("the polygon has a vertex outside -360..360, -90..90 degrees")
        whole = tuple(continuous(ring))
        polygon = Polygon(whole)
        if not polygon.is_valid or polygon.area == 0:
            raise ValueError("the polygon is empty or crosses itself")
        west, _, east, _ = polygon.bounds
        if east - west > 90:  # no grid is so wide: a sign is wrong, or the edge that jumps goes the other way round
            raise ValueError("the polygon spans more than 90 degrees of longitude: correct a sign, or divide it")
        return whole

    @model_validator(mode="after")
    def _reference_beside_the_polygon(self) -> Region:
        longitudes = [lon for lon, _ in self.polygon]
        middle = (min(longitudes) + max(longitudes)) / 2
        lon = float(near(self.reference_point[0], middle))
        if abs(lon - middle) > 90:
            raise ValueError(
                "reference_point lies more than 90 degrees of longitude from the polygon: move it into the region"
            )
        # Here, where the polygon is known, the model is still being made.
        object.__setattr__(self, "reference_point", (lon, self.reference_point[1]))
        return self

    @model_validator(mode="after")
    def _consistent(self) -> Region:
        ids = [track.id for track in self.tracks]
        if len(set(ids)) < len(ids):
            raise ValueError(f"two tracks have the same id ({', '.join(ids)})")
        if taken := [name for name in (self.id, *ids) if name in RESERVED]:
            raise ValueError(f"the id {taken[0]!r} is the name of a folder of the workflow's own: choose another")
        if needs := _required(self.archive):
            missing = [track.id for track in self.tracks if getattr(track, self.archive) is None]
            if missing:
                raise ValueError(
                    f"track {missing[0]} of archive '{self.archive}' has no key '{self.archive}' ({needs})"
                )
        return self

    def track(self, track_id: str) -> Track:
        """The track of that id; raises SlipscanError."""
        for track in self.tracks:
            if track.id == track_id:
                return track
        known = ", ".join(track.id for track in self.tracks)
        raise SlipscanError(f"region {self.id} has no track {track_id!r}: it has {known}")

    def wkt(self) -> str:
        """The polygon as well-known text, continuous where it crosses 180 degrees."""
        return str(Polygon(self.polygon).wkt)


def read_regions(path: Path) -> dict[str, Region]:
    """Read every region of a GeoJSON file, by id.

    Raises
    ------
    SlipscanError
        the file is missing or no GeoJSON, a region has a missing, unknown or wrong key, an id twice
    """
    collection = read_json(Path(path), "regions file", "set regions_file in the config")
    features = collection.get("features") if isinstance(collection, dict) else None
    if not isinstance(features, list):
        raise SlipscanError(f"{path} is no GeoJSON FeatureCollection: it has no list 'features'")
    # The form before RFC 7946 could name another CRS, as exports of a GIS still do.
    if (crs := collection.get("crs")) is not None and not re.search("CRS84|EPSG:+4326", str(crs)):
        raise SlipscanError(f"{path} names the CRS {shown(crs)}: save it in longitude and latitude (EPSG:4326)")
    regions: dict[str, Region] = {}
    for number, feature in enumerate(features, 1):
        region = _read_region(feature, number, path)
        if region.id in regions:
            raise SlipscanError(f"{path} holds region {region.id} twice: ids must be unique")
        regions[region.id] = region
    return regions


def _read_region(feature: Any, number: int, path: Path) -> Region:
    """The region of one feature; a sentence names it by its id, or by its number in the file."""
    properties = feature.get("properties") if isinstance(feature, dict) else None
    if not isinstance(properties, dict):
        raise SlipscanError(f"feature {number} in {path} is no GeoJSON Feature with 'properties': write {{...}}")
    where = f"region {str(properties.get('id', f'number {number}'))[:SHOWN]} in {path}"
    return validate(Region, {**properties, "polygon": _ring(feature.get("geometry"), where)}, where)


def _ring(geometry: Any, where: str) -> list[tuple[float, float]]:
    """The exterior ring of a Polygon, or of a MultiPolygon of one, or of one that is cut at 180 degrees."""
    try:
        with np.errstate(invalid="ignore"):  # a vertex of NaN is refused below
            found = shape(geometry)
        if isinstance(found, MultiPolygon):
            found = joined(found)
        (polygon,) = getattr(found, "geoms", [found])
        ring, holes = [(float(lon), float(lat)) for lon, lat, *_ in polygon.exterior.coords], len(polygon.interiors)
    except (KeyError, TypeError, AttributeError, ValueError, IndexError, ShapelyError) as error:
        raise SlipscanError(f"{where} has no Polygon geometry: draw one polygon a region") from error
    if holes:
        raise SlipscanError(f"{where} has a hole in its polygon, which slipscan would fill: draw it without")
    return ring


def read_region(path: Path, region_id: str) -> Region:
    """One region of a file; raises SlipscanError where it is not there."""
    regions = read_regions(path)
    if region_id not in regions:
        raise SlipscanError(f"{path} has no region {region_id!r}: it has {', '.join(regions) or 'none'}")
    return regions[region_id]


def select(regions: dict[str, Region], ids: tuple[str, ...] | None, shard: str | None) -> dict[str, Region]:
    """The regions to process: those of `ids` (None: all), of them every n-th from the i-th for a shard 'i/n'.

    Raises
    ------
    SlipscanError
        an id that the file does not hold, a shard number not below the number of shards
    """
    unknown = [name for name in ids or () if name not in regions]
    if unknown:
        raise SlipscanError(f"there is no region {unknown[0]!r}: the regions file holds {', '.join(regions)}")
    chosen = sorted(ids if ids is not None else regions)
    if shard is not None:
        number, count = (int(part) for part in shard.split("/"))
        if number >= count:
            raise SlipscanError(f"shard {shard}: the first number counts from 0 and stays below the second")
        chosen = chosen[number::count]
    return {name: regions[name] for name in chosen}
