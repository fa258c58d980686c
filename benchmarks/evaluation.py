"""Seconds to evaluate one network on the 75 corrupted sets, corruption included.

    python benchmarks/evaluation.py [--out FILE] [--model preact_resnet18] [--images 10000]
                                    [--device cuda] [--precision bf16] [--rounds 3]
    python benchmarks/evaluation.py --folder DIR [--workers 2] [--images 200] [--batch-size 50]

The images are those of fashion-mini, repeated: their content does not affect the time. Each round
times `evaluate_corruptions`, then the 75 corruptions alone in the same chunks, then the forward
passes alone over the same number of batches. We report medians. The whole exceeds the sum of the
two parts by the measures, the checks and the overhead of calls.

With `--folder`, folders of pictures instead: decoding and resizing to 224 pixels by `ImageFolder`
and by a DataLoader of Pillow pictures with as many workers; then `evaluate` of EfficientNet-Lite0,
which streams them, and its forward passes alone on pixels in memory.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from clock import timed
from torch.utils.data import DataLoader, Dataset

from nmlib import CORRUPTIONS, build_model, corrupt, evaluate, evaluate_corruptions, load, predict
from nmlib._files import write_json
from nmlib.data.image_folder import ImageFolder, Preparation
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


class PillowPictures(Dataset):
    """What a Dataset of one's own would do: open, convert, resize, crop."""

    def __init__(self, files: list[Path]) -> None:
        self.files = files

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, row: int) -> torch.Tensor:
        from PIL import Image

        with Image.open(self.files[row]) as file:
            picture = file.convert("RGB")
        scale = 256 / min(picture.size)
        size = (round(picture.width * scale), round(picture.height * scale))
        picture = picture.resize(size, Image.Resampling.BILINEAR)
        left, top = (size[0] - 224) // 2, (size[1] - 224) // 2
        return torch.from_numpy(np.array(picture.crop((left, top, left + 224, top + 224))))


def streaming(options: argparse.Namespace) -> dict[str, Any]:
    """Return milliseconds per picture and the ratios of pairs that ran one after the other."""
    from imagenet import network

    torch.set_num_threads(options.workers)
    classes = sorted(entry.name for entry in options.folder.iterdir())
    data = ImageFolder(options.folder, classes, Preparation(), workers=options.workers)
    data = data.first(min(len(data), options.images))
    ((pixels, _),) = data.parts(len(data))
    files = PillowPictures([options.folder / name for name in data.names])
    model, *_ = network()
    size = options.batch_size
    parts: dict[str, Callable[[], object]] = {
        "decode": lambda: list(data.parts(size)),
        "dataloader": lambda: list(DataLoader(files, size, num_workers=options.workers)),
        "evaluate": lambda: evaluate(model, data, batch_size=size),
        "forward": lambda: predict(model, pixels, batch_size=size),
    }
    wall: dict[str, list[float]] = {name: [] for name in parts}
    cpu: dict[str, list[float]] = {name: [] for name in parts}
    for number in range(-1, options.rounds):  # the first is a warm-up
        for name, work in parts.items():
            before = os.times()
            seconds = timed(work)[0]
            spent = sum(b - a for a, b in zip(before[:4], os.times()[:4], strict=True))
            if number >= 0:
                wall[name].append(round(seconds / len(data) * 1e3, 2))
                cpu[name].append(round(spent / len(data) * 1e3, 2))
        print({name: (wall[name][-1:], cpu[name][-1:]) for name in parts}, flush=True)

    def ratio(times: dict[str, list[float]], a: str, b: str) -> list[float]:
        return sorted(round(x / y, 3) for x, y in zip(times[a], times[b], strict=True))

    return {
        "wall_ms": wall,
        "cpu_ms": cpu,
        "dataloader/decode": {
            k: ratio(t, "dataloader", "decode") for k, t in (("wall", wall), ("cpu", cpu))
        },
        "forward/evaluate": {
            k: ratio(t, "forward", "evaluate") for k, t in (("wall", wall), ("cpu", cpu))
        },
        "peak_memory_mib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
        **provenance(
            pictures=len(data), workers=options.workers, batch_size=size, rounds=options.rounds,
            model="efficientnet_lite0", note=options.note,
        ),
    }  # fmt: skip


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--model", default="preact_resnet18")
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--folder", type=Path, help="pictures in one folder a class")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--batch-size", type=int, default=500)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--precision", default="fp32")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--note", default="")
    options = parser.parse_args()
    if options.folder:
        found = streaming(options)
        print({k: v for k, v in found.items() if k != "provenance"})
        if options.out:
            write_json(options.out, found)
        return
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
