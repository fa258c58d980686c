"""SqueezeNet 1.0, a network for ImageNet that is small enough to come with nmlib."""

from __future__ import annotations

from functools import cache
from importlib import resources

import numpy as np
import torch
from torch import Tensor, nn

from nmlib.data.imagenet import renditions_classes
from nmlib.rng import Rng

__all__ = ["SqueezeNet", "class_names", "probabilities", "squeezenet", "squeezenet_features"]

_DATA = resources.files("nmlib.lab.imagenet") / "data"
# Channels of each fire module: in, squeezed, and of either expansion. None stands for pooling.
_FIRES = (
    (96, 16, 64), (128, 16, 64), (128, 32, 128), None, (256, 32, 128), (256, 48, 192),
    (384, 48, 192), (384, 64, 256), None, (512, 64, 256),
)  # fmt: skip
_MEAN = (123.0, 117.0, 104.0)


class _Fire(nn.Module):
    """Squeeze the channels by a 1 x 1 convolution, then expand them by a 1 x 1 and a 3 x 3 one."""

    def __init__(self, channels: int, squeezed: int, expanded: int) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(channels, squeezed, 1)
        self.expand1x1 = nn.Conv2d(squeezed, expanded, 1)
        self.expand3x3 = nn.Conv2d(squeezed, expanded, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.squeeze(x).relu()
        return torch.cat([self.expand1x1(x), self.expand3x3(x)], 1).relu()


def _pool() -> nn.Module:
    return nn.MaxPool2d(3, 2, ceil_mode=True)


class SqueezeNet(nn.Module):
    """SqueezeNet 1.0 for images (B, 3, H, W) in [0, 1]; returns (B, 1000) scores.

    The names of the parameters are torchvision's. The network was trained with a ReLU on its
    scores, so they are never negative, and with a rim of one pixel around the last features.

    Source: Iandola et al. 2016, arXiv 1602.07360.
    """

    mean: Tensor

    def __init__(self) -> None:
        super().__init__()
        fires = [_pool() if f is None else _Fire(*f) for f in _FIRES]
        self.features = nn.Sequential(nn.Conv2d(3, 96, 7, 2), nn.ReLU(), _pool(), *fires)
        # Dropout has no parameters and does nothing here; it keeps the others' names.
        self.classifier = nn.Sequential(nn.Dropout(), nn.Conv2d(512, 1000, 1, padding=1))
        self.register_buffer("mean", torch.tensor(_MEAN).view(3, 1, 1), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Return the scores."""
        scores = self.classifier(self.features(255 * x - self.mean))
        return scores.relu().mean((2, 3))


@cache
def squeezenet() -> SqueezeNet:
    """Return SqueezeNet 1.0 with the weights of its Deep Compression release, ready to predict.

    Two thirds of the weights are 0, the others take at most 256 values a layer. Of 1,000 ImageNet
    photographs, one a class and presumably training images, it names 62.2 % rightly (83.8 % among
    its first five), cropped to 224 pixels. See data/LICENSE.

    Raises:
        ValueError: If the installed file is damaged.

    Source: Han et al. 2016, arXiv 1510.00149, for the compression.
    """
    path = _DATA / "squeezenet1_0.npz"
    net = SqueezeNet()
    try:
        with path.open("rb") as file, np.load(file) as stored:
            net.load_state_dict({name: torch.from_numpy(stored[name]) for name in stored.files})
    except Exception as error:  # zipfile, NumPy and torch each raise their own
        raise ValueError(f"{path} is missing or damaged ({error}); install nmlib again") from error
    return net.eval().requires_grad_(False)


class _Features(nn.Module):
    """The means over all places of a SqueezeNet's last features, over `scale`."""

    mean: Tensor

    def __init__(self, network: SqueezeNet, scale: float) -> None:
        super().__init__()
        self.features, self.scale = network.features, scale
        self.register_buffer("mean", network.mean, persistent=False)

    def extra_repr(self) -> str:
        return f"scale={self.scale:g}"

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.features(255 * x - self.mean).mean((2, 3))
        return found / self.scale


def squeezenet_features(*, trained: bool = True) -> nn.Module:
    r"""Return SqueezeNet without its scores: (B, 3, H, W) in [0, 1] to (B, 512), for transfer.

    Without batch normalisation its features are large. Divided by 25 their root mean square is
    about 1/2, as in networks that normalise, so that a recipe for those trains a head on them;
    untrained ones are divided by 50, which makes them as large.

    Args:
        trained: Whether the weights are ImageNet's, or random from $N(0, 2/\text{fan in})$.
    """
    if trained:
        return _Features(squeezenet(), 25)
    net, rng = SqueezeNet(), Rng(0).fold("untrained").torch()
    for layer in net.features.modules():
        if isinstance(layer, nn.Conv2d) and layer.bias is not None:
            deviation = (2 / layer.weight[0].numel()) ** 0.5
            nn.init.normal_(layer.weight, 0, deviation, generator=rng)
            nn.init.zeros_(layer.bias)
    return _Features(net, 50).eval().requires_grad_(False)


@cache
def class_names() -> tuple[str, ...]:
    """Return the names of ImageNet's 1,000 classes, in their order.

    >>> class_names()[:2], len(class_names())
    (('tench', 'goldfish'), 1000)
    """
    return tuple((_DATA / "classes.txt").read_text(encoding="utf-8").splitlines())


def probabilities(images: Tensor, *, masked: bool = False) -> Tensor:
    r"""Return SqueezeNet's probabilities.

    With the mask the softmax runs over the 200 classes $R$ of ImageNet-R only,
    $p_k = e^{s_k} / \sum_{j \in R} e^{s_j}$ for $k \in R$, and 0 elsewhere.

    Args:
        images: (N, H, W, 3) uint8.
        masked: Whether to leave only the 200 classes.

    Returns:
        (N, 1000).

    Source: the mask is ImageNet-R's (Hendrycks et al. 2021, arXiv 2006.16241).
    """
    with torch.inference_mode():
        scores = squeezenet()(images.movedim(-1, 1).float() / 255)
    if masked:
        kept = torch.zeros(1000, dtype=torch.bool)
        kept[list(renditions_classes())] = True
        scores = scores.masked_fill(~kept, -torch.inf)
    return scores.softmax(1)
