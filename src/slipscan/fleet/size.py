"""What a job needs, from the size of the stores that it reads."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import Final

CUBES: Final = ("displacement", "interferogram")
"""The arrays (time or pair, y, x) that decide how much work a store is."""
BYTES_OF_A_PIXEL_EPOCH: Final = 8
"""Of memory: detect takes 4 GB for 469 million pixel-epochs (docs/benchmarks/stages.md); this is room beside it."""
MARGIN: Final = 3.0
"""Times the measured time: other processors and file systems are slower than the one it was measured on."""


def pixel_epochs(store: Path) -> int:
    """Values of a store's largest cube; 0 where there is no store, or none with a cube.

    Parameters
    ----------
    store
        a Zarr directory with consolidated metadata; only its zarr.json is read
    """
    metadata = store / "zarr.json"
    try:
        return _largest_cube(metadata, metadata.stat().st_mtime_ns)
    except (OSError, ValueError, KeyError, TypeError):
        return 0


@lru_cache(maxsize=64)
def _largest_cube(metadata: Path, _changed_ns: int) -> int:
    """Values of the largest cube, read once for the memory and the time of a job, and again when the file changed."""
    arrays = json.loads(metadata.read_text(encoding="utf-8"))["consolidated_metadata"]["metadata"]
    return max((math.prod(arrays[name]["shape"]) for name in CUBES if name in arrays), default=0)


def largest(inputs: Iterable[str]) -> int:
    """Pixel-epochs of the largest of some inputs; what is no store counts nothing."""
    return max((pixel_epochs(Path(path)) for path in inputs if str(path).endswith(".zarr")), default=0)


def memory_mb(base_mb: int, inputs: Iterable[str], attempt: int) -> int:
    """Memory (MB) of a stage that reads `inputs`: a base and 8 bytes a pixel-epoch, times the attempt."""
    return attempt * (base_mb + math.ceil(largest(inputs) * BYTES_OF_A_PIXEL_EPOCH / 1e6))


def runtime_min(base_min: int, million_a_second: float, inputs: Iterable[str], attempt: int) -> int:
    """Wall time (minutes) of a stage that does so many million pixel-epochs a second, times the attempt."""
    return attempt * (base_min + math.ceil(MARGIN * largest(inputs) / (million_a_second * 1e6) / 60))
