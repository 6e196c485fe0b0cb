"""Finished windows in the cache, keyed by all that they were made from: an increment computes only new ones.

The key holds the window's own data, not its place or date in a stack: equal input gives the entry that a full run
would make, bit for bit.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from slipscan import cache
from slipscan.denoise.predict import WindowEvents
from slipscan.denoise.pretrained import Weights

log = logging.getLogger(__name__)

KIND: Final = "windows"


@dataclass
class WindowCache:
    """Where finished windows are kept.

    Attributes
    ----------
    directory
        of the cache; None keeps nothing
    code
        identity of the code that makes a window
    found, made
        windows so far that were in the cache, and that were not
    """

    directory: Path | None = None
    code: str = ""
    found: int = 0
    made: int = 0

    def events(
        self,
        content: Sequence[str | NDArray[np.generic]],
        weights: Weights,
        compute: Callable[[], WindowEvents],
    ) -> WindowEvents:
        """The events of a window that is made from `content`, from the cache or computed and kept."""
        if self.directory is None:
            return compute()
        device = next(weights.network.parameters()).device
        run = f"{weights.calibration!r} {weights.orientations}"
        key = cache.key(self.code, weights.label, run, device.type, *content)
        stored = cache.find(self.directory, KIND, key)
        if stored is not None and (events := _read(stored, device)) is not None:
            self.found += 1
            return events
        events = compute()
        with cache.written(cache.path(self.directory, KIND, key)) as beside:
            save_file({name: part.cpu().contiguous() for name, part in vars(events).items()}, beside)
        self.made += 1
        return events


def _read(path: Path, device: torch.device) -> WindowEvents | None:
    """An entry; None, with a line in the log, where it is damaged or was pruned in this moment."""
    try:
        return WindowEvents(**load_file(path, device=str(device)))
    except (SafetensorError, OSError, TypeError) as error:
        log.warning("the cache entry %s cannot be read (%s): computed again", path, type(error).__name__)
        return None
