"""Regions of interest and their satellite tracks, read from a GeoJSON file.

One feature a region: a polygon (longitude, latitude) and the properties of `Region`. What a file of
interferograms means (sign, unit, geometry) is stated here by `convention`, never guessed.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator
from shapely.errors import ShapelyError
from shapely.geometry import Polygon, shape

from slipscan.errors import SlipscanError
from slipscan.vocabulary import RADAR_WAVELENGTH_M

Identifier = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9-]{0,31}$")]


class Frozen(BaseModel):
    """A model that refuses unknown keys and cannot be changed."""

    model_config = ConfigDict(extra="forbid", frozen=True)


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

    frames: tuple[int, ...] = Field(
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
    reference_point: tuple[float, float] = Field(
        description="longitude, latitude of the reference area's centre: coherent, off faults and volcanoes"
    )
    tectonic_setting: str = Field(description="e.g. 'continental transform', 'subduction', 'volcano', 'basin'")
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
    polygon: tuple[tuple[float, float], ...] = Field(
        min_length=4, description="exterior ring of the feature's geometry: longitude, latitude, degrees"
    )

    @field_validator("polygon")
    @classmethod
    def _valid_polygon(cls, ring: tuple[tuple[float, float], ...]) -> tuple[tuple[float, float], ...]:
        if not all(-180 <= lon <= 180 and -90 <= lat <= 90 for lon, lat in ring):
            raise ValueError("the polygon has a vertex outside -180..180, -90..90 degrees")
        polygon = Polygon(ring)
        if not polygon.is_valid or polygon.area == 0:
            raise ValueError("the polygon is empty or crosses itself")
        return ring

    @model_validator(mode="after")
    def _does_not_cross_the_antimeridian(self) -> Region:
        longitudes = [lon for lon, _ in (*self.polygon, self.reference_point)]
        if max(longitudes) - min(longitudes) > 180:
            raise ValueError(
                "polygon and reference_point span more than 180 degrees of longitude: divide a region that crosses the"
                " antimeridian into two"
            )
        return self

    @model_validator(mode="after")
    def _consistent(self) -> Region:
        ids = [track.id for track in self.tracks]
        if len(set(ids)) < len(ids):
            raise ValueError(f"two tracks have the same id ({', '.join(ids)})")
        for archive, needs in (("local", "convention and path"), ("licsar", "frames")):
            missing = [track.id for track in self.tracks if self.archive == archive and getattr(track, archive) is None]
            if missing:
                raise ValueError(f"track {missing[0]} of archive '{archive}' has no key '{archive}' ({needs})")
        return self

    def track(self, track_id: str) -> Track:
        """The track of that id; raises SlipscanError."""
        for track in self.tracks:
            if track.id == track_id:
                return track
        known = ", ".join(track.id for track in self.tracks)
        raise SlipscanError(f"region {self.id} has no track {track_id!r}: it has {known}")

    def wkt(self) -> str:
        """The polygon as well-known text."""
        return str(Polygon(self.polygon).wkt)


def read_regions(path: Path) -> dict[str, Region]:
    """Read every region of a GeoJSON file, by id.

    Raises
    ------
    SlipscanError
        the file is missing or no GeoJSON, a region has a missing, unknown or wrong key, an id twice
    """
    path = Path(path)
    try:
        collection = json.loads(path.read_text(encoding="utf-8"))
        features = collection["features"]
    except FileNotFoundError as error:
        raise SlipscanError(f"there is no regions file {path}: set regions_file in the config") from error
    except (json.JSONDecodeError, KeyError, TypeError) as error:
        raise SlipscanError(f"{path} is no GeoJSON FeatureCollection ({error})") from error
    regions: dict[str, Region] = {}
    for number, feature in enumerate(features):
        region = _read_region(feature, number, path)
        if region.id in regions:
            raise SlipscanError(f"{path} holds region {region.id} twice: ids must be unique")
        regions[region.id] = region
    return regions


def _read_region(feature: dict[str, Any], number: int, path: Path) -> Region:
    properties = dict(feature.get("properties") or {})
    label = properties.get("id", f"number {number + 1}")
    try:
        polygon = shape(feature["geometry"])
        ring = tuple((float(c[0]), float(c[1])) for c in polygon.exterior.coords)
    except (KeyError, TypeError, AttributeError, ValueError, ShapelyError) as error:
        raise SlipscanError(f"region {label} in {path} has no Polygon geometry") from error
    try:
        return Region.model_validate({**properties, "polygon": ring})
    except ValidationError as error:
        raise SlipscanError(f"region {label} in {path}: {one_sentence(error)}") from error


def one_sentence(error: ValidationError) -> str:
    """The first problem of a pydantic error as 'key: what is wrong', with the number of others."""
    problems = error.errors()
    first = problems[0]
    key = ".".join(str(part) for part in first["loc"]) or "the entry"
    reasons = {"extra_forbidden": "unknown key", "missing": "missing key"}
    reason = reasons.get(first["type"], first["msg"].removeprefix("Value error, "))
    if first["type"] not in reasons and first["type"] != "value_error":
        reason = f"{reason[0].lower()}{reason[1:]} (got {first['input']!r})"
    more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
    return f"{key}: {reason}{more}"


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
