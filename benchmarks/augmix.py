"""Speed of AugMix on tensors against loops over Pillow images, in one run on one machine.

    python benchmarks/augmix.py [--out FILE] [--device cuda] [--rounds 9]

A view is one augmented picture of 32 x 32 pixels: three chains of one to three operations and the
mixture (severity 3). nmlib makes two views of each image in a batch. The peers loop over images:

- pillow: the published way, written here from its description. Pillow applies the operations; each
  chain becomes a normalised float tensor, and the tensors are mixed. One core.
- timm: its AugMix transform with default operations, which include four of colour. It returns a
  Pillow image (no tensor, no normalisation). One core. We load only the one file of timm that we
  need, because the whole package wants torchvision; `pip install --no-deps timm` is enough, and
  with its dependencies it may bring another torch.

The parts of a round take turns. CPU time compares the work core for core and depends less on other
load; wall time is what a user waits for. We report medians over rounds; for ratios, the median of
each round's ratio.
"""

from __future__ import annotations

import argparse
import functools
import importlib.metadata
import importlib.util
import os
import random
import statistics
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
from clock import timed
from PIL import Image, ImageOps

from nmlib import AugMix, Rng, load
from nmlib._files import write_json
from nmlib.provenance import provenance
from nmlib.views import OPERATIONS

SIDE = 32


# -- the peers ------------------------------------------------------------------------------------


def with_pillow(image: Image.Image, name: str, value: float) -> Image.Image:
    """Apply one operation."""
    if name == "autocontrast":
        return ImageOps.autocontrast(image)
    if name == "equalize":
        return ImageOps.equalize(image)
    if name == "posterize":
        return ImageOps.posterize(image, int(value))
    if name == "solarize":
        return ImageOps.solarize(image, int(value))
    if name == "rotate":
        return image.rotate(value, resample=Image.Resampling.BILINEAR)
    six = {
        "shear_x": (1, value, 0, 0, 1, 0),
        "shear_y": (1, 0, 0, value, 1, 0),
        "translate_x": (1, 0, value, 0, 1, 0),
        "translate_y": (1, 0, 0, 0, 1, value),
    }[name]
    how = Image.Transform.AFFINE
    return image.transform(image.size, how, six, resample=Image.Resampling.BILINEAR)


def normalised(image: Image.Image) -> torch.Tensor:
    """Return the (3, H, W) tensor that the network takes."""
    pixels = torch.from_numpy(np.array(image)).permute(2, 0, 1).contiguous()
    return pixels.to(torch.float32).div_(255).sub_(0.5).div_(0.5)


def parameter(name: str, level: float, sign: int) -> float:
    """Convert a level to Pillow's parameter."""
    if name == "posterize":
        return 4 - int(level * 4 / 10)
    if name == "solarize":
        return 256 - int(level * 256 / 10)
    if name == "rotate":
        return sign * int(level * 30 / 10)
    if name.startswith("shear"):
        return sign * level * 0.3 / 10
    return sign * int(level * (SIDE / 3) / 10)


def pillow_view(image: Image.Image, draws: np.random.RandomState) -> torch.Tensor:
    """Return one AugMix view, all draws included."""
    weights = np.float32(draws.dirichlet([1, 1, 1]))
    m = np.float32(draws.beta(1, 1))
    clean = normalised(image)
    mixed = torch.zeros_like(clean)
    for weight in weights:
        chain = image
        for _ in range(draws.randint(1, 4)):
            name = OPERATIONS[draws.randint(len(OPERATIONS))]
            level = draws.uniform(0.1, 3)
            sign = 1 if draws.uniform() > 0.5 else -1
            chain = with_pillow(chain, name, parameter(name, level, sign))
        mixed += weight * normalised(chain)
    return (1 - m) * clean + m * mixed


def timm_file() -> ModuleType | None:
    """Return timm's module of augmentations without importing the package around it."""
    spec = importlib.util.find_spec("timm")
    if spec is None or not spec.submodule_search_locations:
        return None
    path = Path(spec.submodule_search_locations[0]) / "data" / "auto_augment.py"
    alone = importlib.util.spec_from_file_location("timm_auto_augment", path)
    if alone is None or alone.loader is None:
        return None
    module = importlib.util.module_from_spec(alone)
    try:
        alone.loader.exec_module(module)
    except (ImportError, OSError):
        return None
    return module


# -- measuring ------------------------------------------------------------------------------------


