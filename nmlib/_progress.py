"""The console: progress bars, one-line errors, and output that survives a closed terminal."""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import sys
from collections.abc import Callable, Iterator
from typing import Any, NoReturn

__all__ = ["Parser", "Progress", "error_line", "lasting_output", "reporter"]

Progress = bool | None | Callable[[str, int, int], None]


def reporter(
    progress: Progress, total: int
) -> tuple[Callable[[str, int, int], None], Callable[[], None]]:
    """Return a callback `(set, done, total)` and a function that closes the bar.

    Args:
        progress: True for a bar (without tqdm, one line per set), False or None for nothing, or
            your own callback.
        total: Number of images in all sets.
    """
    if callable(progress):
        return progress, (lambda: None)
    if not progress:
        return (lambda name, done, count: None), (lambda: None)
    try:
        from tqdm.auto import tqdm
    except ImportError:
        return _line, (lambda: None)

    bar = tqdm(total=total, unit="image", unit_scale=True)
    seen: dict[str, int] = {}

    def advance(name: str, done: int, count: int) -> None:
        bar.set_postfix_str(name, refresh=False)
        bar.update(done - seen.get(name, 0))
        seen[name] = done

    return advance, bar.close


def _line(name: str, done: int, count: int) -> None:
    if done == count:
        print(f"{name}: {done} images", file=sys.stderr)


_PLAIN = str.maketrans(
    {"±": "+-", "×": "x", "–": "-", "—": "-", "−": "-", "…": "...", "→": "->", "≥": ">=", "≤": "<="}
)


class _Lasting:
    """A text stream that replaces characters its encoding lacks, and survives a closed reader."""

    def __init__(self, stream: Any) -> None:
        self.stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)

    def write(self, text: str) -> int:
        with self._to_nobody():
            try:
                self.stream.write(text)
            except UnicodeEncodeError as error:
                plain = text.translate(_PLAIN).encode(error.encoding, "backslashreplace")
                self.stream.write(plain.decode(error.encoding))
        return len(text)

    def flush(self) -> None:
        with self._to_nobody():
            self.stream.flush()

    @contextlib.contextmanager
    def _to_nobody(self) -> Iterator[None]:
        try:
            yield
        except OSError:  # a closed pipe or terminal, a full disk
            with contextlib.suppress(OSError, ValueError):
                nobody = os.open(os.devnull, os.O_WRONLY)
                os.dup2(nobody, self.stream.fileno())
                os.close(nobody)


@contextlib.contextmanager
def lasting_output() -> Iterator[None]:
    """Let a long run survive a failing standard output or error output.

    A console may lack characters, a terminal or a pipe's reader may close, and a process may start
    without either stream.
    """
    with (
        open(os.devnull, "w", encoding="utf-8") as nobody,
        contextlib.redirect_stdout(_Lasting(sys.stdout or nobody)),
        contextlib.redirect_stderr(_Lasting(sys.stderr or nobody)),
    ):
        try:
            yield
        finally:
            sys.stdout.flush()
            sys.stderr.flush()


def error_line(error: Exception) -> str:
    """Return the message of an error on one line, without the system's error number.

    >>> error_line(ValueError("it is another run:\\n  seed: 0\\n   now: 1.\\nUse another folder"))
    'it is another run: seed: 0, now: 1. Use another folder'
    """
    text = str(error)
    if isinstance(error, OSError) and error.strerror:
        text = f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    text = re.sub(r"([:;,.])?\s*\n\s*", lambda end: f"{end[1] or ','} ", text.strip())
    return text or type(error).__name__


class Parser(argparse.ArgumentParser):
    """A parser that reports errors in one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}; {self.prog} --help lists the options\n")
