"""What a fixture is made of: seeded inputs, and a dictionary that copies what is put into it."""

from __future__ import annotations

import zlib

import numpy as np
import torch
from torch import Tensor, nn


class Record(dict):
    """Tensors by key. Copies at once, so that later in-place updates do not reach what was recorded."""

    def put(self, prefix: str, tensors: dict[str, Tensor]) -> None:
        for name, t in tensors.items():
            key = f"{prefix}/{name}" if prefix else name
            assert key not in self, key
            self[key] = t.detach().clone()


class Draw:
    """Random inputs from a seed that is the name of the case."""

    def __init__(self, name: str):
        self.rng = np.random.Generator(np.random.PCG64(zlib.crc32(name.encode())))

    def normal(self, *shape: int, scale=1.0, mean=0.0) -> Tensor:
        return torch.from_numpy(mean + scale * self.rng.standard_normal(shape))

    def labels(self, count: int, classes: int) -> Tensor:
        return torch.from_numpy(self.rng.integers(0, classes, count))

    def mask(self, keep: float, *shape: int) -> Tensor:
        return torch.from_numpy((self.rng.random(shape) < keep).astype(np.float64))

    def fill(self, net: nn.Module, statistics=False) -> None:
        """He-scaled weights, BN weights about 1, biases about 0; and, asked for, running statistics off 0 and 1."""
        with torch.no_grad():
            for name, t in net.state_dict().items():
                if name.endswith("running_mean") and statistics:
                    t.copy_(self.normal(*t.shape, scale=0.3))
                elif name.endswith("running_var") and statistics:
                    t.copy_(0.5 + self.normal(*t.shape).abs())
                elif "running" in name or "num_batches" in name:
                    continue
                elif t.dim() > 1:
                    t.copy_(self.normal(*t.shape, scale=(2 / t[0].numel()) ** 0.5))
                else:
                    t.copy_(self.normal(*t.shape, scale=0.1, mean=1.0 if name.endswith("weight") else 0.0))


def parameters(net: nn.Module) -> dict[str, Tensor]:
    return dict(net.named_parameters())


def buffers(net: nn.Module) -> dict[str, Tensor]:
    """The running statistics; the counters of batches are only among the weights."""
    return {name: b for name, b in net.named_buffers() if not name.endswith("num_batches_tracked")}


def gradients(net: nn.Module) -> dict[str, Tensor]:
    return {name: p.grad for name, p in net.named_parameters()}
