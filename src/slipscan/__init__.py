"""slipscan: a catalogue of slow slip events from the Sentinel-1 archive.

    import slipscan

    stack = slipscan.open_stack("stack.zarr")
    denoised = slipscan.denoise(stack)
    transients = slipscan.detect(stack, denoised)
    events = slipscan.invert(stack, transients)

These functions and their documentation are in `slipscan.api`; nothing heavy is imported before one of them is used.
"""

from __future__ import annotations

import importlib
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from slipscan.api import denoise, detect, from_pretrained, invert, open_stack, simulate

__version__ = "0.1.0"
__all__ = ["denoise", "detect", "from_pretrained", "invert", "open_stack", "simulate"]


def __getattr__(name: str) -> Any:
    """Import the public API when it is asked for (PEP 562)."""
    if name in STAGES:
        return importlib.import_module(f"slipscan.{name}")
    if name in __all__:
        return getattr(importlib.import_module("slipscan.api"), name)
    raise AttributeError(f"module 'slipscan' has no attribute {name!r}")


STAGES = ("denoise", "detect")
"""Packages that share their name with the function of the API: they are called as it."""


class Stage(ModuleType):
    """A package that is called as the function of the API that has its name."""

    def __call__(self, *args: Any, **options: Any) -> Any:
        """See `slipscan.api`."""
        function = getattr(importlib.import_module("slipscan.api"), self.__name__.rpartition(".")[2])
        return function(*args, **options)
