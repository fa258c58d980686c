"""Every scheme written out sample by sample in NumPy, fed with the draws of a step.

A tape holds the draws: views (V, B, C, H, W), point, and, where a scheme has them, partner (B,),
lam (B,), mask (B, H, W), own and other (B, H, W) pixel sources, additive and multiplicative
(V, B, ...) fields. `net.run(h, start, stop)` runs one sample.
"""

import numpy as np


class Net:
    """3x3 convolutions with ReLU and strides, the mean over pixels, a linear layer; images are
    normalised to 2x - 1. Stage k is convolution k, the last stage is mean and linear layer."""

    def __init__(self, convolutions, strides, linear):
        self.convolutions, self.strides, self.linear = convolutions, strides, linear

    def run(self, h, start=None, stop=None):
        h = 2 * h - 1 if start is None else h
        stages = len(self.convolutions) + 1
        for k in range(start or 0, stages if stop is None else stop):
            if k == stages - 1:
                weight, bias = self.linear
                h = weight @ h.mean((1, 2)) + bias
            else:
                h = np.maximum(convolve(h, *self.convolutions[k], self.strides[k]), 0)
        return h


def convolve(h, weight, bias, stride):
    _, height, width = h.shape
    padded = np.pad(h, ((0, 0), (1, 1), (1, 1)))
    rows, columns = range(0, height, stride), range(0, width, stride)
    out = np.zeros((len(weight), len(rows), len(columns)))
    for a, i in enumerate(rows):
        for b, j in enumerate(columns):
            patch = padded[:, i : i + 3, j : j + 3]
            for k in range(len(weight)):
                out[k, a, b] = (weight[k] * patch).sum() + bias[k]
    return out


def softmax(z):
    e = np.exp(z - z.max())
    return e / e.sum()


def cross_entropy(z, y):
    return -np.log(softmax(z)[y])


def jsd(logits):
    p = [softmax(z) for z in logits]
    m = sum(p) / len(p)
    return sum((q * np.log(q / m)).sum() for q in p) / len(p)


def kl(z, other):
    p, q = softmax(z), softmax(other)
    return (p * np.log(p / q)).sum()


def noisy(tape, v, i, h):
    if "multiplicative" in tape:
        h = (1 + tape["multiplicative"][v][i]) * h
    return h + tape["additive"][v][i]


def activations(net, tape, v):
    return [net.run(x, stop=tape["point"]) for x in tape["views"][v]]


def mixed(tape, h, i):
    lam = tape["lam"][i]
    return lam * h[i] + (1 - lam) * h[tape["partner"][i]]


def mixed_ce(tape, z, i, y):
    lam = tape["lam"][i]
    return lam * cross_entropy(z, y[i]) + (1 - lam) * cross_entropy(z, y[tape["partner"][i]])


def average(values):
    return sum(values) / len(values)


# -- the schemes: net, tape, classes -> loss ---------------------------------------------------


def baseline(net, tape, y):
    (x,) = tape["views"]
    return average([cross_entropy(net.run(x[i]), y[i]) for i in range(len(y))])


def noise_injection(net, tape, y):
    assert tape["point"] == 0
    losses = []
    for i in range(len(y)):
        pixels = 2 * tape["views"][0][i] - 1 + tape["additive"][0][i]
        losses.append(cross_entropy(net.run(pixels, start=0), y[i]))
    return average(losses)


def stability_training(net, tape, y):
    losses = []
    for i in range(len(y)):
        x = tape["views"][0][i]
        clean = net.run(x)
        shaken = net.run(x + tape["additive"][1][i] / 2)
        losses.append(cross_entropy(clean, y[i]) + 0.01 * kl(clean, shaken))
    return average(losses)


def mixup(net, tape, y):
    (x,) = tape["views"]
    losses = []
    for i in range(len(y)):
        z = net.run(mixed(tape, x, i))
        losses.append(mixed_ce(tape, z, i, y))
    return average(losses)


def manifold_mixup(net, tape, y):
    assert tape["point"] in (0, 1, 2)
    return hidden_mixup(net, tape, y)


def hidden_mixup(net, tape, y):
    h = activations(net, tape, 0)
    losses = []
    for i in range(len(y)):
        z = net.run(mixed(tape, h, i), start=tape["point"])
        losses.append(mixed_ce(tape, z, i, y))
    return average(losses)


