"""Fixtures of the methods that mend DARTS: whole search steps on a small supernet, with the random numbers they drew.

I-DARTS (Jiang et al. 2019), PC-DARTS (Xu et al. 2020), GDAS (Dong, Yang 2019) with and without its fixed reduction cell, SNAS (Xie et al. 2019) and SmoothDARTS (Chen, Hsieh 2020), each
written from its equations. Random numbers are uniform ones from a list that the fixture holds, so that the same list
in the same order gives the same steps.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from architect import Search
from record import Draw, Record
from reference import OPS, Identity, MixedOp, SearchCell, Supernet, preprocess
from search_cases import ALPHAS, BETAS, FEW, draw_batch, named, settings

PLAIN = dict(
    channels=2, cells=3, nodes=2, multiplier=2, stem_multiplier=1, classes=4, image_channels=3, primitives=FEW
)
PARTIAL = {**PLAIN, "channels": 4, "share": 2}
FIXED = {**PLAIN, "channels": 4}
SIZE, STEPS, EPOCHS = 8, 3, 4
GDAS_TEMPERATURES = (2.0, 0.5)
SNAS_TEMPERATURES, SNAS_WEIGHT, SNAS_REDUCE_WEIGHT, SNAS_ARCH_CLIP = (1.0, 0.2), 0.05, 0.7, 0.05
RADII, ATTACK_STEPS = (0.03, 0.3), 7


class Uniforms:
    """The numbers of a case in order; a pass that must see the draws of another goes back to where that one began."""

    def __init__(self, name: str):
        rng = Draw(f"{name}/uniforms").rng
        self.numbers, self.at = torch.from_numpy(rng.random(2000)), 0

    def take(self, like: Tensor) -> Tensor:
        start, self.at = self.at, self.at + like.numel()
        return self.numbers[start : self.at].reshape(like.shape)

    def gumbel(self, like: Tensor) -> Tensor:
        return -(-self.take(like).log()).log()


class MethodNet(Supernet):
    """A supernet that asks its method for the mixture of each pass."""

    mixture = None

    def forward(self, images: Tensor, *alphas: Tensor) -> Tensor:
        return self.mixed(images, *self.mixture(*alphas))


class FixedReduction(nn.Module):
    """The reduction cell of GDAS-FRC: each input through a grouped convolution and through a max-pool."""

    reduction = True

    def __init__(self, c_prev_prev: int, c_prev: int, c: int, reduction_prev: bool):
        super().__init__()
        self.preprocess0 = preprocess(c_prev_prev, c, reduction_prev, affine=False)
        self.preprocess1 = preprocess(c_prev, c, False, affine=False)
        names = ["group_conv_3x1_1x3"] * 2 + ["norm_max_pool_3x3"] * 2
        self._ops = nn.ModuleList(OPS[name](c, 2, False) for name in names)

    def forward(self, s0: Tensor, s1: Tensor) -> Tensor:
        states = [self.preprocess0(s0), self.preprocess1(s1)] * 2
        return torch.cat([op(x) for op, x in zip(self._ops, states)], 1)


class FixedNet(MethodNet):
    """A supernet of normal cells with alphas and fixed reduction cells, of four states each."""

    def __init__(self, channels, cells, nodes, multiplier, stem_multiplier, classes, image_channels, primitives):
        super().__init__(channels, cells, nodes, multiplier, stem_multiplier, primitives, classes, image_channels)
        c_prev_prev = c_prev = stem_multiplier * channels
        c, reduction_prev = channels, False
        for i in range(cells):
            reduction = i in (cells // 3, 2 * cells // 3)
            c *= 2 if reduction else 1
            if reduction:
                cell = FixedReduction(c_prev_prev, c_prev, c, reduction_prev)
            else:
                cell = SearchCell(c_prev_prev, c_prev, c, nodes, multiplier, primitives, False, reduction_prev)
            self.cells[i] = cell
            c_prev_prev, c_prev, reduction_prev = c_prev, (4 if reduction else multiplier) * c, reduction
        self.classifier = nn.Linear(c_prev, classes)

    def mixed(self, images: Tensor, normal: tuple) -> Tensor:
        s0 = s1 = self.stem(images)
        for cell in self.cells:
            s0, s1 = s1, cell(s0, s1) if cell.reduction else cell(s0, s1, *normal)
        return self.classifier(s1.mean((2, 3)))


class Case(Search):
    """A search whose passes draw from `uniforms`; `step` makes one step and returns what to record."""

    config, network, cell_types = PLAIN, MethodNet, ALPHAS

    @property
    def start(self) -> str:
        return f"weights-{'fixed' if self.network is FixedNet else self.config['channels']}"

    def __init__(self, name: str):
        config = self.config
        net = self.network(**config).train()
        Draw(f"methods/C{config['channels']}/weights").fill(net)
        draw = Draw("methods/alphas")
        alphas = [draw.normal(*net.alpha_shape, scale=0.5).requires_grad_() for _ in self.cell_types]
        if "share" in config:
            alphas += [draw.normal(net.alpha_shape[0], scale=0.5).requires_grad_() for _ in BETAS]
        super().__init__(net, alphas)
        self.uniforms = self.noise = Uniforms(name)
        self.epoch = 0
        net.mixture = self.mixture

    def mixture(self, normal: Tensor, reduced: Tensor, *betas: Tensor):
        edges = [self.net.edge_weights(b) for b in betas] or [None, None]
        return (normal.softmax(-1), edges[0]), (reduced.softmax(-1), edges[1])

    def batches(self, k: int):
        return [draw_batch(f"methods/{split}{k}", PLAIN, size=SIZE) for split in ("train", "valid")]

    def live_buffers(self):
        return dict(self.net.named_buffers())


class FirstOrder(Case):
    def step(self, train, valid):
        grads, facts = self.first_order(valid, self.live_buffers())
        self.arch_step(grads)
        return {**facts, **self.weight_step(train)}


class PcDarts(FirstOrder):
    config = PARTIAL


class PcDartsSecond(Case):
    config = PARTIAL

    def step(self, train, valid):
        grads, facts = self.second_order(train, valid)
        self.arch_step(grads)
        return {"valid_loss": facts["valid_loss"], **self.weight_step(train)}


def joint_softmax(alpha: Tensor) -> Tensor:
    """One softmax over all pairs of edge and operation of a node."""
    edges = [2 + node for node in range(PLAIN["nodes"])]
    return torch.cat([node.flatten().softmax(0).view_as(node) for node in alpha.split(edges)])


class IDarts(FirstOrder):
    def mixture(self, normal, reduced):
        return (joint_softmax(normal), None), (joint_softmax(reduced), None)


class IDartsSecond(IDarts):
    def step(self, train, valid):
        grads, facts = self.second_order(train, valid)
        self.arch_step(grads)
        return {"valid_loss": facts["valid_loss"], **self.weight_step(train)}


class Gdas(Case):
    """Weights, then alphas, each on a sample of its own: only the drawn operation of an edge is computed."""

    def mixture(self, *alphas):
        first, last = GDAS_TEMPERATURES
        tau = first + (last - first) * self.epoch / (EPOCHS - 1)
        weights = []
        for alpha in alphas:
            q = ((alpha.log_softmax(-1) + self.uniforms.gumbel(alpha)) / tau).softmax(-1)
            hard = F.one_hot(q.argmax(-1), q.shape[-1]).to(q.dtype)
            weights.append((hard - q.detach() + q, None))
        return weights

    def step(self, train, valid):
        weights = list(self.weights.values())
        loss = F.cross_entropy(self.net(train[0], *self.alphas), train[1])
        drawn = torch.autograd.grad(loss, weights, allow_unused=True)  # none for what was not drawn: it does not move
        facts = {"train_loss": loss.detach(), "grad_norm": self.apply_weight_grads(drawn)}
        grads, more = self.first_order(valid, self.live_buffers())
        self.arch_step(grads)
        return {**facts, **more}


class GdasFixed(Gdas):
    config, network, cell_types = FIXED, FixedNet, ALPHAS[:1]


def drop_undrawn(net: MethodNet) -> None:
    """Makes mixed operations compute the drawn candidate alone, so that no other one's statistics move."""
    for module in net.modules():
        if isinstance(module, MixedOp):
            module.forward = lambda x, weights, chosen=None, ops=module._ops: (
                weights[weights.argmax()] * ops[int(weights.argmax())](x)
            )


