"""ImageNet in `nmlib evaluate` and `nmlib corrupt`: options, and what they do."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from nmlib._files import path_option
from nmlib.cli._options import at_least, corruption_names

__all__ = ["add_evaluate", "add_folder", "run_corrupt", "run_evaluate"]


def add_folder(parser: argparse._ArgumentGroup) -> None:
    """Add where the pictures are, and how corrupted ones are compressed."""
    parser.add_argument(
        "--data",
        type=path_option,
        metavar="DIR",
        help="folder with val, imagenet-c, imagenet-r, imagenet-p",
    )
    parser.add_argument(
        "--partial", action="store_true", help="folders of some classes may be missing"
    )
    parser.add_argument(
        "--jpeg",
        type=at_least(0),
        default=85,
        metavar="QUALITY",
        help="of generated corruptions; the published files have 85. evaluate: 0 for none",
    )


def add_evaluate(parser: argparse.ArgumentParser) -> None:
    """Add the options of `nmlib evaluate --dataset imagenet`."""
    group = parser.add_argument_group("--dataset imagenet")
    add_folder(group)
    group.add_argument(
        "--sets", default="clean,c,r,p", help="parts of Table 1; default: clean,c,r,p"
    )
    group.add_argument(
        "--labels",
        type=path_option,
        metavar="FILE",
        help="labels of flat validation images: a WordNet id a line",
    )
    group.add_argument(
        "--robustbench", action="store_true", help="only RobustBench's 5,000 validation images"
    )


def _folder(options: argparse.Namespace) -> Any:
    if options.data is None:
        raise ValueError("--dataset imagenet needs --data, the folder of its images")
    return options.data


def run_evaluate(options: argparse.Namespace, stored: tuple[Any, dict[str, Any]] | None) -> int:
    """Measure a network's rows of Tables 1, 6, 11 and 12.

    Args:
        options: Of the command line.
        stored: Network and keys of a run of `nmlib train`; None for a checkpoint of others.
    """
    import torch

    from nmlib.corruptions import PERTURBATIONS, read_frost_photographs
    from nmlib.data.imagenet import CORRUPTED
    from nmlib.evaluation.checkpoints import LoadedNetwork, load_checkpoint
    from nmlib.evaluation.imagenet import evaluate_imagenet
    from nmlib.rng import default_device

    if options.files is not None:
        raise ValueError("link the folder of --files as imagenet-c in --data instead")
    if stored is not None:
        network = LoadedNetwork(stored[0], CORRUPTED, stored[1])
    else:
        name = str(options.checkpoint)
        network = load_checkpoint(name, model=options.model, download=options.download)
        print(network)
    if network.note:
        print(network.note)
    key = network.key | ({"scheme": options.scheme} if options.scheme else {})
    try:
        report = evaluate_imagenet(
            network.model,
            _folder(options),
            sets=options.sets.split(","),
            preparation=network.preparation,
            corruptions=corruption_names(options.corruptions),
            severities=options.severities,
            perturbations=options.perturbations or PERTURBATIONS,
            seed=options.seed,
            frost=read_frost_photographs(options.frost) if options.frost else None,
            jpeg=options.jpeg or None,
            limit=options.limit,
            robustbench=options.robustbench,
            labels=options.labels,
            partial=options.partial,
            batch_size=options.batch_size,
            device=options.device or default_device(),
            precision=options.precision,
            key=key,
            out=options.out,
            progress=not options.quiet,
        )
    except torch.OutOfMemoryError as error:
        print(f"nmlib evaluate: {error}", file=sys.stderr)
        return 1
    print(report.table())
    print(f"results in {options.out}")
    return 0


def run_corrupt(options: argparse.Namespace) -> int:
    """Write corrupted validation images in the layout of ImageNet-C."""
    from nmlib._progress import reporter
    from nmlib.corruptions import read_frost_photographs
    from nmlib.data.corrupted_files import write_corrupted_folder
    from nmlib.data.imagenet import validation_folder
    from nmlib.evaluation.imagenet import imagenet_folders

    names = corruption_names(options.corruptions)
    folders = imagenet_folders(_folder(options))
    if "clean" not in folders:
        raise ValueError(f"{options.data} has no folder val, whose images are corrupted")
    data = validation_folder(folders["clean"], labels=options.labels, partial=options.partial)
    if options.limit is not None:
        data = data.first(min(options.limit, len(data)))
    total = len(names) * len(options.severities) * len(data)
    report, close = reporter(not options.quiet, total)
    try:
        write_corrupted_folder(
            data,
            options.out,
            names=names,
            severities=options.severities,
            seed=options.seed,
            frost=read_frost_photographs(options.frost) if options.frost else None,
            jpeg=options.jpeg,
            device=options.device,
            progress=report,
        )
    finally:
        close()
    print(f"{len(names)} corruptions of {len(data):,} images in {options.out}")
    return 0
