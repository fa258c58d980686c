"""The command line: `nmlib train ...`, `evaluate ...`, `reproduce ...`, `corrupt ...`, `doctor`."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Sequence
from typing import NoReturn

from nmlib._progress import lasting_output
from nmlib.cli import corrupt, doctor, evaluate, reproduce, train

__all__ = ["main"]


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}; {self.prog} --help lists the options\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit status.

    Args:
        arguments: The words after `nmlib`; by default those of the process.

    >>> main(["corrupt", "--dataset", "cifar11", "--out", "nowhere"])
    2
    """
    with lasting_output():
        return _run(arguments)


def _run(arguments: Sequence[str] | None) -> int:
    parser = _Parser(
        prog="nmlib", description="NoisyMix: training, evaluation, corrupted data sets and more."
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for module in (train, evaluate, reproduce, corrupt, doctor):
        module.add(commands)
    try:
        options = parser.parse_args(arguments)
    except SystemExit as end:  # --help, or a word that no option takes
        return int(end.code or 0)
    try:
        return int(options.run(options))
    except KeyboardInterrupt as error:
        print(str(error) or "interrupted; the same command goes on from here", file=sys.stderr)
        return 130
    except (ValueError, TypeError, OSError, ImportError) as error:
        print(f"nmlib {options.command}: {_words(error)}", file=sys.stderr)
        return 2


def _words(error: Exception) -> str:
    """Return what an error says on one line, without the number of the operating system.

    >>> _words(ValueError("it is another run:\\n  seed: 0\\n   now: 1.\\nUse another folder"))
    'it is another run: seed: 0, now: 1. Use another folder'
    """
    text = str(error)
    if isinstance(error, OSError) and error.strerror:
        text = f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    text = re.sub(r"([:;,.])?\s*\n\s*", lambda end: f"{end[1] or ','} ", text.strip())
    return text or type(error).__name__
