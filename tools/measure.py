"""Measure figures/data again: `python tools/measure.py [NAME ...]`; all of it takes hours.

One line for each file: its name, the command that makes it, and its minutes on two cores. Files
whose names end in `_gpu` are measured only if named. `--speed` selects all speeds, and
`--into FOLDER` writes there instead of figures/data; `make bench` does both.
`tools/make_figures.py` draws the pictures.

Four measurements are missing here, because their data do not come with the project. The grids are
`nmlib reproduce schemes --budget long --seeds 3 --root FOLDER --label NAME --records FILE` (a day;
FILE is figures/data/grid_NAME_long.jsonl), and the same with `--budget laptop`, then with `table4`
(a night; grid_NAME_laptop.jsonl). The second is the public ResNet-20 under the corruptions,
the third a network of ImageNet on photographs (`benchmarks/imagenet.py`, some hours), the fourth
its transfer to CIFAR-10 (`benchmarks/transfer.py`, half an hour).
"""

from __future__ import annotations

import argparse
import shlex
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]

FILES = {
    "toy_speed": ("benchmarks/toy.py --out figures/data/toy_speed.json", 3),
    "explorer_latency": ("benchmarks/explorer.py --out figures/data/explorer_latency.json", 2),
    "explorer_page": ("-m nmlib.lab.toy.explorer.page", 2),
    "toy_screen": ("-m nmlib.lab.toy.study screen --out figures/data/toy_screen.jsonl", 60),
    "toy_final": ("-m nmlib.lab.toy.study final --out figures/data/toy_final.jsonl", 60),
    "theory_ladder": ("benchmarks/theory.py ladder --out figures/data/theory_ladder.json", 5),
    "theory_terms": ("benchmarks/theory.py terms --out figures/data/theory_terms.json", 20),
    "corruptions_speed": (
        "benchmarks/corruptions.py --set --out figures/data/corruptions_speed.json",
        2,
    ),
    "augmix_speed": ("benchmarks/augmix.py --out figures/data/augmix_speed.json", 5),
    "training_speed": (
        "benchmarks/training.py --out figures/data/training_speed.json --rounds 5 "
        "--models preact_resnet_small:128 preact_resnet18:16 wrn28_4:16",
        10,
    ),
}

SPEED = (
    "toy_speed", "explorer_latency", "theory_ladder", "corruptions_speed", "augmix_speed",
    "training_speed",
)  # fmt: skip

# The same on a GPU; run only if named.
ON_GPU = {
    "augmix_speed_gpu": (
        "benchmarks/augmix.py --device cuda --out figures/data/augmix_speed_gpu.json",
        3,
    ),
    "corruptions_speed_gpu": (
        "benchmarks/corruptions.py --device cuda --out figures/data/corruptions_speed_gpu.json",
        2,
    ),
    "evaluation_speed_gpu": (
        "benchmarks/evaluation.py --device cuda --precision bf16 "
        "--out figures/data/evaluation_speed_gpu.json",
        3,
    ),
    "training_speed_gpu": (
        "benchmarks/training.py --device cuda --variants "
        "--models preact_resnet18:128 wrn28_4:128 --out figures/data/training_speed_gpu.json",
        8,
    ),
}


def main() -> None:
    """Run the commands of all files, or of those named."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    every = FILES | ON_GPU
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(every))
    parser.add_argument("--speed", action="store_true", help="measure all speeds")
    parser.add_argument("--into", default="figures/data", metavar="FOLDER", help="output folder")
    options = parser.parse_args()
    names = options.names or list(SPEED if options.speed else FILES)
    unknown = set(names) - set(every)
    if unknown:
        parser.error(f"unknown: {', '.join(sorted(unknown))}; choose from {', '.join(every)}")
    for name in names:
        command, minutes = every[name]
        command = command.replace("figures/data", shlex.quote(options.into))
        print(f"== {name}: {command} (about {minutes} min)", flush=True)
        subprocess.run([sys.executable, *shlex.split(command)], cwd=ROOT, check=True)


if __name__ == "__main__":
    main()
