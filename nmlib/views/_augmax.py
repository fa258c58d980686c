"""AugMax: mixtures of augmentations with a high loss, found by gradient ascent."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from nmlib import _checks
from nmlib._devices import to_device
from nmlib.losses import soft_cross_entropy
from nmlib.mixing import Model
from nmlib.models.modes import evaluating, in_type_of, logits_of
from nmlib.models.norm import adversarial_norm
from nmlib.rng import Rng, checked_rng
from nmlib.views._augmix import AugMix
from nmlib.views._plan import AugMixPlan


@dataclass(frozen=True)
class AugMaxDraw:
    """All random decisions of AugMax for one batch.

    Attributes:
        plan: Two augmented views: the AugMix view, and the chains that the adversary mixes.
        mix: (B,) starting points of m, in [0, 1].
        scores: (B, width) starting points of q; the chains have the weights softmax(q).
    """

    plan: AugMixPlan
    mix: NDArray[np.float64]
    scores: NDArray[np.float64]

    def __post_init__(self) -> None:
        copies, batch, width, _ = self.plan.operation.shape
        if copies != 2:
            raise ValueError(f"plan must make 2 augmented views, got {copies}")
        for name, wanted in (("mix", (batch,)), ("scores", (batch, width))):
            found = np.shape(getattr(self, name))
            if found != wanted:
                raise ValueError(f"{name} must have shape {wanted} to fit the plan, got {found}")


@dataclass(frozen=True)
class AugMax:
    r"""The clean samples, an AugMix view, and a view whose mixture maximises the loss.

    $$\max_{m \in [0,1],\; q \in R^J} \ell\Big(f\big((1-m)\,x + m \sum_j
      \mathrm{softmax}(q)_j\,C_j(x)\big),\; y\Big)$$

    Ascent follows the sign of the gradient, from m and q uniform in [0, 1). Both augmented views
    draw their own chains, as in `AugMix`. A sample stops `extra_steps` steps after its first
    misclassification. Its last point is used, even if an earlier one had a higher loss, as in the
    released code.

    During the ascent the model is in evaluation mode, its weights get no gradient, and dual
    normalisation layers use their adversarial half. In training, `routes` sends the last view
    there.

    Args:
        severity: See `AugMix`, also for the next three.
        width: J.
        depth: Length of each chain, or -1.
        alpha: Of the AugMix view.
        steps: Number of ascent steps. The authors use 10 on CIFAR; their script's default is 5.
        step_size: Step in m and q.
        extra_steps: Number of steps after the first misclassification.

    Source: AugMax (arXiv 2110.13771), a comparison row of the paper's Table 2.
    Differs: the authors do not normalise images; here the model does, before its first stage.
    """

    severity: float = 3
    width: int = 3
    depth: int = -1
    alpha: float = 1
    steps: int = 10
    step_size: float = 0.1
    extra_steps: int = 1

    def __post_init__(self) -> None:
        checked = self.augmix
        for name in ("severity", "width", "depth", "alpha"):
            object.__setattr__(self, name, getattr(checked, name))
        _checks.keep(self, _checks.integer, "steps", "extra_steps", least=0)
        _checks.keep(self, _checks.positive, "step_size")

    @property
    def augmix(self) -> AugMix:
        """The law of the chains."""
        return AugMix(self.severity, self.width, self.depth, self.alpha)

    @property
    def count(self) -> int:
        """Number of views V."""
        return 3

    @property
    def routes(self) -> tuple[bool, ...]:
        """For each view, whether it belongs to the adversarial half of dual normalisation."""
        return (False, False, True)

    def draw(self, batch: int, rng: Rng) -> AugMaxDraw:
        """Make the random decisions for `batch` samples; they are the same on every device."""
        batch = _checks.integer("batch", batch, 0)
        start = checked_rng(rng).fold("adversary").numpy()
        plan = self.augmix.draw(batch, rng)
        return AugMaxDraw(plan, start.random(batch), start.random((batch, self.width)))

    def make(self, x: Tensor, y: Tensor | None, model: Model | None, rng: Rng) -> Tensor:
        """Return (3, B, C, H, W) views: clean, AugMix, AugMax.

        Args:
            x: (B, C, H, W) in [0, 1].
            y: (B,) classes, or (B, K) distributions over them.
            model: Maps images to logits.
            rng: Stream of the draws.

        Raises:
            ValueError: Without labels or model, or if x is not a batch of images in [0, 1].
        """
        x = _checks.image_axes("x", x)
        return self.apply(x, y, model, self.draw(len(x), rng))

    def apply(self, x: Tensor, y: Tensor | None, model: Model | None, draws: AugMaxDraw) -> Tensor:
        """Return the views for given draws; they depend on the model too."""
        if y is None or model is None:
            missing = "labels y" if y is None else "a model"
            raise ValueError(f"AugMax maximises the loss, so make needs {missing}")
        x = _checks.tensor("x", x)
        y = _checks.labels_of_samples(y, x)
        first = self.augmix.apply(x, draws.plan.view(0))
        chains = self.augmix.chains(x, draws.plan.view(1))[0]
        with torch.inference_mode(False), torch.no_grad():
            # Autograd refuses inference tensors.
            clean = x.clone() if x.is_inference() else x.detach()
            clean = clean.to(torch.promote_types(x.dtype, torch.float32))
            found = hardest_mixture(
                model,
                clean,
                chains.to(clean.dtype).div_(255),
                y,
                to_device(draws.mix, x.device).to(clean.dtype),
                to_device(draws.scores, x.device).to(clean.dtype),
                steps=self.steps,
                step_size=self.step_size,
                extra_steps=self.extra_steps,
            )
        return torch.cat((first, found.to(x.dtype).unsqueeze(0)))


def hardest_mixture(
    model: Model,
    x: Tensor,
    chains: Tensor,
    y: Tensor,
    mix: Tensor,
    scores: Tensor,
    *,
    steps: int,
    step_size: float,
    extra_steps: int,
) -> Tensor:
    """Return the mixtures of x and its chains at which the ascent of `AugMax` stops.

    Args:
        model: Maps images to logits.
        x: (B, C, H, W) images.
        chains: (B, J, C, H, W) augmented images.
        y: (B,) classes, or (B, K) distributions over them, whose likeliest class is the label.
        mix: (B,) starting points of m.
        scores: (B, J) starting points of q.
        steps: Number of ascent steps.
        step_size: See `AugMax`.
        extra_steps: See `AugMax`.

    Returns:
        (B, C, H, W) images.
    """

    def mixture(rows: Tensor | slice, m: Tensor, q: Tensor) -> Tensor:
        weights = m.unsqueeze(1) * q.softmax(1)
        # Not einsum: autocast would run it in half precision.
        parts = (weights.view(*weights.shape, 1, 1, 1) * chains[rows]).sum(1)
        return (1 - m).view(-1, 1, 1, 1) * x[rows] + parts

    mix, scores = mix.clone(), scores.clone()
    right = y if y.ndim == 1 else y.argmax(1)
    active = torch.arange(len(x), device=x.device)
    left = torch.full_like(active, extra_steps)
    with _frozen(model), torch.enable_grad():
        for _ in range(steps):
            if not len(active):
                break
            m, q = mix[active].requires_grad_(), scores[active].requires_grad_()
            logits = logits_of(model(in_type_of(model, mixture(active, m, q))))
            target = y[active]
            if y.ndim == 1:
                on_host = y.device.type == "cpu"
                target = _checks.class_labels(target, logits.shape[1], validate=on_host)
            loss = soft_cross_entropy(logits, target, validate=False).sum()
            up_m, up_q = torch.autograd.grad(loss, (m, q))
            left[active] -= (logits.argmax(1) != right[active]).to(left.dtype)
            # The number of samples that continue is the only synchronisation.
            go = torch.nonzero(left[active] >= 0).squeeze(1)
            active = active[go]
            mix[active] = (m.detach() + step_size * up_m.sign()).clamp_(0, 1)[go]
            scores[active] = (q.detach() + step_size * up_q.sign())[go]
    return mixture(slice(None), mix, scores)


@contextlib.contextmanager
def _frozen(model: Model) -> Iterator[None]:
    """Use evaluation mode and the adversarial route inside the context."""
    route = adversarial_norm(model) if isinstance(model, nn.Module) else contextlib.nullcontext()
    with evaluating(model), route:
        yield
