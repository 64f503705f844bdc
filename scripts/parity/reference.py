"""The DARTS networks in PyTorch: the oracle of the parity tests and the peer of the benchmarks.

"DARTS: Differentiable Architecture Search" (Liu, Simonyan, Yang 2019). The names in `state_dict` are
those of the published implementation, so that weights travel both ways. The alphas are arguments of
the supernet's `forward`, never parameters of the module.
"""

from __future__ import annotations

import operator
from dataclasses import dataclass
from functools import reduce
from typing import Iterable, Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn

PRIMITIVES = (
    "none",
    "max_pool_3x3",
    "avg_pool_3x3",
    "skip_connect",
    "sep_conv_3x3",
    "sep_conv_5x5",
    "dil_conv_3x3",
    "dil_conv_5x5",
)


@dataclass(frozen=True)
class Genotype:
    """Two (op, predecessor state) per node, and the states whose concatenation is the output."""

    normal: tuple[tuple[str, int], ...]
    normal_concat: tuple[int, ...]
    reduce: tuple[tuple[str, int], ...]
    reduce_concat: tuple[int, ...]


DARTS_V2 = Genotype(
    normal=(
        ("sep_conv_3x3", 0), ("sep_conv_3x3", 1),
        ("sep_conv_3x3", 0), ("sep_conv_3x3", 1),
        ("sep_conv_3x3", 1), ("skip_connect", 0),
        ("skip_connect", 0), ("dil_conv_3x3", 2),
    ),
    normal_concat=(2, 3, 4, 5),
    reduce=(
        ("max_pool_3x3", 0), ("max_pool_3x3", 1),
        ("skip_connect", 2), ("max_pool_3x3", 1),
        ("max_pool_3x3", 0), ("skip_connect", 2),
        ("skip_connect", 2), ("max_pool_3x3", 1),
    ),
    reduce_concat=(2, 3, 4, 5),
)  # fmt: skip


# ---- operations ----------------------------------------------------------------------------------


def conv(c_in: int, c_out: int, kernel, stride=1, padding=0, dilation=1, groups=1) -> nn.Conv2d:
    return nn.Conv2d(c_in, c_out, kernel, stride, padding, dilation, groups, bias=False)


class ReLUConvBN(nn.Module):
    def __init__(self, c_in: int, c_out: int, affine: bool):
        super().__init__()
        self.op = nn.Sequential(nn.ReLU(), conv(c_in, c_out, 1), nn.BatchNorm2d(c_out, affine=affine))

    def forward(self, x: Tensor) -> Tensor:
        return self.op(x)


class SepConv(nn.Module):
    """Two units of ReLU, depthwise, pointwise, BN; only the first carries the stride."""

    def __init__(self, c: int, kernel: int, stride: int, affine: bool):
        super().__init__()
        units = [*depthwise_unit(c, kernel, stride, 1, affine), *depthwise_unit(c, kernel, 1, 1, affine)]
        self.op = nn.Sequential(*units)

    def forward(self, x: Tensor) -> Tensor:
        return self.op(x)


class DilConv(nn.Module):
    def __init__(self, c: int, kernel: int, stride: int, affine: bool):
        super().__init__()
        self.op = nn.Sequential(*depthwise_unit(c, kernel, stride, 2, affine))

    def forward(self, x: Tensor) -> Tensor:
        return self.op(x)


def depthwise_unit(c: int, kernel: int, stride: int, dilation: int, affine: bool) -> Iterator[nn.Module]:
    padding = (kernel - 1) * dilation // 2
    yield nn.ReLU()
    yield conv(c, c, kernel, stride, padding, dilation, groups=c)
    yield conv(c, c, 1)
    yield nn.BatchNorm2d(c, affine=affine)


