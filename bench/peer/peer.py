"""The PyTorch side of `npm run bench`: one JSON request a line on stdin, one JSON answer a line on stdout.

{"work": "supernet-step" | "first-order-step" | "second-order-step" | "pc-darts-step" | "gdas-step" |
         "pc-darts-search-step" | "evaluation-step" | "inference-1" | "inference-128",
 "format": "default" | "channels_last", "threads": 2, "batch": 64, "channels": 16, "cells": 8}
    -> {"ms": ..., "peakMB": ...}     one step; the first request of a kind also builds, outside the time
       An inference with a "folder" takes the weights exported there.
{"work": "call", "n": 100000} -> {"ns": {"add": {"1": ..., "4x4": ...}, "relu": ...}}     one call on small tensors
{"work": "version"}           -> {"torch": ..., "threads": ...}
{"work": "export", "folder": ...}    -> {}     writes network.onnx and network.safetensors (see export.py)
{"work": "logits", "folder": ..., "images": [...]} -> {"logits": [...]}     of the network exported there
{"work": "exit"} or the end of stdin ends the process. Anything wrong -> {"error": ...}.

Peak memory is that of the process since it began, so a clean figure needs a process per (work, format).
"""

from __future__ import annotations

import contextlib
import json
import resource
import sys
from pathlib import Path
from time import perf_counter, perf_counter_ns
from typing import Callable

import torch
import torch.nn.functional as F

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scripts" / "parity"))

import safetensors_file  # noqa: E402
from architect import Search  # noqa: E402
from reference import DARTS_V2, DropPath, NetworkCIFAR, Supernet, evaluation_loss  # noqa: E402

FORMATS = {"default": torch.contiguous_format, "channels_last": torch.channels_last}
DROP_PATH_PROB = 0.2 * 0.5  # half-way through the training
SHARE = 4  # K of PC-DARTS on CIFAR-10
TEMPERATURE = 10.0  # GDAS' at the beginning of its search

Step = Callable[[], float]


def images_and_labels(batch: int, memory_format: torch.memory_format, seed: int):
    generator = torch.Generator().manual_seed(seed)
    images = torch.randn(batch, 3, 32, 32, generator=generator).contiguous(memory_format=memory_format)
    return images, torch.randint(10, (batch,), generator=generator)


def search_of(request: dict, memory_format: torch.memory_format, share=1) -> Search:
    """With partial channels (`share` > 1) betas follow the alphas."""
    net = Supernet(channels=request.get("channels", 16), cells=request.get("cells", 8), share=share)
    shapes = [net.alpha_shape] * 2 + ([net.alpha_shape[:1]] * 2 if share > 1 else [])
    architecture = [(1e-3 * torch.randn(shape)).requires_grad_() for shape in shapes]
    return Search(net.to(memory_format=memory_format).train(), architecture)


def supernet_step(request: dict, memory_format: torch.memory_format) -> Step:
    """Forward and backward; gradients of weights, alphas and, in PC-DARTS, betas."""
    partial = request["work"] == "pc-darts-step"
    search = search_of(request, memory_format, SHARE if partial else 1)
    images, labels = images_and_labels(request.get("batch", 256 if partial else 64), memory_format, 1)
    inputs = [*search.net.parameters(), *search.alphas]

    def step() -> float:
        loss = F.cross_entropy(search.net(images, *search.alphas), labels)
        grads = torch.autograd.grad(loss, inputs)
        return loss.item() + grads[-1].sum().item()

    return step


def gdas_step(request: dict, memory_format: torch.memory_format) -> Step:
    """One operation an edge, chosen by noise that takes turns: eight steps have all on every edge."""
    search = search_of(request, memory_format)
    images, labels = images_and_labels(request.get("batch", 64), memory_format, 1)
    inputs = [*search.net.parameters(), *search.alphas]
    edges, operations = search.net.alpha_shape
    turn = 0

    def sample(i: int) -> tuple:
        chosen = [(5 * edge + 3 * i + turn) % operations for edge in range(edges)]
        one_hot = F.one_hot(torch.tensor(chosen), operations).float()
        soft = ((search.alphas[i].log_softmax(-1) + 5 * one_hot) / TEMPERATURE).softmax(-1)
        return one_hot - soft.detach() + soft, None, chosen

    def step() -> float:
        nonlocal turn
        loss = F.cross_entropy(search.net.mixed(images, sample(0), sample(1)), labels)
        turn += 1
        # Operations that were not chosen have no gradient.
        grads = torch.autograd.grad(loss, inputs, allow_unused=True)
        return loss.item() + grads[-1].sum().item()

    return step


def search_step(request: dict, memory_format: torch.memory_format) -> Step:
    """The alpha step on one batch, then the weight step on another; in PC-DARTS betas move with the alphas."""
    partial = request["work"] == "pc-darts-search-step"
    search = search_of(request, memory_format, SHARE if partial else 1)
    train, valid = (
        images_and_labels(request.get("batch", 256 if partial else 64), memory_format, seed) for seed in (1, 2)
    )
    second = request["work"] == "second-order-step"

    def step() -> float:
        search.arch_step((search.second_order(train, valid) if second else search.first_order(valid))[0])
        return search.weight_step(train)["train_loss"].item()

    return step


