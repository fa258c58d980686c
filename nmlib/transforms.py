"""AugMix and the corruptions as transforms, for `Compose` of torchvision and for any Dataset.

They are called with an image and return one of the same kind: a Pillow image, a tensor or an array,
bytes or floats in [0, 1], channels first or last, one image or a batch. What follows the image in
the call (a label, as `v2.Compose` passes it on) is returned with it.

`nmlib.AugMix` is the view maker of a scheme: it takes a batch on the device and a stream, and draws
nothing hidden. These classes wrap it and `nmlib.corrupt` for places where one image comes without a
stream, so they are classes of their own and have the names and defaults that torchvision's have.

Where the draws come from:

- With `index=`, from (seed, index): the same image gets the same draws in every epoch and process.
- Without, from PyTorch's global generator, as torchvision's transforms do. In a worker of a
  DataLoader PyTorch seeds that anew for each worker and epoch; `torch.manual_seed` decides
  elsewhere, and in `LazyImages` (seed, epoch, index).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from nmlib import _checks
from nmlib.corruptions import CORRUPTIONS, Benchmark, Corruption, corrupt, find_corruption
from nmlib.rng import Rng
from nmlib.views import AugMix as ViewMaker

__all__ = ["AugMix", "Corrupt"]


@dataclass(frozen=True)
class AugMix:
    r"""AugMix of an image, see `nmlib.AugMix`.

    Bytes and Pillow images are rounded to grey levels after the mixture.

    Args:
        views: 1 for an augmented image. V > 1 for a tuple of V images: the clean one and V - 1
            augmented ones, what the Jensen-Shannon divergence compares (3 in the paper).
        severity: As in `nmlib.AugMix`, with the next three.
        width: As above.
        depth: As above.
        alpha: As above.
        seed: Of the draws for an index.

    Source: paper eq. 1; AugMix (arXiv 1912.02781).

    >>> x = torch.rand(3, 32, 32, generator=Rng(0).torch())
    >>> clean, first, second = AugMix(views=3)(x, index=5)
    >>> torch.equal(clean, x), torch.equal(AugMix()(x, index=5), first), first.shape
    (True, True, torch.Size([3, 32, 32]))
    """

    views: int = 1
    severity: float = 3
    width: int = 3
    depth: int = -1
    alpha: float = 1
    seed: int = 0

    def __post_init__(self) -> None:
        _checks.keep(self, _checks.integer, "views", least=1)
        _checks.keep(self, _checks.integer, "seed", least=0)
        self._maker()

    def _maker(self) -> ViewMaker:
        # As `nmlib.views.Augmented`: a single view is the first of two.
        copies = max(2, self.views - 1)
        return ViewMaker(self.severity, self.width, self.depth, self.alpha, copies)

    def __call__(self, image: Any, *rest: Any, index: int | None = None) -> Any:
        """Return the image augmented, or a tuple of views; with `rest` if there is any.

        Args:
            image: See `nmlib.transforms`; grey ones too.
            rest: Returned as it is.
            index: Of the image in its data set, of a batch that of the first.

        Raises:
            TypeError, ValueError: For anything but images in [0, 1], with the remedy.
        """
        x, back = _opened(image)
        maker = self._maker()
        floats = x.float() / 255 if x.dtype == torch.uint8 else x
        made = []
        for k, stream in enumerate(_streams(self.seed, index, len(x))):
            one = floats[k : k + 1]
            plan = maker.draw(1, stream.fold("augmix"))
            made.append(maker.apply(one, plan.view(0) if self.views < 3 else plan))
        found = torch.cat(made, 1)
        if x.dtype == torch.uint8:
            found = (found * 255).round_().to(torch.uint8)
        out: Any = back(found[1]) if self.views == 1 else tuple(back(view) for view in found)
        return (out, *rest) if rest else out


@dataclass(frozen=True)
class Corrupt:
    """A corruption of CIFAR-C or ImageNet-C, see `nmlib.corrupt`.

    Floats are rounded to grey levels first, on which the corruptions are defined.

    Args:
        corruption: Name or record, or several, of which each image gets one at random; None for
            the benchmark's 15.
        severity: 1 to 5, or several, of which each image gets one at random; None for all five.
        benchmark: "cifar" or "imagenet": whose parameters.
        seed: Of the draws for an index.

    >>> x = torch.full((3, 32, 32), 100, dtype=torch.uint8)
    >>> Corrupt("brightness", 3)(x)[:, 0, 0].tolist()
    [138, 138, 138]
    >>> Corrupt(["fog", "snow"])
    Corrupt(corruption=('fog', 'snow'), severity=(1, 2, 3, 4, 5), benchmark='cifar', seed=0)
    """

    corruption: str | Corruption | Sequence[str | Corruption] | None = None
    severity: int | Sequence[int] | None = None
    benchmark: Benchmark = "cifar"
    seed: int = 0

    def __post_init__(self) -> None:
        names = CORRUPTIONS if self.corruption is None else _checks.as_tuple(self.corruption)
        levels = range(1, 6) if self.severity is None else self.severity
        if not names:
            raise ValueError("no corruption was given; name at least one, or None for all")
        for name in names:
            find_corruption(name)
        object.__setattr__(self, "corruption", names)
        object.__setattr__(self, "severity", _checks.integers("severity", levels, 1, 5))
        _checks.keep(self, _checks.choice, "benchmark", allowed=("cifar", "imagenet"))
        _checks.keep(self, _checks.integer, "seed", least=0)

    def __call__(self, image: Any, *rest: Any, index: int | None = None) -> Any:
        """Return the image corrupted, with `rest` if there is any; arguments as for `AugMix`.

        Raises:
            TypeError, ValueError: As `nmlib.corrupt`, and for images outside [0, 1].
        """
        x, back = _opened(image)
        if x.shape[1] == 1:
            raise ValueError(
                "the corruptions need three channels, got a grey image; convert it to RGB first"
            )
        levels = x if x.dtype == torch.uint8 else (x * 255).round().to(torch.uint8)
        names, severities = _checks.as_tuple(self.corruption), _checks.as_tuple(self.severity)
        made = []
        for k, stream in enumerate(_streams(self.seed, index, len(x))):
            # The same draws as `nmlib.corrupt` makes of (seed, index), whatever is chosen.
            choose = stream.fold("corrupt").numpy()
            name = names[choose.integers(len(names))]
            level = severities[choose.integers(len(severities))]
            one = corrupt(
                levels[k : k + 1], name, level, benchmark=self.benchmark, seed=stream.seed,
                first_index=int(stream.path[-1]),
            )  # fmt: skip
            made.append(one)
        found = torch.cat(made)
        out = back(found if x.dtype == torch.uint8 else found.to(x.dtype) / 255)
        return (out, *rest) if rest else out


def _streams(seed: int, index: int | None, count: int) -> list[Rng]:
    """Return a stream for each image, whose path is the image's index."""
    if index is None:
        generator = torch.default_generator
        seed = int(torch.empty((), dtype=torch.int64).random_(generator=generator))
        index = 0
    index = _checks.integer("index", index, 0)
    return [Rng(seed).fold(index + k) for k in range(count)]


