"""`nmlib evaluate`: a network on clean, corrupted and perturbed images."""

from __future__ import annotations

import argparse
import sys

from nmlib._files import path_option, write_text
from nmlib.cli import imagenet
from nmlib.cli._options import (
    add_corruptions,
    add_data,
    add_device,
    add_label,
    add_quiet,
    at_least,
    corruption_names,
)
from nmlib.cli._stored import is_own, stored_model, trained_on


def add(commands: argparse._SubParsersAction) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "evaluate",
        help="measure a network on clean, corrupted and perturbed images",
        description="Print accuracy and calibration; write clean.npz, corruptions.json and "
        "perturbations.json. Interrupted, the same command goes on where it stopped.",
    )
    parser.add_argument(
        "--checkpoint",
        required=True,
        type=path_option,
        help="folder of `nmlib train --out`, one of its checkpoints, or a file with a state dict; "
        "for imagenet also a name (noisymix, augmix, ...), timm:NAME or torchvision:NAME",
    )
    parser.add_argument(
        "--dataset",
        help="fashion-mini, cifar10, cifar100 or imagenet; default: what the run was trained on",
    )
    parser.add_argument("--out", required=True, type=path_option, help="folder for the results")
    parser.add_argument("--model", help="network of a plain state dict, e.g. wrn28_4")
    parser.add_argument("--scheme", help="what to call the scheme; default: the run's")
    parser.add_argument("--split", default="test", choices=("train", "test"))
    add_corruptions(parser)
    parser.add_argument(
        "--files",
        type=path_option,
        metavar="FOLDER",
        help="official -C files, instead of making them",
    )
    parser.add_argument(
        "--unverified", action="store_true", help="--files are not the official ones"
    )
    parser.add_argument(
        "--perturbations", nargs="*", metavar="NAME", help="also flips; no name: all ten sequences"
    )
    parser.add_argument(
        "--claim",
        choices=("robustbench", "openood"),
        help="also write claim-NAME.md, what this leaderboard's issue form asks for",
    )
    parser.add_argument(
        "--batch-size",
        type=at_least(1),
        help="default: 500; for imagenet 32 on a CPU, 128 elsewhere",
    )
    parser.add_argument("--precision", default="fp32", help="fp32, bf16 or fp16 (by autocast)")
    add_data(parser)
    add_label(parser)
    add_device(parser, None, "the accelerator, if any")
    add_quiet(parser)
    imagenet.add_evaluate(parser)
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    if options.dataset == "imagenet":
        own = options.checkpoint.is_dir() or is_own(options.checkpoint)
        stored = stored_model(options.checkpoint, options.model, 1000) if own else None
        return imagenet.run_evaluate(options, stored)
    import torch

    from nmlib import _checks
    from nmlib.corruptions import PERTURBATIONS, read_frost_photographs
    from nmlib.data.images import DATASETS, load
    from nmlib.evaluation import evaluate_corruptions, evaluate_perturbations
    from nmlib.rng import default_device

    dataset = options.dataset or trained_on(options.checkpoint)
    _checks.choice("data set", dataset, (*DATASETS, "imagenet"))
    names = corruption_names(options.corruptions)
    sequences = options.perturbations
    for name in sequences or ():
        _checks.choice("perturbation", name, PERTURBATIONS)
    data = load(
        dataset, options.split, root=options.root, download=options.download,
        label=options.label,
    )  # fmt: skip
    if options.limit is not None:
        data = data.first(options.limit)
    model, key = stored_model(options.checkpoint, options.model, len(data.classes))
    if options.scheme is not None:
        if key["scheme"] not in (None, options.scheme):
            raise ValueError(
                f"{options.checkpoint} was trained with scheme {key['scheme']!r}, not "
                f"{options.scheme!r}; leave out --scheme"
            )
        key["scheme"] = options.scheme
    shared = {
        "seed": options.seed, "batch_size": options.batch_size or 500,
        "precision": options.precision,
        "device": options.device or default_device(), "key": key, "out": options.out,
        "progress": not options.quiet,
    }  # fmt: skip
    try:
        report = evaluate_corruptions(
            model, data, corruptions=names, severities=options.severities, folder=options.files,
            verify=not options.unverified, **shared,
            frost=read_frost_photographs(options.frost) if options.frost else None,
        )  # fmt: skip
        print(report.table())
        print(report.summary)
        for images, measures in report.calibration.items():
            words = [f"{k.replace('_', ' ')} {v:.4f}" for k, v in measures.items() if v is not None]
            if words:
                print(f"{images}: {', '.join(words)}")
        if sequences is not None:
            flips = evaluate_perturbations(
                model, data, perturbations=sequences or PERTURBATIONS, **shared
            )
            print(flips.table())
            print(flips.summary)
    except torch.OutOfMemoryError as error:
        print(f"nmlib evaluate: {error}", file=sys.stderr)
        return 1
    if options.claim:
        write_text(options.out / f"claim-{options.claim}.md", report.claim(options.claim) + "\n")
    print(f"results in {options.out}")
    return 0
