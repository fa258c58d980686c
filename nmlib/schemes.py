"""Training schemes as values: which views, which mixing, which noise, how much stability."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Literal, NamedTuple, Protocol, runtime_checkable

from torch import Tensor

from nmlib import _checks
from nmlib.losses import DIVERGENCES
from nmlib.mixing import CutMix, Mixup, Model, Pair
from nmlib.noise import Noise
from nmlib.puzzlemix import PuzzleMix
from nmlib.rng import Rng
from nmlib.views import AugMax, Augmented, AugMix, Plain

__all__ = [
    "ABLATION",
    "FIG4",
    "READINGS",
    "SCHEMES",
    "Mixer",
    "Scheme",
    "Switches",
    "ViewMaker",
    "fig4_schemes",
    "get_scheme",
    "suited",
]


@runtime_checkable
class ViewMaker(Protocol):
    """Makes (V, B, ...) views of (B, ...) samples; view 0 carries the cross-entropy.

    A maker of adversarial views has `routes`: for each view, whether it goes through the
    adversarial half of dual normalisation layers.
    """

    @property
    def count(self) -> int: ...

    def make(self, x: Tensor, y: Tensor | None, model: Model | None, rng: Rng) -> Tensor: ...


@runtime_checkable
class Mixer(Protocol):
    """Draws who is mixed with whom. `spatial` mixers work on images only (point 0)."""

    @property
    def spatial(self) -> bool: ...

    def draw(self, x: Tensor, y: Tensor | None, model: Model | None, rng: Rng) -> Pair: ...


PAIRINGS = ("shared", "independent", "unmixed")


class Switches(NamedTuple):
    """The columns of the paper's Table 4: which parts of NoisyMix a scheme has.

    >>> SCHEMES["augmix"].switches.ticks()
    '✓✗✗✓'
    """

    augmentations: bool
    feature_mixing: bool
    noise_injections: bool
    jsd_loss: bool

    def ticks(self) -> str:
        """Return them as Table 4 prints them."""
        return "".join("✓" if on else "✗" for on in self)


@dataclass(frozen=True)
class Scheme:
    r"""A training scheme. Its switches are the columns of the paper's ablation (Table 4).

    Args:
        name: How tables and plots call it.
        views: View maker (column Augmentations); `Plain(1)` is the clean batch.
        mix: Mixer, or None (column Feature Mixing).
        noise: Law of the injected noise, or None (column Noise Injections).
        points: Mix points; one is drawn uniformly for each batch. (0,) is the input. Noise enters
            at the same point. 'Noise without mixing' is noise on unpaired activations (lam = 1).
        stability: Weight $\gamma$ of the divergence between the views (column JSD Loss).
        pairing: "shared": all views have the same $(\lambda, partner)$, as in the released code.
            "independent": each view draws its own. "unmixed": view 0 is mixed, the others are not.
            The last two are ours: without augmentation and noise, shared pairs make all views
            equal and the divergence 0 (see `READINGS`).
        divergence: "jsd", or "kl": the Kullback-Leibler divergence of view 0 from the others, as
            in stability training.
        origin: Name of the scheme of `SCHEMES` that this one began as, "" for one of your own.
            `suited` goes by it; `dataclasses.replace` keeps it, and equality leaves it out.

    Raises:
        ValueError: For a combination without meaning; the message says what to change.
        TypeError: If a part is not of the right kind, e.g. a name instead of a mixer.

    Source: paper sec. 3 and Table 4.

    >>> Scheme("baseline").stability
    0.0
    >>> Scheme("jsd", stability=12)
    Traceback (most recent call last):
    ValueError: scheme 'jsd': stability=12 compares views but Plain(copies=1) makes 1; use ...
    """

    name: str
    views: ViewMaker = Plain(1)  # noqa: RUF009 (frozen, so safe to share)
    mix: Mixer | None = None
    noise: Noise | None = None
    points: tuple[int, ...] = (0,)
    stability: float = 0.0
    pairing: Literal["shared", "independent", "unmixed"] = "shared"
    divergence: Literal["jsd", "kl"] = "jsd"
    origin: str = field(default="", repr=False, compare=False)

    def __post_init__(self) -> None:
        def fail(message: str) -> None:
            raise ValueError(f"scheme {self.name!r}: {message}")

        for part, kind, examples in (
            ("views", ViewMaker, "Plain(1) or AugMix()"),
            ("mix", Mixer | None, "None or Mixup(1.0)"),
            ("noise", Noise | None, "None or Noise(0.5, 0.5)"),
        ):
            value = getattr(self, part)
            if isinstance(value, type) or not isinstance(value, kind):
                raise TypeError(
                    f"scheme {self.name!r}: {part} must be e.g. {examples}, got {value!r}"
                )
        _checks.keep(self, _checks.non_negative, "stability")
        _checks.keep(self, _checks.choice, "pairing", allowed=PAIRINGS)
        _checks.keep(self, _checks.choice, "divergence", allowed=DIVERGENCES)
        try:
            _checks.keep(self, _checks.integers, "points", least=0)
        except ValueError:
            fail(f"points must be mix points >= 0, got {self.points}; (0,) is the input")
        if self.stability and self.views.count < 2:
            fail(
                f"stability={self.stability} compares views but {self.views} makes 1; use "
                "views=Plain(3) or AugMix(), or stability=0"
            )
        if not self.stability and self.views.count > 1:
            fail(
                f"{self.views} makes {self.views.count} views but stability=0 leaves all but the "
                "first unused; set stability or use views=Plain(1)"
            )
        if self.mix is not None and self.mix.spatial and self.points != (0,):
            fail(f"{self.mix} mixes images, so points must be (0,), got {self.points}")
        if (
            self.stability
            and isinstance(self.views, Plain)
            and self.noise is None
            and self.pairing == "shared"
        ):
            fail(
                f"stability={self.stability} compares {self.views.count} views that are identical "
                "(no augmentation, no noise, shared pairs), so the divergence is always 0; use "
                "views=AugMix(), a noise law, or pairing='independent'"
            )
        if self.mix is None and self.pairing != "shared":
            fail(f"pairing={self.pairing!r} needs a mixer; set mix or use pairing='shared'")

    @property
    def switches(self) -> Switches:
        """Which parts it has: the row of ticks in the paper's Table 4, read off the fields."""
        return Switches(
            augmentations=not isinstance(self.views, Plain),
            feature_mixing=self.mix is not None,
            noise_injections=self.noise is not None,
            jsd_loss=self.stability > 0 and self.divergence == "jsd",
        )

    @property
    def routes(self) -> tuple[bool, ...]:
        """For each view, whether it is adversarial to dual normalisation layers; () for none."""
        return getattr(self.views, "routes", ())

    @property
    def model_options(self) -> dict[str, Any]:
        """Return what `build_model` needs to know of the scheme.

        A maker of adversarial views sends them through normalisation layers of their own.

        >>> SCHEMES["augmax"].model_options
        {'norm': 'dubin'}
        """
        return {"norm": "dubin"} if any(self.routes) else {}

    def draw_point(self, rng: Rng) -> int:
        """Draw the mix point of a batch."""
        return int(rng.fold("point").numpy().choice(self.points))

    def draw_pairs(
        self, x: Tensor, y: Tensor | None, model: Model | None, rng: Rng
    ) -> tuple[Pair, ...]:
        """Draw the pairs of a batch: none, one for all views, or one for each view."""
        if self.mix is None:
            return ()
        rng = rng.fold("mix")
        first = self.mix.draw(x, y, model, rng)
        others = range(1, self.views.count)
        if self.pairing == "independent":
            return (first, *(self.mix.draw(x, y, model, rng.fold("view", v)) for v in others))
        if self.pairing == "unmixed":
            return (first, *(Pair.identity(x.shape[0], x.device) for _ in others))
        return (first,)


