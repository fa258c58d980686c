"""The live explorer: `explore()`, its fallbacks, and the page without a kernel.

Imports without ipywidgets or anywidget; what is missing is said when `explore` is called.
"""

from __future__ import annotations

from typing import Any

from nmlib.lab.toy.lab import Settings

__all__ = ["explore"]

MODES = ("auto", "live", "basic", "still")


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
        mode: "live" (anywidget), "basic" (core ipywidgets only), "still" (a picture and text), or
            "auto": the best of them that works here; what was left out is said in one line.
        lane: Scheme shown large.
        race: Show all six side by side instead.
        playing: Train at once.
        **changes: Settings by name, e.g. `sigma_add=0.3`.

    Returns:
        An explorer; put it last in a cell. All kinds have `lab`, `settings`, `preset()`,
        `as_code()` and `summary()`; the first two also have a trait for each setting.

    Raises:
        ValueError: For an unknown mode or lane, or a setting out of range.

    Source: paper appendix A, Fig. 4.

    >>> explorer = explore(mode="still", sigma_add=0.1)
    >>> explorer.preset()["sigma_add"]
    0.1
    """
    from nmlib._checks import choice

    choice("mode", mode, MODES)
    note = ""
    if mode == "auto":
        from nmlib._host import choose_transport

        chosen = choose_transport()
        mode = chosen.name
        # What a test stores must not say that a test asked.
        if chosen.host != "nbval":
            note = chosen.reason + (f" ({chosen.remedy})" if chosen.remedy else "")
    if mode == "live":
        from nmlib.lab.toy.explorer.live import LiveExplorer

        return LiveExplorer(settings, lane=lane, race=race, playing=playing, **changes)
    if mode == "basic":
        from nmlib.lab.toy.explorer.basic import BasicExplorer

        return BasicExplorer(settings, lane=lane, note=note, **changes)
    from nmlib.lab.toy.explorer.still import StillExplorer

    return StillExplorer(settings, note=note, **changes)
