"""Files of granules by the catalogue's entries: where they lie now, with size and checksum."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from slipscan.archive.asf import catalogue
from slipscan.archive.granules import RemoteFile
from slipscan.errors import SlipscanError
from slipscan.settings import ArchiveSettings

if TYPE_CHECKING:
    from asf_search import ASFProduct


def listed_files(product: ASFProduct, shared: bool = False, suffixes: tuple[str, ...] = (".nc",)) -> list[RemoteFile]:
    """List the files of a product that end in one of `suffixes`, with size and checksum where the catalogue has them.

    Empty where the catalogue's entry has no such file.
    """
    umm = product.umm
    described = {
        str(entry.get("Name")): entry
        for entry in (umm.get("DataGranule") or {}).get("ArchiveAndDistributionInformation") or []
    }
    found: dict[str, RemoteFile] = {}
    links = [link for link in umm.get("RelatedUrls") or [] if str(link.get("URL", "")).startswith("http")]
    for kind in ("GET DATA", "USE SERVICE API"):  # older ARIA entries list the file under the latter only
        for link in links:
            url = str(link["URL"])
            name = urlsplit(url).path.rsplit("/", 1)[-1]
            if link.get("Type") == kind and name.endswith(suffixes) and name not in found:
                entry = described.get(name, {})
                size = entry.get("SizeInBytes")
                found[name] = RemoteFile(name, url, None if size is None else int(size), _checksum(entry), shared)
    return [found[name] for name in sorted(found)]


def _checksum(entry: dict[str, Any]) -> str:
    checksum = entry.get("Checksum") or {}
    algorithm = str(checksum.get("Algorithm", "")).lower().replace("-", "")
    if algorithm in ("md5", "sha256") and checksum.get("Value"):
        return f"{algorithm}:{str(checksum['Value']).lower()}"
    return ""


def locate_granules(granules: list[str], settings: ArchiveSettings) -> dict[str, list[RemoteFile]]:
    """Find the NetCDF files of granules by name, with URLs that are valid now.

    Raises
    ------
    SlipscanError
        the catalogue no longer has one of them or its file, or what `catalogue.search` refuses
    """
    found = {str(p.properties["fileID"]): listed_files(p) for p in catalogue.search(settings, product_list=granules)}
    gone = sorted(name for name in granules if not found.get(name))
    if gone:
        raise SlipscanError(
            f"the catalogue {settings.cmr_url} no longer has {len(gone)} of {len(granules)} granules of the manifest,"
            f" the first is {gone[0]}: make the manifest again"
        )
    return {name: found[name] for name in granules}