READINGS: dict[str, str] = {
    "independent": "each view draws its own (lambda, partner)",
    "unmixed": "the divergence compares the mixed view with the unmixed one",
    "noise": "the extra views carry noise, view 0 does not (view 0 does in NoisyMix)",
}
"""Three readings of 'JSD without augmentation' in the toy experiment."""


def fig4_schemes(
    *,
    alpha: float = 0.3,
    additive: float = 0.15,
    multiplicative: float = 0.1,
    stability: float = 0.3,
    reading: str = "independent",
    law: Literal["paper", "released"] = "paper",
    points: tuple[int, ...] = (0, 1),
    copies: int | None = None,
) -> dict[str, Scheme]:
    r"""Return the six schemes of the paper's Fig. 4, for one choice of what it leaves open.

    These are toy schemes: no AugMix, small noise, a small weight of the divergence. Their names are
    those of the figure, so `fig4_schemes()["noisymix"]` is not `SCHEMES["noisymix"]`, which is for
    images. The default levels are those of the explorer, at which no scheme collapses.

    Args:
        alpha: Beta parameter of the mixing.
        additive: $\sigma_{add}$.
        multiplicative: $\sigma_{mult}$.
        stability: $\gamma$.
        reading: What 'JSD without augmentation' means; a key of `READINGS`.
        law: Noise law; "released" adds the released sparsity and view gain.
        points: Mix points drawn from (0 = input, 1 = hidden layer).
        copies: Views of the schemes with a divergence; default 3, or 2 for "unmixed".

    Raises:
        ValueError: For an unknown reading or a value out of range.

    Source: paper appendix A, Fig. 4.

    >>> list(fig4_schemes())
    ['baseline', 'noise_injection', 'manifold_mixup', 'nfm', 'manifold_mixup_jsd', 'noisymix']
    """
    _checks.choice("reading", reading, READINGS)
    stability = _checks.non_negative("stability", stability)
    if copies is None:
        copies = 2 if reading == "unmixed" else 3
    views = Plain(copies if stability else 1)
    mixup = Mixup(alpha)
    if law == "released":
        noise = Noise.released(additive, multiplicative)
    else:
        noise = Noise(additive, multiplicative, law=law)
    pairing: Literal["shared", "independent", "unmixed"] = "shared"
    if reading == "independent" and stability:
        pairing = "independent"
    elif reading == "unmixed" and stability:
        pairing = "unmixed"
    extra_noise = None
    if reading == "noise" and stability:
        extra_noise = Noise(
            additive, multiplicative, noise.sparsity, noise.view_gain, clean_views=1, law=law
        )
    schemes = (
        Scheme("baseline"),
        Scheme("noise_injection", noise=noise, points=points),
        Scheme("manifold_mixup", mix=mixup, points=points),
        Scheme("nfm", mix=mixup, noise=noise, points=points),
        Scheme("manifold_mixup_jsd", views, mixup, extra_noise, points, stability, pairing),
        Scheme("noisymix", views, mixup, noise, points, stability, pairing),
    )
    return {s.name: s for s in schemes}


