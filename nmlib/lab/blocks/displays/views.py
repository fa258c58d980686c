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
    NET_LOOKS,
    OURS,
    Bytes,
    Compact,
    Floats,
    as_floats,
    as_pixels,
    picture,
)
from nmlib.lab.display.looks import OKABE_ITO, new_figure, scheme_label
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

# Colour and hatch of the clean view, the two augmented ones and further ones.
_VIEW_LOOKS = (
    (OKABE_ITO["blue"], ""), (OKABE_ITO["orange"], "////"), (OKABE_ITO["bluish green"], "...."),
    (OKABE_ITO["reddish purple"], "xx"), (OKABE_ITO["sky blue"], "\\\\"),
)  # fmt: skip


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


@dataclass(frozen=True)
class AugMixDisplay(Compact):
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
        copy: int = 0,
        sample: int = 0,
        title: str = "image",
    ) -> AugMixDisplay:
        """Follow the plan of one augmented view of one image.

        Args:
            image: (H, W, 3) uint8.
            plan: From `AugMix.draw`, or a hand.
            copy: Which augmented view.
            sample: Which sample of the plan.
            title: What the image is.

        >>> import torch
        >>> plan = AugMixPlan.same(1, [("rotate", "solarize"), ("equalize",)], mix=0.5)
        >>> AugMixDisplay.from_plan(torch.zeros(32, 32, 3, dtype=torch.uint8), plan).words
        (('rotate +9°', 'solarize from 180'), ('equalize',))
        """
        one = slice(sample, sample + 1)
        view = slice(copy, copy + 1)
        own = AugMixPlan(
            plan.operation[view, one], plan.level[view, one], plan.sign[view, one],
            plan.weights[view, one], plan.mix[view, one],
        )  # fmt: skip
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

    def plot(self) -> Any:
        deepest = max((len(s) for s in self.steps), default=1)
        rows = max(len(self.steps), 1)
        columns = deepest + 2
        figure = new_figure(1.75 * columns, 1.98 * rows + 0.3, layout=None)
        grid = figure.subplots(rows, columns, squeeze=False)
        for axes in grid.ravel():
            axes.axis("off")

        def show(axes: Any, pixels: Bytes, title: str, below: str) -> None:
            axes.axis("on")
            picture(axes, pixels, title, below, 8)

        middle = (rows - 1) // 2
        show(grid[middle, 0], self.clean, "image", self.title)
        for j, (pictures, words) in enumerate(zip(self.steps, self.words, strict=True)):
            for t, (pixels, word) in enumerate(zip(pictures, words, strict=True)):
                title = f"chain {j + 1}, weight {self.weights[j]:.2f}" if t == 0 else ""
                show(grid[j, 1 + t], pixels, title, word)
        below = f"{1 - self.mix:.2f} image +\n{self.mix:.2f} chains"
        show(grid[middle, -1], self.result, "result", below)
        figure.subplots_adjust(0.01, 0.12 / rows, 0.99, 1 - 0.13 / rows, 0.06, 0.34)
        return figure


