"""Weights of a network: a .safetensors file and a .json card side by side, shipped or of one's own."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import nn

from slipscan.atomic import write_text, written_beside
from slipscan.denoise.method import TrainedDenoiser
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


def locate(name: str, method: str | None = None) -> Path:
    """The .safetensors file of shipped weights (of a method, or any) by name, or of a path; raises SlipscanError."""
    path = Path(name) if name.endswith(".safetensors") else SHIPPED / f"{name}.safetensors"
    if not path.is_file():
        shipped = ", ".join(_shipped(method)) or "none"
        raise SlipscanError(f"there are no weights {name!r}: shipped are {shipped}; or give a .safetensors path")
    return path


def method_of(name: str) -> str:
    """The method that weights are of, by name or path; raises SlipscanError."""
    card = locate(name).with_suffix(".json")
    try:
        return str(json.loads(card.read_text(encoding="utf-8"))["architecture"]["method"])
    except (OSError, json.JSONDecodeError, KeyError, TypeError) as error:
        raise SlipscanError(f"the card {card} does not say which denoiser its weights are of ({error})") from error


def _shipped(method: str | None) -> list[str]:
    """Names of the shipped weights of a method, or of any."""
    cards = (json.loads(path.read_text(encoding="utf-8")) for path in sorted(SHIPPED.glob("*.json")))
    return [card["name"] for card in cards if method in (None, card["architecture"]["method"])]


def load(name: str, method: type[TrainedDenoiser], device: str = "cpu") -> tuple[nn.Module, str, dict[str, Any]]:
    """Load the network of a method with its weights.

    Returns
    -------
    network, label, card
        in evaluation mode, on the device; name and first digits of the sha256; what is known of them

    Raises
    ------
    SlipscanError
        a file is missing, damaged or of another method
    """
    path = locate(name, method.name)
    card_path = path.with_suffix(".json")
    digest = sha256_file(path)
    card = read_json(card_path, "card of the weights", f"it lies beside {path}, as `slipscan train` wrote both")
    try:
        if card["sha256"] != digest:
            raise SlipscanError(f"the weights {path} do not match the sha256 of {card_path}: fetch them again")
        found = card["architecture"]["method"]
        if found != method.name:
            raise SlipscanError(f"the weights {path} are of the method {found!r}, not of {method.name!r}: give others")
        network = method.network_of(card["architecture"]["arguments"])
        network.load_state_dict(load_file(path))
    except (KeyError, TypeError, RuntimeError, SafetensorError) as error:
        first = (str(error).splitlines() or [""])[0]
        raise SlipscanError(f"the weights {path} or their card {card_path} cannot be used ({first})") from error
    return network.to(device).eval(), f"{card['name']}:{digest[:12]}", card


def save(network: nn.Module, path: Path, card: Mapping[str, Any], method: str, arguments: Mapping[str, Any]) -> None:
    """Write weights and card; the card gets the method's name, the network's arguments and the sha256."""
    state = {key: value.contiguous() for key, value in network.state_dict().items()}
    with written_beside(path, KIND) as beside:
        save_file(state, beside, _MADE_BY)
    whole = {
        **card,
        "architecture": {"method": method, "arguments": dict(arguments)},
        "sha256": sha256_file(path),
        "license": "Apache-2.0",
    }
    write_text(path.with_suffix(".json"), json.dumps(whole, indent=2) + "\n", CARD)
