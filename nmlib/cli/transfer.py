"""`nmlib transfer`: a network of ImageNet on another data set."""

from __future__ import annotations

import argparse
import sys

from nmlib._files import path_option
from nmlib.cli._options import add_data, add_device, add_label, add_quiet, at_least


def add(commands: argparse._SubParsersAction) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "transfer",
        help="give a network of ImageNet a new head for another data set",
        description="Train a network of ImageNet with a new head on another data set, and measure "
        "it there under corruptions: a row of the paper's Table 5. Interrupted, the same command "
        "goes on where it stopped.",
    )
    parser.add_argument(
        "--checkpoint",
        required=True,
        help="noisymix, baseline, ...; timm:NAME or torchvision:NAME; a file with weights",
    )
    parser.add_argument("--model", help="network of a file with weights; default: resnet50")
    parser.add_argument("--dataset", required=True, help="fashion-mini, cifar10 or cifar100")
    parser.add_argument("--out", required=True, type=path_option, help="folder for the results")
    parser.add_argument(
        "--freeze",
        default="none",
        help="'features' trains the head alone; default: none, as in Table 5",
    )
    parser.add_argument(
        "--statistics", default="moving", help="batch statistics of the features: moving or frozen"
    )
    parser.add_argument(
        "--normalise",
        default="target",
        help="by mean and deviation of the target data, or of the source",
    )
    parser.add_argument(
        "--plain",
        action="store_true",
        help="no random boxes and flips; frozen features are then computed once",
    )
    parser.add_argument("--seed", type=at_least(0), default=0, help="of the head and the draws")
    parser.add_argument("--epochs", type=at_least(1), help="default: 150")
    parser.add_argument("--batch-size", type=at_least(1), help="images per step; default: 64")
    parser.add_argument("--lr", type=float, help="default: 0.001; 0.01 for the head alone")
    parser.add_argument("--precision", help="fp32 or bf16 (by autocast)")
    parser.add_argument("--subset", type=at_least(1), help="only the first SUBSET training images")
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
    from nmlib.evaluation.checkpoints import load_checkpoint
    from nmlib.training import OutOfMemory, TrainingDiverged
    from nmlib.transfer_learning import FREEZE, RECIPES, transfer

    _checks.choice("data set", options.dataset, DATASETS)
    _checks.choice("freeze", options.freeze, FREEZE)
    settings = {"epochs": options.epochs, "batch_size": options.batch_size,
                "learning_rate": options.lr, "precision": options.precision}  # fmt: skip
    recipe = replace(
        RECIPES[options.freeze],
        augment=not options.plain,
        **{k: v for k, v in settings.items() if v is not None},
    )
    train, test = (
        load(options.dataset, split, root=options.root, download=options.download,
             label=options.label)
        for split in ("train", "test")
    )  # fmt: skip
    train, test = (
        data if count is None else data.first(count)
        for data, count in ((train, options.subset), (test, options.limit))
    )
    network = load_checkpoint(options.checkpoint, model=options.model, download=options.download)
    print(network)
    if network.note:
        print(network.note)
    try:
        found = transfer(
            network.model, train, test, options.freeze, statistics=options.statistics,
            normalise=options.normalise, recipe=recipe, seed=options.seed, key=network.key,
            out=options.out, device=options.device, progress=not options.quiet,
        )  # fmt: skip
    except (TrainingDiverged, OutOfMemory) as error:
        print(f"nmlib transfer: {error}", file=sys.stderr)
        return 1
    write_json(options.out / "result.json", found.record())
    print(found.table())
    print(found.summary)
    print(f"results in {options.out}")
    return 0