@dataclass(frozen=True)
class ViewsDisplay(Compact):
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

    def plot(self) -> Any:
        count, rows = len(self.probs), len(self.labels)
        figure = new_figure(9.2, 1.62 * rows + 1.1, layout=None)
        whole = figure.subplots(
            rows, count + 2, squeeze=False, width_ratios=(*[1] * count, 0.12, 3.6)
        )
        for spacer in whole[:, count]:
            spacer.remove()
        grid = np.delete(whole, count, axis=1)
        names = ["clean", *(f"view {v}" for v in range(1, count))]
        at = np.arange(len(self.classes))
        width = 0.8 / count
        for b, label in enumerate(self.labels):
            for v in range(count):
                picture(grid[b, v], self.views[v, b], names[v] if b == 0 else "", size=9)
            grid[b, 0].set_ylabel(self.classes[label], fontsize=9)
            axes = grid[b, -1]
            for v in range(count):
                colour, hatch = _VIEW_LOOKS[v % len(_VIEW_LOOKS)]
                axes.bar(
                    at + (v - (count - 1) / 2) * width, self.probs[v, b], width, color=colour,
                    hatch=hatch, edgecolor="white", linewidth=0, label=names[v],
                )  # fmt: skip
            edges = np.stack([at - 0.4, at + 0.4], 1)
            for k, (left, right) in enumerate(edges):
                m = self.mixture[b, k]
                line = axes.plot((left, right), (m, m), color="black", linewidth=1.4)[0]
            line.set_label("mean m")
            axes.set(ylim=(0, 1.04), xlim=(-0.6, len(at) - 0.4))
            axes.set_yticks((0, 0.5, 1))
            axes.tick_params(labelsize=8)
            axes.spines[["top", "right"]].set_visible(False)
            axes.text(
                0.995, 0.97, f"JSD {self.jsd[b]:.3f}", transform=axes.transAxes, ha="right",
                va="top", fontsize=10, weight="bold",
                bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.85, "pad": 1.5},
            )  # fmt: skip
            last = b == rows - 1
            axes.set_xticks(at, self.classes if last else [], rotation=40, ha="right")
        handles, words = grid[0, -1].get_legend_handles_labels()
        figure.legend(
            handles, words, loc="upper right", ncols=count + 1, frameon=False, fontsize=8,
            bbox_to_anchor=(0.995, 1.0),
        )  # fmt: skip
        low, high = 0.78 / figure.get_figheight(), 1 - 0.3 / figure.get_figheight()
        figure.subplots_adjust(0.03, low, 0.995, high, 0.12, 0.16)
        figure.text(0.02, 0.02, f"network: {scheme_label(self.title)}", fontsize=9, color="0.3")
        return figure


def _view_probabilities(model: StagedModel, views: Tensor) -> Tensor:
    with evaluating(model), torch.no_grad():
        logits = model(views.flatten(0, 1)).unflatten(0, views.shape[:2])
    return logits.double().softmax(-1)


@dataclass(frozen=True)
class SeverityDisplay(Compact):
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

    def plot(self) -> Any:
        figure = new_figure(9, 3.1, layout=None)
        left, right = figure.subplots(1, 2)
        middle = len(self.severities) // 2
        for k, (name, jsd) in enumerate(zip(self.names, self.jsd, strict=True)):
            colour, marker, dash = OURS if name == "noisymix" else NET_LOOKS[k % len(NET_LOOKS)]
            left.plot(
                self.severities, jsd.mean(-1), linestyle=dash, color=colour, marker=marker,
                label=scheme_label(name),
            )  # fmt: skip
            ranked = np.sort(jsd[middle])
            share = (np.arange(len(ranked)) + 0.5) / len(ranked)
            right.plot(ranked.clip(1e-6), 100 * share, linestyle=dash, color=colour)
        left.set_xlabel("operation severity")
        left.set_ylabel("mean JSD, nats")
        left.set_ylim(bottom=0)
        left.legend(frameon=False, fontsize=8)
        right.set_xscale("log")
        right.set_xlabel(f"JSD of one image at severity {self.severities[middle]:g}, nats")
        right.set_ylabel("% of the images below")
        for axes in (left, right):
            axes.spines[["top", "right"]].set_visible(False)
            axes.grid(True, color="0.93")
        figure.text(0.01, 0.015, self.title, fontsize=9, color="0.3")
        figure.subplots_adjust(0.085, 0.23, 0.985, 0.95, 0.22)
        return figure


def augmix_of(images: Tensor, plan: AugMixPlan) -> Tensor:
    """Return the (1 + A, B, 3, H, W) views that a plan makes of (B, H, W, 3) uint8 images.

    >>> import torch
    >>> plan = AugMixPlan.same(2, [("equalize",)], copies=2)
    >>> augmix_of(torch.zeros(2, 32, 32, 3, dtype=torch.uint8), plan).shape
    torch.Size([3, 2, 3, 32, 32])
    """
    return AugMix(width=plan.operation.shape[2]).apply(as_floats(images), plan)
