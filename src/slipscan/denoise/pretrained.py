"""Weights of a network: a .safetensors file and a .json card side by side, shipped or of one's own."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import nn

from slipscan.atomic import write_text, written_beside
from slipscan.denoise.calibration import Calibration
from slipscan.denoise.network import SlipNet
from slipscan.errors import SlipscanError
from slipscan.outputs import file_kind, json_kind, sha256_file
from slipscan.texts import read_json

SHIPPED = Path(__file__).parent / "weights"
CARD = json_kind("a card of weights", "name", "architecture", "sha256", "training")
_MADE_BY = {"made_by": "slipscan"}


def _is_ours(path: Path) -> bool:
    """Whether weights are slipscan's: they say so, or (up to version 0.1) their card holds their digest."""
    try:
        with safe_open(path, framework="pt") as file:
            if (file.metadata() or {}).get("made_by") == _MADE_BY["made_by"]:
                return True
    except SafetensorError:
        return False
    card = path.with_suffix(".json")
    return not CARD.why_not(card) and json.loads(card.read_text(encoding="utf-8"))["sha256"] == sha256_file(path)


KIND = file_kind("weights", _is_ours)


@dataclass(frozen=True)
class Weights:
    """A network ready to run.

    Attributes
    ----------
    network
        in evaluation mode
    label
        name and first digits of the sha256, as it stands in stacks and in the catalogue
    calibration
        of the standard deviation on held-out scenes; None for a network that states none, or as it was trained
    orientations
        of a scene that the answer is averaged over: 1, or all 8
    """

    network: nn.Module
    label: str
    calibration: Calibration | None = None
    orientations: int = 1


def locate(name: str, architecture: type[nn.Module] = SlipNet) -> Path:
    """The .safetensors file of shipped weights by name, or of a path; raises SlipscanError."""
    path = Path(name) if name.endswith(".safetensors") else SHIPPED / f"{name}.safetensors"
    if not path.is_file():
        shipped = ", ".join(_shipped(architecture)) or "none"
        raise SlipscanError(f"there are no weights {name!r}: shipped are {shipped}; or give a .safetensors path")
    return path


def _shipped(architecture: type[nn.Module]) -> list[str]:
    """Names of the shipped weights of an architecture."""
    cards = (json.loads(path.read_text(encoding="utf-8")) for path in sorted(SHIPPED.glob("*.json")))
    return [card["name"] for card in cards if card["architecture"]["class"] == architecture.__name__]


def load(name: str, device: str = "cpu", architecture: type[nn.Module] = SlipNet) -> Weights:
    """Load weights; raises SlipscanError where a file is missing, damaged or of another architecture."""
    path = locate(name, architecture)
    card_path = path.with_suffix(".json")
    digest = sha256_file(path)
    card = read_json(card_path, "card of the weights", f"it lies beside {path}, as `slipscan train` wrote both")
    try:
        if card["sha256"] != digest:
            raise SlipscanError(f"the weights {path} do not match the sha256 of {card_path}: fetch them again")
        found = card["architecture"]["class"]
        if found != architecture.__name__:
            raise SlipscanError(f"the weights {path} are of a {found}, not of a {architecture.__name__}: give others")
        network = architecture(card["architecture"]["width"])
        network.load_state_dict(load_file(path))
        table = card["calibration"]
        calibration = None if table is None else Calibration(**table)
    except (KeyError, TypeError, RuntimeError, SafetensorError) as error:
        first = (str(error).splitlines() or [""])[0]
        raise SlipscanError(f"the weights {path} or their card {card_path} cannot be used ({first})") from error
    label = f"{card['name']}:{digest[:12]}"
    return Weights(network.to(device).eval(), label, calibration)


def save(network: nn.Module, path: Path, card: dict[str, Any]) -> None:
    """Write weights and card; the card gets architecture (class, width, input channels) and sha256."""
    state = {key: value.contiguous() for key, value in network.state_dict().items()}
    with written_beside(path, KIND) as beside:
        save_file(state, beside, _MADE_BY)
    channels = next(iter(state.values())).shape[1]
    card = {
        **card,
        "architecture": {"class": type(network).__name__, "width": network.width, "channels": channels},
        "sha256": sha256_file(path),
        "license": "Apache-2.0",
    }
    write_text(path.with_suffix(".json"), json.dumps(card, indent=2) + "\n", CARD)
