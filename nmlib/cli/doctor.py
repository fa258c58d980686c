"""`nmlib doctor`: what works on this machine."""

from __future__ import annotations

import argparse


def add(commands: argparse._SubParsersAction) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "doctor",
        help="compare this installation with the tested one",
        description="Print versions, device, kind of explorer and data cache, with a remedy for "
        "each thing that is off. The exit status is 1 if something is missing or too old.",
    )
    parser.add_argument("--short", action="store_true", help="only what is off")
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    from nmlib.doctor import doctor

    diagnosis = doctor()
    print(diagnosis.summary() if options.short else diagnosis)
    return 0 if diagnosis.ok else 1
