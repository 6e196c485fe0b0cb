"""Data-parallel training by torch.distributed: `torchrun --nproc-per-node N -m slipscan train ...`, a process a GPU.

Every process draws scenes of its own; gradients are averaged before each step, so that all processes hold the same
network. Without torchrun there is one process, and nothing here costs anything.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, distributed, nn


def rank() -> int:
    """Number of this process, from 0."""
    return distributed.get_rank() if distributed.is_initialized() else 0


def processes() -> int:
    """How many processes train together."""
    return distributed.get_world_size() if distributed.is_initialized() else 1


def device() -> torch.device:
    """The GPU of this process; the CPU where there is none."""
    if not torch.cuda.is_available():
        return torch.device("cpu")
    return torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))


@contextmanager
def joined() -> Iterator[None]:
    """Join the other processes that torchrun started, by NCCL on GPUs and Gloo on CPUs; leave them at the end."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1 or distributed.is_initialized():
        yield
        return
    on_gpu = torch.cuda.is_available()
    if on_gpu:
        torch.cuda.set_device(device())
    distributed.init_process_group("nccl" if on_gpu else "gloo")
    try:
        yield
    finally:
        distributed.destroy_process_group()


def average_gradients(network: nn.Module) -> None:
    """Replace every gradient by its mean over the processes."""
    if processes() == 1:
        return
    gradients = [p.grad for p in network.parameters() if p.grad is not None]
    flat = torch.cat([gradient.flatten() for gradient in gradients])
    distributed.all_reduce(flat)
    flat /= processes()
    for gradient, part in zip(gradients, torch.split(flat, [g.numel() for g in gradients]), strict=True):
        gradient.copy_(part.view_as(gradient))


def largest(number: int) -> int:
    """The largest of the processes' numbers."""
    if processes() == 1:
        return number
    found: Tensor = torch.tensor(number, device=device())
    distributed.all_reduce(found, distributed.ReduceOp.MAX)
    return int(found)
