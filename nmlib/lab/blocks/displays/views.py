"""AugMix chains, the three views of an image, and their divergence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nmlib.lab.blocks.displays.pixels import (
    Bytes,
    Floats,
    Pictured,
    as_floats,
    as_pixels,
    picture,
)
from nmlib.lab.display.base import Display
from nmlib.lab.display.looks import dress, looks_of, new_figure, scheme_label
from nmlib.losses import jensen_shannon_divergence
from nmlib.models import StagedModel
from nmlib.models.modes import evaluating
from nmlib.rng import Rng
from nmlib.views import AugMix, AugMixPlan

__all__ = [
    "AugMixDisplay",
    "SeverityDisplay",
    "ViewsDisplay",
    "augmix_of",
    "operation_words",
]


def operation_words(operation: str, parameter: float) -> str:
    """Say what one step of an AugMix chain does.

    Args:
        operation: One of `nmlib.views.OPERATIONS`.
        parameter: What `operation_parameter` gives for it.

    >>> operation_words("rotate", -8.0), operation_words("equalize", 0.0)
    ('rotate −8°', 'equalize')
    """
    plain = operation.replace("_", " ")
    number = f"{abs(parameter):.3g}"
    signed = ("−" if parameter < 0 else "+") + number if parameter else "0"
    if operation == "rotate":
        return f"rotate {signed}°"
    if operation == "posterize":
        return f"posterize {number} bits"
    if operation == "solarize":
        return f"solarize from {number}"
    if operation.startswith("shear"):
        return f"{plain} {signed}"
    if operation.startswith("translate"):
        return f"{plain} {signed} px"
    return plain


@dataclass(frozen=True, eq=False)
class AugMixDisplay(Pictured):
    r"""AugMix of one image, step by step.

    $$A(x) = (1-m)\,x + m \sum_j w_j\,C_j(x)$$

    Attributes:
        clean: (H, W, 3) uint8.
        steps: For each chain, the (H, W, 3) uint8 pictures after each of its operations.
        words: For each chain, its operations with their parameters.
        weights: (width,) Dirichlet weights w.
        mix: m, the share of the augmentations.
        result: (H, W, 3) uint8: the mixture, rounded for the picture.
        title: What the image is.
    """

    clean: Bytes
    steps: tuple[tuple[Bytes, ...], ...]
    words: tuple[tuple[str, ...], ...]
    weights: Floats
    mix: float
    result: Bytes
    title: str

    @classmethod
    def from_plan(
        cls,
        image: Tensor,
        plan: AugMixPlan,
        *,
        sample: int = 0,
        title: str = "image",
    ) -> AugMixDisplay:
        """Follow the plan of the first augmented view of one image.

        Args:
            image: (H, W, 3) uint8.
            plan: From `AugMix.draw`, or a hand.
            sample: Which sample of the plan.
            title: What the image is.

        >>> import torch
        >>> plan = AugMixPlan.same(1, [("rotate", "solarize"), ("equalize",)], mix=0.5)
        >>> AugMixDisplay.from_plan(torch.zeros(32, 32, 3, dtype=torch.uint8), plan).words
        (('rotate +9°', 'solarize from 180'), ('equalize',))
        """
        one = np.s_[:1, sample : sample + 1]
        own = AugMixPlan(
            plan.operation[one], plan.level[one], plan.sign[one], plan.weights[one], plan.mix[one]
        )
        x = as_floats(image[None])
        augmix = AugMix(width=own.operation.shape[2])
        lengths = own.depth[0, 0]
        height, width = image.shape[:2]
        # After t operations: the same plan with everything later left out.
        after = []
        for t in range(1, int(lengths.max(initial=0)) + 1):
            kept = np.where(np.arange(own.operation.shape[3]) < t, own.operation, -1)
            cut = AugMixPlan(kept, own.level, own.sign, own.weights, own.mix)
            after.append(augmix.chains(x, cut)[0, 0].permute(0, 2, 3, 1).numpy())
        steps = tuple(tuple(after[t][j] for t in range(n)) for j, n in enumerate(lengths))
        words = tuple(
            tuple(operation_words(*step) for step in chain)
            for chain in own.chains(0, 0, height=height, width=width)
        )
        result = as_pixels(augmix.apply(x, own)[1, 0])
        return cls(
            image.numpy(), steps, words, own.weights[0, 0], float(own.mix[0, 0]), result, title
        )

    @property
    def summary(self) -> str:
        chains = "; ".join(
            f"{', then '.join(words) or 'nothing'} (weight {w:.2f})"
            for words, w in zip(self.words, self.weights, strict=True)
        )
        return (
            f"AugMix of {self.title}: {len(self.words)} chains: {chains}. Result: "
            f"{1 - self.mix:.2f} of the image and {self.mix:.2f} of the weighted chains."
        )

    def _axes(self) -> Any:
        rows = max(len(self.steps), 1)
        columns = max((len(s) for s in self.steps), default=1) + 2
        figure = new_figure(1.75 * columns, 2.1 * rows + 0.2)
        figure.get_layout_engine().set(h_pad=0.1)
        return figure.subplots(rows, columns, squeeze=False)

    def _draw(self, ax: Any) -> None:
        grid = np.reshape(ax, (max(len(self.steps), 1), -1))
        for one in grid.ravel():
            one.axis("off")

        def show(one: Any, pixels: Bytes, title: str, below: str) -> None:
            one.axis("on")
            picture(one, pixels, title, below, 8)

        middle = (len(grid) - 1) // 2
        show(grid[middle, 0], self.clean, "image", self.title)
        for j, (pictures, words) in enumerate(zip(self.steps, self.words, strict=True)):
            for t, (pixels, word) in enumerate(zip(pictures, words, strict=True)):
                title = f"chain {j + 1}, weight {self.weights[j]:.2f}" if t == 0 else ""
                show(grid[j, 1 + t], pixels, title, word)
        below = f"{1 - self.mix:.2f} image +\n{self.mix:.2f} chains"
        show(grid[middle, -1], self.result, "result", below)


@dataclass(frozen=True, eq=False)
class ViewsDisplay(Pictured):
    r"""What a network says to the views of some images, and how much that differs.

    $$JSD = \frac1V \sum_v KL(p_v \,\|\, m),\qquad m = \frac1V \sum_v p_v .$$

    Attributes:
        views: (V, B, H, W, 3) uint8, view 0 clean.
        probs: (V, B, K) class probabilities.
        mixture: (B, K), m.
        jsd: (B,) divergences in nats.
        labels: (B,) classes.
        classes: Class names.
        title: Which network.
    """

    views: Bytes
    probs: Floats
    mixture: Floats
    jsd: Floats
    labels: NDArray[np.int64]
    classes: tuple[str, ...]
    title: str

    @classmethod
    def from_model(
        cls,
        model: StagedModel,
        views: Tensor,
        labels: Tensor,
        *,
        classes: Sequence[str],
        title: str = "network",
    ) -> ViewsDisplay:
        """Classify views, as `AugMix.make` or `AugMix.apply` returns them.

        Args:
            model: Images -> logits.
            views: (V, B, 3, H, W) in [0, 1].
            labels: (B,) classes.
            classes: Class names.
            title: Which network.
        """
        probs = _view_probabilities(model, views)
        return cls(
            as_pixels(views), probs.numpy(), probs.mean(0).numpy(),
            jensen_shannon_divergence(probs).numpy(), labels.numpy(), tuple(classes), title,
        )  # fmt: skip

    @property
    def limit(self) -> float:
        """The largest value that the divergence can take: log V."""
        return float(np.log(len(self.probs)))

    @property
    def summary(self) -> str:
        parts = []
        for b, label in enumerate(self.labels):
            said = [
                f"{self.classes[k]} {p[k]:.2f}"
                for p in self.probs[:, b]
                for k in (int(p.argmax()),)
            ]
            parts.append(f"{self.classes[label]}: {', '.join(said)}, JSD {self.jsd[b]:.3f}")
        return (
            f"{self.title}, clean view and {len(self.probs) - 1} augmented ones, what each is "
            f"taken for, and the divergence in nats (at most {self.limit:.2f}). "
            f"{'; '.join(parts)}."
        )

    @property
    def small_print(self) -> str:
        return f"network: {scheme_label(self.title)}"

    def _axes(self) -> Any:
        rows, count = len(self.labels), len(self.probs)
        figure = new_figure(9.2, 1.62 * rows + 1.1)
        return figure.subplots(rows, count + 1, squeeze=False, width_ratios=(*[1] * count, 3.6))

    def _draw(self, ax: Any) -> None:
        count = len(self.probs)
        names = ["clean", *(f"view {v}" for v in range(1, count))]
        at, width = np.arange(len(self.classes)), 0.8 / count
        grid = np.reshape(ax, (-1, count + 1))
        for b, (row, label) in enumerate(zip(grid, self.labels, strict=True)):
            bars = row[-1]
            dress(bars, "y")
            for v, look in enumerate(looks_of(names).values()):
                picture(row[v], self.views[v, b], names[v] if b == 0 else "")
                bars.bar(
                    at + (v - (count - 1) / 2) * width, self.probs[v, b], width, color=look.bar,
                    hatch=look.hatch, edgecolor="white", linewidth=0, label=names[v],
                )  # fmt: skip
            bars.hlines(self.mixture[b], at - 0.4, at + 0.4, color="black", lw=1.4, label="mean m")
            row[0].set_ylabel(self.classes[label], fontsize=9)
            bars.set(ylim=(0, 1.04), xlim=(-0.6, len(at) - 0.4), yticks=(0, 0.5, 1))
            bars.set_xticks(at, [] if b < len(grid) - 1 else self.classes, rotation=40, ha="right")
            bars.tick_params(labelsize=8)
            bars.text(
                0.995, 0.97, f"JSD {self.jsd[b]:.3f}", transform=bars.transAxes, ha="right",
                va="top", fontsize=10, weight="bold",
                bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.85, "pad": 1.5},
            )  # fmt: skip
        grid[0, -1].figure.legend(
            *grid[0, -1].get_legend_handles_labels(), loc="outside upper right", ncols=count + 1,
            frameon=False, fontsize=8,
        )  # fmt: skip


def _view_probabilities(model: StagedModel, views: Tensor) -> Tensor:
    with evaluating(model), torch.no_grad():
        logits = model(views.flatten(0, 1)).unflatten(0, views.shape[:2])
    return logits.double().softmax(-1)


@dataclass(frozen=True, eq=False)
class SeverityDisplay(Display):
    """How the divergence of three views grows with AugMix's severity, for several networks.

    Attributes:
        names: Networks.
        severities: Highest levels of the operations.
        jsd: (networks, severities, images) divergences in nats.
        title: Which images.
    """

    names: tuple[str, ...]
    severities: tuple[float, ...]
    jsd: Floats
    title: str

    image = "lines"

    @classmethod
    def from_models(
        cls,
        models: Mapping[str, StagedModel],
        images: Tensor,
        *,
        severities: Sequence[float] = (1, 3, 5, 7, 10),
        rng: Rng,
        title: str = "images",
    ) -> SeverityDisplay:
        """Augment images at each severity and compare the views.

        All severities and networks share the draws: operations, signs and weights stay, levels
        grow in proportion.

        Args:
            models: Name -> network.
            images: (B, H, W, 3) uint8.
            severities: Each 0.1 to 10.
            rng: The stream of the plans.
            title: Which images.
        """
        if not models:
            raise ValueError("models is empty; pass at least one name -> model")
        x = as_floats(images)
        jsd = np.zeros((len(models), len(severities), len(x)))
        for s, severity in enumerate(severities):
            views = AugMix(severity=severity).make(x, None, None, rng)
            for n, model in enumerate(models.values()):
                jsd[n, s] = jensen_shannon_divergence(_view_probabilities(model, views)).numpy()
        return cls(tuple(models), tuple(map(float, severities)), jsd, title)

    def means(self) -> dict[str, list[float]]:
        """Return the mean divergence of each network at each severity."""
        return {n: j.mean(-1).tolist() for n, j in zip(self.names, self.jsd, strict=True)}

    @property
    def summary(self) -> str:
        parts = [
            f"{n}: {', '.join(f'{v:.2g}' for v in values)}" for n, values in self.means().items()
        ]
        return (
            f"Mean divergence of three views in nats ({self.title}) at operation severities "
            f"{', '.join(f'{s:g}' for s in self.severities)}. {'; '.join(parts)}."
        )

    @property
    def small_print(self) -> str:
        return self.title

    def _axes(self) -> Any:
        return new_figure(9, 3.1).subplots(1, 2)

    def _draw(self, ax: Any) -> None:
        left, right = ax
        middle = len(self.severities) // 2
        share = (np.arange(self.jsd.shape[-1]) + 0.5) / self.jsd.shape[-1]
        for jsd, (name, look) in zip(self.jsd, looks_of(self.names).items(), strict=True):
            style = {"color": look.colour, "ls": look.dash}
            left.plot(
                self.severities, jsd.mean(-1), marker=look.marker, label=scheme_label(name), **style
            )
            right.plot(np.sort(jsd[middle]).clip(1e-6), 100 * share, **style)
        left.set(xlabel="operation severity", ylabel="mean JSD, nats")
        left.set_ylim(bottom=0)
        left.legend(frameon=False, fontsize=8)
        right.set(
            xscale="log", ylabel="% of the images below",
            xlabel=f"JSD of one image at severity {self.severities[middle]:g}, nats",
        )  # fmt: skip

    def _plotly(self) -> Any:
        import plotly.graph_objects as go

        figure = go.Figure()
        for jsd, (name, look) in zip(self.jsd, looks_of(self.names).items(), strict=True):
            figure.add_scatter(
                x=self.severities, y=jsd.mean(-1), name=scheme_label(name), mode="lines+markers",
                line={"color": look.colour, "dash": look.plotly_dash},
                marker={"symbol": look.symbol, "size": 8}, hovertemplate="%{x}: %{y:.3g} nats",
            )  # fmt: skip
        figure.update_xaxes(title="operation severity")
        figure.update_yaxes(title="mean JSD, nats", rangemode="tozero")
        return figure


def augmix_of(images: Tensor, plan: AugMixPlan) -> Tensor:
    """Return the (1 + A, B, 3, H, W) views that a plan makes of (B, H, W, 3) uint8 images.

    >>> import torch
    >>> plan = AugMixPlan.same(2, [("equalize",)], copies=2)
    >>> augmix_of(torch.zeros(2, 32, 32, 3, dtype=torch.uint8), plan).shape
    torch.Size([3, 2, 3, 32, 32])
    """
    return AugMix(width=plan.operation.shape[2]).apply(as_floats(images), plan)
