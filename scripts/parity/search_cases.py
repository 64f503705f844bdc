"""Fixtures of the supernet: forward and gradients, whole search steps, and the exact hyper-gradient."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

import architect
from architect import Batch, Search
from record import Draw, Record, buffers, parameters
from reference import PRIMITIVES, Supernet

SMALL = dict(channels=2, cells=3, nodes=2, multiplier=2, stem_multiplier=3, classes=10, image_channels=3)
FEW = ("none", "avg_pool_3x3", "skip_connect", "sep_conv_3x3", "dil_conv_3x3")
DEEP = dict(
    channels=2, cells=4, nodes=3, multiplier=3, stem_multiplier=2, classes=5, image_channels=1, primitives=FEW
)
TINY = dict(
    channels=2, cells=3, nodes=2, multiplier=2, stem_multiplier=3, classes=4, image_channels=3, primitives=FEW
)
PARTIAL = dict(
    channels=8, cells=3, nodes=2, multiplier=2, stem_multiplier=1, classes=5, image_channels=3, share=4
)
BATCH, SIZE = 4, 16
STEPS, ONE_LEVEL_STEPS = 3, 2
ALPHAS = ("alphas_normal", "alphas_reduce")
BETAS = ("betas_normal", "betas_reduce")
SAMPLE = ("stem.", "classifier.", "cells.0._ops.0.", "cells.2._ops.4.")  # kept where all would be too much


def supernet():
    record = Record()
    names = [f"{split}{k}" for k in range(1, STEPS + 1) for split in ("train", "valid")]
    batches = {name: draw_batch(f"batches/{name}", SMALL) for name in names}
    for name, (images, labels) in batches.items():
        record.put(f"batches/{name}", {"images": images, "labels": labels})
    start = search(SMALL)
    record.put("weights", start.net.state_dict())
    record.put("", named(start.alphas))
    forward(record, "forward", start, batches["train1"])

    for method in ("first", "second", "alternating", "joint"):
        search_steps(record, method, batches)

    deep = search(DEEP)
    batch = draw_batch("batches/deep", DEEP)
    record.put("deep/weights", deep.net.state_dict())
    record.put("deep", {**named(deep.alphas), "images": batch[0], "labels": batch[1]})
    forward(record, "deep", deep, batch)
    return record, {
        "description": "supernet: forward, gradients, and whole search steps of four variants; train mode",
        "hyperparameters": {
            **settings(SMALL),
            "deep": settings(DEEP),
            "steps": STEPS,
            "oneLevelSteps": ONE_LEVEL_STEPS,
        },
    }


def search_steps(record: Record, method: str, batches: dict[str, Batch]) -> None:
    """All variants start from the same weights and alphas.

    `buffers_after`: the architecture step left the BN buffers as found, the weight step updated them.
    `buffers_published`: every forward pass of the live model updated them, as in the published code.
    """
    faithful = search(SMALL)
    live = search(SMALL)
    union = [batches[name] for name in ("train1", "valid1", "train2", "valid2")]
    for k in range(1, (STEPS if method in ("first", "second") else ONE_LEVEL_STEPS) + 1):
        train, valid = batches[f"train{k}"], batches[f"valid{k}"]
        if method == "alternating":
            valid, train = union[2 * k - 2], union[2 * k - 1]
        if method == "joint":
            train = union[k - 1]
        for run in (faithful, live):
            bn = dict(run.net.named_buffers()) if run is live else None
            if method == "joint":
                arch_grads, facts = run.joint_step(train)
            else:
                second = method == "second"
                arch_grads, facts = run.second_order(train, valid, bn) if second else run.first_order(valid, bn)
                run.arch_step(arch_grads)
                facts = {**facts, **run.weight_step(train)}
            if run is faithful:
                record.put(f"{method}/step{k}/arch_grads", named(arch_grads))
                record.put(f"{method}/step{k}", {**named(run.alphas), **facts})
    one_level = method in ("alternating", "joint")
    record.put(f"{method}/weights_after", (sample if one_level else dict)(parameters(faithful.net)))
    if not one_level:
        record.put(f"{method}/buffers_after", buffers(faithful.net))
        record.put(f"{method}/buffers_published", sample(buffers(live.net)))
    for name, w in parameters(faithful.net).items():
        assert torch.equal(w, parameters(live.net)[name]), f"{name} depends on the BN buffers"


def double_backward():
    """BN in eval mode, momentum buffers set.

    At the published radius of 0.01, and at 0.001, the perturbation crosses kinks of ReLU, where the loss
    is not smooth, and the two differ visibly; from 0.0001 on they agree to 1e-8.
    """
    record = Record()
    run = search(TINY, statistics=True)
    run.net.eval()
    train, valid = draw_batch("tiny/train", TINY, size=8), draw_batch("tiny/valid", TINY, size=8)
    draw = Draw("tiny/momentum")
    momentum = {name: draw.normal(*w.shape, scale=0.1) for name, w in run.weights.items()}
    for name, w in run.weights.items():
        run.weight_optimizer.state[w]["momentum_buffer"] = momentum[name].clone()
    record.put("weights", run.net.state_dict())
    record.put("momentum", momentum)
    record.put("", named(run.alphas))
    for name, (images, labels) in (("train", train), ("valid", valid)):
        record.put(name, {"images": images, "labels": labels})
    record.put("first", named(run.first_order(valid)[0]))
    record.put("exact", named(run.second_order_exact(train, valid)))
    radii = {"0.01": 1e-2, "0.001": 1e-3, "0.0001": 1e-4, "0.00001": 1e-5}
    for text, radius in radii.items():
        grads, facts = run.second_order(train, valid, radius=radius)
        record.put(f"finite/{text}", {**named(grads), **facts})
    return record, {
        "description": "second-order hyper-gradient, exact (double backward) and by finite differences; eval mode",
        "hyperparameters": {**settings(TINY), "size": 8, "radii": list(radii)},
    }


def partial():
    """PC-DARTS: alphas and betas are one list of architecture parameters."""
    record = Record()
    run = search(PARTIAL)
    draw = Draw("partial/betas")
    run.alphas += [draw.normal(run.net.alpha_shape[0], scale=0.5).requires_grad_() for _ in BETAS]
    batch = draw_batch("batches/partial", PARTIAL, size=8)
    record.put("weights", run.net.state_dict())
    record.put("", {**named(run.alphas), "images": batch[0], "labels": batch[1]})
    forward(record, "forward", run, batch)
    return record, {
        "description": "supernet with partial channels and edge weights: forward and gradients",
        "hyperparameters": {**settings(PARTIAL), "share": PARTIAL["share"], "size": 8},
    }


def sampled():
    """GDAS: one operation an edge, with the straight-through gradient. Weights, alphas and batch are `supernet`'s."""
    record = Record()
    run = search(SMALL)
    images, labels = draw_batch("batches/train1", SMALL)
    draw, temperature = Draw("sampled/noise"), 2.0
    noise = [draw.normal(*run.net.alpha_shape, scale=2.0) for _ in ALPHAS]
    mixtures = []
    for alphas, g in zip(run.alphas, noise):
        soft = ((alphas.log_softmax(-1) + g) / temperature).softmax(-1)
        chosen = soft.argmax(-1)
        hard = F.one_hot(chosen, soft.shape[-1]) - soft.detach() + soft
        mixtures.append((hard, None, chosen.tolist()))
    logits = run.net.mixed(images, *mixtures)
    loss = F.cross_entropy(logits, labels)
    names = [*ALPHAS, *run.weights]
    grads = torch.autograd.grad(loss, run.alphas + list(run.weights.values()), allow_unused=True)
    record.put("noise", named(noise))
    record.put("", {"logits": logits, "loss": loss})
    record.put("grads", {name: g for name, g in zip(names, grads) if g is not None})
    return record, {
        "description": "supernet with one sampled operation an edge: forward and gradients",
        "temperature": temperature,
        "chosen": [chosen for _, _, chosen in mixtures],
    }