FIG4: tuple[str, ...] = tuple(fig4_schemes())
"""Names of the six toy schemes that `fig4_schemes` returns, in the order of Fig. 4.

Five of them name another scheme, one for images, in `SCHEMES`.
"""


SCHEMES: dict[str, Scheme] = {
    scheme.name: replace(scheme, origin=scheme.name)
    for scheme in (
        Scheme("baseline"),
        Scheme("noise_injection", noise=Noise(0.2, law="released")),
        Scheme(
            "stability_training",
            Plain(2),
            None,
            Noise(0.08, clean_views=1),
            (0,),
            0.01,
            divergence="kl",
        ),
        Scheme("mixup", mix=Mixup(1.0)),
        Scheme("manifold_mixup", mix=Mixup(2.0), points=(0, 1, 2)),
        Scheme("cutmix", mix=CutMix(1.0, prob=0.5)),
        Scheme("puzzlemix", mix=PuzzleMix()),
        Scheme("nfm", Plain(1), Mixup(1.0), Noise(0.4, 0.2, law="released"), (0, 1, 2, 3)),
        Scheme("augmix", AugMix(), stability=12.0),
        Scheme("augmix_no_jsd", Augmented(AugMix())),
        Scheme("augmax", AugMax(steps=10), stability=10.0),
        Scheme("noisymix", AugMix(), Mixup(1.0), Noise.released(0.5, 0.5), (0, 1, 2, 3), 12.0),
    )
}
"""Every scheme of the paper's CIFAR tables, with the settings that its authors published.

These are for images. The toy schemes of Fig. 4 (`fig4_schemes`) have some of the same names and
other settings.

`nmlib.methods.CARDS` says of each where its settings come from, what differs, and what to expect.
AugMax's networks have dual normalisation (`build_model(..., norm="dubin")`); others train too, with
one normalisation for all views. Mix points are those of the image networks: 0 the normalised image,
k the output of layer k.

Source: the comparison rows of the paper's Tables 2, 3, 13 and 14.
Differs: all are trained by the paper's recipe ("the same basic tuning parameters"), not by their
    authors' schedules and losses; the cards name them (`methods.CARDS`).
"""


