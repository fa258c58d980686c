"""`nmlib train`: one network by one scheme."""

from __future__ import annotations

import argparse
import os
import sys
from dataclasses import fields
from typing import TYPE_CHECKING

from nmlib._files import path_option
from nmlib.cli._options import add_data, add_device, add_label, add_quiet, at_least

if TYPE_CHECKING:
    from nmlib.schemes import Scheme


def add(commands: argparse._SubParsersAction) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "train",
        help="train a network by one of the schemes",
        description="Train, and write checkpoints, metrics.jsonl and run.json to a folder. "
        "Interrupted or killed, the same command goes on where it stopped.",
        epilog="Several GPUs: accelerate launch -m nmlib train ... (pip install accelerate).",
    )
    parser.add_argument(
        "--dataset", default="fashion-mini", help="fashion-mini (the default), cifar10 or cifar100"
    )
    parser.add_argument("--scheme", required=True, help="e.g. noisymix; a row of nmlib.SCHEMES")
    parser.add_argument("--out", required=True, type=path_option, help="folder of the run")
    parser.add_argument(
        "--budget",
        default="paper",
        help="smoke, laptop, long or paper: model, epochs, images, batch",
    )
    parser.add_argument("--model", help="e.g. wrn28_4; default: the budget's")
    parser.add_argument("--seed", type=at_least(0), default=0, help="of weights and draws")
    parser.add_argument("--epochs", type=at_least(1), help="default: the budget's")
    parser.add_argument(
        "--batch-size", type=at_least(1), help="images per step; default: the budget's"
    )
    parser.add_argument("--subset", type=at_least(1), help="use the first training images only")
    parser.add_argument("--lr", type=float, help="first learning rate; default: the paper's 0.1")
    parser.add_argument("--parts", type=at_least(1), help="parts that a step is computed in")
    parser.add_argument("--validation", type=at_least(0), help="training images to hold out")
    parser.add_argument("--precision", help="fp32 or bf16 (by autocast)")
    add_data(parser)
    add_label(parser)
    add_device(parser, None, "the accelerator, if any")
    parser.add_argument("--compile", action="store_true", help="use torch.compile")
    parser.add_argument("--deterministic", action="store_true", help="reproducible GPU kernels")
    parser.add_argument("--tensorboard", action="store_true", help="also write for TensorBoard")
    add_quiet(parser)
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    from dataclasses import replace

    from nmlib import _checks
    from nmlib.data.images import DATASETS, load
    from nmlib.models import build_model
    from nmlib.schemes import get_scheme, suited
    from nmlib.training import BUDGETS, Execution, OutOfMemory, TrainingDiverged, fit
    from nmlib.training.workers import launched

    _checks.choice("data set", options.dataset, DATASETS)
    _checks.choice("budget", options.budget, BUDGETS)
    budget = BUDGETS[options.budget]
    changes = {"model": options.model, "subset": options.subset, "epochs": options.epochs,
               "batch_size": options.batch_size}  # fmt: skip
    budget = replace(budget, **{k: v for k, v in changes.items() if v is not None})
    named = get_scheme(options.scheme)
    scheme = suited(named, options.dataset, budget.model)
    processes = launched()
    settings = {"learning_rate": options.lr, "precision": options.precision,
                "validation": options.validation, "parts": options.parts or processes}  # fmt: skip
    recipe = budget.recipe(**{k: v for k, v in settings.items() if v is not None})
    train = load(
        options.dataset, "train", root=options.root, download=options.download, label=options.label
    )
    train = budget.cut(train)
    classes = len(train.classes)
    model = build_model(budget.model, classes, seed=options.seed, **scheme.model_options)
    details = {
        "model": budget.model,
        "num_classes": classes,
        "options": scheme.model_options,
        "dataset": options.dataset,
        "budget": options.budget,
    }
    first = processes == 1 or os.environ.get("RANK", "0") == "0"
    if first:
        if scheme != named:
            print(
                f"{_changes(named, scheme)}, as its authors do for {options.dataset} and this model"
            )
        if options.parts is None and processes > 1:
            print(f"each step in {processes} parts, one per process (--parts)")
        print(
            f"{scheme.name} on {train.label} ({len(train):,} images), {budget.model}, "
            f"{recipe.epochs} epochs, seed {options.seed}; to {options.out}",
            flush=True,
        )
    try:
        run = fit(
            model,
            train,
            scheme,
            recipe,
            seed=options.seed,
            out=options.out,
            device=options.device,
            progress=not options.quiet,
            execution=Execution(
                compile=options.compile,
                deterministic=options.deterministic,
                tensorboard=options.tensorboard,
            ),
            details=details,
        )
    except (TrainingDiverged, OutOfMemory) as error:
        print(f"nmlib train: {error}", file=sys.stderr)
        return 1
    if first:
        last = run.epochs[-1]
        words = f"training loss {last['loss']:.4f}"
        if "val_accuracy" in last:
            words += f", {100 * last['val_accuracy']:.2f} % accuracy on the held-out images"
        print(f"finished: {run.steps} steps, {words}")
        print(f"{options.out}: {run.checkpoint}, metrics.jsonl, run.json")
    return 0


def _changes(named: Scheme, scheme: Scheme) -> str:
    """Return the differences between two schemes in words."""
    changed = [
        f"{f.name} {getattr(named, f.name)} -> {getattr(scheme, f.name)}"
        for f in fields(scheme)
        if getattr(named, f.name) != getattr(scheme, f.name)
    ]
    return f"{named.name}: {', '.join(changed)}"
