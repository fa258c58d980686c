"""`nmlib corrupt`: a data set in the layout of CIFAR-10-C or ImageNet-C."""

from __future__ import annotations

import argparse
import os
from typing import Any

from nmlib._files import open_array, path_option, user_path
from nmlib.cli import imagenet
from nmlib.cli._options import add_corruptions, add_data, add_device, add_quiet, corruption_names


def add(commands: argparse._SubParsersAction) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "corrupt",
        help="write a corrupted data set in the layout of CIFAR-10-C or ImageNet-C",
        description="Write NAME.npy for every corruption, the five severities one after the other, "
        "and labels.npy; for imagenet NAME/SEVERITY/CLASS/FILE.JPEG. Interrupted, the same command "
        "goes on where it stopped.",
    )
    parser.add_argument(
        "--dataset",
        required=True,
        help="cifar10, cifar100, fashion-mini or imagenet, or a .npy file of uint8 images "
        "(N, H, W, 3)",
    )
    parser.add_argument(
        "--labels", type=path_option, metavar="FILE",
        help="a .npy file with the labels of such images, written beside the sets; for flat "
        "images of imagenet a text file",
    )  # fmt: skip
    parser.add_argument("--out", required=True, type=path_option, help="folder for the files")
    parser.add_argument("--split", default="test", choices=("train", "test"))
    add_data(parser)
    parser.add_argument("--benchmark", default="cifar", choices=("cifar", "imagenet"))
    add_corruptions(parser)
    add_device(parser, "cpu", "cpu")
    add_quiet(parser)
    imagenet.add_folder(parser.add_argument_group("--dataset imagenet"))
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    if options.dataset == "imagenet":
        return imagenet.run_corrupt(options)
    from nmlib import _checks
    from nmlib._progress import reporter
    from nmlib.corruptions import read_frost_photographs
    from nmlib.data.corrupted import write_corrupted_set

    names = corruption_names(options.corruptions)
    severities = _checks.as_tuple(options.severities)
    for severity in severities:
        if severity not in (1, 2, 3, 4, 5):
            raise ValueError(f"severity must be an integer from 1 to 5, got {severity}")
    images, labels, source = _images(options)
    if options.limit is not None:
        images = images[: options.limit]
        labels = labels[: options.limit] if labels is not None else None
        source += f" first {options.limit}"
    frost = read_frost_photographs(options.frost) if options.frost else None
    total = len(names) * len(severities) * len(images)
    report, close = reporter(not options.quiet, total)
    try:
        write_corrupted_set(
            images,
            labels,
            options.out,
            names=names,
            severities=severities,
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


def _images(options: argparse.Namespace) -> tuple[Any, Any, str]:
    """Return images, labels or None, and what to call them: of a data set or of a file."""
    from nmlib import _checks
    from nmlib.data.images import DATASETS, load

    path = user_path(options.dataset)
    is_file = path.suffix or os.sep in options.dataset or path.is_file()
    if options.dataset in DATASETS or not is_file:
        _checks.choice("data set", options.dataset, DATASETS)
        if options.labels is not None:
            raise ValueError(f"{options.dataset} has labels of its own; leave out --labels")
        data = load(options.dataset, options.split, root=options.root, download=options.download)
        return data.images, data.labels, f"{data.label} {data.fingerprint}"
    remedy = "write it anew with numpy.save"
    images = open_array(path, remedy)
    labels = None if options.labels is None else open_array(options.labels, remedy)
    return images, labels, f"{path.name} {images.shape}"