def evaluation_step(request: dict, memory_format: torch.memory_format) -> Step:
    """A training step of DARTS_V2 with auxiliary head and drop-path."""
    net = NetworkCIFAR(DARTS_V2, request.get("channels", 36), request.get("cells", 20))
    net.to(memory_format=memory_format).train()
    images, labels = images_and_labels(request.get("batch", 96), memory_format, 1)
    optimizer = torch.optim.SGD(net.parameters(), 0.025, momentum=0.9, weight_decay=3e-4)

    def step() -> float:
        optimizer.zero_grad()
        loss = evaluation_loss(*net(images, DropPath(DROP_PATH_PROB)), labels)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 5.0)
        optimizer.step()
        return loss.item()

    return step


def network(request: dict, memory_format: torch.memory_format) -> NetworkCIFAR:
    """DARTS_V2 with running statistics."""
    net = NetworkCIFAR(DARTS_V2, request.get("channels", 36), request.get("cells", 20))
    if "folder" in request:
        arrays, _ = safetensors_file.load(Path(request["folder"]) / "network.safetensors")
        net.load_state_dict({name: torch.tensor(array) for name, array in arrays.items()})
    return net.to(memory_format=memory_format).eval()


def inference(request: dict, memory_format: torch.memory_format) -> Step:
    """The network without gradients."""
    net = network(request, memory_format)
    batch = request.get("batch", int(request["work"].split("-")[1]))
    images, _ = images_and_labels(batch, memory_format, 1)

    def step() -> float:
        with torch.inference_mode():
            return net(images)[0].sum().item()

    return step


WORKS = {
    "supernet-step": supernet_step,
    "first-order-step": search_step,
    "second-order-step": search_step,
    "pc-darts-step": supernet_step,
    "pc-darts-search-step": search_step,
    "gdas-step": gdas_step,
    "evaluation-step": evaluation_step,
    "inference-1": inference,
    "inference-128": inference,
}


def logits(request: dict) -> list[float]:
    images = torch.tensor(request["images"]).view(-1, 3, 32, 32)
    with torch.inference_mode():
        return network(request, torch.contiguous_format)(images)[0].flatten().tolist()


def call_overhead(n: int) -> dict[str, dict[str, float]]:
    """Nanoseconds of one torch.add and torch.relu of small tensors, without gradients; freeing the result included."""
    answers: dict[str, dict[str, float]] = {"add": {}, "relu": {}}
    with torch.no_grad():
        for name, shape in (("1", (1,)), ("4x4", (4, 4))):
            a, b, add, relu = torch.ones(shape), torch.ones(shape), torch.add, torch.relu
            for _ in range(n // 10):
                add(a, b), relu(a)
            start = perf_counter_ns()
            for _ in range(n):
                add(a, b)
            answers["add"][name] = (perf_counter_ns() - start) / n
            start = perf_counter_ns()
            for _ in range(n):
                relu(a)
            answers["relu"][name] = (perf_counter_ns() - start) / n
    return answers


def peak_megabytes() -> float:
    """VmHWM where there is one: ru_maxrss of a child counts what its parent had at the fork."""
    try:
        status = Path("/proc/self/status").read_text()
        return int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1]) / 1024
    except (OSError, StopIteration):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 1024)


class Peer:
    def __init__(self):
        self.steps: dict[str, Step] = {}

    def answer(self, request: dict) -> dict:
        work = request.get("work")
        threads = request.get("threads", torch.get_num_threads())
        if threads != torch.get_num_threads():
            torch.set_num_threads(threads)
        if work == "version":
            return {"torch": torch.__version__, "threads": torch.get_num_threads()}
        if work == "call":
            return {"ns": call_overhead(request.get("n", 100_000))}
        if work == "export":
            from export import export  # needs onnx and onnxscript

            with contextlib.redirect_stdout(sys.stderr):
                export(Path(request["folder"]))
            return {}
        if work == "logits":
            return {"logits": logits(request)}
        if work not in WORKS:
            raise ValueError(f"unknown work {work!r}; known: {', '.join([*WORKS, 'call', 'export', 'logits', 'version', 'exit'])}")
        if request.get("format", "default") not in FORMATS:
            raise ValueError(f"unknown format {request['format']!r}; known: {', '.join(FORMATS)}")
        key = json.dumps({name: value for name, value in request.items() if name != "threads"}, sort_keys=True)
        if key not in self.steps:
            torch.manual_seed(0)
            self.steps[key] = WORKS[work](request, FORMATS[request.get("format", "default")])
        start = perf_counter()
        loss = self.steps[key]()
        ms = (perf_counter() - start) * 1e3
        if loss != loss:
            raise ArithmeticError("the loss is NaN")
        return {"ms": ms, "peakMB": peak_megabytes()}


def main() -> None:
    peer = Peer()
    for line in sys.stdin:
        if not line.strip():
            continue
        try:
            request = json.loads(line)
            if request.get("work") == "exit":
                return
            answer = peer.answer(request)
        except Exception as error:  # the runner decides what to do about it
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
