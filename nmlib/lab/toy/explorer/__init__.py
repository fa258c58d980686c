"""The live explorer: `explore()`, its still form, and the page without a kernel.

Imports without anywidget; `explore` says what is missing.
"""

from __future__ import annotations

from typing import Any

from nmlib.lab.toy.lab import Settings

__all__ = ["explore"]


def explore(
    settings: Settings | None = None,
    *,
    mode: str = "auto",
    lane: str = "noisymix",
    race: bool = False,
    playing: bool = True,
    **changes: Any,
) -> Any:
    r"""Show the decision boundaries of the six schemes, trained while you watch.

    Args:
        settings: Where to start; default `Settings()`.
        mode: "live" (an anywidget), "still" (a picture and a text), or "auto": live where it works.
        lane: Scheme shown large.
        race: Show all six side by side instead.
        playing: Train at once.
        **changes: Settings by name, e.g. `sigma_add=0.3`.

    Returns:
        An explorer; put it last in a cell. Both forms have `lab`, `settings`, `preset()`,
        `as_code()`, `summary()` and `sliders`; the live one also has a trait for each setting.

    Raises:
        ValueError: For an unknown mode or lane, or a setting out of range.

    Source: paper appendix A, Fig. 4.

    >>> explorer = explore(mode="still", sigma_add=0.1)
    >>> explorer.preset()["sigma_add"]
    0.1
    """
    from nmlib.lab.panel import choose_mode

    mode, note = choose_mode(mode)
    if mode == "live":
        from nmlib.lab.toy.explorer.live import LiveExplorer

        return LiveExplorer(settings, lane=lane, race=race, playing=playing, **changes)
    from nmlib.lab.toy.explorer.still import StillExplorer

    explorer = StillExplorer(settings, **changes)
    explorer.note = note
    return explorer
