"""Wide residual networks for 32-pixel images."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from torch import Tensor, nn

from nmlib import _checks
from nmlib.models.initial import built
from nmlib.models.norm import DualBatchNorm2d, Normalise, NormKind, StreamDropout, norm_maker
from nmlib.models.staged import StagedModel

__all__ = ["wide_resnet"]


class WideBlock(nn.Module):
    """norm, ReLU, 3x3, dropout, norm, ReLU, strided 3x3, plus x (or a strided 1x1 of x).

    Args:
        width_in: Channels in.
        width: Channels out.
        stride: Of the second convolution.
        dropout: Probability.
        bias: Whether convolutions have biases.
        norm: (channels) -> layer, for the first and the second normalisation.
    """

    def __init__(
        self,
        width_in: int,
        width: int,
        stride: int,
        dropout: float,
        bias: bool,
        norm: Sequence[Callable[[int], nn.Module]],
    ) -> None:
        super().__init__()
        self.norm1 = norm[0](width_in)
        self.conv1 = nn.Conv2d(width_in, width, 3, 1, 1, bias=bias)
        self.dropout = StreamDropout(dropout)
        self.norm2 = norm[1](width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, 1, bias=bias)
        self.relu = nn.ReLU(inplace=True)
        same = stride == 1 and width_in == width
        self.projection = None if same else nn.Conv2d(width_in, width, 1, stride, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        out = self.dropout(self.conv1(self.relu(self.norm1(x))))
        out = self.conv2(self.relu(self.norm2(out)))
        return out + (x if self.projection is None else self.projection(x))


def wide_resnet(
    num_classes: int = 10,
    *,
    seed: int = 0,
    depth: int = 28,
    widen: int = 4,
    dropout: float = 0.1,
    conv_bias: bool = True,
    last_momentum: float = 0.9,
    norm: NormKind = "batch",
    mean: float | Sequence[float] = 0.5,
    std: float | Sequence[float] = 0.5,
) -> StagedModel:
    """Build a Wide ResNet with four stages; the defaults are the released WRN-28-4.

    A 3x3 stem of 16 channels, three layers of (depth - 4) / 6 blocks with 16, 32 and 64 times
    `widen` channels, then norm, ReLU, the mean over pixels and a linear layer. Mix point 0 is the
    normalised image; mix points 1, 2, 3 are the outputs of layers 1, 2, 3.

    Args:
        num_classes: K >= 2.
        seed: Of the weights.
        depth: 6n + 4 with n >= 1.
        widen: Factor of the widths, >= 1.
        dropout: Probability between the convolutions of a block, in [0, 1). Masks come from the
            stream of `batch_loss` or `dropout_stream`, and elsewhere from the seed.
        conv_bias: Whether convolutions have biases.
        last_momentum: Weight of the newest batch in the running statistics of the last
            normalisation, in (0, 1]; PyTorch's default is 0.1.
        norm: "batch", "dual" or "dubin", see `norm_maker`.
        mean: Subtracted from images in [0, 1].
        std: Divisor after the subtraction.

    Returns:
        A model of images (B, 3, H, W) in [0, 1].

    Raises:
        ValueError: For an option out of range.

    Source: paper sec. 4 (Wide-ResNet).
    Differs: the paper's "28x2" is WRN-28-4 in the released code, with dropout 0.1, biases, the
        stride in the second convolution and a last normalisation of momentum 0.9.

    >>> wide_resnet(depth=10, widen=1).num_points
    4
    """
    depth, widen = _checks.integer("depth", depth), _checks.integer("widen", widen, 1)
    num_classes = _checks.integer("num_classes", num_classes, 2)
    if depth < 10 or (depth - 4) % 6:
        raise ValueError(f"depth must be 6n + 4 with n >= 1 (10, 16, 22, 28, ...), got {depth}")
    last_momentum = _checks.number("last_momentum", last_momentum, 0, 1, ends="(]")
    make = norm_maker(norm)
    widths = (16, 16 * widen, 32 * widen, 64 * widen)

    def block(width_in: int, width: int, stride: int) -> nn.Module:
        norms = (lambda c: make(c, True), lambda c: make(c, False))
        return WideBlock(width_in, width, stride, dropout, conv_bias, norms)

    def layer(k: int) -> list[nn.Module]:
        first = block(widths[k - 1], widths[k], 2 if k > 1 else 1)
        return [first, *(block(widths[k], widths[k], 1) for _ in range((depth - 4) // 6 - 1))]

    def last_norm() -> nn.Module:
        if norm == "batch":
            return nn.BatchNorm2d(widths[3], momentum=last_momentum)
        return DualBatchNorm2d(widths[3], momentum=last_momentum)

    def stages() -> list[nn.Module]:
        head: list[nn.Module] = [last_norm(), nn.ReLU(inplace=True), nn.AdaptiveAvgPool2d(1)]
        head += [nn.Flatten(), nn.Linear(widths[3], num_classes)]
        groups = [layer(1), layer(2), layer(3), head]
        groups[0].insert(0, nn.Conv2d(3, 16, 3, 1, 1, bias=conv_bias))
        return [nn.Sequential(*group) for group in groups]

    return built(stages, Normalise(mean, std), seed)