def pasted(net, tape, y):
    (x,) = tape["views"]
    losses = []
    for i in range(len(y)):
        own, other = x[i], x[tape["partner"][i]]
        image = np.empty_like(own)
        for r in range(image.shape[1]):
            for c in range(image.shape[2]):
                at, elsewhere = (r, c), (r, c)
                if "own" in tape:
                    at = divmod(int(tape["own"][i, r, c]), image.shape[2])
                    elsewhere = divmod(int(tape["other"][i, r, c]), image.shape[2])
                m = tape["mask"][i, r, c]
                image[:, r, c] = (
                    m * own[:, at[0], at[1]] + (1 - m) * other[:, elsewhere[0], elsewhere[1]]
                )
        z = net.run(image)
        area = tape["mask"][i].mean()
        losses.append(
            area * cross_entropy(z, y[i]) + (1 - area) * cross_entropy(z, y[tape["partner"][i]])
        )
    return average(losses)


def nfm(net, tape, y):
    h = activations(net, tape, 0)
    losses = []
    for i in range(len(y)):
        z = net.run(noisy(tape, 0, i, mixed(tape, h, i)), start=tape["point"])
        losses.append(mixed_ce(tape, z, i, y))
    return average(losses)


def augmix(net, tape, y):
    clean, one, two = tape["views"]
    losses = []
    for i in range(len(y)):
        logits = [net.run(x[i]) for x in (clean, one, two)]
        losses.append(cross_entropy(logits[0], y[i]) + 12 * jsd(logits))
    return average(losses)


def augmix_no_jsd(net, tape, y):
    return baseline(net, tape, y)


def augmax(net, tape, y):
    clean, one, hard = tape["views"]
    losses = []
    for i in range(len(y)):
        logits = [net.run(x[i]) for x in (clean, one, hard)]
        losses.append(cross_entropy(logits[0], y[i]) + 10 * jsd(logits))
    return average(losses)


def noisymix(net, tape, y):
    h = [activations(net, tape, v) for v in range(3)]
    losses = []
    for i in range(len(y)):
        logits = [
            net.run(noisy(tape, v, i, mixed(tape, h[v], i)), start=tape["point"]) for v in range(3)
        ]
        losses.append(mixed_ce(tape, logits[0], i, y) + 12 * jsd(logits))
    return average(losses)


def augmix_noise(net, tape, y):
    h = [activations(net, tape, v) for v in range(3)]
    losses = []
    for i in range(len(y)):
        logits = [net.run(noisy(tape, v, i, h[v][i]), start=tape["point"]) for v in range(3)]
        losses.append(cross_entropy(logits[0], y[i]) + 12 * jsd(logits))
    return average(losses)


def augmix_mixing(net, tape, y):
    h = [activations(net, tape, v) for v in range(3)]
    losses = []
    for i in range(len(y)):
        logits = [net.run(mixed(tape, h[v], i), start=tape["point"]) for v in range(3)]
        losses.append(mixed_ce(tape, logits[0], i, y) + 12 * jsd(logits))
    return average(losses)


def noise(net, tape, y):
    h = activations(net, tape, 0)
    logits = [net.run(noisy(tape, 0, i, h[i]), start=tape["point"]) for i in range(len(y))]
    return average([cross_entropy(z, c) for z, c in zip(logits, y, strict=True)])


SCHEMES = {
    "baseline": baseline,
    "noise_injection": noise_injection,
    "stability_training": stability_training,
    "mixup": mixup,
    "manifold_mixup": manifold_mixup,
    "cutmix": pasted,
    "puzzlemix": pasted,
    "nfm": nfm,
    "augmix": augmix,
    "augmix_no_jsd": augmix_no_jsd,
    "augmax": augmax,
    "noisymix": noisymix,
}

ABLATION = {
    "baseline": baseline,
    "noise": noise,
    "mixing": hidden_mixup,
    "mixing_noise": nfm,
    "augmix_no_jsd": augmix_no_jsd,
    "augmix_noise": augmix_noise,
    "augmix": augmix,
    "noisymix_no_jsd": nfm,
    "augmix_mixing": augmix_mixing,
    "noisymix": noisymix,
}
