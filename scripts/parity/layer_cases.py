"""Fixtures of single layers and of the candidate operations: forward, and backward of a fixed cotangent."""

from __future__ import annotations

import torch.nn.functional as F
from torch import nn

from record import Draw, Record, buffers, gradients, parameters
from reference import OPS, POOLS as POOLING, FactorizedReduce, ReLUConvBN, supernet_op

BATCH, CHANNELS, SIZE, ODD_SIZE = 2, 4, 6, 5
MORE_CHANNELS = {"group_conv_3x1_1x3": 8}  # its groups


def operations():
    record = Record()
    for name in OPS:
        c = MORE_CHANNELS.get(name, CHANNELS)
        for stride in (1, 2):
            through_module(record, f"{name}/s{stride}/plain", OPS[name](c, stride, False), c)
            affine = OPS[name](c, stride, True)
            if parameters(affine):
                through_module(record, f"{name}/s{stride}/affine", affine, c)
            if not (name == "skip_connect" and stride == 2):  # the two halves of an odd image differ in size
                case = f"{name}/s{stride}/plain-odd"
                through_module(record, case, OPS[name](c, stride, False), c, size=ODD_SIZE)
            if name in POOLING:
                through_module(record, f"{name}+bn/s{stride}/plain", supernet_op(name, c, stride))
    for kind, module in (("relu_conv_bn", ReLUConvBN), ("factorized_reduce", FactorizedReduce)):
        for affine in (True, False):
            case = f"{kind}/{'affine' if affine else 'plain'}"
            through_module(record, case, module(6, CHANNELS, affine), c_in=6)
    metadata = {
        "description": "candidate operations and preprocessing blocks, train mode; loss = sum(output * cotangent)",
        "hyperparameters": {
            "batch": BATCH,
            "channels": CHANNELS,
            "size": SIZE,
            "oddSize": ODD_SIZE,
            "preprocessChannelsIn": 6,
        },
    }
    return record, metadata


def through_module(record: Record, case: str, module: nn.Module, c_in=CHANNELS, size=SIZE) -> None:
    draw = Draw(case)
    draw.fill(module)
    record.put(f"{case}/weights", parameters(module))
    x = draw.normal(BATCH, c_in, size, size).requires_grad_()
    output = module(x)
    cotangent = draw.normal(*output.shape)
    output.backward(cotangent)
    record.put(case, {"input": x, "output": output, "cotangent": cotangent, "grad_input": x.grad})
    record.put(f"{case}/grads", gradients(module))
    record.put(f"{case}/buffers_after", buffers(module))


CONVOLUTIONS = {
    "3x3": (4, 6, dict(kernel_size=3, padding=1, bias=False)),
    "3x3-bias": (4, 6, dict(kernel_size=3)),
    "3x3-stride2": (4, 6, dict(kernel_size=3, stride=2, padding=1, bias=False)),
    "1x1-stride2": (4, 2, dict(kernel_size=1, stride=2, bias=False)),
    "2x2": (4, 3, dict(kernel_size=2, bias=False)),
    "1x7-stride1x2": (4, 4, dict(kernel_size=(1, 7), stride=(1, 2), padding=(0, 3), bias=False)),
    "groups2": (4, 6, dict(kernel_size=3, padding=1, groups=2, bias=False)),
    "depthwise-5x5-stride2": (4, 4, dict(kernel_size=5, stride=2, padding=2, groups=4, bias=False)),
    "depthwise-5x5-dilation2": (4, 4, dict(kernel_size=5, padding=4, dilation=2, groups=4, bias=False)),
}

BATCH_NORMS = {
    "train": (True, dict()),
    "train-plain": (True, dict(affine=False)),
    "train-momentum": (True, dict(momentum=0.3)),
    "train-eps": (True, dict(eps=1e-3)),
    "eval": (False, dict()),
    "eval-plain": (False, dict(affine=False)),
}

