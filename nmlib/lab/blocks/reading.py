"""What the panel of the building blocks draws and computes: steady draws, and their reading."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nmlib.lab.blocks.displays.mixing import MixingDisplay
from nmlib.lab.blocks.displays.views import ViewsDisplay, operation_words
from nmlib.lab.panel import Control
from nmlib.losses import LossParts
from nmlib.rng import Rng
from nmlib.views import AugMix, AugMixPlan

__all__ = ["Reading", "steady_lam", "steady_plan"]

MAX_WIDTH, MAX_DEPTH = 5, 4
STABILITY = 12.0
STREAMS = 100_000


def _counter(name: str, label: str, group: str = "") -> Control:
    return Control(name, label, 0, 0, STREAMS - 1, 1, 0, kind="count", group=group)


BLOCK_CONTROLS = (
    Control("net", "Network", kind="list"),
    _counter("pair", "another pair", "Pair and mixing"),
    _counter("draw", "new λ"),
    Control("alpha", "α, how evenly the pair mixes", 1.0, 0.1, 4.0, 0.1, 1, spoken="alpha"),
    Control("point", "mix point, 0 is the image", 2, 0, 3, 1, 0, spoken="mix point"),
    Control(
        "sigma_add", "σ add, additive noise", 0.5, 0.0, 2.0, 0.05, spoken="sigma add", group="Noise"
    ),
    Control(
        "sigma_mult", "σ mult, multiplicative noise", 0.5, 0.0, 2.0, 0.05, spoken="sigma mult"
    ),
    Control(
        "law", "Noise law", "paper", kind="radio", choices=("paper", "released"),
        words=("paper law", "released law"),
    ),
    Control("op_severity", "operation severity", 3.0, 0.1, 10.0, 0.1, 1, group="AugMix views"),
    Control("width", "width, number of chains", 3, 1, MAX_WIDTH, 1, 0, spoken="width"),
    Control(
        "depth", "depth, operations a chain", 0, 0, MAX_DEPTH, 1, 0, spoken="depth",
        zero="1–3, random",
    ),
    _counter("seed", "new draws of everything"),
)  # fmt: skip


def steady_lam(alpha: float, rng: Rng) -> float:
    r"""Draw $\lambda \sim Beta(\alpha, \alpha)$ so that it moves smoothly with $\alpha$.

    $\lambda = F_\alpha^{-1}(u)$ with one uniform u from the stream: the law of `Mixup`, coupled
    over all $\alpha$.

    Raises:
        ModuleNotFoundError: Without SciPy.

    >>> [round(steady_lam(a, Rng(3)), 2) for a in (0.1, 1.0, 50.0)]
    [0.0, 0.22, 0.46]
    """
    try:
        from scipy.special import betaincinv
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError("the building blocks need SciPy: pip install scipy") from error
    return float(betaincinv(alpha, alpha, rng.numpy().random()))


def steady_plan(
    severity: float, width: int, depth: int, batch: int, rng: Rng, *, copies: int = 2
) -> AugMixPlan:
    """Draw an AugMix plan that changes as little as possible when a setting changes.

    The widest and deepest plan is drawn and cut. Severity scales the levels; one more chain leaves
    the others unchanged (their weights shrink in proportion); one more operation is appended. The
    law is that of `AugMix.draw`, since a part of a Dirichlet(1, ..., 1) variable divided by its sum
    has that distribution again.

    Args:
        severity: Highest level, 0.1 to 10.
        width: Chains, 1 to 5.
        depth: 1 to 4; 0 or -1 draws it for each chain, uniformly from 1, 2, 3.
        batch: Samples.
        rng: The stream.
        copies: Augmented views.

    >>> a, b = (steady_plan(3, width, 2, 1, Rng(0)) for width in (2, 3))
    >>> bool((a.operation == b.operation[:, :, :2]).all())
    True
    """
    whole = AugMix(severity, MAX_WIDTH, MAX_DEPTH, copies=copies).draw(batch, rng)
    steps = 3 if depth < 1 else depth
    kept = np.s_[:, :, :width, :steps]
    operation = whole.operation[kept]
    if depth < 1:
        length = rng.fold("length").numpy().integers(1, 4, size=whole.weights.shape)
        operation = np.where(np.arange(3) < length[:, :, :width, None], operation, -1)
    weights = whole.weights[:, :, :width]
    weights = weights / weights.sum(-1, keepdims=True)
    return AugMixPlan(operation, whole.level[kept], whole.sign[kept], weights, whole.mix)


@dataclass(frozen=True)
class Reading:
    """Everything that the panel shows at one setting.

    Attributes:
        mixing: The pair at the mix point.
        views: The three views of both images, without mixing and noise.
        parts: Loss of the NoisyMix step on the two images: views, mixing and noise.
        step_jsd: (2,) divergence of each image after mixing and noise; their mean is `parts.jsd`.
        plan: The AugMix plan.
        alpha: Beta parameter of the mixing weight.
    """

    mixing: MixingDisplay
    views: ViewsDisplay
    parts: LossParts
    step_jsd: tuple[float, float]
    plan: AugMixPlan
    alpha: float

    @property
    def summary(self) -> str:
        """What the panel shows, in words."""
        jsd, step, parts = self.views.jsd, self.step_jsd, self.parts
        first, second = self.mixing.names
        return (
            f"{self.mixing.label_words}. JSD of the three views {jsd[0]:.3f} ({first}) and "
            f"{jsd[1]:.3f} ({second}); after mixing and noise {step[0]:.3f} and {step[1]:.3f}. "
            f"Loss: cross-entropy {float(parts.ce):.2f} + {STABILITY:g} x {float(parts.jsd):.3f} = "
            f"{float(parts.total):.2f}."
        )

    @property
    def chains(self) -> tuple[tuple[str, ...], ...]:
        """Chains of the first image, one line each, for each augmented view."""
        side = self.views.views.shape[2:4]
        lines = []
        for copy in range(self.plan.operation.shape[0]):
            found = self.plan.chains(copy, 0, height=side[0], width=side[1])
            weights = self.plan.weights[copy, 0]
            lines.append(
                tuple(
                    f"{w:.2f} " + ", ".join(operation_words(*step) for step in chain)
                    for chain, w in zip(found, weights, strict=True)
                )
            )
        return tuple(lines)
