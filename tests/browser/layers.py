"""The layers that the explorer's page draws, computed from a lab in Python."""

from dataclasses import replace

import numpy as np
import torch

from nmlib.lab.toy.boundary import grid_points
from nmlib.lab.toy.draws import integers, scale_quantile, symmetric_beta, uniforms
from nmlib.lab.toy.ensemble import POOL_SIZE, noise_pool
from nmlib.lab.toy.lab import ToyLab
from nmlib.losses import jensen_shannon_divergence
from nmlib.mixing import mix
from nmlib.noise import NoiseDraw, inject
from nmlib.schemes import FIG4


def saw(lab, lane):
    """Samples, partners of the first view, mix point, and the inputs mixed and noised there."""
    draws, _ = lab._ensemble.draws(FIG4.index(lane), 0)
    h = draws.views
    if draws.pairs:
        pairs = draws.pairs * (len(h) // len(draws.pairs))
        h = torch.stack([mix(v, p) for v, p in zip(h, pairs, strict=True)])
    return {
        "points": draws.views[0].numpy(),
        "partner": draws.pairs[0].partner.tolist() if draws.pairs else None,
        "point": draws.point,
        "mixed": inject(h, draws.noise).numpy() if draws.point == 0 else None,
    }


def _noise(noise, shape, seed, draw):
    if noise is None:
        return NoiseDraw()
    size, released = int(np.prod(shape)), noise.law == "released"
    windows = integers(seed, "map noise", 2 * draw, 2, POOL_SIZE)
    scale = np.ones((shape[0], 2))
    if released:
        scale = scale_quantile(uniforms(seed, "map noise", 2 * draw + 1, scale.size))
        scale = scale.reshape(shape[0], 2)
    views = np.arange(shape[0])
    gains = (noise.additive * (1 + noise.view_gain * views), noise.multiplicative * views**0)
    fields = []
    for k, (start, gain) in enumerate(zip(windows, gains, strict=True)):
        pool = noise_pool(k == 1 and released, noise.sparsity, POOL_SIZE + size)
        level = gain * scale[:, k] * (views >= noise.clean_views)
        field = pool[start : start + size].view(shape)
        fields.append(field * torch.from_numpy(level.astype(np.float32)).view(-1, 1, 1))
    return NoiseDraw(*fields)


def jsd_map(lab, lane, size, draws):
    """255 times the divergence between the views of each pixel over log 2, the mean of draws."""
    seed, scheme, network = lab.settings.seed, lab.settings.schemes()[lane], FIG4.index(lane)
    views = max(scheme.views.count, 2)
    x = torch.from_numpy(grid_points(lab.EXTENT, size))
    train = torch.tensor(lab.X_train, dtype=torch.float32)
    total = torch.zeros(len(x))
    for k in range(draws):
        h = x.expand(views, *x.shape)
        if scheme.mix is not None:
            lam = symmetric_beta(uniforms(seed, "map", k, views), lab.settings.alpha)
            drawn = integers(seed, "map partner", k, views * len(x), len(train))
            who = torch.from_numpy(drawn.reshape(views, -1))
            if scheme.pairing == "shared":
                lam, who = np.full(views, lam[0]), who[:1].expand(views, -1)
            elif scheme.pairing == "unmixed":
                lam[1:] = 1
            weight = torch.from_numpy(lam.astype(np.float32)).view(-1, 1, 1)
            h = weight * h + (1 - weight) * train[who]
        h = inject(h, _noise(scheme.noise, (views, *x.shape), seed, k))
        logits = lab._ensemble.logits(h.reshape(-1, 2), schemes=slice(network, network + 1))
        total += jensen_shannon_divergence(logits.view(views, len(x), -1), from_logits=True)
    return (total / draws / np.log(2) * 255).numpy()


def band(lab, lane, seeds, size):
    """255 times the share of the seeds after the lab's that predict class 1."""
    share = np.zeros((size, size))
    for seed in range(lab.settings.seed + 1, lab.settings.seed + 1 + seeds):
        other = ToyLab(replace(lab.settings, seed=seed))
        other.step(lab.steps_done)
        share += other.probability(lane, size) > 0.5
    return np.rint(255 * share / seeds)
