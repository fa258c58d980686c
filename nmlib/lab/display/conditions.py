"""Small print: what numbers were measured on, as fields and as words."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import Any

__all__ = ["Conditions", "listed", "small_print", "wrapped"]


@dataclass(frozen=True)
class Conditions:
    """What the numbers of a display were measured on.

    Displays read the fields; `full` is for readers and is never parsed.

    Attributes:
        data: Label of the data set, which may hold any character.
        model: Network.
        budget: Name of the training budget.
        train_images: Number of training images.
        epochs: Number of epochs.
        test_images: Number of test images.
        details: Other facts in words, e.g. "severity 3".
        seeds: Training seeds.
        common: Seeds that every scheme has; None if all of them.
        commits: Commits of the code that measured.
        note: What else a reader must know, in a sentence or a line.

    >>> made = Conditions("tiny", "mlp", "smoke", 1000, 3, 200, seeds=(0,), commits=("abc",))
    >>> print(made)
    tiny, mlp, budget smoke (1,000 images x 3 epochs), 200 test images, seed 0, commit abc
    >>> made.short
    'tiny, smoke budget'
    >>> Conditions.of("mine, cropped").data
    'mine, cropped'
    """

    data: str = ""
    model: str = ""
    budget: str = ""
    train_images: int | None = None
    epochs: int | None = None
    test_images: int | None = None
    details: tuple[str, ...] = ()
    seeds: tuple[int, ...] = ()
    common: tuple[int, ...] | None = None
    commits: tuple[str, ...] = ()
    note: str = ""

    @classmethod
    def of(cls, value: Conditions | str) -> Conditions:
        """Return conditions as they are; a plain text is the name of the data as a whole."""
        return value if isinstance(value, cls) else cls(str(value))

    @property
    def short(self) -> str:
        """Data and budget, for legends and headings."""
        return ", ".join(filter(None, (self.data, self.budget and f"{self.budget} budget")))

    @property
    def full(self) -> str:
        """Everything, for the corner of a figure."""
        parts = [self.data, self.model, self._training()]
        if self.test_images is not None:
            parts.append(f"{self.test_images:,} test images")
        parts += [*self.details, self._seeds(), listed("commit", self.commits)]
        return "; ".join(filter(None, (", ".join(filter(None, parts)), self.note)))

    def _training(self) -> str:
        found = [] if self.train_images is None else [f"{self.train_images:,} images"]
        if self.epochs is not None:
            found.append(f"{self.epochs} epoch{'s' * (self.epochs != 1)}")
        size = " x ".join(found)
        if not self.budget:
            return size
        return f"budget {self.budget}" + (f" ({size})" if size else "")

    def _seeds(self) -> str:
        text = listed("seed", sorted(set(self.seeds)))
        if self.common is None or set(self.common) == set(self.seeds):
            return text
        return f"{text} ({', '.join(map(str, sorted(self.common))) or 'none'} of every scheme)"

    def __str__(self) -> str:
        return self.full

    def __bool__(self) -> bool:
        return any(getattr(self, f.name) for f in fields(self))


def listed(word: str, items: Iterable[Any]) -> str:
    """Return a list with its noun; nothing for no items.

    >>> listed("seed", [0]), listed("seed", [0, 1]), listed("seed", [])
    ('seed 0', 'seeds 0, 1', '')
    """
    texts = list(map(str, items))
    return f"{word}{'s' * (len(texts) > 1)} {', '.join(texts)}" if texts else ""


def wrapped(text: str, width: float) -> str:
    """Break small print into lines of a figure `width` inches wide."""
    lines = (textwrap.wrap(part, int(18 * width)) for part in text.split("\n"))
    return "\n".join(line for part in lines for line in part)


def small_print(figure: Any, text: str) -> None:
    """Write the conditions into the lower right corner, in lines that the figure has room for."""
    if text:
        text = wrapped(text, figure.get_figwidth())
        figure.supxlabel(text, fontsize=7.5, color="0.35", x=0.99, ha="right")