def _opened(image: Any) -> tuple[Tensor, Callable[[Tensor], Any]]:
    """Return an image or a batch as (B, C, H, W), bytes or floats in [0, 1], and the way back."""
    pillow = _checks.is_pillow(image)
    given = _checks.pillow_pixels(image, ("RGB", "L")) if pillow else image
    # Subclasses such as torchvision's Image are put back at the end.
    plain = given.as_subclass(Tensor) if isinstance(given, Tensor) else given
    x = _checks.tensor("image", plain).detach()
    alone = x.ndim == 3
    x = x[None] if alone else x
    if x.dtype != torch.uint8 and not x.is_floating_point():
        raise TypeError(f"images must be uint8 or floats in [0, 1], got {x.dtype}")
    if x.ndim != 4 or not x.numel():
        raise ValueError(f"an image has the axes (C, H, W) or (H, W, C), got {tuple(x.shape)}")
    last = x.shape[1] not in (1, 3) and x.shape[3] in (1, 3)
    x = x.movedim(3, 1) if last else x
    if x.shape[1] not in (1, 3):
        raise ValueError(
            f"images need one or three channels, got {tuple(x.shape[1:])}; convert them to RGB"
        )
    if x.is_floating_point():
        _checks.unit_range("image", x)

    def back(out: Tensor) -> Any:
        out = out.movedim(1, 3) if last else out
        out = (out[0] if alone else out).contiguous()
        if isinstance(image, Tensor):
            return out if type(image) is Tensor else out.as_subclass(type(image))
        return _checks.pillow_image(out.numpy()) if pillow else out.numpy()

    return x, back