def compare(images: torch.Tensor, batch: int, rounds: int) -> dict[str, Any]:
    """Return views per second of nmlib and its peers, and the median ratios."""
    x = images[:batch].permute(0, 3, 1, 2).contiguous().float() / 255
    pictures = [Image.fromarray(i) for i in images[:256].numpy()]
    maker, draws = AugMix(), np.random.RandomState(0)
    repeats = max(1, 2048 // (2 * batch))
    step = iter(range(10**9))

    def ours() -> None:
        for _ in range(repeats):
            maker.make(x, None, None, Rng(0).fold(next(step)))

    def pillow() -> None:
        for picture in pictures:
            pillow_view(picture, draws)

    sides: dict[str, tuple[Callable[[], None], int]] = {
        "ours": (ours, 2 * batch * repeats),
        "pillow": (pillow, len(pictures)),
    }
    peer = timm_file()
    if peer is not None:
        # timm draws from the global random sources.
        random.seed(0)
        np.random.seed(0)  # noqa: NPY002
        transform = peer.augment_and_mix_transform("augmix-m3-w3", {"translate_const": SIDE // 3})

        def timm() -> None:
            for picture in pictures:
                transform(picture)

        sides["timm"] = (timm, len(pictures))
    for work, _ in sides.values():
        work()
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in sides}
    loads = []
    for _ in range(rounds):
        for name, (work, views) in sides.items():
            wall, cpu = timed(work)
            found[name].append((views / wall, views / cpu))
        loads.append(os.getloadavg()[0])
    result: dict[str, Any] = {"batch": batch, "threads": torch.get_num_threads()}
    for name, rates in found.items():
        result[name] = {
            "views_per_second": round(statistics.median(r[0] for r in rates)),
            "views_per_cpu_second": round(statistics.median(r[1] for r in rates)),
            "highest_views_per_second": round(max(r[0] for r in rates)),
        }
    for name in found:
        if name != "ours":
            for k, unit in enumerate(("wall", "cpu")):
                ratios = [a[k] / b[k] for a, b in zip(found["ours"], found[name], strict=True)]
                result[f"times_{name}_{unit}"] = round(statistics.median(ratios), 1)
    if peer is None:
        result["timm"] = "not installed, left out"
    result["load_average"] = [round(min(loads), 1), round(max(loads), 1)]
    return result


def make_views(x: torch.Tensor, repeats: int, round: int) -> None:
    """Make the views of a batch several times, with new draws each time."""
    for i in range(repeats):
        AugMix().make(x, None, None, Rng(0).fold(round, i))


def on_device(images: torch.Tensor, device: str, rounds: int) -> list[dict[str, float]]:
    """Return views per second on an accelerator at several batch sizes."""
    rows = []
    for batch in (128, 512, 2048, 8192):
        whole = images.repeat(-(-batch // len(images)), 1, 1, 1)[:batch]
        x = (whole.permute(0, 3, 1, 2).contiguous().float() / 255).to(device)
        repeats = max(2, 16384 // batch)
        works = [functools.partial(make_views, x, repeats, k) for k in range(rounds + 1)]
        walls = [timed(work, device)[0] for work in works]
        seconds = statistics.median(walls[1:]) / repeats
        row = {
            "batch": batch,
            "views_per_second": round(2 * batch / seconds),
            "milliseconds_a_batch": round(1000 * seconds, 3),
        }
        print(row, flush=True)
        rows.append(row)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--device")
    parser.add_argument("--note", default="")
    options = parser.parse_args()
    data = load("fashion-mini", "train")
    try:
        peer = importlib.metadata.version("timm")
    except importlib.metadata.PackageNotFoundError:
        peer = "not installed"
    result: dict[str, Any] = provenance(
        data=f"{data.label}, {SIDE} pixels",
        pillow=importlib.metadata.version("pillow"),
        timm=peer,
        rounds=options.rounds,
        note=options.note,
    )
    if options.device:
        result["accelerator"] = {
            "device": options.device,
            "name": torch.cuda.get_device_name() if options.device.startswith("cuda") else "",
            "rows": on_device(data.images, options.device, options.rounds),
        }
    else:
        every = torch.get_num_threads()
        result["rows"] = []
        for threads in sorted({1, every}):
            torch.set_num_threads(threads)
            for batch in (128, 512):
                row = compare(data.images, batch, options.rounds)
                print(row, flush=True)
                result["rows"].append(row)
        torch.set_num_threads(every)
    if options.out:
        write_json(options.out, result)


if __name__ == "__main__":
    main()
