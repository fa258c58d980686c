"""Small nets whose answers depend on the pixels."""

import torch
from torch import nn


class Colours(nn.Module):
    """Linear in the means of blocks of 8 x 8 pixels."""

    name = "colours"

    def __init__(self, classes=10, seed=0):
        super().__init__()
        self.pool = nn.AvgPool2d(8)
        self.linear = nn.utils.skip_init(nn.Linear, 48, classes)
        draw = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            self.linear.weight.normal_(0, 3, generator=draw)
            self.linear.bias.zero_()

    def forward(self, x):
        return self.linear(self.pool(x - 0.3).flatten(1))
