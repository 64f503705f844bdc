"""Fixtures of NAS-Bench-201's space: forward and backward of its supernet and of a derived network."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from record import Draw, Record, buffers, gradients
from reference import OPS, NormalConv, conv

PRIMITIVES = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
EDGES = ((0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3))
# One operation an edge, every operation at least once.
ARCH = ("nor_conv_3x3", "avg_pool_3x3", "none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3")
CHANNELS, CELLS, CLASSES, BATCH, SIZE = 2, 5, 5, 3, 10  # sizes 10, 5 and 3: the last block rounds up


class ResidualBlock(nn.Module):
    def __init__(self, c_in: int, c_out: int):
        super().__init__()
        self.conv_a = NormalConv(c_in, c_out, 3, 2, True)
        self.conv_b = NormalConv(c_out, c_out, 3, 1, True)
        self.downsample = conv(c_in, c_out, 1)

    def forward(self, x: Tensor) -> Tensor:
        means = F.avg_pool2d(x, 2, 2, ceil_mode=True, count_include_pad=False)
        return self.conv_b(self.conv_a(x)) + self.downsample(means)


class Block(nn.Module):
    """The residual block in the place of a cell."""

    def __init__(self, c_in: int):
        super().__init__()
        self.block = ResidualBlock(c_in, 2 * c_in)

    def forward(self, x: Tensor, _weights: Tensor | None) -> Tensor:
        return self.block(x)


class Mixed(nn.Module):
    def __init__(self, c: int):
        super().__init__()
        self._ops = nn.ModuleList(OPS[name](c, 1, False) for name in PRIMITIVES)

    def forward(self, x: Tensor, weights: Tensor) -> Tensor:
        return sum(w * op(x) for w, op in zip(weights, self._ops))


class Cell(nn.Module):
    """Mixed operations on all edges, or one operation on each."""

    def __init__(self, c: int, arch: tuple[str, ...] | None):
        super().__init__()
        self._ops = nn.ModuleList(OPS[name](c, 1, True) if name else Mixed(c) for name in arch or [None] * len(EDGES))

    def forward(self, x: Tensor, weights: Tensor | None) -> Tensor:
        states = [x]
        for node in (1, 2, 3):
            terms = []
            for i, (source, target) in enumerate(EDGES):
                if target == node:
                    state = states[source]
                    terms.append(self._ops[i](state) if weights is None else self._ops[i](state, weights[i]))
            states.append(sum(terms))
        return states[-1]


class Network(nn.Module):
    def __init__(self, arch: tuple[str, ...] | None = None):
        super().__init__()
        self.stem = nn.Sequential(conv(3, CHANNELS, 3, 1, 1), nn.BatchNorm2d(CHANNELS))
        c = CHANNELS
        cells: list[nn.Module] = []
        for i in range(CELLS):
            if i in (CELLS // 3, 2 * CELLS // 3):
                cells.append(Block(c))
                c *= 2
            else:
                cells.append(Cell(c, arch))
        self.cells = nn.ModuleList(cells)
        self.lastact = nn.Sequential(nn.BatchNorm2d(c), nn.ReLU())
        self.classifier = nn.Linear(c, CLASSES)

    def forward(self, images: Tensor, weights: Tensor | None = None) -> Tensor:
        x = self.stem(images)
        for cell in self.cells:
            x = cell(x, weights)
        return self.classifier(self.lastact(x).mean((2, 3)))


def nas_bench():
    record = Record()
    draw = Draw("nas-bench-201/batch")
    images, labels = draw.normal(BATCH, 3, SIZE, SIZE), draw.labels(BATCH, CLASSES)
    alphas = draw.normal(len(EDGES), len(PRIMITIVES), scale=0.5).requires_grad_()
    record.put("", {"images": images, "labels": labels, "alphas": alphas})
    for name, net in (("supernet", Network()), ("network", Network(ARCH))):
        Draw(f"nas-bench-201/{name}").fill(net)
        record.put(f"{name}/weights", net.state_dict())
        logits = net(images, F.softmax(alphas, 1)) if name == "supernet" else net(images)
        loss = F.cross_entropy(logits, labels)
        loss.backward()
        record.put(name, {"logits": logits, "loss": loss})
        record.put(f"{name}/grads", {key: g for key, g in gradients(net).items() if g is not None})
        record.put(f"{name}/buffers_after", buffers(net))
    record.put("supernet", {"grad_alphas": alphas.grad})
    arch = iter(ARCH)
    text = "+".join("|" + "|".join(f"{next(arch)}~{j}" for j in range(node)) + "|" for node in (1, 2, 3))
    return record, {
        "description": "NAS-Bench-201: supernet under softmax(alphas), and the network of one cell; train mode",
        "hyperparameters": {
            "arch": text,
            "primitives": PRIMITIVES,
            "channels": CHANNELS,
            "cells": CELLS,
            "classes": CLASSES,
            "size": SIZE,
        },
    }
