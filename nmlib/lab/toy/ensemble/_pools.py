"""Random numbers that are drawn once and read many times; `nmlib.lab.toy.draws` has the law."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from nmlib.lab.toy.draws import normals, permutations, uniforms

# Seeds that are trained together; they share the sequence of mix points. Part of the definition of
# a member's draws, so a member does not depend on who else is in the ensemble.
SEED_BLOCK = 16

# A step reads a window of the noise at a random offset: drawing fresh fields would cost more than
# training the networks. Beyond its end the noise begins again.
POOL_SIZE = 1 << 20

PERMUTATIONS = 1024

MAX_VIEWS = 4


@lru_cache(maxsize=4)
def noise_pool(uniform: bool, sparsity: float, length: int) -> Tensor:
    """Return a reel of independent noise; each entry is 0 with probability `sparsity`."""
    pool = (
        2 * uniforms(0, "noise", 1, POOL_SIZE) - 1 if uniform else normals(0, "noise", 0, POOL_SIZE)
    )
    if sparsity:
        pool = pool * (uniforms(0, "kept", int(uniform), POOL_SIZE) >= sparsity)
    return torch.from_numpy(np.resize(pool.astype(np.float32), length))


@lru_cache(maxsize=8)
def permutation_pool(batch: int) -> tuple[Tensor, Tensor]:
    """Return (1024, batch) random permutations and their inverses."""
    forward = permutations(0, "permutation", np.arange(PERMUTATIONS), batch)
    inverse = np.argsort(forward, axis=1)
    return torch.from_numpy(forward.astype(np.int32)), torch.from_numpy(inverse.astype(np.int32))