POOLS = {
    "max_pool2d/3x3": (6, lambda x: F.max_pool2d(x, 3, 1, 1)),
    "max_pool2d/3x3-stride2": (6, lambda x: F.max_pool2d(x, 3, 2, 1)),
    "avg_pool2d/3x3": (6, lambda x: F.avg_pool2d(x, 3, 1, 1, count_include_pad=False)),
    "avg_pool2d/3x3-stride2": (6, lambda x: F.avg_pool2d(x, 3, 2, 1, count_include_pad=False)),
    "avg_pool2d/3x3-padcounted": (6, lambda x: F.avg_pool2d(x, 3, 1, 1, count_include_pad=True)),
    "avg_pool2d/5x5-stride3": (8, lambda x: F.avg_pool2d(x, 5, 3, 0, count_include_pad=False)),
    "avg_pool2d/5x5-stride2": (7, lambda x: F.avg_pool2d(x, 5, 2, 0, count_include_pad=False)),
    "adaptive_avg_pool2d/1": (6, lambda x: F.adaptive_avg_pool2d(x, 1)),
}

POINTWISE = {
    "relu": lambda x: F.relu(x),
    "softmax": lambda x: F.softmax(x, -1),
    "log_softmax": lambda x: F.log_softmax(x, -1),
}


def layers():
    record = Record()
    options = {}
    for name, (c_in, c_out, kwargs) in CONVOLUTIONS.items():
        case = f"conv2d/{name}"
        layer = nn.Conv2d(c_in, c_out, **kwargs)
        options[case] = {
            "stride": layer.stride,
            "padding": layer.padding,
            "dilation": layer.dilation,
            "groups": layer.groups,
        }
        through_layer(record, case, layer, (2, c_in, 5, 6))
    for name, (training, kwargs) in BATCH_NORMS.items():
        case = f"batch_norm/{name}"
        layer = nn.BatchNorm2d(4, **kwargs).train(training)
        options[case] = {"training": training, "momentum": layer.momentum, "eps": layer.eps, "affine": layer.affine}
        through_layer(record, case, layer, (3, 4, 4, 3))
    through_layer(record, "linear/bias", nn.Linear(7, 5), (3, 7))
    through_layer(record, "linear/plain", nn.Linear(7, 5, bias=False), (3, 7))
    for case, (size, function) in POOLS.items():
        through_function(record, case, function, (2, 2, size, size))
    for case, function in POINTWISE.items():
        through_function(record, case, function, (4, 6))
    cross_entropies(record, options)
    return record, {
        "description": "layers; loss = sum(output * cotangent), or the scalar output itself (cross_entropy)",
        "options": options,
    }


def through_layer(record: Record, case: str, layer: nn.Module, shape: tuple[int, ...]) -> None:
    draw = Draw(case)
    draw.fill(layer, statistics=True)
    record.put(case, {**parameters(layer), **buffers(layer)})
    through_function(record, case, layer, shape, draw)
    record.put(case, {f"grad_{name}": g for name, g in gradients(layer).items()})
    record.put(case, {f"{name}_after": b for name, b in buffers(layer).items()})


def through_function(record: Record, case: str, function, shape: tuple[int, ...], draw: Draw | None = None) -> None:
    draw = draw or Draw(case)
    x = draw.normal(*shape).requires_grad_()
    output = function(x)
    cotangent = draw.normal(*output.shape)
    output.backward(cotangent)
    record.put(case, {"input": x, "output": output, "cotangent": cotangent, "grad_input": x.grad})


def cross_entropies(record: Record, options: dict) -> None:
    for name, smoothing in (("plain", 0.0), ("smoothing", 0.1)):
        case = f"cross_entropy/{name}"
        options[case] = {"labelSmoothing": smoothing}
        draw = Draw(case)
        x, target = draw.normal(6, 10, scale=3.0).requires_grad_(), draw.labels(6, 10)
        output = F.cross_entropy(x, target, label_smoothing=smoothing)
        output.backward()
        record.put(case, {"input": x, "target": target, "output": output, "grad_input": x.grad})
