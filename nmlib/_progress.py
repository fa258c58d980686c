"""Bars for work that is counted in images."""

from __future__ import annotations

import sys
from collections.abc import Callable

__all__ = ["Progress", "reporter"]

Progress = bool | None | Callable[[str, int, int], None]


def reporter(
    progress: Progress, total: int
) -> tuple[Callable[[str, int, int], None], Callable[[], None]]:
    """Return what takes (set, images done, images in all), and what ends it.

    Args:
        progress: True for a bar, or, without tqdm, for a line a set; or what is told instead.
        total: Images of all sets.
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
