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
