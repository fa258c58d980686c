"""A small network, also run as one of two processes: `python parallel.py FOLDER inside|outside`."""

import os
import sys
from pathlib import Path

import torch
from torch import distributed, nn
from torch.nn.parallel import DistributedDataParallel

import nmlib as nm

NAMES = ["", "0", "1"]
NOISYMIX = nm.Scheme("noisymix", nm.Plain(2), nm.Mixup(), nm.Noise(0.4, 0.3), (2,), 3.0)
SMALL = torch.rand(4, 3, 8, 8, generator=torch.Generator().manual_seed(2))
Y = torch.tensor([0, 3, 1, 2])


def small(act=nn.ReLU):
    """Two convolutions and a head; a batch for it is `SMALL`."""
    with torch.random.fork_rng([]):
        torch.manual_seed(0)
        return nn.Sequential(
            nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.GroupNorm(2, 8), act()),
            nn.Sequential(nn.Conv2d(8, 8, 3, 2, padding=1), nn.GroupNorm(2, 8), act()),
            nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 5),
        )  # fmt: skip


def main(folder, where):
    """Write the gradients of one step on this process' half of the batch."""
    distributed.init_process_group("gloo")
    rank, network = distributed.get_rank(), small()
    if where == "inside":
        inner = DistributedDataParallel(network)
        objective = nm.NoisyMixLoss(nm.MixPoints(inner, NAMES), NOISYMIX, seed=9)
    else:
        objective = nm.NoisyMixLoss(nm.MixPoints(network, NAMES), NOISYMIX, seed=9)
        objective = DistributedDataParallel(objective, static_graph=where == "static")
    rows = slice(2 * rank, 2 * rank + 2)
    objective(SMALL[rows], Y[rows]).total.backward()
    if rank == 0:
        torch.save([p.grad for p in network.parameters()], Path(folder) / "gradients.pt")
    distributed.barrier()
    os._exit(0)  # gloo's threads may still be at work when its objects are gone, and then abort


if __name__ == "__main__":
    main(*sys.argv[1:])
