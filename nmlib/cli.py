"""The command line: `nmlib train ...`, `nmlib corrupt ...`, `nmlib doctor`."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

__all__ = ["main"]


def _add_corrupt(commands: argparse._SubParsersAction) -> None:
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
    parser.add_argument("--root", type=Path, help="folder that has the data set")
    parser.add_argument("--split", default="test", choices=("train", "test"))
    parser.add_argument("--download", action="store_true", help="fetch the data set if missing")
    parser.add_argument("--benchmark", default="cifar", choices=("cifar", "imagenet"))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--corruptions", nargs="+", metavar="NAME", help="default: the benchmark's 15; 'all': 19"
    )
    parser.add_argument("--severities", nargs="+", type=int, default=[1, 2, 3, 4, 5])
    parser.add_argument("--limit", type=int, help="only the first LIMIT images")
    parser.add_argument(
        "--frost", type=Path, metavar="FOLDER", help="folder with the benchmark's photographs"
    )
    parser.add_argument("--device", default="cpu", help="cpu, cuda, ...")
    parser.add_argument("--quiet", action="store_true", help="no progress bar")
    parser.set_defaults(run=_corrupt)


def _add_doctor(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser(
        "doctor",
        help="compare this installation with the tested one",
        description="Print versions, device, kind of explorer and data cache, with a remedy for "
        "each thing that is off. The exit status is 1 if something is missing or too old.",
    )
    parser.add_argument("--short", action="store_true", help="only what is off")
    parser.set_defaults(run=_doctor)


def _add_train(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser(
        "train",
        help="train a network by one of the schemes",
        description="Train, and write checkpoints, metrics.jsonl and run.json to a folder. "
        "Interrupted or killed, the same command goes on where it stopped.",
        epilog="Several GPUs: accelerate launch -m nmlib train ... (pip install 'nmlib[train]').",
    )
    parser.add_argument("--dataset", required=True, help="fashion-mini, cifar10 or cifar100")
    parser.add_argument("--scheme", required=True, help="e.g. noisymix; a row of nmlib.SCHEMES")
    parser.add_argument("--out", required=True, type=Path, help="folder of the run")
    parser.add_argument(
        "--budget", default="paper", help="smoke, laptop or paper: model, epochs, images, batch"
    )
    parser.add_argument("--model", help="e.g. wrn28_4; default: the budget's")
    parser.add_argument("--seed", type=int, default=0, help="of weights and draws")
    parser.add_argument("--epochs", type=int, help="default: the budget's")
    parser.add_argument("--batch-size", type=int, help="images a step; default: the budget's")
    parser.add_argument("--subset", type=int, help="only so many first training images")
    parser.add_argument("--lr", type=float, help="first learning rate; default: the paper's 0.1")
    parser.add_argument("--parts", type=int, help="compute each step in so many parts")
    parser.add_argument("--validation", type=int, help="keep so many training images out")
    parser.add_argument("--precision", help="fp32 or bf16")
    parser.add_argument("--root", type=Path, help="folder that has the data set")
    parser.add_argument("--download", action="store_true", help="fetch the data set if missing")
    parser.add_argument("--label", help="what to call data that are not the official files")
    parser.add_argument("--device", help="cpu, cuda, ...; default: the accelerator, if any")
    parser.add_argument("--compile", action="store_true", help="use torch.compile")
    parser.add_argument("--deterministic", action="store_true", help="reproducible GPU kernels")
    parser.add_argument("--tensorboard", action="store_true", help="also write for TensorBoard")
    parser.add_argument("--quiet", action="store_true", help="no progress bar")
    parser.set_defaults(run=_train)


def _train(options: argparse.Namespace) -> int:
    from dataclasses import replace

    from nmlib import _checks
    from nmlib.data.images import DATASETS, load
    from nmlib.models import build_model
    from nmlib.schemes import get_scheme
    from nmlib.training import BUDGETS, OutOfMemory, TrainingDiverged, fit

    _checks.choice("data set", options.dataset, DATASETS)
    _checks.choice("budget", options.budget, BUDGETS)
    scheme = get_scheme(options.scheme)
    budget = BUDGETS[options.budget]
    changes = {"model": options.model, "subset": options.subset, "epochs": options.epochs,
               "batch_size": options.batch_size}  # fmt: skip
    budget = replace(budget, **{k: v for k, v in changes.items() if v is not None})
    processes = int(os.environ.get("WORLD_SIZE", "1"))
    settings = {"learning_rate": options.lr, "precision": options.precision,
                "validation": options.validation, "parts": options.parts or processes}  # fmt: skip
    recipe = budget.recipe(**{k: v for k, v in settings.items() if v is not None})
    train = load(
        options.dataset, "train", root=options.root, download=options.download, label=options.label
    )
    train = budget.cut(train)
    # AugMax sends its adversarial views through normalisation layers of their own.
    layers = {"norm": "dubin"} if any(scheme.routes) else {}
    classes = len(train.classes)
    model = build_model(budget.model, classes, seed=options.seed, **layers)
    details = {
        "model": budget.model,
        "num_classes": classes,
        "options": layers,
        "dataset": options.dataset,
        "budget": options.budget,
    }
    first = os.environ.get("RANK", "0") == "0"
    if first:
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
            tensorboard=options.tensorboard,
            compile=options.compile,
            deterministic=options.deterministic,
            details=details,
        )
    except (TrainingDiverged, OutOfMemory) as error:
        print(f"nmlib train: {error}", file=sys.stderr)
        return 1
    if first:
        last = run.epochs[-1]
        words = f"training loss {last['loss']:.4f}"
        if "val_accuracy" in last:
            words += f", {100 * last['val_accuracy']:.2f} % of the images kept out are right"
        print(f"finished: {run.steps} steps, {words}")
        print(f"{options.out}: {run.checkpoint}, metrics.jsonl, run.json")
    return 0


def _doctor(options: argparse.Namespace) -> int:
    from nmlib.doctor import doctor

    diagnosis = doctor()
    print(diagnosis.summary() if options.short else diagnosis)
    return 0 if diagnosis.ok else 1


def _corrupt(options: argparse.Namespace) -> int:
    import numpy as np

    from nmlib import _checks
    from nmlib.corruptions import CORRUPTIONS, EXTRA_CORRUPTIONS, read_frost_photographs
    from nmlib.data.corrupted import write_corrupted_set
    from nmlib.data.images import DATASETS, load

    every = (*CORRUPTIONS, *EXTRA_CORRUPTIONS)
    names = list(options.corruptions or CORRUPTIONS)
    if names == ["all"]:
        names = list(every)
    for name in names:
        _checks.choice("corruption", name, every)
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
    report, close = _progress(total, options.quiet)
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


def _progress(
    total: int, quiet: bool
) -> tuple[Callable[[str, int, int], None] | None, Callable[[], None]]:
    """Return a reporter of finished images and what closes it; plain lines without tqdm."""
    if quiet:
        return None, lambda: None
    seen: dict[str, int] = {}
    try:
        from tqdm import tqdm
    except ImportError:

        def line(name: str, done: int, count: int) -> None:
            if done == count:
                print(f"{name}: {done} images", file=sys.stderr)

        return line, lambda: None
    bar = tqdm(total=total, unit="image", unit_scale=True)

    def advance(name: str, done: int, count: int) -> None:
        bar.set_postfix_str(name, refresh=False)
        bar.update(done - seen.get(name, 0))
        seen[name] = done

    return advance, bar.close


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit status.

    Args:
        arguments: The words after `nmlib`; by default those of the process.

    >>> main(["corrupt", "--dataset", "cifar11", "--out", "nowhere"])
    2
    """
    parser = argparse.ArgumentParser(
        prog="nmlib", description="NoisyMix: training, corrupted data sets and more."
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _add_train(commands)
    _add_corrupt(commands)
    _add_doctor(commands)
    options = parser.parse_args(arguments)
    try:
        return int(options.run(options))
    except KeyboardInterrupt as error:
        print(str(error) or "interrupted; the same command goes on from here", file=sys.stderr)
        return 130
    except (ValueError, TypeError, OSError, ImportError) as error:
        print(f"nmlib {options.command}: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
