"""`nmlib reproduce`: a table of the paper."""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nmlib._files import file_name, path_option
from nmlib.cli._options import add_device, add_label, at_least

if TYPE_CHECKING:
    from nmlib.lab.cifar.cell import Cell


def add(commands: argparse._SubParsersAction) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "reproduce",
        help="run a table of the paper at a budget: every row, several seeds",
        description="Train and evaluate every row of Table 2, 3, 4, 7 to 10, 13 or 14 with several "
        "seeds, in parallel. A finished cell is never computed again; interrupted, the same "
        "command goes on where it stopped.",
    )
    parser.add_argument("table", help="table2, table3, table4, ..., or schemes: every scheme")
    parser.add_argument("--budget", default="smoke", help="smoke, laptop, long or paper")
    parser.add_argument("--epochs", type=at_least(1), help="default: the budget's")
    parser.add_argument("--seeds", type=at_least(1), help="how many; default: as the paper")
    parser.add_argument("--schemes", nargs="+", metavar="NAME", help="only these rows")
    parser.add_argument(
        "--out", type=path_option, default=Path("results"), help="folder of all results"
    )
    parser.add_argument("--dataset", help="another data set")
    parser.add_argument("--model", help="another network")
    parser.add_argument("--root", type=path_option, help="folder that has the data set")
    add_label(parser)
    parser.add_argument("--precision", default="fp32", help="fp32 or bf16 (by autocast)")
    parser.add_argument("--compile", action="store_true", help="train with torch.compile")
    parser.add_argument(
        "--workers", type=at_least(1), help="processes; default: one per GPU or core"
    )
    add_device(parser, None, "every GPU, or the CPU")
    parser.add_argument(
        "--cluster", nargs="?", const="auto", metavar="ADDRESS", help="run on a Ray cluster"
    )
    parser.add_argument(
        "--cpus", type=at_least(1), help="with --cluster: cores a cell takes; default 1"
    )
    parser.add_argument(
        "--gpus", type=_gpus, help="with --cluster: GPUs a cell takes, e.g. 1 or 0.25; default none"
    )
    parser.add_argument(
        "--records", type=path_option, metavar="FILE",
        help="also write all results of OUT at this budget, one line each, as notebooks read them",
    )  # fmt: skip
    parser.add_argument("--list", action="store_true", help="show what is left, and do nothing")
    parser.set_defaults(run=_run)


def _gpus(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"must be a number > 0, such as 1 or 0.25, got {text}")
    return value


def _run(options: argparse.Namespace) -> int:
    from nmlib._files import write_json
    from nmlib.lab.cifar.cell import finished
    from nmlib.lab.cifar.cluster import run_on_cluster
    from nmlib.lab.cifar.experiments import cells
    from nmlib.lab.cifar.grid import collect, run_grid
    from nmlib.lab.cifar.progress import CellFailed, Progress, result_words
    from nmlib.lab.cifar.records import store

    grid = cells(
        options.table, budget=options.budget, seeds=options.seeds, dataset=options.dataset,
        model=options.model, schemes=options.schemes, root=options.root, label=options.label,
        epochs=options.epochs, precision=options.precision, compile=options.compile,
    )  # fmt: skip
    if options.list:
        states = {c: result_words(r) for c in grid if (r := finished(c, options.out)) is not None}
        progress = Progress(grid, states=states)
        print(progress.table())
        print(f"{len(progress.left())} of {len(grid)} cells are left")
        return 0
    wrong = ("workers", "device") if options.cluster else ("cpus", "gpus")
    for name in wrong:
        if getattr(options, name) is not None:
            other = "use --cpus and --gpus" if options.cluster else "use --workers and --device"
            raise ValueError(
                f"--{name} goes {'without' if options.cluster else 'with'} --cluster; {other}"
            )
    try:
        if options.cluster:
            results = run_on_cluster(
                grid, options.out, address=options.cluster, stream=sys.stderr,
                cpus=1 if options.cpus is None else options.cpus, gpus=options.gpus or 0,
            )  # fmt: skip
        else:
            results = run_grid(
                grid, options.out, workers=options.workers, device=options.device,
                stream=sys.stderr,
            )  # fmt: skip
    except CellFailed as error:
        print(f"nmlib reproduce: {error}", file=sys.stderr)
        return 1
    # Other options make another file; rows of an earlier call with these options stay.
    others = _conditions(grid) - _conditions(cells(options.table, budget=options.budget))
    path = options.out / f"{'-'.join([options.table, options.budget, *sorted(others)])}.json"
    found = {
        _row(r | {"scheme": c.scheme.name, "seed": c.seed}): r
        for c, r in zip(grid, results, strict=True)
    }
    earlier = {_row(r): r for r in _earlier(path)}
    rows = (earlier | found).values()
    write_json(path, [{k: v for k, v in r.items() if k != "settings"} for r in rows])
    states = {cell: result_words(r) for cell, r in zip(grid, results, strict=True)}
    print("clean/robust accuracy in percent, by seed")
    print(Progress(grid, states=states).table())
    print(f"results in {path}")
    if options.records:
        # Tables share cells: the file has all of them.
        wanted = {_condition(r) for r in results}
        kept = [r for r in collect(options.out) if _condition(r) in wanted]
        store(kept, options.records)
        print(f"{len(kept)} records in {options.records}")
    return 0


def _conditions(grid: Sequence[Cell]) -> set[str]:
    """Return the conditions that a grid shares, besides scheme and seed, as words."""
    words = ((file_name("label", c.label or c.dataset), c.model, c.precision) for c in grid)
    return {word for cell in words for word in cell} | {f"{c.size.epochs} epochs" for c in grid}


def _row(record: Mapping[str, Any]) -> tuple[Any, ...]:
    """Return the key of a record within its table."""
    return tuple(record.get(k) for k in ("dataset", "model", "scheme", "seed"))


def _earlier(path: Path) -> list[dict[str, Any]]:
    """Return the records that an earlier call wrote, if it did."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return []
    return [r for r in found if _sound(r)] if isinstance(found, list) else []


def _sound(record: Any) -> bool:
    from nmlib.lab.cifar.cell import check_result

    try:
        check_result(record)
    except ValueError:
        return False
    return True


def _condition(record: Mapping[str, Any]) -> tuple[Any, ...]:
    """Return the conditions that the records of one file share."""
    keys = ("dataset", "budget", "model")
    return *(record.get(k) for k in keys), record.get("precision", "fp32")
