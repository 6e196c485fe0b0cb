"""Denoising of arrays, for tests."""

from __future__ import annotations

import numpy as np
import torch

from simulated import PIXEL_M, dates  # tests/simulated.py
from slipscan.denoise.methods.slipnet.method import SlipNetDenoiser
from slipscan.denoise.methods.slipnet.network import SlipNet
from slipscan.denoise.registry import build
from slipscan.denoise.run import Denoised, denoise
from slipscan.field import Denoiser, Observation
from slipscan.settings import DenoiseSettings


def observe(series: np.ndarray, known: bool = False, height: np.ndarray | None = None) -> Observation:
    """A series (time, y, x) m as a method sees it."""
    return Observation(series.astype("f4"), dates(len(series)), PIXEL_M, height=height, background_known=known)


def shipped(method: str = "slipnet", **options: int | float | str) -> Denoiser:
    """A method with its shipped weights."""
    return build(DenoiseSettings(method=method, options=options, device="cpu"))


def random_network(seed: int = 0, std: float = 0.3) -> SlipNet:
    """A small network that answers something, whatever training makes of it."""
    torch.manual_seed(seed)
    network = SlipNet(8)
    for head in (network.band_head, network.fine_head):
        torch.nn.init.normal_(head.weight, std=std)
    return network.eval()


def random_method(seed: int = 0, **options: int | str) -> SlipNetDenoiser:
    """That network as a denoiser."""
    return SlipNetDenoiser(random_network(seed), "random", options=options)


def run(series: np.ndarray, known: bool = False, method: Denoiser | None = None) -> Denoised:
    """Denoise a series, by default with the shipped network."""
    return denoise(observe(series, known), method or shipped())
