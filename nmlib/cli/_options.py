"""Options that several commands share."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence

from nmlib import _checks
from nmlib._files import path_option

__all__ = [
    "add_corruptions",
    "add_data",
    "add_device",
    "add_label",
    "add_quiet",
    "at_least",
    "corruption_names",
]


def at_least(least: int) -> Callable[[str], int]:
    """Return the `type` of an option that counts.

    >>> at_least(1)("3")
    3
    """

    def whole_number(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = least - 1
        if value < least:
            raise argparse.ArgumentTypeError(f"must be an integer >= {least}, got {text}")
        return value

    return whole_number


def _line(text: str) -> str:
    if not text.isprintable():
        # Tables and messages would break in two, or steer the terminal.
        raise argparse.ArgumentTypeError(
            f"must be a line of printable characters, got {ascii(text)[:80]}"
        )
    return text


def add_data(parser: argparse.ArgumentParser) -> None:
    """Add where the data set comes from."""
    parser.add_argument("--root", type=path_option, help="folder that has the data set")
    parser.add_argument("--download", action="store_true", help="fetch the data set if missing")


def add_label(parser: argparse.ArgumentParser) -> None:
    """Add the name of data of the user's own."""
    parser.add_argument(
        "--label", type=_line, help="what to call data that are not the official files"
    )


def add_device(parser: argparse.ArgumentParser, default: str | None, words: str) -> None:
    """Add where to compute."""
    parser.add_argument("--device", default=default, help=f"cpu, cuda, ...; default: {words}")


def add_quiet(parser: argparse.ArgumentParser) -> None:
    """Add silence."""
    parser.add_argument("--quiet", action="store_true", help="no progress bar")


def add_corruptions(parser: argparse.ArgumentParser) -> None:
    """Add which corruptions to make."""
    parser.add_argument(
        "--corruptions",
        nargs="+",
        metavar="NAME",
        help="default: the benchmark's 15; 'all': these and the extra ones",
    )
    parser.add_argument("--severities", nargs="+", type=int, default=[1, 2, 3, 4, 5])
    parser.add_argument("--seed", type=at_least(0), default=0, help="of the corruptions")
    parser.add_argument(
        "--frost",
        type=path_option,
        metavar="FOLDER",
        help="folder with the benchmark's photographs",
    )
    parser.add_argument("--limit", type=at_least(1), help="only the first LIMIT images")


def corruption_names(wanted: Sequence[str] | None) -> list[str]:
    """Return the corruptions named; by default the benchmark's 15, for "all" the extra ones too.

    Raises:
        ValueError: For an unknown one; the nearest is suggested.
    """
    from nmlib.corruptions import CORRUPTIONS, EXTRA_CORRUPTIONS

    every = (*CORRUPTIONS, *EXTRA_CORRUPTIONS)
    names = list(dict.fromkeys(wanted or CORRUPTIONS))
    for name in names:
        if name != "all":
            _checks.choice("corruption", name, every)
    return list(every) if "all" in names else names
