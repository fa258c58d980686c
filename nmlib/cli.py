"""The command line: `nmlib corrupt ...`, `nmlib doctor`."""

from __future__ import annotations

import argparse
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
        prog="nmlib", description="NoisyMix: corrupted data sets and more."
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _add_corrupt(commands)
    _add_doctor(commands)
    options = parser.parse_args(arguments)
    try:
        return int(options.run(options))
    except KeyboardInterrupt:
        print("interrupted; the same command goes on from here", file=sys.stderr)
        return 130
    except (ValueError, TypeError, OSError, ImportError) as error:
        print(f"nmlib {options.command}: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
