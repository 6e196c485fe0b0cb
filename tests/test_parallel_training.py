"""Training by several processes, started by torchrun as on a GPU node (here: two, on the CPU)."""

import itertools
import subprocess
import sys
from pathlib import Path

import numpy as np
import torch

from slipscan.denoise.methods.slipnet.examples import example_of
from slipscan.denoise.methods.slipnet.loss import loss
from slipscan.denoise.methods.slipnet.network import SlipNet
from slipscan.denoise.training.loader import scene_numbers
from slipscan.denoise.training.scenes import draw_labelled
from slipscan.settings import TrainSettings
from waiting import LONG_S

TORCHRUN = (sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")

MEAN = """
import torch
from slipscan.denoise.training import parallel
with parallel.joined():
    network = torch.nn.Linear(2, 1)
    for p in network.parameters():
        p.grad = torch.full_like(p, float(1 + 2 * parallel.rank()))
    parallel.average_gradients(network)
    assert parallel.processes() == 2 and parallel.largest(parallel.rank()) == 1
    assert all(bool((p.grad == 2).all()) for p in network.parameters())
assert parallel.processes() == 1
"""


def _torchrun(*arguments: str) -> None:
    done = subprocess.run([*TORCHRUN, *arguments], capture_output=True, text=True, timeout=LONG_S, check=False)
    assert done.returncode == 0, done.stderr[-3000:]


def test_gradients_are_the_mean_over_the_processes(tmp_path: Path) -> None:
    script = tmp_path / "mean.py"
    script.write_text(MEAN)
    _torchrun(str(script))


def test_two_processes_train_one_network(tmp_path: Path) -> None:
    config, out = tmp_path / "train.yaml", tmp_path / "two.safetensors"
    config.write_text(
        "train: {name: two, steps: 6, batch: 1, width: 8, pixels: 32, validation_scenes: 2, learning_rate: 1.0e-3}\n"
    )
    _torchrun("-m", "slipscan", "train", str(out), "--config", str(config))
    assert out.exists() and out.with_suffix(".json").exists()
    state = torch.load(out.with_suffix(".checkpoint"), weights_only=True)
    # The second process drew from the second block of scenes.
    assert state["progress"]["step"] == 6 and 128 + 6 <= state["progress"]["scenes"] < 256


def test_workers_share_the_scenes_out() -> None:
    assert list(itertools.islice(scene_numbers(5, 0, 1), 3)) == [5, 6, 7]
    parts = [list(itertools.islice(scene_numbers(130, part, 3), 300)) for part in range(3)]
    assert len({number for part in parts for number in part}) == 900
    assert min(number for part in parts for number in part) == 256


def test_nothing_of_the_loss_is_made_on_the_default_device() -> None:
    # What forgets its device would be made on this one, and not go with the rest: as on a GPU.
    settings = TrainSettings(width=8, pixels=32)
    examples = [example_of(draw_labelled(settings, index), np.random.default_rng(index)) for index in range(8)]
    assert any(example.gain > 0 for example in examples)
    network = SlipNet(8)
    expected = loss(network, examples)[0]
    with torch.device("meta"):
        found = loss(network, examples)[0]
    assert found.device.type == "cpu"
    torch.testing.assert_close(found, expected)
