"""The command line: `nmlib train ...`, `evaluate ...`, `reproduce ...`, `corrupt ...`, `doctor`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from nmlib.cli import corrupt, doctor, evaluate, reproduce, train

__all__ = ["main"]


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
    for module in (train, evaluate, reproduce, corrupt, doctor):
        module.add(commands)
    options = parser.parse_args(arguments)
    try:
        return int(options.run(options))
    except KeyboardInterrupt as error:
        print(str(error) or "interrupted; the same command goes on from here", file=sys.stderr)
        return 130
    except (ValueError, TypeError, OSError, ImportError) as error:
        print(f"nmlib {options.command}: {error}", file=sys.stderr)
        return 2
