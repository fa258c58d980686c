"""A card for each method: its settings, where they come from, what differs, what to expect.

The settings are those of `nmlib.SCHEMES`, put into words; the expected results are those of the
paper's Tables 2 and 3. `docs/methods.md` and the lab's `scheme_sheet` are made from these cards.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

from nmlib.mixing import CutMix, Mixup
from nmlib.noise import Noise
from nmlib.paper.numbers import SPECS, printed_text, read_table
from nmlib.puzzlemix import PuzzleMix
from nmlib.schemes import SCHEMES, Scheme, suited
from nmlib.views import AugMax, Augmented, AugMix, Plain

__all__ = ["CARDS", "Card", "Settings", "settings_in_words"]

# Data set and network of each half of Tables 2 and 3, as `suited` knows them.
_TRAINED = {
    (table, dataset.upper().replace("CIFAR", "CIFAR-")): (dataset, model)
    for table, model in ((2, "preact_resnet18"), (3, "wrn28_4"))
    for dataset in ("cifar10", "cifar100")
}


class Settings(NamedTuple):
    """The parts of a scheme in words; None for a part that it lacks."""

    views: str
    mixing: str | None
    noise: str | None
    effective_noise: str | None
    points: str | None
    divergence: str | None


def settings_in_words(scheme: Scheme) -> Settings:
    """Return what a scheme makes of a batch.

    Noise has two entries: the levels that it is given, and the root mean squares that come of them
    (`Noise.effective_levels`), from the first noisy view to the last.

    >>> settings_in_words(SCHEMES["noisymix"])[:4]
    ('clean, 2 × AugMix', 'Mixup, α 1', '0.5, 0.5', '0.10 to 0.29, 0.06')
    """
    compares = f"{scheme.stability:g} × {scheme.divergence.upper()}" if scheme.stability else None
    noise = _noise(scheme.noise, scheme.views.count)
    return Settings(_views(scheme.views), _mixing(scheme), *noise, _points(scheme), compares)


@dataclass(frozen=True)
class Card:
    """What is known of a method.

    Attributes:
        scheme: As trained, one of `SCHEMES`.
        name: What the paper calls it.
        idea: What it does, in a sentence.
        caution: What it costs, or where it fails.
        source: Whose settings these are.
        differs: What its authors do otherwise, "" for nothing known.
        in_tables: Whether the paper's CIFAR tables have a row of it.
    """

    scheme: Scheme
    name: str
    idea: str
    caution: str
    source: str
    differs: str = ""
    in_tables: bool = True

    @property
    def settings(self) -> Settings:
        """Its settings in words."""
        return settings_in_words(self.scheme)

    @property
    def passes(self) -> int:
        """Passes through the network for each image of a step, forward and back.

        One a view, one for the saliency of PuzzleMix, one for each step of AugMax's adversary.
        """
        views: Any = self.scheme.views
        attack = views.steps if isinstance(views, AugMax) else 0
        return int(views.count) + attack + isinstance(self.scheme.mix, PuzzleMix)

    @property
    def expected(self) -> dict[tuple[int, str], str]:
        """Its accuracies in the paper's Tables 2 and 3, by table and test set, as printed.

        Raises:
            ModuleNotFoundError: Without pandas.
        """
        return {
            (n, str(row["dataset"])): printed_text(row["value"], row["decimals"])
            for n in (2, 3)
            for row in read_table(n).to_dict("records")
            if row["method"] == self.name
        }

    @property
    def exceptions(self) -> dict[str, Settings]:
        """Its settings where its authors take others, by data set and network (see `suited`)."""
        return {
            f"{data}, {SPECS[table].network}": settings_in_words(found)
            for (table, data), place in _TRAINED.items()
            if (found := suited(self.scheme, *place)) != self.scheme
        }


_REGISTER = "[the register](deviations.md)"

CARDS: dict[str, Card] = {
    card.scheme.name: card
    for card in (
        Card(
            SCHEMES["baseline"], "Baseline",
            "Train on the images as they are, flipped and cropped.",
            "It learns the training images and nothing of disturbed ones.",
            "the paper's recipe: flips, crops, cross-entropy",
        ),
        Card(
            SCHEMES["noise_injection"], "Noise injection",
            "Add noise to the normalised image.",
            "It helps against noise and hardly against anything else.",
            "NFM's noise-only run (Lim et al. 2022): additive noise at the input, released law",
            in_tables=False,
        ),
        Card(
            SCHEMES["stability_training"], "Stability training",
            "Ask that an image and the same image with a little noise be classified alike.",
            "The noise is weak, so little changes.",
            "Zheng et al. (2016): CE + 0.01 KL(f(x) || f(x + noise)), Gaussian noise of 0.04 for "
            "pixels in [0, 1], hence 0.08 of the normalised ones. The two numbers are recalled, "
            "not checked against that paper",
            in_tables=False,
        ),
        Card(
            SCHEMES["mixup"], "Mixup",
            "Train on weighted means of two images and of their labels.",
            "A small or briefly trained network has little to regularise and pays in clean "
            "accuracy.",
            "Zhang et al. (2018)",
        ),
        Card(
            SCHEMES["manifold_mixup"], "Manifold Mixup",
            "Mix the activations of two samples at a random layer instead of the images.",
            "Mixtures are harder to learn; it needs long training and a large network.",
            "Verma et al. (2019): the input or one of the first two layers",
            "its authors' loss is a binary cross-entropy averaged over the classes; here it is "
            "the cross-entropy of all schemes",
        ),
        Card(
            SCHEMES["cutmix"], "CutMix",
            "Paste a box of another image, and mix the labels by its area.",
            "Under corruption it stays behind the baseline, here and in three of the paper's four "
            "cases.",
            "Yun et al. (2019)",
        ),
        Card(
            SCHEMES["puzzlemix"], "Puzzle Mix",
            "Keep of two images the patches that matter, moved so that they do not cover each "
            "other.",
            "Its saliency takes a pass more, and each batch a transport problem.",
            "Kim et al. (2020)",
            f"see `PuzzleMix` in {_REGISTER}",
        ),
        Card(
            SCHEMES["nfm"], "NFM",
            "Mix the activations of two samples at a random layer and add noise to them.",
            "After a short training only the noise family gains.",
            "Lim et al. (2022), released law: levels for PreActResNet-18, others for Wide-ResNets",
            f"see `suited` in {_REGISTER}",
        ),
        Card(
            SCHEMES["augmix"], "AugMix",
            "Show three views of an image, two of them blends of simple operations, and ask for "
            "the same answer to all.",
            "Three views are three passes a step.",
            "Hendrycks et al. (2020): three views",
        ),
        Card(
            SCHEMES["augmix_no_jsd"], "AugMix without JSD",
            "Train on one blend of simple operations, without asking for agreement.",
            "Cheap; most of the gain of AugMix is in the agreement.",
            "Hendrycks et al. (2020): the cross-entropy of one augmented view",
            in_tables=False,
        ),
        Card(
            SCHEMES["augmax"], "AugMax",
            "Show three views, the third searched among blends for the one that the network "
            "likes least.",
            "The search makes it by far the dearest, and its network needs a normalisation of "
            "its own.",
            "Wang et al. (2021): ten steps of the adversary, dual normalisation "
            "(`build_model(..., norm=\"dubin\")`)",
            "batches of 128, Nesterov momentum and a cosine per step, where its authors have 256, "
            "none and a cosine per epoch. The paper copies their numbers",
        ),
        Card(
            SCHEMES["noisymix"], "NoisyMix",
            "Mix and add noise at a random layer, on three views of an image, and ask for the "
            "same answer to all.",
            "The hardest training images of all: with few epochs or a small network it ends "
            "behind AugMix.",
            "the authors' released command: three views, a random layer, released law (sparsity "
            "0.65, additive level times the number of the view)",
            "the paper's text has Gaussian noise: `replace(SCHEMES[\"noisymix\"], "
            "noise=Noise(0.5, 0.5))`",
        ),
    )
}  # fmt: skip
"""One card for each of `SCHEMES`, in its order."""


def _views(views: Any) -> str:
    match views:
        case Plain(copies=1):
            return "clean"
        case Plain():
            return f"{views.copies} × clean"
        case AugMix():
            return f"clean, {views.copies} × AugMix"
        case Augmented():
            return "AugMix"
        case AugMax():
            return "clean, AugMix, AugMax"
    return repr(views)


_PAIRINGS = {"shared": "", "independent": ", each view by itself", "unmixed": ", the first view"}


def _mixing(scheme: Scheme) -> str | None:
    mix: Any = scheme.mix
    match mix:
        case None:
            return None
        case Mixup(beta=None):
            words = f"Mixup, α {mix.alpha:g}"
        case CutMix():
            words = f"CutMix, α {mix.alpha:g}, {100 * mix.prob:g} % of batches"
        case PuzzleMix():
            words = f"PuzzleMix, α {mix.alpha:g}"
        case _:
            words = repr(mix)
    return words + _PAIRINGS[scheme.pairing]


def _noise(noise: Noise | None, views: int) -> tuple[str | None, str | None]:
    if noise is None:
        return None, None
    levels = [noise.effective_levels(v) for v in range(noise.clean_views, views)]
    ranges = []
    for level in zip(*levels, strict=True):
        ends = [f"{end:.2f}" if end else "0" for end in (min(level), max(level))]
        ranges.append(" to ".join(dict.fromkeys(ends)))
    return f"{noise.additive:g}, {noise.multiplicative:g}", ", ".join(ranges)


def _points(scheme: Scheme) -> str | None:
    if scheme.mix is None and scheme.noise is None:
        return None
    first, *rest = scheme.points
    return f"{first} to {rest[-1]}" if rest else str(first)
