"""Denoisers by name: those that come with slipscan, those of other packages, and a file of your own.

Another package names its class under the entry point group `slipscan.denoisers`. A file of your own is given as
`path/to/file.py:ClassName`, wherever a method's name is.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import sys
from pathlib import Path
from typing import Final

import torch

from slipscan.denoise import cards
from slipscan.denoise.method import Method, TrainedDenoiser
from slipscan.errors import SlipscanError
from slipscan.settings import DenoiseSettings

GROUP: Final = "slipscan.denoisers"
METHODS: Final[dict[str, str]] = {
    "slipnet": "slipscan.denoise.methods.slipnet.method:SlipNetDenoiser",
    "rouet_leduc_2021": "slipscan.denoise.methods.rouet_leduc_2021.method:Prototype2021",
    "pixel_series": "slipscan.denoise.methods.pixel_series:PixelSeriesDenoiser",
    "classical": "slipscan.denoise.methods.classical:Classical",
    "zero": "slipscan.denoise.methods.zero:Zero",
}


def names() -> list[str]:
    """Every method that is known by name."""
    return [*METHODS, *(entry.name for entry in importlib.metadata.entry_points(group=GROUP))]


def find(name: str) -> type[Method]:
    """The class of a method, by name or as `path/to/file.py:ClassName`.

    Raises
    ------
    SlipscanError
        there is no such method, file or class
    """
    if name in METHODS:
        module, _, attribute = METHODS[name].partition(":")
        return getattr(importlib.import_module(module), attribute)
    for entry in importlib.metadata.entry_points(group=GROUP, name=name):
        return _checked(entry.load(), name)
    path, _, attribute = name.rpartition(":")
    if path.endswith(".py"):
        return _checked(_from_file(Path(path), attribute), name)
    raise SlipscanError(f"there is no denoiser {name!r}: slipscan knows {', '.join(names())}, or path/to/file.py:Class")


def build(settings: DenoiseSettings) -> Method:
    """The denoiser that the settings name, on their device.

    Raises
    ------
    SlipscanError
        there is no such method or device, weights are missing, damaged or of another method, an unknown option
    """
    cls = find(settings.method)
    if not issubclass(cls, TrainedDenoiser):
        return _remembered(cls(settings.options), settings)
    weights = settings.weights or cls.shipped
    if weights is None:
        raise SlipscanError(
            f"the denoiser {settings.method!r} ships no weights: train it, name them in denoise.weights"
        )
    network, label, card = cards.load(weights, cls, device_of(settings))
    return _remembered(cls(network, label, card, settings.options), settings)


def _remembered(method: Method, settings: DenoiseSettings) -> Method:
    method.settings = settings
    return method


def device_of(settings: DenoiseSettings) -> str:
    """The device that the settings name."""
    if settings.device == "cuda" and not torch.cuda.is_available():
        raise SlipscanError("denoise.device is 'cuda', but torch sees no CUDA device: set it to 'auto' or 'cpu'")
    if settings.device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    return settings.device


def _from_file(path: Path, attribute: str) -> object:
    if not path.is_file():
        raise SlipscanError(f"there is no file {path} to take the denoiser {attribute} from")
    module_name = f"slipscan_plugin_{path.stem}"
    if module_name not in sys.modules:
        spec = importlib.util.spec_from_file_location(module_name, path)
        assert spec is not None, path
        assert spec.loader is not None, path
        module = importlib.util.module_from_spec(spec)
        # Examples are made in other processes, which look their class up by the module's name.
        sys.modules[module_name] = module
        try:
            spec.loader.exec_module(module)
        except BaseException:
            del sys.modules[module_name]
            raise
    return getattr(sys.modules[module_name], attribute, None)


def _checked(found: object, name: str) -> type[Method]:
    if not (isinstance(found, type) and issubclass(found, Method)):
        raise SlipscanError(f"{name!r} is no denoiser: it names no class derived from slipscan.denoise.method.Method")
    return found
