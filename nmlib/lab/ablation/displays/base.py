"""The base of the displays that put our rows beside the paper's Table 4."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

from nmlib.lab.ablation.switches import ablation_conditions, check_switches
from nmlib.lab.cifar.records import Records, ablation_cells
from nmlib.lab.display.base import Display
from nmlib.lab.display.conditions import Conditions
from nmlib.paper import ablation
from nmlib.statistics import Cells

__all__ = ["AblationDisplay"]


@dataclass(frozen=True, eq=False)
class AblationDisplay(Display):
    """The ten rows of Table 4, the paper's and ours.

    Attributes:
        paper: The published rows, in percent.
        ours: Our rows, in percent.
    """

    paper: Cells
    ours: Cells

    def __post_init__(self) -> None:
        super().__post_init__()
        check_switches(self.paper)
        check_switches(self.ours)

    @classmethod
    def from_cells(cls, ours: Cells, *, conditions: Conditions | str = "", **options: Any) -> Self:
        """Put our cells (in percent) beside the paper's.

        Args:
            ours: Cells of Table 4's switches.
            conditions: What ours were measured on.
            **options: Other fields of the display.
        """
        paper = ablation(*cls._metric(options))
        return cls(paper, ours, conditions=Conditions.of(conditions), **options)

    @classmethod
    def from_records(cls, records: Records, **options: Any) -> Self:
        """Put measured records (`nmlib.lab.cifar.records`) beside the paper's rows.

        Args:
            records: Of all ten rows; other schemes are ignored.
            **options: Other fields of the display.
        """
        ours = ablation_cells(records, *cls._metric(options))
        return cls.from_cells(ours, conditions=ablation_conditions(records), **options)

    @staticmethod
    def _metric(options: dict[str, Any]) -> tuple[str, ...]:
        return (options["metric"],) if "metric" in options else ()

    @property
    def sources(self) -> dict[str, Cells]:
        """The cells by where they come from, "paper" and "ours"."""
        return {"paper": self.paper, "ours": self.ours}

    @property
    def small_print(self) -> str:
        return self._about + (f"; ours: {self.conditions}" if self.conditions else "")

    @property
    def _about(self) -> str:
        """The source of the paper's numbers, for the small print."""
        return "paper: Table 4, CIFAR-100-C"
