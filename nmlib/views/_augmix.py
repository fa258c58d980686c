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

    with chains $C_j = op_{L_j} \circ \dots \circ op_1$, operations uniform on `OPERATIONS`, and
    levels uniform on [0.1, severity], drawn for each sample. The chains work on bytes, as the
    released code's do on Pillow images; the mixture is in floating point and not rounded. The
    released code mixes normalised images, while here the model normalises. Both give the network
    the same input: the weights $(1-m), m w_1, \dots, m w_J$ sum to one, so an affine map commutes
    with the mixture.

    `make` first calls `draw`, which is random, and then `apply`, which is not. A plan belongs to a
    whole batch: in a batch of another size, the same stream gives a sample other chains. No
    gradient flows to x.

    Args:
        severity: Highest level, 0.1 to 10.
        width: J, the number of chains.
        depth: L, the length of each chain; -1 draws it uniformly from 1, 2, 3 for each chain.
        alpha: Parameter of the Dirichlet and the Beta law, > 0.
        copies: Number A of augmented views; V = 1 + A.

    Source: paper eq. 1; AugMix (arXiv 1912.02781).
    Differs: rotations and shears interpolate in single precision, so about one value in 3,000 is
        one grey level off Pillow's; double precision would more than double the time. Later
        operations can widen the gap: after a chain of severity 3, about one value in 1,500
        differs, and one in 30,000 by more than one grey level.

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
                f"depth must be >= 1, or -1 for a random depth of 1 to 3, got {self.depth}"
            )

    @property
    def count(self) -> int:
        """Number of views V."""
        return 1 + self.copies

    def draw(self, batch: int, rng: Rng) -> AugMixPlan:
        """Draw the plan for `batch` samples; it is the same on every device."""
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
            ValueError: If x is not a batch of images in [0, 1]. This check synchronises an
                accelerator. `batch_loss(validate=False)` skips it; images outside [0, 1] then make
                the augmented views NaN on an accelerator, and so the loss, which is how a loop of
                your own learns of them. `fit` reads their range with the losses, and names the
                step.
        """
        x = _checks.image_axes("x", x)
        return self.apply(x, self.draw(len(x), rng))

    def apply(self, x: Tensor, plan: AugMixPlan) -> Tensor:
        """Return the views of x for a given plan; nothing is random here.

        Args:
            x: (B, C, H, W) in [0, 1]. The chains use it rounded to bytes.
            plan: A plan for B samples and A augmented views.

        Returns:
            (1 + A, B, C, H, W), of the type of x.
        """
        x = check_images(x)
        copies = check_plan(x, plan)
        # Worker threads write into this tensor, so it must not be an inference tensor.
        with torch.inference_mode(False):
            views = torch.empty((1 + copies, *x.shape), dtype=x.dtype, device=x.device)
        in_pieces(x, functools.partial(fill_views, views, x, plan))
        return views

    def chains(self, x: Tensor, plan: AugMixPlan) -> Tensor:
        """Return the results of all chains, (A, B, width, C, H, W) uint8; see `apply`."""
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
    r"""One augmented view and no clean view: AugMix without its divergence.

    The view is view 1 of `augmix` on the same stream. So schemes with and without the divergence
    train on the same augmented images.

    Args:
        augmix: The augmentation.

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
        """Return the augmented view, (1, B, C, H, W)."""
        plan = self.augmix.draw(len(x), rng)
        return self.augmix.apply(x, plan.view(0))[1:]