ABLATION: dict[str, Scheme] = {
    scheme.name: replace(scheme, origin="noisymix")
    for scheme in (
        Scheme("baseline"),
        Scheme("noise", Plain(1), None, Noise.released(), (0, 1, 2, 3)),
        Scheme("mixing", Plain(1), Mixup(1.0), None, (0, 1, 2, 3)),
        Scheme("mixing_noise", Plain(1), Mixup(1.0), Noise.released(), (0, 1, 2, 3)),
        Scheme("augmix_no_jsd", Augmented(AugMix())),
        Scheme("augmix_noise", AugMix(), None, Noise.released(), (0, 1, 2, 3), 12.0),
        Scheme("augmix", AugMix(), stability=12.0),
        Scheme("noisymix_no_jsd", Augmented(AugMix()), Mixup(1.0), Noise.released(), (0, 1, 2, 3)),
        Scheme("augmix_mixing", AugMix(), Mixup(1.0), None, (0, 1, 2, 3), 12.0),
        Scheme("noisymix", AugMix(), Mixup(1.0), Noise.released(), (0, 1, 2, 3), 12.0),
    )
}
r"""The ten rows of the paper's Table 4, in its order; `Scheme.switches` are the ticks.

All settings are those of `SCHEMES["noisymix"]`, so that neighbours differ in their switches only.
Rows draw from streams named after what is drawn: with the same `Rng` they share batches, partners,
$\lambda$, mix points and AugMix plans where they share the switch; rows without the divergence
train on the first of the augmented views of those with it. Noise fields are shared between rows
with the same number of views.

Source: paper Table 4.
Differs: 'noise without mixing' is noise on unpaired activations here; the released code needs a
    tiny Beta parameter for it. What the paper trained in the rows without the divergence is not
    stated: here the cross-entropy is on one augmented view, as in AugMix without its divergence.
"""


def get_scheme(name: str) -> Scheme:
    """Return a scheme for images, of `SCHEMES` or `ABLATION`, by name.

    The toy schemes of Fig. 4 share some of these names; `fig4_schemes` returns those.

    Args:
        name: E.g. "noisymix" or "augmix_noise".

    Raises:
        ValueError: For an unknown name; the nearest is suggested.

    >>> get_scheme("noisymx")
    Traceback (most recent call last):
    ValueError: unknown scheme 'noisymx'; did you mean 'noisymix'? Choose from: ...
    """
    known = {**SCHEMES, **ABLATION}
    if name in FIG4 and name not in known:
        raise ValueError(f"{name!r} is a toy scheme of Fig. 4; take fig4_schemes()[{name!r}]")
    _checks.choice("scheme", name, known)
    return known[name]


# Scheme -> what its authors change, and for which data set and network (wide or not).
_CHANGES: dict[str, tuple[Callable[[str, bool], bool], dict[str, Any]]] = {
    "nfm": (
        lambda dataset, wide: wide,
        {"noise": Noise(1.0, 0.5, law="released"), "points": (0, 1, 2)},
    ),
    "augmax": (lambda dataset, wide: dataset == "cifar100" and not wide, {"stability": 1.0}),
}


def suited(scheme: Scheme, dataset: str, model: str) -> Scheme:
    """Return a scheme with what its authors change for a data set and a network.

    In Wide-ResNets NFM's noise is 1.0 and 0.5, and it mixes at points 0 to 2; AugMax's divergence
    is weighted 1 on CIFAR-100 in other networks than those. `Scheme.origin` says whose settings
    apply, so copies under another name or with other settings are suited, too; what you set
    yourself stays. Other schemes are returned as they are, with a warning if they have no origin.

    Args:
        scheme: E.g. `SCHEMES["nfm"]`, or `dataclasses.replace` of it.
        dataset: As for `nmlib.load`.
        model: As for `build_model`.

    Source: the NFM and AugMax repositories.
    Differs: the paper does not say whether NFM's row of Table 3 has the levels and the points that
        NFM's authors take for Wide-ResNets; NoisyMix mixes at points 0 to 3 in both networks.

    >>> suited(SCHEMES["augmax"], "cifar100", "preact_resnet18").stability
    1.0
    >>> suited(SCHEMES["nfm"], "cifar10", "wrn28_4").points
    (0, 1, 2)
    >>> suited(SCHEMES["noisymix"], "cifar100", "wrn28_4") == SCHEMES["noisymix"]
    True
    """
    if not isinstance(scheme, Scheme):
        raise TypeError(f"scheme must be a Scheme such as SCHEMES['nfm'], got {scheme!r}")
    for what, name in (("dataset", dataset), ("model", model)):
        if not isinstance(name, str):
            raise TypeError(f"{what} must be a name, got {_checks.shown(name)}")
    origin = scheme.origin
    if origin not in SCHEMES:
        warnings.warn(
            f"nothing is known of scheme {scheme.name!r}, so it is used as it is; if it began as a "
            "scheme of SCHEMES, say which: replace(scheme, origin='nfm')",
            stacklevel=2,
        )
    if origin not in _CHANGES:
        return scheme
    applies, changes = _CHANGES[origin]
    if not applies(dataset.lower(), model.startswith("wrn")):
        return scheme
    untouched = {
        part: value
        for part, value in changes.items()
        if getattr(scheme, part) == getattr(SCHEMES[origin], part)
    }
    return replace(scheme, **untouched)
