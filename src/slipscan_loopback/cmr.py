"""The granule search of NASA's Common Metadata Repository (CMR), as asf_search 14.1 asks it, over a catalogue.

A parameter that this search does not know is an error, as in the real one: nothing is silently ignored.
"""

from __future__ import annotations

import datetime
import fnmatch
import json
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import numpy as np
import shapely
from shapely.affinity import translate

from slipscan.longitudes import TURN, continuous
from slipscan_loopback.http import LoopbackServer, Request, Response
from slipscan_loopback.umm import CONCEPT_IDS, Granule

Parameters = list[tuple[str, str]]

CONTROL = {"page_size", "page_num", "sort_key", "provider", "scroll"}
"""Parameters that choose no granules; the catalogue belongs to provider ASF."""


class SearchError(ValueError):
    """A parameter that CMR refuses."""


class Catalogue:
    """Granules, and a search over them.

    Parameters
    ----------
    granules
        with unique names

    Attributes
    ----------
    queries
        the parameters of every search so far, in order of arrival
    """

    def __init__(self, granules: Iterable[Granule] = ()) -> None:
        self.granules: list[Granule] = []
        self.queries: list[Parameters] = []
        self._lock = threading.Lock()
        self._found: dict[tuple[tuple[str, str], ...], list[Granule]] = {}
        self.add(granules)

    def add(self, granules: Iterable[Granule]) -> None:
        """Put granules in; raises ValueError for a name that is there already."""
        with self._lock:
            self.granules.extend(granules)
            self._found.clear()
            names = [granule.name for granule in self.granules]
            if len(set(names)) < len(names):
                raise ValueError("a granule's name is in the catalogue twice")
            self._polygons = np.array([granule.polygon for granule in self.granules], dtype=object)

    def search(self, parameters: Parameters) -> list[Granule]:
        """The granules that meet all parameters: the latest end first, then by name.

        Raises
        ------
        SearchError
            an unknown parameter, or a value that cannot be read
        """
        with self._lock:
            self.queries.append(parameters)
            key = tuple(sorted(item for item in parameters if _plain(item[0]) not in CONTROL - {"provider"}))
            if key not in self._found:  # pages of one search differ in their header alone
                self._found[key] = self._search(parameters)
            return self._found[key]

    def _search(self, parameters: Parameters) -> list[Granule]:
        options = {name: value for name, value in parameters if name.startswith("options[")}
        by_name: dict[str, list[str]] = {}
        for name, value in parameters:
            if not name.startswith("options[") and value != "":
                by_name.setdefault(_plain(name), []).append(value)
        if by_name.get("provider", ["ASF"]) != ["ASF"]:
            return []
        chosen = np.ones(len(self.granules), bool)
        for name, values in by_name.items():
            if name in SHAPES:
                chosen &= self._intersect([SHAPES[name](value) for value in values])
            elif name in FILTERS:
                keep = FILTERS[name](values, options)
                chosen &= np.fromiter((keep(granule) for granule in self.granules), bool, len(self.granules))
            elif name not in CONTROL:
                raise SearchError(f"Parameter [{name}] was not recognized.")
        found = [granule for granule, is_chosen in zip(self.granules, chosen, strict=True) if is_chosen]
        found.sort(key=lambda granule: granule.name)
        found.sort(key=lambda granule: granule.end or granule.begin, reverse=True)
        return found

    def _intersect(self, shapes: Sequence[shapely.Geometry]) -> Any:
        # A polygon across 180 degrees runs on past it; what lies on either side meets it there or one turn away.
        copies = [translate(shape, turn) for shape in shapes for turn in (-TURN, 0.0, TURN)]
        return np.any([shapely.intersects(self._polygons, shape) for shape in copies], axis=0)


def register(server: LoopbackServer, catalogue: Catalogue, files: Mapping[str, Path]) -> None:
    """Add the search and the files to a server.

    Parameters
    ----------
    server
        gets POST and GET /search/granules.umm_json, and GET /data/NAME, the one that faults may hit
    catalogue
        what is found; granules may be added while the server runs
    files
        path of every file that can be fetched, by name; looked up when asked for, so it may grow
    """

    def search(request: Request) -> Response:
        text = request.body.decode() if request.method == "POST" else ""
        query = [(name, value) for name, values in request.query.items() for value in values]
        try:
            return _answer(catalogue, query + parse_qsl(text, keep_blank_values=True), request, server.url)
        except SearchError as error:
            return _json({"errors": [str(error)]}, {}, 400)

    def data(request: Request) -> Response:
        path = files.get(request.match[1])
        if path is None:
            return Response(404, b"no such file", "text/plain")
        return Response(body=path)

    for method in ("POST", "GET"):
        server.route(r"/search/granules\.umm_json", search, method)
    server.route(r"/data/(.+)", data, faulty=True)


def _answer(catalogue: Catalogue, parameters: Parameters, request: Request, base_url: str) -> Response:
    found = catalogue.search(parameters)
    size = int(dict(parameters).get("page_size", "10"))
    after = request.headers.get("CMR-Search-After")
    try:
        start = 0 if after is None else int(json.loads(after)[0])
    except (ValueError, TypeError, IndexError) as error:
        raise SearchError("The search-after header could not be parsed.") from error
    page = found[start : start + size]
    headers = {"CMR-Hits": str(len(found))}
    if page:
        headers["CMR-Search-After"] = json.dumps([start + len(page), page[-1].name])
    items = [granule.item(base_url) for granule in page]
    return _json({"hits": len(found), "took": 7, "items": items}, headers)