def search(config: dict, statistics=False) -> Search:
    name = f"C{config['channels']}-{config['cells']}"
    net = Supernet(**config).train()
    Draw(f"{name}/weights").fill(net, statistics)
    draw = Draw(f"{name}/alphas")
    alphas = [draw.normal(*net.alpha_shape, scale=0.5).requires_grad_() for _ in ALPHAS]
    return Search(net, alphas)


def draw_batch(name: str, config: dict, size=SIZE) -> Batch:
    draw = Draw(name)
    return draw.normal(BATCH, config["image_channels"], size, size), draw.labels(BATCH, config["classes"])


def forward(record: Record, prefix: str, run: Search, batch: Batch) -> None:
    """Forward and backward in train mode, and logits in eval mode with the running statistics this left."""
    logits = run.net(batch[0], *run.alphas)
    loss = F.cross_entropy(logits, batch[1])
    grads = torch.autograd.grad(loss, run.alphas + list(run.weights.values()))
    count = len(run.alphas)
    record.put(prefix, {"logits": logits, "loss": loss})
    record.put(f"{prefix}/grads", {**named(grads[:count]), **dict(zip(run.weights, grads[count:]))})
    run.net.eval()
    record.put(prefix, {"eval_logits": run.net(batch[0], *run.alphas)})
    run.net.train()


def sample(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: t for name, t in tensors.items() if name.startswith(SAMPLE)}


def named(alphas) -> dict[str, Tensor]:
    return dict(zip(ALPHAS + BETAS, alphas))


def settings(config: dict) -> dict:
    return {
        "channels": config["channels"],
        "cells": config["cells"],
        "nodes": config["nodes"],
        "multiplier": config["multiplier"],
        "stemMultiplier": config["stem_multiplier"],
        "classes": config["classes"],
        "imageChannels": config["image_channels"],
        "primitives": list(config.get("primitives", PRIMITIVES)),
        "batch": BATCH,
        "size": SIZE,
        "learningRate": architect.WEIGHT_LEARNING_RATE,
        "momentum": architect.MOMENTUM,
        "weightDecay": architect.WEIGHT_DECAY,
        "gradClip": architect.GRAD_CLIP,
        "archLearningRate": architect.ARCH_LEARNING_RATE,
        "archBetas": list(architect.ARCH_BETAS),
        "archWeightDecay": architect.ARCH_WEIGHT_DECAY,
    }
