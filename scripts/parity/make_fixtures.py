"""Writes test/fixtures: inputs, weights and what PyTorch answers, in float64. Rerunning gives the same bytes."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import torch

import layer_cases
import method_cases
import nas_bench_cases
import network_cases
import optim_cases
import safetensors_file
import search_cases

FIXTURES = Path(__file__).resolve().parents[2] / "test" / "fixtures"

MAKERS = {
    "operations": layer_cases.operations,
    "layers": layer_cases.layers,
    "optim": optim_cases.optim,
    "supernet": search_cases.supernet,
    "partial-channels": search_cases.partial,
    "methods": method_cases.methods,
    "sampled": search_cases.sampled,
    "unrolled-double-backward": search_cases.double_backward,
    "network": network_cases.network,
    "nas-bench-201": nas_bench_cases.nas_bench,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=FIXTURES)
    parser.add_argument("only", nargs="*", help=f"of {', '.join(MAKERS)}, names; all when left out")
    args = parser.parse_args()
    torch.set_num_threads(1)  # the order of a sum depends on the number of threads
    torch.set_default_dtype(torch.float64)
    args.out.mkdir(parents=True, exist_ok=True)

    for name in args.only or [*MAKERS, "names"]:
        if name == "names":
            (args.out / "supernet-names.json").write_text(one_line_each(network_cases.state_names()))
            continue
        tensors, metadata = MAKERS[name]()
        texts = {key: value if isinstance(value, str) else json.dumps(value) for key, value in metadata.items()}
        arrays = {key: as_array(value) for key, value in tensors.items()}
        safetensors_file.save(
            args.out / f"{name}.safetensors", arrays, {"torch": torch.__version__.split("+")[0], **texts}
        )

    files = sorted(p for p in args.out.iterdir() if p.suffix in (".safetensors", ".json"))
    for path in files:
        print(f"{path.name:40} {path.stat().st_size:>10,} bytes")
    print(f"{'total':40} {sum(p.stat().st_size for p in files):>10,} bytes")


def as_array(value: torch.Tensor) -> np.ndarray:
    return value.detach().contiguous().numpy()


def one_line_each(lists: dict[str, list]) -> str:
    """JSON with one [name, shape] a line."""
    blocks = []
    for key, rows in lists.items():
        lines = ",\n".join(json.dumps(row, separators=(",", ":")) for row in rows)
        blocks.append(f"{json.dumps(key)}: [\n{lines}\n]")
    return "{\n" + ",\n".join(blocks) + "\n}\n"


if __name__ == "__main__":
    main()
