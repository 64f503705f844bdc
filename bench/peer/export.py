"""Writes DARTS_V2 for inference as an ONNX graph and, for the other contenders, its weights as safetensors."""

from __future__ import annotations

from pathlib import Path

import torch
from reference import DARTS_V2, NetworkCIFAR
from safetensors_file import save
from torch import Tensor, nn


def export(folder: Path, channels=36, cells=20) -> None:
    """network.onnx takes images [N, 3, 32, 32] to logits [N, 10] for any N; the exporter folds the batch norms."""
    torch.manual_seed(0)
    net = NetworkCIFAR(DARTS_V2, channels, cells)
    settle(net)
    save(folder / "network.safetensors", {name: t.numpy() for name, t in net.state_dict().items()}, {})
    torch.onnx.export(
        Logits(net.eval()),
        (torch.zeros(2, 3, 32, 32),),
        folder / "network.onnx",
        input_names=["images"],
        output_names=["logits"],
        dynamic_shapes=({0: torch.export.Dim("batch")},),
        dynamo=True,
        external_data=False,
        verbose=False,
    )


class Logits(nn.Module):
    """The network without the auxiliary head."""

    def __init__(self, net: NetworkCIFAR):
        super().__init__()
        self.net = net

    def forward(self, images: Tensor) -> Tensor:
        return self.net(images)[0]


def settle(net: nn.Module) -> None:
    """Takes running statistics from a batch: with those of a new network images fade away over the cells."""
    norms = [module for module in net.modules() if isinstance(module, nn.BatchNorm2d)]
    for norm in norms:
        norm.momentum = 1.0
        nn.init.uniform_(norm.weight, 0.5, 1.5)
        nn.init.uniform_(norm.bias, -0.5, 0.5)
    with torch.no_grad():
        net.train()(torch.randn(32, 3, 32, 32))
