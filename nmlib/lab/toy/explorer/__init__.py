"""The explorer: six schemes that train where the slider is, in a notebook or on a page.

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
    view: str = "pair",
    playing: bool = True,
    hide: str = "",
    lesson: str = "",
    language: str = "en",
    **changes: Any,
) -> Any:
    r"""Show the decision boundaries of the six schemes, trained while you watch.

    Args:
        settings: Where to start; default `Settings()`.
        mode: "live" (an anywidget), "still" (a picture and a text), or "auto": live where it works.
        lane: Scheme shown.
        view: "pair" shows it beside the baseline, "one" alone, "six" shows all schemes.
        playing: Train at once.
        hide: Parts of the page to leave out, separated by dots: names of settings, `presets`,
            `picker`, `legend`, `layers`, `transport`, `data`, `own`, `more`, `numbers`, `charts`,
            `share`, `trials`, `slow`, `exercises`, `present`, `language`.
        lesson: Text above the picture, e.g. a task for a class.
        language: "en" or "de".
        **changes: Settings by name, e.g. `sigma_add=0.3`.

    Returns:
        An explorer; put it last in a cell. Both forms have `lab`, `settings`, `preset()`,
        `as_code()`, `summary()` and `sliders`; the live one has a trait for each setting, and
        `set_points`.

    Raises:
        ValueError: For an unknown mode, lane, view or language, or a setting out of range.

    Source: paper appendix A, Fig. 4.

    >>> explorer = explore(mode="still", sigma_add=0.1)
    >>> explorer.preset()["sigma_add"]
    0.1
    """
    from nmlib.lab.panel import choose_mode

    mode, note = choose_mode(mode)
    if mode == "live":
        from nmlib.lab.toy.explorer.live import LiveExplorer

        return LiveExplorer(
            settings, lane=lane, view=view, playing=playing, hide=hide, lesson=lesson,
            language=language, **changes,
        )  # fmt: skip
    from nmlib.lab.toy.explorer.still import StillExplorer

    explorer = StillExplorer(settings, language=language, **changes)
    explorer.note = note
    return explorer
