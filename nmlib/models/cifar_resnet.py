"""The ResNets of He et al. for CIFAR, with the parameter names of the public weights."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from nmlib import _checks

__all__ = ["CifarResNet"]


class _Block(nn.Module):
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
    """A ResNet of 6n + 2 layers: widths 16, 32, 64, n blocks each, shortcuts without parameters.

    It takes normalised images. The names of its parameters are those of the public ResNet-20 to
    ResNet-1202 for CIFAR-10. Mix points as in the paper's networks, the input and the outputs of
    all layers but the last, are `("", "layer2", "layer3")`.

    Args:
        depth: Number of layers: 20, 32, 44, 56, 110, ...
        num_classes: K >= 2.

    Source: He et al. (2016), Deep Residual Learning, sec. 4.2, option A.

    >>> sum(p.numel() for p in CifarResNet(20).parameters())
    269722
    """

    def __init__(self, depth: int = 20, num_classes: int = 10) -> None:
        super().__init__()
        count, rest = divmod(_checks.integer("depth", depth, 8) - 2, 6)
        if rest:
            raise ValueError(f"depth must be 6 n + 2, e.g. 20 or 56, got {depth}")
        classes = _checks.integer("num_classes", num_classes, 2)

        def layer(width_in: int, width: int, stride: int) -> nn.Sequential:
            rest = (_Block(width, width, 1) for _ in range(count - 1))
            return nn.Sequential(_Block(width_in, width, stride), *rest)

        self.conv1 = nn.Conv2d(3, 16, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        self.layer1 = layer(16, 16, 1)
        self.layer2 = layer(16, 32, 2)
        self.layer3 = layer(32, 64, 2)
        self.linear = nn.Linear(64, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits (B, num_classes) of normalised images (B, 3, H, W)."""
        h = F.relu(self.bn1(self.conv1(x)))
        h = self.layer3(self.layer2(self.layer1(h)))
        return self.linear(h.mean((2, 3)))
