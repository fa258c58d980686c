"""Convex combinations of samples: draw a `Pair`, then `mix` inputs, features or labels with it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from nmlib import _checks
from nmlib._devices import to_device
from nmlib.rng import Rng, checked_rng

__all__ = ["CutMix", "Mixup", "Pair", "mix", "mix_labels"]


@dataclass(frozen=True)
class Pair:
    r"""The partner of each sample, and the weights of the mixture.

    $h \mapsto w\,h + (1-w)\,h_{partner}$ and $y \mapsto \lambda\,y + (1-\lambda)\,y_{partner}$.
    PuzzleMix first rearranges both images: $h \mapsto w\,T(h) + (1-w)\,T'(h_{partner})$.
    Tensors are kept, not copied; their values are checked on the CPU only.

    Attributes:
        partner: (B,) index of each sample's partner.
        weight: $w$ in [0, 1]: a number, or a tensor that broadcasts against one sample batch
            (a CutMix mask has shape (1, 1, H, W)).
        lam: $\lambda$ in [0, 1], the label weight: a number or a (B,) tensor. It equals the mean
            of `weight`.
        source: (B, H, W) flat index, row * W + column, of the pixel of the sample's own image that
            moves to each position; None leaves the image as it is.
        partner_source: The same for the partner's image.
    """

    partner: Tensor
    weight: float | Tensor
    lam: float | Tensor
    source: Tensor | None = None
    partner_source: Tensor | None = None

    def __post_init__(self) -> None:
        partner = _checks.tensor("partner", self.partner)
        batch = len(partner) if partner.ndim else 0
        if partner.ndim != 1 or partner.is_floating_point() or partner.dtype == torch.bool:
            raise ValueError(
                f"partner must be a 1-d integer tensor, got {partner.dtype} of shape "
                f"{tuple(partner.shape)}"
            )
        object.__setattr__(self, "partner", partner.long())
        _checks.on_host_within("partner", self.partner, 0, batch - 1)
        for name in ("weight", "lam"):
            if isinstance(getattr(self, name), (Tensor, np.ndarray, list, tuple)):
                _checks.keep(self, _checks.tensor, name)
                if getattr(self, name).dtype == torch.bool:  # a mask
                    object.__setattr__(self, name, getattr(self, name).float())
                _checks.on_host_within(name, getattr(self, name), 0, 1)
            else:
                _checks.keep(self, _checks.number, name, low=0, high=1)
        if isinstance(self.lam, Tensor) and self.lam.shape not in ((), (batch,)):
            raise ValueError(f"lam must be a number or ({batch},), got {tuple(self.lam.shape)}")
        for name in ("source", "partner_source"):
            if getattr(self, name) is None:
                continue
            _checks.keep(self, _checks.tensor, name)
            index = getattr(self, name)
            if index.ndim != 3 or index.is_floating_point() or len(index) != batch:
                raise ValueError(
                    f"{name} must be an integer tensor (B, H, W) with B = {batch}, got "
                    f"{index.dtype} of shape {tuple(index.shape)}"
                )
            _checks.on_host_within(name, index, 0, index.shape[1] * index.shape[2] - 1)

    @classmethod
    def identity(cls, batch: int, device: torch.device | str = "cpu") -> Pair:
        """Return the pair that leaves every sample as it is (lam = 1)."""
        batch = _checks.integer("batch", batch, 0)
        return cls(torch.arange(batch, device=device), 1.0, 1.0)


def _rearranged(h: Tensor, source: Tensor | None) -> Tensor:
    """Take the pixels of (..., B, C, H, W) activations from the indices `source` (B, H, W)."""
    if source is None:
        return h
    if h.ndim < 4 or h.shape[-2:] != source.shape[-2:]:
        raise ValueError(
            f"the pair moves pixels of {source.shape[-2]}x{source.shape[-1]} images but the "
            f"activations have shape {tuple(h.shape)}; mix at point 0, the input"
        )
    index = source.flatten(1).unsqueeze(1).expand(*h.shape[:-2], -1)
    return h.flatten(-2).gather(-1, index).unflatten(-1, tuple(h.shape[-2:]))


def mix(h: Tensor, pair: Pair, *, dim: int = 0) -> Tensor:
    r"""Return $w\,h + (1-w)\,h_{partner}$; `h` itself is unchanged.

    If the pair moves pixels (`source`, `partner_source`), they move first.

    Args:
        h: Samples along `dim`. For views (V, B, ...) use `dim=1`: each view mixes within itself.
        pair: Partners and weights.
        dim: The batch axis.

    Returns:
        A tensor like `h`; with weight 1 it is `h` itself.

    Raises:
        ValueError: If `pair` belongs to another batch size, or its weight tensor does not
            broadcast against a sample batch.

    Source: paper sec. 3.1, $M_\lambda$.

    >>> pair = Pair(torch.tensor([1, 0]), 0.75, 0.75)
    >>> mix(torch.tensor([[0.0], [4.0]]), pair).flatten().tolist()
    [1.0, 3.0]
    """
    h = _checks.tensor("h", h)
    if not h.is_floating_point():
        raise TypeError(f"mix needs floating-point numbers, got {h.dtype}; use h.float()")
    dim = _checks.integer("dim", dim)
    if not 0 <= dim < h.ndim:
        raise ValueError(f"dim must be an axis of h, got {dim} for shape {tuple(h.shape)}")
    if pair.partner.shape[0] != h.shape[dim]:
        raise ValueError(
            f"partner has {pair.partner.shape[0]} entries but the batch has {h.shape[dim]}; draw "
            "the pair for this batch"
        )
    # A (B,) weight would broadcast along the last axis of h, silently if that has B entries.
    shape = pair.weight.shape if isinstance(pair.weight, Tensor) else ()
    if len(shape) not in (0, h.ndim - dim) or any(
        w not in (1, n) for w, n in zip(shape, h.shape[dim:], strict=False)
    ):
        raise ValueError(
            f"weight has shape {tuple(shape)} but a sample batch has "
            f"{tuple(h.shape[dim:])}; give it {h.ndim - dim} axes, e.g. "
            f"weight.reshape({', '.join(['-1'] + ['1'] * (h.ndim - dim - 1))}) for one number per "
            "sample"
        )
    own = _rearranged(h, pair.source)
    if not isinstance(pair.weight, Tensor):
        if pair.weight == 1:
            return own
        if pair.partner_source is None:
            return _mixed(own, pair.partner, float(pair.weight), dim)
    other = _rearranged(h.index_select(dim, pair.partner), pair.partner_source)
    return (pair.weight * own + (1 - pair.weight) * other).to(h.dtype)


def _mixed(h: Tensor, partner: Tensor, weight: float, dim: int) -> Tensor:
    """Return w h + (1 - w) h[partner] in few passes over memory, keeping the memory layout."""
    if h.ndim == dim + 4 and not h.is_contiguous():
        # For channels-last images, indexing is far faster with the channels as the last axis.
        return _mixed(h.movedim(-3, -1).contiguous(), partner, weight, dim).movedim(-1, -3)
    return torch.lerp(h.index_select(dim, partner), h, weight)


def mix_labels(
    y: Tensor,
    pair: Pair,
    num_classes: int,
    *,
    dtype: torch.dtype = torch.float32,
    validate: bool = True,
) -> Tensor:
    r"""Return the (B, K) mixed labels $\lambda\,y + (1-\lambda)\,y_{partner}$.

    Args:
        y: (B,) classes or (B, K) distributions.
        pair: Partners and weights.
        num_classes: K.
        dtype: Type of the mixed labels if y holds classes.
        validate: Check the classes (costs a synchronisation on a GPU).

    Raises:
        ValueError: For a class out of range, or if `pair` belongs to another batch size.

    Source: paper sec. 3.1.

    >>> mix_labels(torch.tensor([0, 1]), Pair(torch.tensor([1, 0]), 0.75, 0.75), 2).tolist()
    [[0.75, 0.25], [0.25, 0.75]]
    """
    num_classes = _checks.integer("num_classes", num_classes, 1)
    y = _checks.tensor("y", y)
    if y.ndim not in (1, 2):
        raise ValueError(f"y must be classes (B,) or distributions (B, K), got {tuple(y.shape)}")
    if len(pair.partner) != len(y):
        raise ValueError(
            f"partner has {len(pair.partner)} entries but there are {len(y)} labels; draw the pair "
            "for this batch"
        )
    if y.ndim == 2 and y.shape[1] != num_classes:
        column = "; use y[:, 0]" if y.shape[1] == 1 else ""
        raise ValueError(
            f"y has shape {tuple(y.shape)} but there are {num_classes} classes{column}"
        )
    if y.ndim == 1:
        y = _checks.class_labels(y, num_classes, validate=validate)
        y = torch.nn.functional.one_hot(y, num_classes).to(dtype)
    lam = pair.lam.unsqueeze(-1) if isinstance(pair.lam, Tensor) else pair.lam
    return lam * y + (1 - lam) * y.index_select(0, pair.partner)


Model = Callable[..., Tensor]


def _draw_lam(rng: Rng, alpha: float, beta: float) -> float:
    return float(rng.fold("lam").numpy().beta(alpha, beta))


def _draw_partner(rng: Rng, x: Tensor) -> Tensor:
    return to_device(rng.fold("partner").numpy().permutation(x.shape[0]), x.device)


@dataclass(frozen=True)
class Mixup:
    r"""Mixup with one $\lambda \sim Beta(\alpha, \beta)$ and one permutation per batch.

    At a random layer (`Scheme.points`) this is manifold mixup.

    Args:
        alpha: First Beta parameter, > 0. Larger mixes more.
        beta: Second Beta parameter; default `alpha`.

    Source: paper sec. 3.1; facts in arXiv 1710.09412 and 1806.05236.

    >>> x = torch.zeros(4, 2)
    >>> pair = Mixup(1.0).draw(x, None, None, Rng(0))
    >>> sorted(pair.partner.tolist()), 0 <= pair.lam <= 1
    ([0, 1, 2, 3], True)
    """

    alpha: float = 1.0
    beta: float | None = None
    spatial = False

    def __post_init__(self) -> None:
        remedy = "for no mixing use mix=None"
        both = ("alpha",) if self.beta is None else ("alpha", "beta")
        _checks.keep(self, _checks.positive, *both, remedy=remedy)

    def draw(self, x: Tensor, y: Tensor | None, model: Model | None, rng: Rng) -> Pair:
        """Draw the pairing of a batch x of shape (B, ...)."""
        x, rng = _checks.tensor("x", x), checked_rng(rng)
        if not x.ndim:
            raise ValueError(f"x must be a batch (B, ...), got a number, {_checks.shown(x)}")
        lam = _draw_lam(rng, self.alpha, self.alpha if self.beta is None else self.beta)
        return Pair(_draw_partner(rng, x), lam, lam)


@dataclass(frozen=True)
class CutMix:
    r"""CutMix: paste a box of the partner's image; the label weight is the remaining area.

    Each side of the box is $\sqrt{1-\lambda}$ of the image's, with $\lambda \sim
    Beta(\alpha,\alpha)$. Its centre is uniform and the border clips it; `lam` is then the exact
    remaining area.

    Args:
        alpha: Beta parameter, > 0.
        prob: Probability that a batch is mixed at all.

    Source: arXiv 1905.04899; the paper's comparison row.
    """

    alpha: float = 1.0
    prob: float = 0.5
    spatial = True

    def __post_init__(self) -> None:
        _checks.keep(self, _checks.positive, "alpha", remedy="for no mixing use mix=None")
        _checks.keep(self, _checks.number, "prob", low=0, high=1)

    def draw(self, x: Tensor, y: Tensor | None, model: Model | None, rng: Rng) -> Pair:
        """Draw box and pairing of a batch x of shape (B, C, H, W)."""
        x, rng = _checks.tensor("x", x), checked_rng(rng)
        if x.ndim != 4 or not x.shape[2] * x.shape[3]:
            raise ValueError(f"CutMix needs images (B, C, H, W), got shape {tuple(x.shape)}")
        height, width = x.shape[-2:]
        choose = rng.fold("box").numpy()
        if choose.random() >= self.prob:
            return Pair.identity(x.shape[0], x.device)
        side = np.sqrt(1 - _draw_lam(rng, self.alpha, self.alpha))
        half_h, half_w = int(height * side) // 2, int(width * side) // 2
        row, column = int(choose.integers(height)), int(choose.integers(width))
        top, bottom = max(row - half_h, 0), min(row + half_h, height)
        left, right = max(column - half_w, 0), min(column + half_w, width)
        keep = torch.ones(1, 1, height, width, dtype=x.dtype, device=x.device)
        keep[..., top:bottom, left:right] = 0
        lam = 1 - (bottom - top) * (right - left) / (height * width)
        return Pair(_draw_partner(rng, x), keep, lam)
