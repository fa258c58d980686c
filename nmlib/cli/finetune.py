"""`nmlib finetune`: a trained network, made more robust."""

from __future__ import annotations

import argparse
import sys

from nmlib._files import path_option
from nmlib.cli._options import add_data, add_device, add_label, add_quiet, at_least
from nmlib.cli._stored import stored_model, trained_on


def add(commands: argparse._SubParsersAction) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "finetune",
        help="make a trained network more robust",
        description="Measure a trained network under corruptions, fine-tune it by one of the "
        "schemes and measure it again. Interrupted, the same command goes on where it stopped.",
    )
    parser.add_argument(
        "--checkpoint",
        required=True,
        type=path_option,
        help="folder of `nmlib train --out`, one of its checkpoints, or a file with weights",
    )
    parser.add_argument(
        "--dataset", help="fashion-mini, cifar10 or cifar100; default: what the run was trained on"
    )
    parser.add_argument("--out", required=True, type=path_option, help="folder for the results")
    parser.add_argument("--model", help="network of a file with weights, e.g. resnet20")
    parser.add_argument("--scheme", help="e.g. augmix_noise, the default; see nmlib.SCHEMES")
    parser.add_argument("--alpha", type=float, help="of mixup's Beta law; default: the scheme's")
    parser.add_argument("--seed", type=at_least(0), default=0, help="of the draws")
    parser.add_argument("--epochs", type=at_least(1), help="default: 30")
    parser.add_argument("--batch-size", type=at_least(1), help="images per step; default: 128")
    parser.add_argument("--lr", type=float, help="first learning rate; default: 0.02")
    parser.add_argument("--precision", help="fp32 or bf16 (by autocast)")
    parser.add_argument(
        "--flips", type=at_least(0), default=0, help="test images on which flips are measured, too"
    )
    parser.add_argument("--limit", type=at_least(1), help="only the first LIMIT test images")
    add_data(parser)
    add_label(parser)
    add_device(parser, None, "the accelerator, if any")
    add_quiet(parser)
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    from dataclasses import replace

    from nmlib import _checks
    from nmlib._files import write_json
    from nmlib.data.images import DATASETS, load
    from nmlib.finetuning import RECIPE, SCHEME, robust_finetune
    from nmlib.mixing import Mixup
    from nmlib.schemes import get_scheme
    from nmlib.training import OutOfMemory, TrainingDiverged

    dataset = options.dataset or trained_on(options.checkpoint)
    _checks.choice("data set", dataset, DATASETS)
    scheme = get_scheme(options.scheme or SCHEME)
    if options.alpha is not None:
        if not isinstance(scheme.mix, Mixup):
            raise ValueError(f"scheme {scheme.name!r} does not mix; leave out --alpha")
        name = f"{scheme.name}, alpha {options.alpha:g}"
        scheme = replace(scheme, name=name, mix=replace(scheme.mix, alpha=options.alpha))
    settings = {"epochs": options.epochs, "batch_size": options.batch_size,
                "learning_rate": options.lr, "precision": options.precision}  # fmt: skip
    recipe = replace(RECIPE, **{k: v for k, v in settings.items() if v is not None})
    train, test = (
        load(dataset, split, root=options.root, download=options.download, label=options.label)
        for split in ("train", "test")
    )
    if options.limit is not None:
        test = test.first(options.limit)
    model, key = stored_model(options.checkpoint, options.model, len(train.classes))
    classes = len(train.classes)
    try:
        found = robust_finetune(
            model, train, test, scheme, recipe=recipe, seed=options.seed, flips=options.flips,
            key={k: v for k, v in key.items() if k in ("model", "sha256")}, out=options.out,
            device=options.device, progress=not options.quiet,
            details={"model": key["model"], "num_classes": classes, "dataset": dataset},
        )  # fmt: skip
    except (TrainingDiverged, OutOfMemory) as error:
        print(f"nmlib finetune: {error}", file=sys.stderr)
        return 1
    write_json(options.out / "result.json", found.record())
    print(found.table())
    print(found.summary)
    print(f"results in {options.out}; the network is {options.out / 'training'}")
    return 0
