"""Fixtures of the evaluation network: drop-path with given masks, auxiliary head, training steps; names."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from record import Draw, Record, buffers, gradients, parameters
from reference import (
    DARTS_V2,
    DropPath,
    Identity,
    NetworkCIFAR,
    NetworkImageNet,
    Supernet,
    evaluation_loss,
)

# DARTS_V2 with the last node of the reduction cell changed, for a skip of stride 2 and an average pool.
GENOTYPE = replace(DARTS_V2, reduce=(*DARTS_V2.reduce[:6], ("skip_connect", 0), ("avg_pool_3x3", 1)))
CHANNELS, CELLS, CLASSES, BATCH, SIZE = 4, 4, 5, 3, 32
DROP_PATH_PROB, AUXILIARY_WEIGHT = 0.3, 0.4
LEARNING_RATE, MOMENTUM, WEIGHT_DECAY, GRAD_CLIP = 0.025, 0.9, 3e-4, 5.0
IMAGENET_CHANNELS, LABEL_SMOOTHING = 2, 0.1

# The large tensors are given by a formula and answered by every 389th element.
LARGE = (
    "auxiliary_head.features.5.weight",
    "auxiliary_head.features.2.weight",
    "auxiliary_head.classifier.weight",
)
STRIDE = 389


def network():
    record = Record()
    net = NetworkCIFAR(GENOTYPE, CHANNELS, CELLS, CLASSES)
    fill(net, "cifar")
    batches = [draw_batch(k) for k in (1, 2)]
    put(record, "weights", net.state_dict())
    net.eval()
    record.put("", {"eval_logits": net(batches[0][0])[0]})

    net.train()
    optimizer = torch.optim.SGD(net.parameters(), LEARNING_RATE, momentum=MOMENTUM, weight_decay=WEIGHT_DECAY)
    for k, (images, labels) in enumerate(batches, 1):
        masks = draw_masks(net, k)
        replay = iter(masks)
        logits, logits_aux = net(images, DropPath(DROP_PATH_PROB, replay))
        assert next(replay, None) is None, "masks left over"
        loss = evaluation_loss(logits, logits_aux, labels, AUXILIARY_WEIGHT)
        optimizer.zero_grad()
        loss.backward()
        record.put(f"step{k}", {"images": images, "labels": labels, "masks": masks})
        record.put(f"step{k}", {"logits": logits, "logits_aux": logits_aux, "loss": loss})
        if k == 1:
            put(record, "step1/grads", gradients(net))
        record.put(f"step{k}", {"grad_norm": torch.nn.utils.clip_grad_norm_(net.parameters(), GRAD_CLIP)})
        optimizer.step()
    put(record, "weights_after", parameters(net))
    record.put("buffers_after", buffers(net))
    imagenet(record, *batches[0])
    return record, {
        "description": "evaluation network: forward, gradients and two training steps with given drop-path masks",
        "hyperparameters": {
            "genotype": {
                "normal": GENOTYPE.normal,
                "normalConcat": GENOTYPE.normal_concat,
                "reduce": GENOTYPE.reduce,
                "reduceConcat": GENOTYPE.reduce_concat,
            },
            "channels": CHANNELS,
            "cells": CELLS,
            "classes": CLASSES,
            "batch": BATCH,
            "size": SIZE,
            "dropPathProb": DROP_PATH_PROB,
            "auxiliaryWeight": AUXILIARY_WEIGHT,
            "learningRate": LEARNING_RATE,
            "momentum": MOMENTUM,
            "weightDecay": WEIGHT_DECAY,
            "gradClip": GRAD_CLIP,
            "imagenet": {
                "channels": IMAGENET_CHANNELS,
                "labelSmoothing": LABEL_SMOOTHING,
                "auxiliary": False,
            },
        },
        "masks": "row m is the m-th mask used: by cell, node, then h1 before h2; none for an identity",
        "large": {
            "names": LARGE,
            "value": "0.1 * (((i * 7919) mod 1009) / 1009 - 0.5), i the index in the flattened tensor",
            "answers": f"every {STRIDE}th element of the flattened tensor, from element 0",
            "stride": STRIDE,
        },
    }


def imagenet(record: Record, images: Tensor, labels: Tensor) -> None:
    """The ImageNet stem on the images of step 1; the auxiliary head needs 7x7 and is left out."""
    net = NetworkImageNet(GENOTYPE, IMAGENET_CHANNELS, CELLS, CLASSES, auxiliary=False)
    fill(net, "imagenet")
    record.put("imagenet/weights", net.state_dict())
    net.eval()
    record.put("imagenet", {"eval_logits": net(images)[0]})
    net.train()
    logits, _ = net(images)
    loss = torch.nn.functional.cross_entropy(logits, labels, label_smoothing=LABEL_SMOOTHING)
    loss.backward()
    record.put("imagenet", {"logits": logits, "loss": loss})
    record.put("imagenet/grads", gradients(net))


def fill(net: torch.nn.Module, name: str) -> None:
    Draw(f"{name}/weights").fill(net, statistics=True)
    with torch.no_grad():
        for key, p in net.named_parameters():
            if key in LARGE:
                i = torch.arange(p.numel())
                p.copy_((0.1 * ((i * 7919 % 1009) / 1009 - 0.5)).view_as(p))


def put(record: Record, prefix: str, tensors: dict[str, Tensor]) -> None:
    """Leaves the large tensors out of `weights`, and thins them elsewhere."""
    record.put(prefix, {name: t for name, t in tensors.items() if name not in LARGE})
    if prefix != "weights":
        record.put(f"{prefix}_strided", {name: tensors[name].flatten()[::STRIDE] for name in LARGE})


def draw_batch(k: int) -> tuple[Tensor, Tensor]:
    return Draw(f"batch{k}").normal(BATCH, 3, SIZE, SIZE), Draw(f"labels{k}").labels(BATCH, CLASSES)


def draw_masks(net: NetworkCIFAR, step: int) -> Tensor:
    """[masks in the order of use, N]"""
    count = sum(not isinstance(op, Identity) for cell in net.cells for op in cell._ops)
    return Draw(f"masks{step}").mask(1 - DROP_PATH_PROB, count, BATCH)


def state_names() -> dict[str, list]:
    nets = {"supernet": Supernet(), "cifar": NetworkCIFAR(DARTS_V2), "imagenet": NetworkImageNet(DARTS_V2)}
    return {key: [[name, list(t.shape)] for name, t in net.state_dict().items()] for key, net in nets.items()}
