"""Weights of the network: a .safetensors file and a .json card side by side, shipped or of one's own."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from slipscan.denoise.network import CHANNELS, ContrastNet, channels_last
from slipscan.errors import SlipscanError
from slipscan.store import sha256_file, write_text, written_beside

SHIPPED = Path(__file__).parent / "weights"


@dataclass(frozen=True)
class Weights:
    """A network ready to run.

    Attributes
    ----------
    network
        in evaluation mode
    label
        name and first digits of the sha256, as it stands in stacks and in the catalogue
    std_factor
        what `denoised_std` is multiplied by, so that 68 % of held-out synthetic truth lies within one
    """

    network: ContrastNet
    label: str
    std_factor: float


def locate(name: str) -> Path:
    """The .safetensors file of shipped weights by name, or of a path; raises SlipscanError."""
    path = Path(name) if name.endswith(".safetensors") else SHIPPED / f"{name}.safetensors"
    if not path.is_file():
        shipped = ", ".join(sorted(p.stem for p in SHIPPED.glob("*.safetensors"))) or "none"
        raise SlipscanError(f"there are no weights {name!r}: shipped are {shipped}; or give a .safetensors path")
    return path


def load(name: str, device: str = "cpu") -> Weights:
    """Load weights; raises SlipscanError where a file is missing, damaged or of another architecture."""
    path = locate(name)
    card_path = path.with_suffix(".json")
    digest = sha256_file(path)
    try:
        card = json.loads(card_path.read_text(encoding="utf-8"))
        if card["sha256"] != digest:
            raise SlipscanError(f"the weights {path} do not match the sha256 of {card_path}: fetch them again")
        network = ContrastNet(card["architecture"]["width"])
        network.load_state_dict(load_file(path))
    except (FileNotFoundError, json.JSONDecodeError, KeyError, RuntimeError, SafetensorError) as error:
        first = (str(error).splitlines() or [""])[0]
        raise SlipscanError(f"the weights {path} or their card {card_path} cannot be used ({first})") from error
    network = channels_last(network.to(device)).eval()
    return Weights(network, f"{card['name']}:{digest[:12]}", float(card["std_factor"]))


def save(network: ContrastNet, path: Path, card: dict[str, Any]) -> None:
    """Write weights and card; the card gets architecture and sha256."""
    with written_beside(path) as beside:
        save_file({key: value.contiguous() for key, value in network.state_dict().items()}, beside)
    card = {
        **card,
        "architecture": {"class": "ContrastNet", "width": network.width, "channels": CHANNELS},
        "sha256": sha256_file(path),
        "license": "Apache-2.0",
    }
    write_text(path.with_suffix(".json"), json.dumps(card, indent=2) + "\n")
