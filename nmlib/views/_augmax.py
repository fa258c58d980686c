"""AugMax: the mixture that the model finds hard."""

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
from nmlib.models.modes import evaluating, in_type_of
from nmlib.models.norm import adversarial_norm
from nmlib.rng import Rng, checked_rng
from nmlib.views._augmix import AugMix
from nmlib.views._plan import AugMixPlan


@dataclass(frozen=True)
class AugMaxDraw:
    """All random decisions of AugMax for one batch.

    Attributes:
        plan: Two augmented views: the AugMix view, and the chains that the adversary mixes.
        mix: (B,) where the adversary starts, m in [0, 1].
        scores: (B, width), its q; the weights of the chains are their softmax.
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
                raise ValueError(f"{name} must have shape {wanted} as the plan has, got {found}")


@dataclass(frozen=True)
class AugMax:
    r"""The clean samples, an AugMix view, and one whose mixture the model finds hard.

    $$\max_{m \in [0,1],\; q \in R^J} \ell\Big(f\big((1-m)\,x + m \sum_j
      \mathrm{softmax}(q)_j\,C_j(x)\big),\; y\Big)$$

    by steps along the sign of the gradient, from m and q uniform in [0, 1). The chains are drawn
    as in `AugMix`, anew for each of the two views. A sample stops `extra_steps` steps after the
    step at which it is first misclassified; its last point counts, also where an earlier one was
    harder, as in the released code.

    The model is in evaluation mode meanwhile and its weights get no gradient. If it has a method
    `adversarial_norm()`, that is entered: a model with dual normalisation layers sends these
    samples through the adversarial half. In training, `routes` sends the last view there.

    Args:
        severity: See `AugMix`; also the next three.
        width: J.
        depth: Of each chain, or -1.
        alpha: Of the AugMix view.
        steps: Of the adversary. Its authors use 10 on CIFAR; their script's default is 5.
        step_size: Of each step in m and q.
        extra_steps: Steps after the first misclassification.

    Source: AugMax (arXiv 2110.13771), a comparison row of the paper's Table 2.
    Differs: the authors do not normalise images; here the model's first step does.
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
        """Draw what is random for `batch` samples; the same on every device."""
        batch = _checks.integer("batch", batch, 0)
        start = checked_rng(rng).fold("adversary").numpy()
        plan = self.augmix.draw(batch, rng)
        return AugMaxDraw(plan, start.random(batch), start.random((batch, self.width)))

    def make(self, x: Tensor, y: Tensor | None, model: Model | None, rng: Rng) -> Tensor:
        """Return (3, B, C, H, W) views: clean, AugMix, AugMax.

        Args:
            x: (B, C, H, W) in [0, 1].
            y: (B,) classes, or (B, K) distributions over them.
            model: Images to logits.
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
            raise ValueError(f"AugMax looks for hard mixtures, so that make needs {missing}")
        x, y = _checks.tensor("x", x), _checks.tensor("y", y)
        if y.ndim not in (1, 2) or len(y) != len(x):
            raise ValueError(
                f"y must have shape ({len(x)},), classes, or ({len(x)}, K), distributions, got "
                f"{tuple(y.shape)}"
            )
        first = self.augmix.apply(x, draws.plan.view(0))
        chains = self.augmix.chains(x, draws.plan.view(1))[0]
        with torch.inference_mode(False), torch.no_grad():
            # What was made in inference mode cannot take part in a gradient.
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
    """Return the mixtures of x and its chains that `AugMax` ends at.

    Args:
        model: Images to logits.
        x: (B, C, H, W).
        chains: (B, J, C, H, W), the images to mix in.
        y: (B,) classes, or (B, K) distributions over them; the likeliest class counts as right.
        mix: (B,), where m starts.
        scores: (B, J), where q starts.
        steps: Of gradient ascent.
        step_size: See `AugMax`.
        extra_steps: See `AugMax`.

    Returns:
        (B, C, H, W).
    """

    def mixture(rows: Tensor | slice, m: Tensor, q: Tensor) -> Tensor:
        weights = m.unsqueeze(1) * q.softmax(1)
        # Not einsum, which autocast would take in half precision.
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
            logits = model(in_type_of(model, mixture(active, m, q)))
            target = y[active]
            if y.ndim == 1:
                on_host = y.device.type == "cpu"
                target = _checks.class_labels(target, logits.shape[1], validate=on_host)
            loss = soft_cross_entropy(logits, target, validate=False).sum()
            up_m, up_q = torch.autograd.grad(loss, (m, q))
            left[active] -= (logits.argmax(1) != right[active]).to(left.dtype)
            # How many go on is the one thing that the host waits for.
            go = torch.nonzero(left[active] >= 0).squeeze(1)
            active = active[go]
            mix[active] = (m.detach() + step_size * up_m.sign()).clamp_(0, 1)[go]
            scores[active] = (q.detach() + step_size * up_q.sign())[go]
    return mixture(slice(None), mix, scores)


@contextlib.contextmanager
def _frozen(model: Model) -> Iterator[None]:
    """Put a model into evaluation mode and onto the adversarial route, then back."""
    # Wrappers (DataParallel, torch.compile) pass no attributes on, but all are modules.
    route = adversarial_norm(model) if isinstance(model, nn.Module) else contextlib.nullcontext()
    with evaluating(model), route:
        yield