def _json(content: Any, headers: Mapping[str, str], status: int = 200) -> Response:
    body = json.dumps(content).encode()
    return Response(status, body, "application/vnd.nasa.cmr.umm_results+json; charset=utf-8", headers, ranges=False)


# What parameters mean -------------------------------------------------------------------------------------------------

Keep = Callable[[Granule], bool]
Filter = Callable[[list[str], Mapping[str, str]], Keep]


def _plain(name: str) -> str:
    return name.removesuffix("[]")


def _short_name(values: list[str], _: Mapping[str, str]) -> Keep:
    return lambda granule: granule.short_name in values


def _concept_id(values: list[str], _: Mapping[str, str]) -> Keep:
    return lambda granule: CONCEPT_IDS[granule.short_name] in values


def _platform(values: list[str], _: Mapping[str, str]) -> Keep:
    lower = {value.lower() for value in values}
    return lambda granule: granule.platform.lower() in lower


def _orbit_number(values: list[str], _: Mapping[str, str]) -> Keep:
    ranges = [_bounds(value.split(",")) for value in values]
    return lambda granule: any(low <= orbit <= high for orbit in granule.orbits for low, high in ranges)


def _names(parameter: str) -> Filter:
    def filtered(values: list[str], options: Mapping[str, str]) -> Keep:
        if options.get(f"options[{parameter}][pattern]") == "true":
            return lambda granule: any(fnmatch.fnmatch(granule.name.lower(), value.lower()) for value in values)
        lower = {value.lower() for value in values}
        return lambda granule: granule.name.lower() in lower

    return filtered


def _attributes(values: list[str], _: Mapping[str, str]) -> Keep:
    tests = [_attribute(value) for value in values]
    return lambda granule: all(test(granule) for test in tests)


def _attribute(text: str) -> Keep:
    """Read 'string,NAME,value', or 'int,NAME,value', or 'int,NAME,from,to' with either end left out."""
    kind, name, *rest = text.split(",")
    if kind == "string" and len(rest) == 1:
        return lambda granule: any(value.lower() == rest[0].lower() for value in granule.values(name))
    if kind not in ("int", "float") or len(rest) not in (1, 2):
        raise SearchError(f"[{text}] is an invalid additional attribute query.")
    low, high = _bounds(rest)
    return lambda granule: any(low <= float(value) <= high for value in granule.values(name))


def _bounds(texts: Sequence[str]) -> tuple[float, float]:
    low, high = (texts[0], texts[-1])
    try:
        return float(low or "-inf"), float(high or "inf")
    except ValueError as error:
        raise SearchError(f"[{','.join(texts)}] is no number and no range of numbers.") from error


def _temporal(values: list[str], _: Mapping[str, str]) -> Keep:
    """Granules whose time from begin to end meets every range 'start,end[,]'."""
    ranges = []
    for value in values:
        start, end, *season = [*value.split(","), ""][:4]
        if any(season):
            raise SearchError("temporal with days of the year is not served here.")
        ranges.append((_time(start, datetime.datetime.min), _time(end, datetime.datetime.max)))
    return lambda granule: all(
        granule.begin <= end and (granule.end or granule.begin) >= start for start, end in ranges
    )


def _time(text: str, default: datetime.datetime) -> datetime.datetime:
    try:
        time = datetime.datetime.fromisoformat(text) if text else default
    except ValueError as error:
        raise SearchError(f"temporal datetime is invalid: [{text}] is not a valid datetime.") from error
    return time if time.tzinfo else time.replace(tzinfo=datetime.UTC)


FILTERS: dict[str, Filter] = {
    "shortName": _short_name,
    "short_name": _short_name,
    "echo_collection_id": _concept_id,
    "collection_concept_id": _concept_id,
    "platform": _platform,
    "orbit_number": _orbit_number,
    "readable_granule_name": _names("readable_granule_name"),
    "granule_ur": _names("granule_ur"),
    "attribute": _attributes,
    "temporal": _temporal,
}


def _numbers(text: str) -> list[float]:
    try:
        return [float(part) for part in text.split(",")]
    except ValueError as error:
        raise SearchError(f"[{text}] is no list of numbers.") from error


def _points(text: str) -> list[tuple[float, float]]:
    numbers = _numbers(text)
    return list(zip(numbers[::2], numbers[1::2], strict=True))


def _polygon(text: str) -> shapely.Geometry:
    polygon = shapely.Polygon(continuous(_points(text)))
    if not polygon.exterior.is_ccw:
        raise SearchError("The polygon boundary points are listed in the wrong order (clockwise vs counter clockwise).")
    return polygon


def _box(text: str) -> shapely.Geometry:
    west, south, east, north = _numbers(text)
    if west <= east:
        return shapely.box(west, south, east, north)
    return shapely.union(shapely.box(west, south, 180, north), shapely.box(-180, south, east, north))


SHAPES: dict[str, Callable[[str], shapely.Geometry]] = {
    "polygon": _polygon,
    "bounding_box": _box,
    "point": lambda text: shapely.Point(*_numbers(text)),
    "line": lambda text: shapely.LineString(_points(text)),
}
