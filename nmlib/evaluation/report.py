"""What reports on a model have in common."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import nn

from nmlib.data.images import Images
from nmlib.models.modes import unwrapped

__all__ = ["Report", "mean_with_error", "row_key"]


class Report:
    """A table of results with the key and the provenance of its rows.

    Attributes:
        key: What the rows of tables are keyed by: dataset, model, scheme, seed.
        provenance: Settings, data fingerprint, seed, commit, versions.
    """

    key: Mapping[str, Any]
    provenance: Mapping[str, Any]

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.summary})"

    @property
    def summary(self) -> str:
        """The main numbers in a sentence."""
        raise NotImplementedError

    @property
    def rows(self) -> list[dict[str, Any]]:
        """A tidy table, each row with the key."""
        raise NotImplementedError

    @property
    def subject(self) -> str:
        """What was measured on what: "model, scheme on dataset"."""
        name = ", ".join(str(self.key[k]) for k in ("model", "scheme") if self.key.get(k))
        return f"{name} on {self.key['dataset']}"

    def frame(self) -> Any:
        """Return `rows` as a pandas data frame."""
        import pandas

        return pandas.DataFrame(self.rows)


def mean_with_error(values: NDArray[np.float64]) -> tuple[float, float]:
    """Return the mean over images, (N,), and its standard error (0 for one image)."""
    error = values.std(ddof=1) / np.sqrt(len(values)) if len(values) > 1 else 0.0
    return float(values.mean()), float(error)


def row_key(model: nn.Module, data: Images, key: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return what rows are keyed by: dataset, model, scheme, seed, then anything else given."""
    given = dict(key or {})
    model = unwrapped(model)
    name = getattr(model, "name", None)
    start = {
        "dataset": data.label,
        "model": name if isinstance(name, str) else type(model).__name__,
        "scheme": None,
        "seed": None,
    }
    return start | given