class FactorizedReduce(nn.Module):
    """Halves the image with two 1x1 stride 2 convolutions, the second on pixels shifted by one."""

    def __init__(self, c_in: int, c_out: int, affine: bool):
        super().__init__()
        self.relu = nn.ReLU()
        self.conv_1 = conv(c_in, c_out // 2, 1, stride=2)
        self.conv_2 = conv(c_in, c_out // 2, 1, stride=2)
        self.bn = nn.BatchNorm2d(c_out, affine=affine)

    def forward(self, x: Tensor) -> Tensor:
        x = self.relu(x)
        return self.bn(torch.cat([self.conv_1(x), self.conv_2(x[:, :, 1:, 1:])], dim=1))


class Identity(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x


class Zero(nn.Module):
    def __init__(self, stride: int):
        super().__init__()
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        return x[:, :, :: self.stride, :: self.stride] * 0.0


def conv_7x1_1x7(c: int, stride: int, affine: bool) -> nn.Module:
    return nn.Sequential(
        nn.ReLU(),
        conv(c, c, (1, 7), (1, stride), (0, 3)),
        conv(c, c, (7, 1), (stride, 1), (3, 0)),
        nn.BatchNorm2d(c, affine=affine),
    )


def group_conv_3x1_1x3(c: int, stride: int, affine: bool) -> nn.Module:
    """First branch of the fixed reduction cell of GDAS."""
    return nn.Sequential(
        nn.ReLU(),
        conv(c, c, (1, 3), (1, stride), (0, 1), groups=8),
        conv(c, c, (3, 1), (stride, 1), (1, 0), groups=8),
        nn.BatchNorm2d(c, affine=affine),
        nn.ReLU(),
        conv(c, c, 1),
        nn.BatchNorm2d(c, affine=affine),
    )


def norm_max_pool_3x3(c: int, stride: int, affine: bool) -> nn.Module:
    """Its second branch."""
    return nn.Sequential(nn.MaxPool2d(3, stride, 1), nn.BatchNorm2d(c, affine=affine))


class NormalConv(nn.Module):
    """ReLU, an ordinary convolution, BN: the convolutions of NAS-Bench-201."""

    def __init__(self, c_in: int, c_out: int, kernel: int, stride: int, affine: bool):
        super().__init__()
        padding = (kernel - 1) // 2
        self.op = nn.Sequential(nn.ReLU(), conv(c_in, c_out, kernel, stride, padding), nn.BatchNorm2d(c_out, affine=affine))

    def forward(self, x: Tensor) -> Tensor:
        return self.op(x)


# Published name -> builder of (channels, stride, affine).
OPS = {
    "none": lambda c, stride, affine: Zero(stride),
    "max_pool_3x3": lambda c, stride, affine: nn.MaxPool2d(3, stride, 1),
    "avg_pool_3x3": lambda c, stride, affine: nn.AvgPool2d(3, stride, 1, count_include_pad=False),
    "skip_connect": lambda c, stride, affine: Identity() if stride == 1 else FactorizedReduce(c, c, affine),
    "sep_conv_3x3": lambda c, stride, affine: SepConv(c, 3, stride, affine),
    "sep_conv_5x5": lambda c, stride, affine: SepConv(c, 5, stride, affine),
    "sep_conv_7x7": lambda c, stride, affine: SepConv(c, 7, stride, affine),
    "dil_conv_3x3": lambda c, stride, affine: DilConv(c, 3, stride, affine),
    "dil_conv_5x5": lambda c, stride, affine: DilConv(c, 5, stride, affine),
    "conv_7x1_1x7": conv_7x1_1x7,
    "group_conv_3x1_1x3": group_conv_3x1_1x3,
    "norm_max_pool_3x3": norm_max_pool_3x3,
    "nor_conv_1x1": lambda c, stride, affine: NormalConv(c, c, 1, stride, affine),
    "nor_conv_3x3": lambda c, stride, affine: NormalConv(c, c, 3, stride, affine),
}


POOLS = ("max_pool_3x3", "avg_pool_3x3")


def supernet_op(name: str, c: int, stride: int) -> nn.Module:
    """A candidate as the supernet has it: no affine parameters, and a BN after each pool."""
    op = OPS[name](c, stride, False)
    return nn.Sequential(op, nn.BatchNorm2d(c, affine=False)) if name in POOLS else op


def preprocess(c_in: int, c_out: int, halve: bool, affine: bool) -> nn.Module:
    return (FactorizedReduce if halve else ReLUConvBN)(c_in, c_out, affine)


# ---- supernet ------------------------------------------------------------------------------------


def total(terms: Iterable[Tensor]) -> Tensor:
    """Python's `sum` without its 0 + x, which costs one more pass over the image."""
    return reduce(operator.add, terms)


class MixedOp(nn.Module):
    def __init__(self, c: int, stride: int, primitives):
        super().__init__()
        self._ops = nn.ModuleList(supernet_op(name, c, stride) for name in primitives)

    def forward(self, x: Tensor, weights: Tensor, chosen: int | None = None) -> Tensor:
        """All operations, or the chosen one alone (GDAS)."""
        if chosen is not None:
            return weights[chosen] * self._ops[chosen](x)
        return total(w * op(x) for w, op in zip(weights, self._ops))


class PartialMixedOp(MixedOp):
    """PC-DARTS: one channel in K through the operations, the others past them, and a channel shuffle."""

    def __init__(self, c: int, stride: int, primitives, share: int):
        super().__init__(c // share, stride, primitives)
        self.part, self.share, self.stride = c // share, share, stride

    def forward(self, x: Tensor, weights: Tensor, chosen: int | None = None) -> Tensor:
        mixed, others = super().forward(x[:, : self.part], weights, chosen), x[:, self.part :]
        if self.stride == 2:
            others = F.max_pool2d(others, 2)
        joined = torch.cat([mixed, others], 1)
        return joined.unflatten(1, (self.share, self.part)).transpose(1, 2).flatten(1, 2)


class SearchCell(nn.Module):
    def __init__(
        self, c_prev_prev, c_prev, c, nodes, multiplier, primitives, reduction, reduction_prev, share=1
    ):
        super().__init__()
        self.nodes, self.multiplier, self.reduction = nodes, multiplier, reduction
        self.preprocess0 = preprocess(c_prev_prev, c, reduction_prev, affine=False)
        self.preprocess1 = preprocess(c_prev, c, False, affine=False)
        strides = [2 if reduction and j < 2 else 1 for i in range(nodes) for j in range(2 + i)]
        self._ops = nn.ModuleList(
            MixedOp(c, stride, primitives) if share == 1 else PartialMixedOp(c, stride, primitives, share)
            for stride in strides
        )

    def forward(
        self,
        s0: Tensor,
        s1: Tensor,
        weights: Tensor,
        edge_weights: Tensor | None = None,
        chosen: list[int] | None = None,
    ) -> Tensor:
        states = [self.preprocess0(s0), self.preprocess1(s1)]
        chosen = chosen or [None] * len(self._ops)
        edge = 0
        for _ in range(self.nodes):
            incoming = [self._ops[edge + j](h, weights[edge + j], chosen[edge + j]) for j, h in enumerate(states)]
            if edge_weights is not None:
                incoming = [edge_weights[edge + j] * h for j, h in enumerate(incoming)]
            edge += len(states)
            states.append(total(incoming))
        return torch.cat(states[-self.multiplier :], dim=1)


class Supernet(nn.Module):
    def __init__(
        self,
        channels=16,
        cells=8,
        nodes=4,
        multiplier=4,
        stem_multiplier=3,
        primitives=PRIMITIVES,
        classes=10,
        image_channels=3,
        share=1,
    ):
        super().__init__()
        self.nodes = nodes
        self.alpha_shape = (nodes * (nodes + 3) // 2, len(primitives))
        c_stem = stem_multiplier * channels
        self.stem = nn.Sequential(conv(image_channels, c_stem, 3, padding=1), nn.BatchNorm2d(c_stem))
        self.cells = nn.ModuleList()
        c_prev_prev, c_prev, c, reduction_prev = c_stem, c_stem, channels, False
        for i in range(cells):
            reduction = i in (cells // 3, 2 * cells // 3)
            c *= 2 if reduction else 1
            self.cells.append(
                SearchCell(
                    c_prev_prev, c_prev, c, nodes, multiplier, primitives, reduction, reduction_prev, share
                )
            )
            c_prev_prev, c_prev, reduction_prev = c_prev, multiplier * c, reduction
        self.classifier = nn.Linear(c_prev, classes)

    def forward(
        self,
        images: Tensor,
        alphas_normal: Tensor,
        alphas_reduce: Tensor,
        betas_normal: Tensor | None = None,
        betas_reduce: Tensor | None = None,
    ) -> Tensor:
        """The betas of PC-DARTS, [edges]: a softmax over the edges into each node; without them edges weigh 1."""
        normal = (alphas_normal.softmax(-1), self.edge_weights(betas_normal))
        reduced = (alphas_reduce.softmax(-1), self.edge_weights(betas_reduce))
        return self.mixed(images, normal, reduced)

    def mixed(self, images: Tensor, normal: tuple, reduced: tuple) -> Tensor:
        """For each cell type the weights of operations and edges, and the operations chosen."""
        s0 = s1 = self.stem(images)
        for cell in self.cells:
            s0, s1 = s1, cell(s0, s1, *(reduced if cell.reduction else normal))
        return self.classifier(s1.mean((2, 3)))

    def edge_weights(self, betas: Tensor | None) -> Tensor | None:
        if betas is None:
            return None
        return torch.cat([b.softmax(-1) for b in betas.split([2 + i for i in range(self.nodes)])])


# ---- evaluation network --------------------------------------------------------------------------


class DropPath:
    """Per-sample masks [N, 1, 1, 1], drawn (or replayed) in the order of use, applied as x / keep * mask.

    Order: for each cell, for each node, first h1 then h2; an Identity draws no mask.
    """

    def __init__(self, prob: float, masks: Iterator[Tensor] | None = None):
        self.prob, self.masks = prob, masks

    def __call__(self, x: Tensor) -> Tensor:
        keep = 1.0 - self.prob
        mask = x.new_empty(len(x), 1, 1, 1).bernoulli_(keep) if self.masks is None else next(self.masks)
        return x / keep * mask.view(-1, 1, 1, 1)


class Cell(nn.Module):
    def __init__(self, genotype: Genotype, c_prev_prev, c_prev, c, reduction, reduction_prev):
        super().__init__()
        self.preprocess0 = preprocess(c_prev_prev, c, reduction_prev, affine=True)
        self.preprocess1 = preprocess(c_prev, c, False, affine=True)
        edges = genotype.reduce if reduction else genotype.normal
        self.concat = genotype.reduce_concat if reduction else genotype.normal_concat
        self.predecessors = [j for _, j in edges]
        self._ops = nn.ModuleList(OPS[name](c, 2 if reduction and j < 2 else 1, True) for name, j in edges)

    def forward(self, s0: Tensor, s1: Tensor, drop_path: DropPath) -> Tensor:
        states = [self.preprocess0(s0), self.preprocess1(s1)]
        for first in range(0, len(self._ops), 2):
            edges = (first, first + 1)
            outputs = [self._ops[e](states[self.predecessors[e]]) for e in edges]
            if self.training and drop_path.prob > 0:
                outputs = [
                    h if isinstance(self._ops[e], Identity) else drop_path(h) for e, h in zip(edges, outputs)
                ]
            states.append(outputs[0] + outputs[1])
        return torch.cat([states[i] for i in self.concat], dim=1)


class AuxiliaryHead(nn.Module):
    """Pools to 2x2. The ImageNet head has no second BN, as published."""

    def __init__(self, c_in: int, classes: int, imagenet: bool):
        super().__init__()
        self.features = nn.Sequential(
            nn.ReLU(),
            nn.AvgPool2d(5, stride=2 if imagenet else 3, padding=0, count_include_pad=False),
            conv(c_in, 128, 1),
            nn.BatchNorm2d(128),
            nn.ReLU(),
            conv(128, 768, 2),
            *([] if imagenet else [nn.BatchNorm2d(768)]),
            nn.ReLU(),
        )
        self.classifier = nn.Linear(768, classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(self.features(x).flatten(1))


class EvaluationNetwork(nn.Module):
    """Cells and heads common to both stems; `forward` returns (logits, auxiliary logits or None)."""

    def build(
        self, genotype, channels, cells, classes, auxiliary, c_prev_prev, c_prev, reduction_prev, imagenet
    ):
        self.auxiliary_index = 2 * cells // 3
        self.cells = nn.ModuleList()
        c = channels
        for i in range(cells):
            reduction = i in (cells // 3, 2 * cells // 3)
            c *= 2 if reduction else 1
            self.cells.append(Cell(genotype, c_prev_prev, c_prev, c, reduction, reduction_prev))
            concat = genotype.reduce_concat if reduction else genotype.normal_concat
            c_prev_prev, c_prev, reduction_prev = c_prev, len(concat) * c, reduction
            if i == self.auxiliary_index:
                c_auxiliary = c_prev
        if auxiliary:
            self.auxiliary_head = AuxiliaryHead(c_auxiliary, classes, imagenet)
        self.classifier = nn.Linear(c_prev, classes)

    def forward(self, images: Tensor, drop_path: DropPath = DropPath(0.0)) -> tuple[Tensor, Tensor | None]:
        s0, s1 = self.stems(images)
        logits_aux = None
        for i, cell in enumerate(self.cells):
            s0, s1 = s1, cell(s0, s1, drop_path)
            if i == self.auxiliary_index and self.training and hasattr(self, "auxiliary_head"):
                logits_aux = self.auxiliary_head(s1)
        return self.classifier(s1.mean((2, 3))), logits_aux


class NetworkCIFAR(EvaluationNetwork):
    def __init__(
        self, genotype, channels=36, cells=20, classes=10, auxiliary=True, stem_multiplier=3, image_channels=3
    ):
        super().__init__()
        c_stem = stem_multiplier * channels
        self.stem = nn.Sequential(conv(image_channels, c_stem, 3, padding=1), nn.BatchNorm2d(c_stem))
        self.build(genotype, channels, cells, classes, auxiliary, c_stem, c_stem, False, imagenet=False)

    def stems(self, images: Tensor) -> tuple[Tensor, Tensor]:
        s = self.stem(images)
        return s, s


class NetworkImageNet(EvaluationNetwork):
    def __init__(self, genotype, channels=48, cells=14, classes=1000, auxiliary=True, image_channels=3):
        super().__init__()
        half = channels // 2
        self.stem0 = nn.Sequential(
            conv(image_channels, half, 3, 2, 1),
            nn.BatchNorm2d(half),
            nn.ReLU(),
            conv(half, channels, 3, 2, 1),
            nn.BatchNorm2d(channels),
        )
        self.stem1 = nn.Sequential(nn.ReLU(), conv(channels, channels, 3, 2, 1), nn.BatchNorm2d(channels))
        self.build(genotype, channels, cells, classes, auxiliary, channels, channels, True, imagenet=True)

    def stems(self, images: Tensor) -> tuple[Tensor, Tensor]:
        s0 = self.stem0(images)
        return s0, self.stem1(s0)


def evaluation_loss(logits: Tensor, logits_aux: Tensor | None, labels: Tensor, auxiliary_weight=0.4) -> Tensor:
    loss = F.cross_entropy(logits, labels)
    return loss if logits_aux is None else loss + auxiliary_weight * F.cross_entropy(logits_aux, labels)


def count_parameters(net: nn.Module, with_auxiliary=False) -> int:
    return sum(p.numel() for name, p in net.named_parameters() if with_auxiliary or "auxiliary" not in name)
