"""The command line: `nmlib train ...`, `evaluate ...`, `reproduce ...`, `corrupt ...`, `doctor`."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

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
    classes = len(train.classes)
    model = build_model(budget.model, classes, seed=options.seed, **scheme.model_options)
    details = {
        "model": budget.model,
        "num_classes": classes,
        "options": scheme.model_options,
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


def _add_reproduce(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser(
        "reproduce",
        help="run a table of the paper at a budget: every row, several seeds",
        description="Train and evaluate every row of Table 2, 3, 4, 7 to 10, 13 or 14 with several "
        "seeds, in parallel. A finished cell is never computed again; interrupted, the same "
        "command goes on where it stopped.",
    )
    parser.add_argument("table", help="table2, table3, table4, ..., or schemes: every scheme")
    parser.add_argument("--budget", default="smoke", help="smoke, laptop or paper")
    parser.add_argument("--seeds", type=int, help="how many; default: as the paper")
    parser.add_argument("--schemes", nargs="+", metavar="NAME", help="only these rows")
    parser.add_argument("--out", type=Path, default=Path("results"), help="folder of all results")
    parser.add_argument("--dataset", help="another data set")
    parser.add_argument("--model", help="another network")
    parser.add_argument("--root", type=Path, help="folder that has the data set")
    parser.add_argument("--label", help="what to call data that are not the official files")
    parser.add_argument("--workers", type=int, help="processes; default: one a GPU or a core")
    parser.add_argument("--device", help="cpu, cuda, ...; default: every GPU, or the CPU")
    parser.add_argument(
        "--cluster", nargs="?", const="auto", metavar="ADDRESS", help="run on a Ray cluster"
    )
    parser.add_argument("--list", action="store_true", help="show what is left, and do nothing")
    parser.set_defaults(run=_reproduce)


def _reproduce(options: argparse.Namespace) -> int:
    from nmlib.provenance import write_json
    from nmlib.reproduction import (
        CellFailed,
        Progress,
        cells,
        finished,
        result_words,
        run_grid,
        run_on_cluster,
    )

    grid = cells(
        options.table, budget=options.budget, seeds=options.seeds, dataset=options.dataset,
        model=options.model, schemes=options.schemes, root=options.root, label=options.label,
    )  # fmt: skip
    if options.list:
        states = {c: result_words(r) for c in grid if (r := finished(c, options.out)) is not None}
        progress = Progress(grid, states=states)
        print(progress.table())
        print(f"{len(progress.left())} of {len(grid)} cells are left")
        return 0
    try:
        if options.cluster:
            results = run_on_cluster(grid, options.out, address=options.cluster, stream=sys.stderr)
        else:
            results = run_grid(
                grid, options.out, workers=options.workers, device=options.device,
                stream=sys.stderr,
            )  # fmt: skip
    except CellFailed as error:
        print(f"nmlib reproduce: {error}", file=sys.stderr)
        return 1
    path = options.out / f"{options.table}-{options.budget}.json"
    write_json(path, [{k: v for k, v in r.items() if k != "settings"} for r in results])
    states = {cell: result_words(r) for cell, r in zip(grid, results, strict=True)}
    print("clean/robust accuracy in percent, by seed")
    print(Progress(grid, states=states).table())
    print(f"results in {path}")
    return 0


def _add_evaluate(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser(
        "evaluate",
        help="measure a network on clean, corrupted and perturbed images",
        description="Print accuracy and calibration; write clean.npz, corruptions.json and "
        "perturbations.json. Interrupted, the same command goes on where it stopped.",
    )
    parser.add_argument(
        "--checkpoint",
        required=True,
        type=Path,
        help="folder of `nmlib train --out`, one of its checkpoints, or a file with a state dict",
    )
    parser.add_argument("--dataset", required=True, help="fashion-mini, cifar10 or cifar100")
    parser.add_argument("--out", required=True, type=Path, help="folder for the results")
    parser.add_argument("--model", help="network of a plain state dict, e.g. wrn28_4")
    parser.add_argument("--scheme", help="what to call the scheme; default: the run's")
    parser.add_argument("--split", default="test", choices=("train", "test"))
    parser.add_argument("--limit", type=int, help="only the first LIMIT images")
    parser.add_argument(
        "--corruptions", nargs="*", metavar="NAME", help="default: the benchmark's 15; 'all': 19"
    )
    parser.add_argument("--severities", nargs="+", type=int, default=[1, 2, 3, 4, 5])
    parser.add_argument("--seed", type=int, default=0, help="of the corruptions")
    parser.add_argument(
        "--files", type=Path, metavar="FOLDER", help="official -C files, instead of making them"
    )
    parser.add_argument(
        "--unverified", action="store_true", help="--files are not the official ones"
    )
    parser.add_argument(
        "--frost", type=Path, metavar="FOLDER", help="folder with the benchmark's photographs"
    )
    parser.add_argument(
        "--perturbations", nargs="*", metavar="NAME", help="also flips; no name: all ten sequences"
    )
    parser.add_argument("--batch-size", type=int, default=500)
    parser.add_argument(
        "--precision", default="float32", help="float32, bfloat16 or float16 (by autocast)"
    )
    parser.add_argument("--root", type=Path, help="folder that has the data set")
    parser.add_argument("--download", action="store_true", help="fetch the data set if missing")
    parser.add_argument("--label", help="what to call data that are not the official files")
    parser.add_argument("--device", help="cpu, cuda, ...; default: the accelerator, if any")
    parser.add_argument("--quiet", action="store_true", help="no progress bar")
    parser.set_defaults(run=_evaluate)


def _evaluate(options: argparse.Namespace) -> int:
    import torch

    from nmlib import _checks
    from nmlib.corruptions import (
        CORRUPTIONS,
        EXTRA_CORRUPTIONS,
        PERTURBATIONS,
        read_frost_photographs,
    )
    from nmlib.data.images import DATASETS, load
    from nmlib.evaluation import evaluate_corruptions, evaluate_perturbations
    from nmlib.rng import default_device

    _checks.choice("data set", options.dataset, DATASETS)
    every = (*CORRUPTIONS, *EXTRA_CORRUPTIONS)
    names = every if options.corruptions == ["all"] else options.corruptions or CORRUPTIONS
    for name in names:
        _checks.choice("corruption", name, every)
    sequences = options.perturbations
    for name in sequences or ():
        _checks.choice("perturbation", name, PERTURBATIONS)
    data = load(
        options.dataset, options.split, root=options.root, download=options.download,
        label=options.label,
    )  # fmt: skip
    if options.limit is not None:
        data = data.first(options.limit)
    model, key = _stored_model(options.checkpoint, options.model, len(data.classes))
    if options.scheme is not None:
        key["scheme"] = options.scheme
    shared = {
        "seed": options.seed, "batch_size": options.batch_size, "precision": options.precision,
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
            words = (f"{k.replace('_', ' ')} {v:.4f}" for k, v in measures.items() if v is not None)
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
    print(f"results in {options.out}")
    return 0


def _stored_model(checkpoint: Path, name: str | None, classes: int) -> tuple[Any, dict[str, Any]]:
    """Return the network of a run, of one of its checkpoints or of a plain state dict, and keys."""
    import torch

    from nmlib.models import build_model
    from nmlib.training import load_weights

    folder = checkpoint if checkpoint.is_dir() else checkpoint.parent
    record: dict[str, Any] = {"details": {}}
    if (folder / "run.json").is_file() and (
        checkpoint.is_dir() or checkpoint.name.startswith("checkpoint-")
    ):
        record = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    details = record["details"]
    wanted = details.get("model", name)
    if wanted is None:
        raise ValueError(f"{checkpoint} does not say which network it is of; give --model")
    if name is not None and wanted != name:
        raise ValueError(f"{checkpoint} is of a {wanted}, not of a {name}; leave --model out")
    if details.get("num_classes", classes) != classes:
        raise ValueError(
            f"{checkpoint} tells {details['num_classes']} classes apart, the data set has {classes}"
        )
    model = build_model(wanted, classes, **details.get("options", {}))
    if "scheme" in record or checkpoint.is_dir():
        weights = load_weights(checkpoint)
    else:
        if not checkpoint.is_file():
            raise FileNotFoundError(f"there is no checkpoint {checkpoint}")
        try:
            stored = torch.load(checkpoint, map_location="cpu", weights_only=True)
        except Exception as error:  # whatever torch, zipfile or pickle say of damaged files
            raise ValueError(
                f"{checkpoint} holds no weights that can be read safely ({error})"
            ) from error
        stored = stored.get("state_dict", stored) if isinstance(stored, dict) else {}
        weights = {k.removeprefix("module."): v for k, v in stored.items()}
    try:
        model.load_state_dict(weights)
    except (RuntimeError, AttributeError) as error:
        first = str(error).splitlines()[:3]
        raise ValueError(
            f"{checkpoint} holds no {wanted} with {classes} classes: {' '.join(first)}"
        ) from error
    key = {"model": wanted, "scheme": record.get("scheme"), "seed": record.get("seed")}
    return model.eval(), key


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
        prog="nmlib", description="NoisyMix: training, evaluation, corrupted data sets and more."
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _add_train(commands)
    _add_evaluate(commands)
    _add_reproduce(commands)
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
