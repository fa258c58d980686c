"""The command line: `nmlib train`, `finetune`, `transfer`, `evaluate`, `reproduce`, and more."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from nmlib._progress import Parser, error_line, lasting_output
from nmlib.cli import corrupt, doctor, evaluate, finetune, reproduce, train, transfer

__all__ = ["main"]


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
    parser = Parser(
        prog="nmlib", description="NoisyMix: training, evaluation, corrupted data sets and more."
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for module in (train, finetune, transfer, evaluate, reproduce, corrupt, doctor):
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
        print(f"nmlib {options.command}: {error_line(error)}", file=sys.stderr)
        return 2
