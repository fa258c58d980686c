"""Mixing and noise with Python loops, and a whole training step written out."""

import numpy as np

from oracles import losses


def mix(h, partner, weight):
    """One sample at a time: weight * h_i + (1 - weight) * h_partner(i)."""
    h = np.asarray(h, dtype=np.float64)
    weight = np.broadcast_to(np.asarray(weight, dtype=np.float64), h.shape)
    out = np.empty_like(h)
    for i in range(len(h)):
        out[i] = weight[i] * h[i] + (1 - weight[i]) * h[partner[i]]
    return out


def mlp_stage(h, weight, bias, relu):
    out = np.asarray(h, dtype=np.float64) @ weight.T + bias
    return np.maximum(out, 0) if relu else out


def step_loss(layers, views, y, *, point, partners, lams, additive, multiplicative, stability):
    """Loss of one step of any scheme on a ReLU network: (ce, jsd, total).

    layers: [(weight, bias), ...]; views: (V, B, d); partners, lams, additive and multiplicative:
    one entry for each view (noise may be None).
    """
    logits = []
    for v, x in enumerate(views):
        h = np.asarray(x, dtype=np.float64)
        for k, (weight, bias) in enumerate([*layers, (None, None)]):
            if k == point:
                h = mix(h, partners[v], lams[v])
                if multiplicative is not None:
                    h = h * (1 + np.asarray(multiplicative[v], dtype=np.float64))
                if additive is not None:
                    h = h + np.asarray(additive[v], dtype=np.float64)
            if weight is not None:
                h = mlp_stage(h, weight, bias, relu=k < len(layers) - 1)
        logits.append(h)
    batch, classes = logits[0].shape
    ce = 0.0
    for i in range(batch):
        target = (
            lams[0] * np.eye(classes)[y[i]] + (1 - lams[0]) * np.eye(classes)[y[partners[0][i]]]
        )
        ce += losses.cross_entropy(logits[0][i], target) / batch
    weights = [1 / len(views)] * len(views)
    jsd = 0.0
    if stability:
        for i in range(batch):
            jsd += losses.divergence_from_logits([z[i] for z in logits], weights) / batch
    return ce, jsd, ce + stability * jsd


def cutmix_box(height, width, lam, row, column):
    """The pixels that CutMix pastes, as a set: a box around a centre, cut off at the border.

    CutMix, appendix A: sides sqrt(1 - lam) of the image, in whole pixels, half of them (rounded
    down) to each side of the centre.
    """
    inside = set()
    tall, wide = int(height * (1 - lam) ** 0.5), int(width * (1 - lam) ** 0.5)
    for i in range(row - tall // 2, row + tall // 2):
        for j in range(column - wide // 2, column + wide // 2):
            if 0 <= i < height and 0 <= j < width:
                inside.add((i, j))
    return inside


def cutmix_law(height, width, alpha, steps=2000):
    """How often each pixel is pasted, and mean and mean square of the pasted share.

    Over all centres and a midpoint rule in the quantiles of Beta(alpha, alpha).
    """
    from scipy.stats import beta

    often, share = np.zeros((height, width)), np.zeros(2)
    sizes = {}
    for lam in beta.ppf((np.arange(steps) + 0.5) / steps, alpha, alpha):
        key = int(height * (1 - lam) ** 0.5) // 2, int(width * (1 - lam) ** 0.5) // 2
        sizes.setdefault(key, [lam, 0])[1] += 1
    for lam, count in sizes.values():
        for row in range(height):
            for column in range(width):
                box = cutmix_box(height, width, lam, row, column)
                weight = count / steps / height / width
                for pixel in box:
                    often[pixel] += weight
                part = len(box) / height / width
                share += weight * np.array([part, part**2])
    return often, share
