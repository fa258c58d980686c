"""ResNets whose weights have the names of public ones: ResNet-50, and those of CIFAR-10."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nmlib import _checks
from nmlib.models.initial import draw_weights
from nmlib.models.points import MixPoints
from nmlib.rng import Rng

__all__ = ["IMAGENET_MEAN", "IMAGENET_STD", "cifar_resnet", "resnet50"]

IMAGENET_MEAN = (0.485, 0.456, 0.406)
"""Mean of ImageNet's pixels, red, green and blue in [0, 1]: what public networks subtract."""

IMAGENET_STD = (0.229, 0.224, 0.225)
"""Their standard deviation."""


class Bottleneck(nn.Module):
    """1x1, strided 3x3, 1x1 with four times the width, each normalised, plus x or a 1x1 of it.

    Args:
        width_in: Channels in.
        width: Channels of the 3x3 convolution.
        stride: Of the 3x3 convolution.
    """

    def __init__(self, width_in: int, width: int, stride: int) -> None:
        super().__init__()
        out = 4 * width
        self.conv1 = nn.Conv2d(width_in, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, out, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(out)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = None
        if stride != 1 or width_in != out:
            self.downsample = nn.Sequential(
                nn.Conv2d(width_in, out, 1, stride, bias=False), nn.BatchNorm2d(out)
            )

    def forward(self, x: Tensor) -> Tensor:
        y = self.relu(self.bn1(self.conv1(x)))
        y = self.relu(self.bn2(self.conv2(y)))
        y = self.bn3(self.conv3(y))
        return self.relu(y + (x if self.downsample is None else self.downsample(x)))


def _layer(width_in: int, width: int, blocks: int, stride: int) -> nn.Sequential:
    rest = (Bottleneck(4 * width, width, 1) for _ in range(blocks - 1))
    return nn.Sequential(Bottleneck(width_in, width, stride), *rest)


class ResNet50(nn.Module):
    """What `resnet50` wraps: modules under torchvision's names, of normalised images."""

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        self.layer1 = _layer(64, 64, 3, 1)
        self.layer2 = _layer(256, 128, 4, 2)
        self.layer3 = _layer(512, 256, 6, 2)
        self.layer4 = _layer(1024, 512, 3, 2)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(2048, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return self.fc(self.avgpool(x).flatten(1))


class CifarBlock(nn.Module):
    """Two 3x3 convolutions beside a path without parameters (option A)."""

    def __init__(self, width_in: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(width_in, width, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        h = F.relu(self.bn1(self.conv1(x)))
        h = self.bn2(self.conv2(h))
        if self.stride > 1:
            # Every second pixel; the new channels are zeros on both sides.
            new = (h.shape[1] - x.shape[1]) // 2
            x = F.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, new, new))
        return F.relu(h + x)


class CifarResNet(nn.Module):
    """What `cifar_resnet` wraps: modules under the names of the public weights."""

    def __init__(self, blocks: int, num_classes: int) -> None:
        super().__init__()

        def layer(width_in: int, width: int, stride: int) -> nn.Sequential:
            rest = (CifarBlock(width, width, 1) for _ in range(blocks - 1))
            return nn.Sequential(CifarBlock(width_in, width, stride), *rest)

        self.conv1 = nn.Conv2d(3, 16, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        self.layer1 = layer(16, 16, 1)
        self.layer2 = layer(16, 32, 2)
        self.layer3 = layer(32, 64, 2)
        self.linear = nn.Linear(64, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.bn1(self.conv1(x)))
        x = self.layer3(self.layer2(self.layer1(x)))
        return self.linear(x.mean((2, 3)))


def _with_he_weights(make: Callable[[], nn.Module], seed: int) -> nn.Module:
    r"""Build a network; convolutions start from $N(0, 2/\text{fan out})$."""
    with torch.device("meta"):
        model = make()
    model = model.to_empty(device="cpu")
    draw_weights(model, seed)
    rng = Rng(seed).fold("init", "he")
    for name, module in model.named_modules():
        if isinstance(module, nn.Conv2d):
            deviation = math.sqrt(2 / (module.weight.numel() / module.weight.shape[1]))
            draw = rng.fold(name).numpy().standard_normal(module.weight.shape, dtype="float32")
            with torch.no_grad():
                module.weight.copy_(torch.from_numpy(draw * deviation))
    return model


def resnet50(
    num_classes: int = 1000,
    *,
    seed: int = 0,
    mean: float | Sequence[float] = IMAGENET_MEAN,
    std: float | Sequence[float] = IMAGENET_STD,
) -> MixPoints:
    r"""Build a ResNet-50 whose state dict has torchvision's names.

    A 7x7 stem, four layers of 3, 4, 6 and 3 bottlenecks with the stride in the 3x3 convolution, the
    mean over pixels and a linear layer: 25,557,032 parameters in 320 entries. Mix point 0 is the
    normalised image; mix points 1, 2, 3 are the outputs of layers 1, 2, 3. Convolutions start from
    $N(0, 2/\text{fan out})$, the linear layer from PyTorch's own law.

    Args:
        num_classes: K >= 2.
        seed: Of the weights.
        mean: Subtracted from images in [0, 1].
        std: Divisor after the subtraction.

    Returns:
        A model of images (B, 3, H, W) in [0, 1]; 224 x 224 pixels in all published numbers.

    Source: He et al. (2016), with the stride of torchvision; the networks of the paper's Tables 1,
        6, 11 and 12. Mix points are those of the released ImageNet script.

    >>> net = resnet50()
    >>> sum(p.numel() for p in net.parameters()), len(net.state_dict()), net.num_points
    (25557032, 320, 4)
    """
    num_classes = _checks.integer("num_classes", num_classes, 2)
    network = _with_he_weights(lambda: ResNet50(num_classes), seed)
    return MixPoints(network, ("", "layer1", "layer2", "layer3"), mean, std)


def cifar_resnet(
    num_classes: int = 10,
    *,
    seed: int = 0,
    depth: int = 20,
    mean: float | Sequence[float] = IMAGENET_MEAN,
    std: float | Sequence[float] = IMAGENET_STD,
) -> MixPoints:
    """Build a ResNet of 6n + 2 layers for 32-pixel images, with the names of public weights.

    A 3x3 stem, three layers of n blocks with 16, 32 and 64 channels and shortcuts without
    parameters, the mean over pixels and a linear layer. Mix point 0 is the normalised image; mix
    points 1 and 2 are the outputs of layers 1 and 2. The public weights were trained on images
    normalised by ImageNet's mean and deviation.

    Args:
        num_classes: K >= 2.
        seed: Of the weights.
        depth: 20, 32, 44, 56, 110, ...
        mean: Subtracted from images in [0, 1].
        std: Divisor after the subtraction.

    Returns:
        A model of images (B, 3, H, W) in [0, 1].

    Source: He et al. (2016), Deep Residual Learning, sec. 4.2, option A.

    >>> sum(p.numel() for p in cifar_resnet(depth=20).parameters())
    269722
    >>> cifar_resnet(depth=50).num_points
    3
    >>> cifar_resnet(depth=51)
    Traceback (most recent call last):
    ValueError: depth must be 6 n + 2, e.g. 20 or 56, got 51
    """
    num_classes = _checks.integer("num_classes", num_classes, 2)
    blocks, rest = divmod(_checks.integer("depth", depth, 8) - 2, 6)
    if rest:
        raise ValueError(f"depth must be 6 n + 2, e.g. 20 or 56, got {depth}")
    network = _with_he_weights(lambda: CifarResNet(blocks, num_classes), seed)
    return MixPoints(network, ("", "layer1", "layer2"), mean, std)
