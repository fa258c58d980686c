"""Pre-activation residual networks for 32-pixel images."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

from torch import Tensor, nn

from nmlib import _checks
from nmlib.models.initial import built
from nmlib.models.norm import Normalise, NormKind, norm_maker
from nmlib.models.staged import StagedModel

__all__ = ["preact_resnet"]

Skip = Literal["released", "standard"]


class PreActBlock(nn.Module):
    """norm, ReLU, 3x3, norm, ReLU, 3x3, plus a skip path.

    Args:
        width_in: Channels in.
        width: Channels out.
        stride: Of the first convolution.
        skip: Input of the skip path in a block without projection: relu(norm(x)) or x.
        norm: (channels) -> layer, for the first and the second normalisation.
    """

    def __init__(
        self,
        width_in: int,
        width: int,
        stride: int,
        skip: Skip,
        norm: Sequence[Callable[[int], nn.Module]],
    ) -> None:
        super().__init__()
        self.norm1 = norm[0](width_in)
        self.conv1 = nn.Conv2d(width_in, width, 3, stride, 1, bias=False)
        self.norm2 = norm[1](width)
        self.conv2 = nn.Conv2d(width, width, 3, 1, 1, bias=False)
        self.relu = nn.ReLU(inplace=True)
        same = stride == 1 and width_in == width
        self.projection = None if same else nn.Conv2d(width_in, width, 1, stride, bias=False)
        self.skip = skip

    def extra_repr(self) -> str:
        return f"skip={self.skip}"

    def forward(self, x: Tensor) -> Tensor:
        active = self.relu(self.norm1(x))
        if self.projection is not None:
            past = self.projection(active)
        else:
            past = active if self.skip == "released" else x
        return self.conv2(self.relu(self.norm2(self.conv1(active)))) + past


def preact_resnet(
    num_classes: int = 10,
    *,
    seed: int = 0,
    widths: Sequence[int] = (64, 128, 256, 512),
    blocks: Sequence[int] = (2, 2, 2, 2),
    skip: Skip = "released",
    norm: NormKind = "batch",
    mean: float | Sequence[float] = 0.5,
    std: float | Sequence[float] = 0.5,
) -> StagedModel:
    """Build a pre-activation ResNet with four stages; the defaults are PreActResNet-18.

    A 3x3 stem, one layer of blocks for each width, the mean over pixels and a linear layer. All
    layers but the first halve the image. Mix point 0 is the normalised image; mix point k is the
    output of layer k, for all layers but the last.

    Args:
        num_classes: K >= 2.
        seed: Of the weights.
        widths: Channels of the layers.
        blocks: Blocks of the layers.
        skip: "released": the skip path carries relu(norm(x)) if the shape stays the same, and
            nothing follows the last block. "standard": the skip path carries x, and norm and ReLU
            follow the last block (He et al. 2016, Identity Mappings).
        norm: "batch", "dual" or "dubin", see `norm_maker`.
        mean: Subtracted from images in [0, 1].
        std: Divisor after the subtraction.

    Returns:
        A model of images (B, 3, H, W) in [0, 1].

    Raises:
        ValueError: For an unknown option or a size below 1.

    Source: paper sec. 4 (PreActResNet-18).
    Differs: the standard skip path carries x; the paper's numbers come from the released one,
        which is our default.

    >>> preact_resnet(widths=(4, 8), blocks=(1, 1)).num_points
    2
    """
    _checks.choice("skip", skip, ("released", "standard"))
    num_classes = _checks.integer("num_classes", num_classes, 2)
    widths, blocks = _checks.integers("widths", widths, 1), _checks.integers("blocks", blocks, 1)
    if len(widths) != len(blocks):
        raise ValueError(
            f"widths and blocks must have equal lengths, got widths={widths}, blocks={blocks}"
        )
    make = norm_maker(norm)

    def layer(k: int) -> list[nn.Module]:
        norms = (lambda c: make(c, k < 3), lambda c: make(c, False))
        first = PreActBlock(widths[max(k - 1, 0)], widths[k], 2 if k > 0 else 1, skip, norms)
        rest = (PreActBlock(widths[k], widths[k], 1, skip, norms) for _ in range(blocks[k] - 1))
        return [first, *rest]

    def stages() -> list[nn.Module]:
        groups = [layer(k) for k in range(len(widths))]
        groups[0].insert(0, nn.Conv2d(3, widths[0], 3, 1, 1, bias=False))
        if skip == "standard":
            groups[-1] += [make(widths[-1], False), nn.ReLU(inplace=True)]
        groups[-1] += [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(widths[-1], num_classes)]
        return [nn.Sequential(*group) for group in groups]

    return built(stages, Normalise(mean, std), seed)