class Snas(Case):
    """One loss for weights and alphas; soft samples, and a price on the resources of the sampled cells."""

    def __init__(self, name):
        super().__init__(name)
        with torch.no_grad():
            for alpha in self.alphas:
                alpha.add_(1)
        self.price = Resources(self.net)
        self.sampled = None

    def mixture(self, *alphas):
        first, last = SNAS_TEMPERATURES
        tau = first + (last - first) * self.epoch / EPOCHS
        self.sampled = [((alpha + self.uniforms.gumbel(alpha)) / tau).softmax(-1) for alpha in alphas]
        return [(z, None) for z in self.sampled]

    def penalty(self) -> Tensor:
        return SNAS_WEIGHT * self.price(*self.sampled)

    def clipped(self, grads):
        norm = torch.linalg.vector_norm(torch.stack([g.norm() for g in grads]))
        assert norm > SNAS_ARCH_CLIP, "clipping must have something to do"
        return [g * (SNAS_ARCH_CLIP / (norm + 1e-6)) for g in grads]


class SnasJoint(Snas):
    def step(self, train, valid):
        loss = F.cross_entropy(self.net(train[0], *self.alphas), train[1])
        penalty = self.penalty()
        grads = torch.autograd.grad(loss + penalty, self.alphas + list(self.weights.values()))
        count = len(self.alphas)
        self.arch_step(self.clipped(grads[:count]))
        facts = {"train_loss": loss.detach(), "penalty": penalty.detach()}
        return {**facts, "grad_norm": self.apply_weight_grads(grads[count:])}


