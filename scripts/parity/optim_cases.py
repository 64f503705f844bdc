"""Fixtures of the optimizers: the parameters after each of five steps with given gradients."""

from __future__ import annotations

import torch
from torch import Tensor

from record import Draw, Record

STEPS = 5
CAMEL = {"lr": "learningRate", "weight_decay": "weightDecay"}
SHAPES = {"a": (3, 4), "b": (5,)}

# case -> (optimizer, its options, the norm to clip the gradients to or None)
OPTIMIZERS = {
    "sgd": (torch.optim.SGD, dict(lr=0.1), None),
    "sgd-momentum": (torch.optim.SGD, dict(lr=0.025, momentum=0.9, weight_decay=3e-4), None),
    "sgd-nesterov": (torch.optim.SGD, dict(lr=0.025, momentum=0.9, weight_decay=3e-4, nesterov=True), None),
    "sgd-clip": (torch.optim.SGD, dict(lr=0.025, momentum=0.9, weight_decay=3e-4), 4.0),
    "adam": (torch.optim.Adam, dict(lr=3e-4, betas=(0.5, 0.999), weight_decay=1e-3), None),
    "adam-default": (torch.optim.Adam, dict(lr=1e-3), None),
}


def optim():
    record = Record()
    options = {}
    for case, (optimizer, kwargs, max_norm) in OPTIMIZERS.items():
        settings = {CAMEL.get(key, key): value for key, value in kwargs.items()}
        options[case] = {"optimizer": optimizer.__name__, **settings, "maxNorm": max_norm, "steps": STEPS}
        optimizer_steps(record, case, optimizer, kwargs, max_norm)
    for case, scale in (("clip/below", 0.5), ("clip/above", 3.0), ("clip/far-above", 1e3)):
        options[case] = {"maxNorm": 5.0}
        clipped = drawn(Draw(case), scale)
        record.put(f"{case}/grads", {name: p.grad for name, p in clipped.items()})
        norm = torch.nn.utils.clip_grad_norm_(clipped.values(), 5.0)
        record.put(case, {"norm": norm})
        record.put(f"{case}/clipped", {name: p.grad for name, p in clipped.items()})
    for case, epochs, lr, lr_min in (("cosine/search", 50, 0.025, 0.001), ("cosine/evaluation", 600, 0.025, 0.0)):
        options[case] = {"epochs": epochs, "learningRate": lr, "learningRateMin": lr_min}
        record.put(case, {"learning_rate": cosine(epochs, lr, lr_min)})
    return record, {"description": "optimizers, clipping and schedules", "options": options}


def drawn(draw: Draw, grad_scale: float) -> dict[str, Tensor]:
    params = {name: draw.normal(*shape).requires_grad_() for name, shape in SHAPES.items()}
    for p in params.values():
        p.grad = draw.normal(*p.shape, scale=grad_scale)
    return params


def optimizer_steps(record: Record, case: str, optimizer, kwargs: dict, max_norm: float | None) -> None:
    draw = Draw(case)
    params = {name: draw.normal(*shape).requires_grad_() for name, shape in SHAPES.items()}
    record.put(f"{case}/params", params)
    optim = optimizer(params.values(), **kwargs)
    for step in range(1, STEPS + 1):
        for p in params.values():
            p.grad = draw.normal(*p.shape, scale=0.5 * step)
        record.put(f"{case}/step{step}/grads", {name: p.grad for name, p in params.items()})
        if max_norm is not None:
            record.put(f"{case}/step{step}", {"norm": torch.nn.utils.clip_grad_norm_(params.values(), max_norm)})
        optim.step()
        record.put(f"{case}/step{step}/params", params)
    for name, p in params.items():
        state = {key: t for key, t in optim.state[p].items() if key != "step" and t is not None}
        record.put(f"{case}/state/{name}", state)


def cosine(epochs: int, lr: float, lr_min: float) -> Tensor:
    """The rate of epochs 0 to `epochs - 1`."""
    optim = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=lr)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optim, epochs, lr_min)
    rates = []
    for _ in range(epochs):
        rates.append(optim.param_groups[0]["lr"])
        optim.step()
        schedule.step()
    return torch.tensor(rates)
