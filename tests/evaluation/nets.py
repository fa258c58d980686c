"""Small nets whose answers depend on the pixels."""

import torch
from torch import nn


class Colours(nn.Module):
    """Linear in the means of blocks of 8 x 8 bytes.

    Every partial sum is a multiple of 1/64 below 2^18, hence exact in single precision: the answers
    are the same in batches of any size and on any processor.
    """

    name = "colours"

    def __init__(self, classes=10, seed=0):
        super().__init__()
        self.pool = nn.AvgPool2d(8)
        self.linear = nn.utils.skip_init(nn.Linear, 48, classes)
        draw = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            self.linear.weight.normal_(0, 3, generator=draw).round_()
            self.linear.bias.zero_()

    def forward(self, x):
        levels = (255 * x).round() - 77
        return self.linear(self.pool(levels).flatten(1)) / 256