class SnasSecond(Snas):
    def loss(self, weights, batch, buffers=None):
        return super().loss(weights, batch, buffers) + self.penalty()

    def step(self, train, valid):
        grads, _ = self.second_order(train, valid)
        self.arch_step(self.clipped(grads))
        return self.weight_step(train)


class Sdarts(Case):
    """The alphas' step of DARTS; then the weights' step under perturbed probabilities."""

    imposed = None

    def mixture(self, normal, reduced):
        if self.imposed is not None:
            return [(p, None) for p in self.imposed]
        return [(self.probabilities(alpha), None) for alpha in (normal, reduced)]

    def probabilities(self, alpha: Tensor) -> Tensor:
        return alpha.softmax(-1)

    def projected(self, p: Tensor) -> Tensor:
        return project(p)

    def radius(self) -> float:
        first, last = RADII
        return first + (last - first) * self.epoch / EPOCHS

    def step(self, train, valid):
        grads, facts = self.first_order(valid, self.live_buffers())
        self.arch_step(grads)
        clean = [self.probabilities(alpha.detach()) for alpha in self.alphas]
        self.imposed = self.perturbed(clean, train)
        facts = {**facts, "perturbed_normal": self.imposed[0], "perturbed_reduce": self.imposed[1]}
        facts.update(self.weight_step(train))
        self.imposed = None
        return facts

    def drawn(self, clean):
        return [self.projected(p + self.radius() * (2 * self.uniforms.take(p) - 1)) for p in clean]

    def perturbed(self, clean, train):
        return self.drawn(clean)


class SdartsAdversarial(Sdarts):
    def perturbed(self, clean, train):
        self.net.eval()
        before = self.loss_under(clean, train).item()
        worst = self.drawn(clean)
        for _ in range(ATTACK_STEPS):
            worst = [p.clone().requires_grad_() for p in worst]
            grads = torch.autograd.grad(self.loss_under(worst, train), worst)
            radius = self.radius()
            moved = [p.detach() + 2 * radius / ATTACK_STEPS * g.sign() for p, g in zip(worst, grads)]
            worst = [self.projected(c + (p - c).clamp(-radius, radius)) for p, c in zip(moved, clean)]
        after = self.loss_under(worst, train).item()
        self.net.train()
        return worst if after > before else clean

    def loss_under(self, probabilities, batch) -> Tensor:
        self.imposed = probabilities
        return F.cross_entropy(self.net(batch[0], *self.alphas), batch[1])


class SdartsAdversarialByNode(SdartsAdversarial):
    """The probabilities of all pairs of a node are one row."""

    def probabilities(self, alpha):
        return joint_softmax(alpha)

    def projected(self, p):
        edges = [2 + node for node in range(PLAIN["nodes"])]
        return torch.cat([project(node.reshape(1, -1)).view_as(node) for node in p.split(edges)])


def project(p: Tensor) -> Tensor:
    """Each row clamped to [0, 1] and normalised; a row of which nothing is left is 1 at its former maximum."""
    rows = []
    for row in p:
        clamped = row.clamp(0, 1)
        if clamped.sum() == 0:
            clamped[row.argmax()] = 1
        rows.append(clamped / clamped.sum())
    return torch.stack(rows)


class Resources:
    """Parameters, multiply-adds and memory access of every candidate, counted by hooks as one image passes."""

    def __init__(self, net: MethodNet):
        self.tables, self.reductions = [], []
        current: list = []
        handles = [
            module.register_forward_hook(lambda m, x, y: count(m, x[0], y, current))
            for cell in net.cells
            for op in candidates(cell)
            for module in [op, *op.modules()]
            if isinstance(module, (nn.Conv2d, nn.MaxPool2d, nn.AvgPool2d, Identity))
        ]
        sizes = cell_inputs(net)
        for cell, (s0, s1) in zip(net.cells, sizes):
            states = [cell.preprocess0(s0), cell.preprocess1(s1)]
            rows, edge = [], 0
            for _ in range(cell.nodes):
                for h in states:
                    row = []
                    for op in cell._ops[edge]._ops:
                        current.clear()
                        out = op(h)
                        row.append([sum(c[i] for c in set_of(current)) for i in range(3)])
                    rows.append(row)
                    edge += 1
                states.append(torch.zeros_like(out))
            self.tables.append(torch.tensor(rows, dtype=torch.float64))
            self.reductions.append(cell.reduction)
        for handle in handles:
            handle.remove()
        net.train()

    def __call__(self, normal: Tensor, reduced: Tensor) -> Tensor:
        totals = {False: [], True: []}
        for table, reduction in zip(self.tables, self.reductions):
            z = reduced if reduction else normal
            expected = (table * z.unsqueeze(-1)).sum(1)  # [edges, 3]
            totals[reduction].append(expected.clamp(min=1).log().mean(-1).sum())
        return sum(totals[False]) / len(totals[False]) + SNAS_REDUCE_WEIGHT * sum(totals[True]) / len(totals[True])


