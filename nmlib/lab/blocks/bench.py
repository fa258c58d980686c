"""NoisyMix's pieces on one pair of images: settings in, arrays and numbers out. No widgets here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from nmlib.data import ImageData
from nmlib.lab.blocks.displays.mixing import MixingDisplay
from nmlib.lab.blocks.displays.noise import noise_words
from nmlib.lab.blocks.displays.pixels import as_floats
from nmlib.lab.blocks.displays.views import ViewsDisplay, operation_words
from nmlib.lab.panel import Control, checked_settings
from nmlib.losses import LossParts, jensen_shannon_divergence
from nmlib.mixing import Pair
from nmlib.models import StagedModel
from nmlib.models.modes import evaluating
from nmlib.noise import Noise, NoiseDraw
from nmlib.objective import Draws, apply_draws
from nmlib.rng import Rng
from nmlib.views import AugMix, AugMixPlan

__all__ = ["Bench", "Reading", "steady_lam", "steady_plan", "summary"]

MAX_WIDTH, MAX_DEPTH = 5, 4
STABILITY = 12.0
STREAMS = 100_000


def _counter(name: str, label: str, group: str = "") -> Control:
    return Control(name, label, 0, 0, STREAMS - 1, 1, 0, kind="count", group=group)


BENCH_CONTROLS = (
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


class Bench:
    """Networks and images, and what a setting makes of them; no front end and no state.

    Args:
        models: Name -> staged model of images, with mix points 0 to 3.
        data: Images to choose pairs from.
    """

    def __init__(self, models: Mapping[str, StagedModel] | StagedModel, data: ImageData) -> None:
        self.models = {"network": models} if isinstance(models, StagedModel) else {**models}
        if not self.models:
            raise ValueError("models is empty; pass a model, or name -> model")
        if not isinstance(data, ImageData):
            raise TypeError(
                f"data must be an ImageData as nm.load returns it, got {type(data).__name__}"
            )
        self.data = data
        self.points = min(m.num_points for m in self.models.values())
        names = tuple(self.models)
        top = {"max": min(3, self.points - 1), "start": min(2, self.points - 1)}
        narrowed: dict[str, dict[str, Any]] = {
            "net": {"choices": names, "start": names[0]},
            "point": top,
        }
        self.controls = tuple(replace(c, **narrowed.get(c.name, {})) for c in BENCH_CONTROLS)

    def checked(self, settings: Mapping[str, Any]) -> dict[str, Any]:
        """Return complete settings, or raise for an unknown name or a value out of range."""
        # AugMix writes a random depth as -1, a slider as its lowest stop.
        return checked_settings(
            self.controls,
            {**settings, "depth": 0} if settings.get("depth") == -1 else settings,
        )

    def pair(self, number: int) -> Tensor:
        """Return the rows of two images of different classes."""
        draws = Rng(number).fold("step", "pair").numpy()
        first = int(draws.integers(len(self.data)))
        others = (self.data.labels != self.data.labels[first]).nonzero()[:, 0]
        if not len(others):
            raise ValueError("data holds one class only; a pair needs two")
        return torch.tensor([first, int(others[int(draws.integers(len(others)))])])

    def read(self, settings: Mapping[str, Any]) -> Reading:
        """Compute what the panel shows."""
        s = self.checked(settings)
        rng = Rng(s["seed"]).fold("step")
        model, rows = self.models[s["net"]], self.pair(s["pair"])
        images, labels = self.data.images[rows], self.data.labels[rows]
        lam = steady_lam(s["alpha"], rng.fold("lam", s["draw"]))
        pair = Pair(torch.tensor([1, 0]), lam, lam)
        plan = steady_plan(
            s["op_severity"], s["width"], s["depth"], 2, rng.fold("views", s["pair"])
        )
        views = AugMix(width=s["width"]).apply(as_floats(images), plan)
        noise = (
            Noise(s["sigma_add"], s["sigma_mult"])
            if s["law"] == "paper"
            else Noise.released(s["sigma_add"], s["sigma_mult"])
        )
        classes = self.data.classes
        # One draw of the noise, so that the maps show the noise that the loss has seen.
        with evaluating(model), torch.no_grad():
            like = model(views.flatten(0, 1), stop=s["point"]).unflatten(0, views.shape[:2])
            fields = noise.draw(like, rng.fold("noise"))
            draws = Draws(views, s["point"], (pair,), fields)
            parts = apply_draws(model, labels, draws, stability=STABILITY)
        jsd = jensen_shannon_divergence(parts.logits, from_logits=True)
        mixing = MixingDisplay.from_model(
            model, images, labels, pair, point=s["point"], classes=classes,
            noise=_first_view(fields), noise_name=noise_words(noise), title=s["net"],
        )  # fmt: skip
        shown = ViewsDisplay.from_model(model, views, labels, classes=classes, title=s["net"])
        return Reading(mixing, shown, parts, (float(jsd[0]), float(jsd[1])), plan, s["alpha"])

    def words(self, settings: Mapping[str, Any]) -> str:
        """Describe the settings and the pair; the same text on every machine."""
        s = self.checked(settings)
        rows = self.pair(s["pair"])
        first, second = (self.data.classes[int(k)] for k in self.data.labels[rows])
        lam = steady_lam(s["alpha"], Rng(s["seed"]).fold("step").fold("lam", s["draw"]))
        sliders = (c for c in self.controls if c.kind == "slider")
        where = ", ".join(f"{c.name}={c.show(s[c.name])}" for c in sliders)
        return (
            f"Building blocks on {self.data.label} at {where}, law={s['law']}, net={s['net']}. "
            f"{first} mixed with {second}, lambda {lam:.2f}, at mix point {s['point']}: images, "
            "feature maps before and after mixing and noise, labels, and the divergence of three "
            "views."
        )


def _first_view(fields: NoiseDraw) -> NoiseDraw:
    """Return the fields of view 0."""
    add, mult = fields.additive, fields.multiplicative
    return NoiseDraw(None if add is None else add[:1], None if mult is None else mult[:1])


def summary(reading: Reading) -> str:
    """Say in words what the panel shows."""
    jsd = reading.views.jsd
    parts = reading.parts
    ce, total = float(parts.ce), float(parts.total)
    return (
        f"{reading.mixing.label_words}. JSD of the three views {jsd[0]:.3f} "
        f"({reading.mixing.names[0]}) and {jsd[1]:.3f} ({reading.mixing.names[1]}); after mixing "
        f"and noise {reading.step_jsd[0]:.3f} and {reading.step_jsd[1]:.3f}. Loss: cross-entropy "
        f"{ce:.2f} + {STABILITY:g} x {float(parts.jsd):.3f} = {total:.2f}."
    )
