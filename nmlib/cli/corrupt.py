"""`nmlib corrupt`: a data set in the layout of CIFAR-10-C."""

from __future__ import annotations

import argparse
from pathlib import Path

from nmlib.cli._options import add_corruptions, add_data, add_device, add_quiet, corruption_names


def add(commands: argparse._SubParsersAction) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "corrupt",
        help="write a corrupted data set in the layout of CIFAR-10-C",
        description="Write NAME.npy for every corruption, the five severities one after the other, "
        "and labels.npy. Interrupted, the same command goes on where it stopped.",
    )
    parser.add_argument(
        "--dataset",
        required=True,
        help="cifar10, cifar100 or fashion-mini, or a .npy file of uint8 images (N, H, W, 3)",
    )
    parser.add_argument("--out", required=True, type=Path, help="folder for the files")
    parser.add_argument("--split", default="test", choices=("train", "test"))
    add_data(parser)
    parser.add_argument("--benchmark", default="cifar", choices=("cifar", "imagenet"))
    add_corruptions(parser)
    add_device(parser, "cpu", "cpu")
    add_quiet(parser)
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    import numpy as np

    from nmlib import _checks
    from nmlib._progress import reporter
    from nmlib.corruptions import read_frost_photographs
    from nmlib.data.corrupted import write_corrupted_set
    from nmlib.data.images import DATASETS, load

    names = corruption_names(options.corruptions)
    for severity in options.severities:
        if severity not in (1, 2, 3, 4, 5):
            raise ValueError(f"severity must be an integer from 1 to 5, got {severity}")
    labels = None
    if options.dataset.endswith(".npy"):
        images = np.load(options.dataset, mmap_mode="r", allow_pickle=False)
        source = f"{Path(options.dataset).name} {images.shape}"
    else:
        _checks.choice("data set", options.dataset, DATASETS)
        data = load(options.dataset, options.split, root=options.root, download=options.download)
        images, labels, source = data.images, data.labels, f"{data.label} {data.fingerprint}"
    if options.limit is not None:
        if options.limit < 1:
            raise ValueError(f"--limit must be at least 1, got {options.limit}")
        images = images[: options.limit]
        labels = labels[: options.limit] if labels is not None else None
        source += f" first {options.limit}"
    frost = read_frost_photographs(options.frost) if options.frost else None
    total = len(names) * len(options.severities) * len(images)
    report, close = reporter(not options.quiet, total)
    try:
        write_corrupted_set(
            images,
            labels,
            options.out,
            names=names,
            severities=options.severities,
            benchmark=options.benchmark,
            seed=options.seed,
            frost=frost,
            source=source,
            device=options.device,
            progress=report,
        )
    finally:
        close()
    print(f"{len(names)} corruptions of {source} in {options.out}")
    return 0
