"""Seconds to evaluate one network on the 75 corrupted sets, corruption included.

    python benchmarks/evaluation.py [--out FILE] [--model preact_resnet18] [--images 10000]
                                    [--device cuda] [--precision bf16] [--rounds 3]

The images are those of fashion-mini, repeated: their content does not affect the time. Each round
times `evaluate_corruptions`, then the 75 corruptions alone in the same chunks, then the forward
passes alone over the same number of batches. We report medians. The whole exceeds the sum of the
two parts by the measures, the checks and the overhead of calls.
"""

from __future__ import annotations

import argparse
import resource
import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from clock import timed

from nmlib import CORRUPTIONS, build_model, corrupt, evaluate_corruptions, load, predict
from nmlib._files import write_json
from nmlib.data.images import ImageData
from nmlib.provenance import provenance

SETS = 5 * len(CORRUPTIONS)
CHUNK = 5000


def repeated(count: int, device: torch.device) -> ImageData:
    """Return `count` images of fashion-mini, repeated as often as needed."""
    data = load("fashion-mini", "train")
    index = torch.arange(count) % len(data)
    return ImageData(
        data.name, data.split, data.images[index], data.labels[index], data.classes, data.label, "-"
    ).to(device)


def corruption_alone(data: ImageData) -> None:
    """Make the 75 sets and discard them."""
    for name in CORRUPTIONS:
        for severity in range(1, 6):
            for first in range(0, len(data), CHUNK):
                corrupt(data.images[first : first + CHUNK], name, severity, first_index=first)


def forward_alone(model: torch.nn.Module, data: ImageData, **options: Any) -> None:
    """Predict the clean images once for each of the 75 sets and once for the clean set."""
    for _ in range(SETS + 1):
        predict(model, data, **options)


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--model", default="preact_resnet18")
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--batch-size", type=int, default=500)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--precision", default="fp32")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--note", default="")
    options = parser.parse_args()
    device = torch.device(options.device)
    data = repeated(options.images, device)
    model = build_model(options.model, seed=0).to(device)
    how = {"batch_size": options.batch_size, "precision": options.precision}
    parts: dict[str, Callable[[], object]] = {
        "evaluation": lambda: evaluate_corruptions(model, data, **how),
        "corruption": lambda: corruption_alone(data),
        "forward": lambda: forward_alone(model, data, **how),
    }
    # Warm up: choice of kernels, frost textures, the allocator.
    few = data.first(min(len(data), options.batch_size))
    evaluate_corruptions(model, few, severities=[3], **how)
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in parts}
    for number in range(options.rounds):
        for name, work in parts.items():
            times[name].append(timed(work, device))
            print(f"round {number}, {name}: {times[name][-1][0]:.2f} s", flush=True)
    wall, cpu = (
        {name: round(statistics.median(t[k] for t in taken), 2) for name, taken in times.items()}
        for k in (0, 1)
    )
    whole = wall["evaluation"]
    # On a busy machine CPU time says more; on an accelerator only wall time says anything.
    clock = cpu if device.type == "cpu" else wall
    result = {
        "wall_s": wall,
        "cpu_s": cpu,
        "corruption_share": round(clock["corruption"] / clock["evaluation"], 3),
        "forward_share": round(clock["forward"] / clock["evaluation"], 3),
        "images_per_second": round((SETS + 1) * options.images / whole),
        "all_wall_s": {name: [round(t[0], 2) for t in taken] for name, taken in times.items()},
        "peak_memory_mib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
        **provenance(
            model=options.model,
            images=options.images,
            sets=SETS,
            batch_size=options.batch_size,
            precision=options.precision,
            rounds=options.rounds,
            device=torch.cuda.get_device_name(device) if device.type == "cuda" else str(device),
            note=options.note,
        ),
    }
    if device.type == "cuda":
        result["peak_device_memory_mib"] = round(torch.cuda.max_memory_allocated() / 2**20)
    print({k: v for k, v in result.items() if k != "provenance"})
    if options.out:
        write_json(options.out, result)


if __name__ == "__main__":
    main()
