"""The reference values, as arguments of nmlib's functions."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from oracles.theory_nets import TORCH

from nmlib.theory import (
    Expansion,
    nfm_expansion,
    nfm_loss_exact,
    stability_expansion,
    stability_loss_exact,
)

REFERENCE: dict[str, Any] = json.loads(
    (Path(__file__).parents[1] / "data" / "theory_reference.json").read_text()
)
CASES: dict[str, dict[str, Any]] = REFERENCE["cases"]


def data(name: str) -> torch.Tensor:
    return torch.tensor(REFERENCE["data"][name], dtype=torch.float64)


def exact(name: str, eps: float, order: tuple[int, int] | None = None) -> float:
    """The exact loss of a case; `order` = the plain rule that the reference was made with."""
    case = CASES[name]
    options = {k: case[k] for k in ("law", "sparsity", "weights", "shared_noise") if k in case}
    settings = {**case["settings"], "eps": eps, "order": order, **options}
    f = TORCH[case["net"]]
    if case["kind"] == "nfm":
        return nfm_loss_exact(f, data("X"), REFERENCE["data"][case["y"]], **settings)
    return stability_loss_exact(f, torch.stack([data(v) for v in case["views"]]), **settings)


def expansion(name: str) -> Expansion:
    case = CASES[name]
    settings = dict(case["settings"])
    f = TORCH[case["net"]]
    if case.get("law") == "released":
        from nmlib import Noise
        from nmlib.theory import effective_levels

        law = Noise(settings["sigma_add"], settings["sigma_mult"], case["sparsity"], law="released")
        (settings["sigma_add"],), (settings["sigma_mult"],) = effective_levels(law)
    if case["kind"] == "nfm":
        return nfm_expansion(f, data("X"), REFERENCE["data"][case["y"]], **settings)
    options = {k: case[k] for k in ("weights", "shared_noise") if k in case}
    return stability_expansion(
        f, torch.stack([data(v) for v in case["views"]]), **settings, **options
    )
