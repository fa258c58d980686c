"""AugMix: mixtures of chains of operations."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nmlib import _checks
from nmlib.mixing import Model
from nmlib.rng import Rng, checked_rng
from nmlib.views._chains import (
    check_images,
    check_plan,
    fill_views,
    in_pieces,
    rounded_to_bytes,
    run_chains,
)
from nmlib.views._plan import NONE, OPERATIONS, AugMixPlan


@dataclass(frozen=True)
class AugMix:
    r"""The clean samples and `copies` augmented ones.

    $$A(x) = (1-m)\,x + m \sum_{j=1}^{J} w_j\,C_j(x),\qquad
      w \sim \mathrm{Dirichlet}(\alpha, \dots, \alpha),\quad m \sim \mathrm{Beta}(\alpha, \alpha)$$

    with chains $C_j = op_{L_j} \circ \dots \circ op_1$, operations uniform on `OPERATIONS`, levels
    uniform on [0.1, severity], each for each sample. The chains work on bytes, as the released
    code's do on Pillow images; the mixture is taken in floating point and not rounded. The
    released code mixes normalised images, here the model normalises: as the weights
    $(1-m), m w_1, \dots, m w_J$ sum to one, an affine map such as the normalisation commutes with
    the mixture, so that the network sees the same.

    `make` is `draw`, all chance, then `apply`, none. A plan is drawn for a whole batch: the same
    stream gives a sample another one in a batch of another size. No gradient flows to x.

    Args:
        severity: Highest level, 0.1 to 10.
        width: J, the number of chains.
        depth: L, the length of each chain; -1 draws it for each, uniformly from 1, 2, 3.
        alpha: Of the Dirichlet and the Beta law, > 0.
        copies: Number A of augmented views; V = 1 + A.

    Source: paper eq. 1; AugMix (arXiv 1912.02781).
    Differs: rotations and shears interpolate in single precision, so that about one value in 3,000
        is one grey level away from Pillow's; double precision would take twice the time and more.
        A later operation may widen the gap: at the end of a chain of severity 3 about one value in
        1,500 differs, and one in 30,000 by more than a grey level.

    >>> x = torch.rand(4, 3, 32, 32, generator=Rng(0).torch())
    >>> views = AugMix().make(x, None, None, Rng(0))
    >>> views.shape, bool((views[0] == x).all())
    (torch.Size([3, 4, 3, 32, 32]), True)
    """

    severity: float = 3
    width: int = 3
    depth: int = -1
    alpha: float = 1
    copies: int = 2

    def __post_init__(self) -> None:
        _checks.keep(self, _checks.number, "severity", low=0.1, high=10)
        _checks.keep(self, _checks.positive, "alpha", remedy="1 is the uniform law")
        _checks.keep(self, _checks.integer, "width", "copies", least=1)
        _checks.keep(self, _checks.integer, "depth")
        if self.depth < 1 and self.depth != -1:
            raise ValueError(
                f"depth must be >= 1, or -1 for a random one of 1 to 3, got {self.depth}"
            )

    @property
    def count(self) -> int:
        """Number of views V."""
        return 1 + self.copies

    def draw(self, batch: int, rng: Rng) -> AugMixPlan:
        """Draw the plan for `batch` samples; the same on every device."""
        draws = checked_rng(rng).numpy()
        views = (self.copies, _checks.integer("batch", batch, 0))
        chains = (*views, self.width)
        shape = (*chains, 3 if self.depth == -1 else self.depth)
        operation = draws.integers(len(OPERATIONS), size=shape)
        level: NDArray[np.float64] = draws.uniform(0.1, self.severity, size=shape)
        sign = np.where(draws.integers(2, size=shape) == 1, 1.0, -1.0)
        weights: NDArray[np.float64] = draws.dirichlet([self.alpha] * self.width, size=views)
        mix = draws.beta(self.alpha, self.alpha, size=views)
        if self.depth == -1:
            length = draws.integers(1, 4, size=chains)
            operation = np.where(np.arange(3) < length[..., None], operation, NONE)
        return AugMixPlan(operation, level, sign, weights, mix)

    def make(self, x: Tensor, y: Tensor | None, model: Model | None, rng: Rng) -> Tensor:
        """Return (1 + copies, B, C, H, W) views; view 0 is x itself.

        Args:
            x: (B, C, H, W) in [0, 1].
            y: Not used.
            model: Not used.
            rng: Stream of the plan.

        Raises:
            ValueError: If x is not a batch of images in [0, 1]. On an accelerator this look at the
                values waits for it; `batch_loss(validate=False)` leaves it out, and images outside
                make the augmented views NaN.
        """
        x = _checks.image_axes("x", x)
        return self.apply(x, self.draw(len(x), rng))

    def apply(self, x: Tensor, plan: AugMixPlan) -> Tensor:
        """Return the views that a plan makes of x; no chance is left.

        Args:
            x: (B, C, H, W) in [0, 1]. It is rounded to bytes for the chains.
            plan: Of the same batch size.

        Returns:
            (1 + A, B, C, H, W), A the plan's number of augmented views, of the type of x.
        """
        x = check_images(x)
        copies = check_plan(x, plan)
        # Worker threads write into it, which they may not if it is an inference tensor.
        with torch.inference_mode(False):
            views = torch.empty((1 + copies, *x.shape), dtype=x.dtype, device=x.device)
        in_pieces(x, functools.partial(fill_views, views, x, plan))
        return views

    def chains(self, x: Tensor, plan: AugMixPlan) -> Tensor:
        """Return the ends of all chains, (A, B, width, C, H, W) uint8; arguments as of `apply`."""
        x = check_images(x)
        copies = check_plan(x, plan)
        with torch.inference_mode(False):
            shape = (copies, len(x), plan.operation.shape[2], *x.shape[1:])
            ends = torch.empty(shape, dtype=torch.uint8, device=x.device)

        def fill(piece: slice) -> None:
            made = run_chains(rounded_to_bytes(x[piece]), plan, piece)
            ends[:, piece].copy_(made.view_as(ends[:, piece]))

        in_pieces(x, fill)
        return ends


@dataclass(frozen=True)
class Augmented:
    r"""One augmented view and no clean one: AugMix without its divergence.

    The view is view 1 of `augmix` on the same stream, so that schemes with and without the
    divergence train on the same augmented images.

    Args:
        augmix: How views are augmented.

    Source: AugMix (arXiv 1912.02781) as released, trained without the divergence.

    >>> x, rng = torch.rand(2, 3, 32, 32, generator=Rng(0).torch()), Rng(1)
    >>> torch.equal(Augmented().make(x, None, None, rng)[0], AugMix().make(x, None, None, rng)[1])
    True
    """

    augmix: AugMix = AugMix()

    @property
    def count(self) -> int:
        """Number of views V = 1."""
        return 1

    def make(self, x: Tensor, y: Tensor | None, model: Model | None, rng: Rng) -> Tensor:
        """Return (1, B, C, H, W): x augmented."""
        plan = self.augmix.draw(len(x), rng)
        return self.augmix.apply(x, plan.view(0))[1:]