def candidates(cell):
    return [op for edge in cell._ops for op in edge._ops]


def cell_inputs(net):
    """The two inputs of every cell for one image, in evaluation mode so that nothing is learned from it."""
    net.eval()
    seen = []
    handles = [cell.register_forward_pre_hook(lambda m, args: seen.append(args[:2])) for cell in net.cells]
    uniform = torch.full(net.alpha_shape, 1 / net.alpha_shape[1])
    with torch.no_grad():
        net.mixed(torch.zeros(1, 3, SIZE, SIZE), (uniform, None), (uniform, None))
    for handle in handles:
        handle.remove()
    return seen


def count(module, x: Tensor, y: Tensor, into: list) -> None:
    """A layer reads its input (of stride² pixels for each of its output), writes its output and reads its weights."""
    if isinstance(module, Identity):
        into.append((module, 0, 0, x.numel() + y.numel()))
        return
    stride = module.stride if isinstance(module.stride, int) else module.stride[0]
    weights = sum(p.numel() for p in module.parameters())
    reads = x.shape[1] * stride**2 * y.shape[2] * y.shape[3]
    macs = weights * y.shape[2] * y.shape[3] if weights else 9 * y.numel()
    into.append((module, weights, macs, reads + y.numel() + weights))


def set_of(counted: list):
    """Without the layers that a hook saw twice."""
    return {id(module): facts for module, *facts in counted}.values()


CASES = {
    "i-darts-first": IDarts,
    "i-darts-second": IDartsSecond,
    "pc-darts-first": PcDarts,
    "pc-darts-second": PcDartsSecond,
    "gdas-first": Gdas,
    "gdas-fixed-first": GdasFixed,
    "snas-joint": SnasJoint,
    "snas-second": SnasSecond,
    "sdarts-rs-first": Sdarts,
    "sdarts-adv-first": SdartsAdversarial,
    "sdarts-adv-node-first": SdartsAdversarialByNode,
}


def methods():
    record = Record()
    for k in range(1, STEPS + 1):
        for split in ("train", "valid"):
            images, labels = draw_batch(f"methods/{split}{k}", PLAIN, size=SIZE)
            record.put(f"batches/{split}{k}", {"images": images, "labels": labels})
    for name, make in CASES.items():
        case = make(name)
        if isinstance(case, Gdas):
            drop_undrawn(case.net)
        if not any(key.startswith(f"{case.start}/") for key in record):
            record.put(case.start, case.net.state_dict())
        record.put(f"{name}/start", named(case.alphas))
        for k in range(1, STEPS + 1):
            case.epoch = k - 1
            facts = case.step(*case.batches(k))
            record.put(f"{name}/step{k}", {**named(case.alphas), **facts})
        record.put(name, {"uniforms": case.uniforms.numbers[: case.uniforms.at]})
        record.put(f"{name}/weights_after", case.net.state_dict())
        assert case.uniforms.at <= len(case.uniforms.numbers)
    return record, {
        "description": "whole search steps of I-DARTS, PC-DARTS, GDAS, SNAS and SmoothDARTS, with the numbers they drew",
        "hyperparameters": {
            **settings(PLAIN),
            "size": SIZE,
            "steps": STEPS,
            "epochs": EPOCHS,
            "share": PARTIAL["share"],
            "partialChannels": PARTIAL["channels"],
            "fixedChannels": FIXED["channels"],
            "gdas": {"temperature": GDAS_TEMPERATURES[0], "temperatureMin": GDAS_TEMPERATURES[1]},
            "snas": {
                "temperature": SNAS_TEMPERATURES[0],
                "temperatureMin": SNAS_TEMPERATURES[1],
                "resourceWeight": SNAS_WEIGHT,
                "resourceKind": "all",
                "resourceScale": "log",
                "resourceReduceWeight": SNAS_REDUCE_WEIGHT,
            },
            "snasArchGradClip": SNAS_ARCH_CLIP,
            "sdarts": {"epsilonMin": RADII[0], "epsilon": RADII[1]},
            "attackSteps": ATTACK_STEPS,
        },
    }
