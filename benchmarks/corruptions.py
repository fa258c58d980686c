"""Speed of the corruptions against imagecorruptions-imaug, in one run on one machine.

    python benchmarks/corruptions.py [--out FILE] [--set] [--device cuda]

Both sides corrupt the same images at severity 3. Wall time is what a user waits for: nmlib uses all
CPUs from one process, the package uses one. CPU time compares the work core for core and depends
less on other load. `--set` also times the 75 sets of CIFAR-10-C from 10,000 images, without writing
them. The two sides take turns; we report medians.
"""

from __future__ import annotations

import argparse
import functools
import resource
import statistics
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from clock import timed

from nmlib import CORRUPTIONS, EXTRA_CORRUPTIONS, corrupt, load
from nmlib._files import write_json
from nmlib.data.embedded import sample_photographs
from nmlib.provenance import provenance

SEVERITY = 3


def row(
    name: str, images: np.ndarray, benchmark: Any, theirs: int, rounds: int
) -> dict[str, float]:
    """Return microseconds per image for both sides."""
    import imagecorruptions

    batch = torch.from_numpy(images)

    def ours() -> None:
        corrupt(batch, name, SEVERITY, benchmark=benchmark, seed=1)

    def package() -> None:
        for image in images[:theirs]:
            imagecorruptions.corrupt(image, corruption_name=name, severity=SEVERITY)

    ours()
    package()
    a, b = [], []
    for _ in range(rounds):
        a.append(timed(ours))
        b.append(timed(package))
    wall, cpu = (statistics.median(t[k] for t in a) / len(images) * 1e6 for k in (0, 1))
    other_wall, other_cpu = (statistics.median(t[k] for t in b) / theirs * 1e6 for k in (0, 1))
    return {
        "ours_wall_us": round(wall, 1),
        "ours_cpu_us": round(cpu, 1),
        "package_wall_us": round(other_wall, 1),
        "package_cpu_us": round(other_cpu, 1),
        "times_faster_wall": round(other_wall / wall, 1),
        "times_faster_cpu": round(other_cpu / cpu, 1),
    }


def total(rows: dict[str, dict[str, float]]) -> dict[str, float]:
    """Add up the benchmark's 15 corruptions."""
    sums = {
        k: round(sum(rows[n][k] for n in CORRUPTIONS), 1) for k in rows["fog"] if k.endswith("_us")
    }
    sums["times_faster_wall"] = round(sums["package_wall_us"] / sums["ours_wall_us"], 1)
    sums["times_faster_cpu"] = round(sums["package_cpu_us"] / sums["ours_cpu_us"], 1)
    return sums


def compare(rounds: int) -> dict[str, Any]:
    """Return the tables for 32 and 224 pixels."""
    small = load("fashion-mini", "train").images[:1024].numpy()
    large = torch.stack([p for p in sample_photographs().values() for _ in range(16)]).numpy()
    tables: dict[str, Any] = {}
    for key, images, benchmark, theirs in (
        ("32", small, "cifar", 8),
        ("224", large, "imagenet", 2),
    ):
        rows = {}
        for name in (*CORRUPTIONS, *EXTRA_CORRUPTIONS):
            rows[name] = row(name, images, benchmark, theirs, rounds)
            print(key, f"{name:18}", rows[name], flush=True)
        tables[key] = {"rows": rows, "sum of the 15": total(rows)}
        print(key, "sum of the 15", tables[key]["sum of the 15"], flush=True)
    return tables


def whole_set() -> dict[str, float]:
    """Time 15 corruptions at 5 severities of 10,000 images."""
    data = load("fashion-mini", "train").images
    images = torch.cat([data, data])[:10_000]
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    def run() -> None:
        for name in CORRUPTIONS:
            for severity in range(1, 6):
                for first in range(0, len(images), 1000):
                    corrupt(images[first : first + 1000], name, severity, first_index=first)

    wall, cpu = timed(run)
    return {
        "images": len(images),
        "sets": 75,
        "wall_s": round(wall, 1),
        "cpu_s": round(cpu, 1),
        "peak_memory_mib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
        "memory_before_mib": round(before / 1024),
    }


def on_device(device: str) -> dict[str, Any]:
    """Return images per second for every corruption on an accelerator, at severity 3."""
    images = load("fashion-mini", "train").images
    images = torch.cat([images] * 4).to(device)

    def three_times(name: str) -> None:
        for _ in range(3):
            corrupt(images, name, SEVERITY)

    rates = {}
    for name in (*CORRUPTIONS, *EXTRA_CORRUPTIONS):
        corrupt(images, name, SEVERITY)
        wall, _ = timed(functools.partial(three_times, name), device)
        rates[name] = round(3 * len(images) / wall)
    mean = statistics.harmonic_mean([rates[n] for n in CORRUPTIONS])
    return {"device": device, "images_per_second": rates, "over the 15": round(mean)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--set", action="store_true")
    parser.add_argument("--device")
    parser.add_argument("--note", default="")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    result: dict[str, Any] = provenance(
        data="fashion-mini at 32 pixels, scikit-learn's two photographs at 224",
        package="imagecorruptions-imaug 1.1.5",
        severity=SEVERITY,
        rounds=options.rounds,
        note=options.note,
    )
    if options.device:
        result["accelerator"] = on_device(options.device)
        print(result["accelerator"])
    else:
        # First, so that the memory peak is that of this work.
        if options.set:
            result["cifar10c"] = whole_set()
            print(result["cifar10c"], flush=True)
        result["pixels"] = compare(options.rounds)
    if options.out:
        write_json(options.out, result)


if __name__ == "__main__":
    main()
