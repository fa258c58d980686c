"""Speed of the toy lab against the plain way, in one run: `python benchmarks/toy.py [--out FILE]`.

The plain way is what one would write first: an `nn.Sequential` and `torch.optim.Adam`, one scheme
after another, with only the work that a scheme needs. Both train the same network on the same data
with draws from the same distributions.
"""

from __future__ import annotations

import argparse
import platform
import statistics
from pathlib import Path

import torch
from clock import timed
from torch import Tensor, nn

from nmlib import Scheme, fig4_schemes, make_polygon_band
from nmlib._files import write_json
from nmlib.lab.toy.ensemble import Ensemble
from nmlib.provenance import provenance

EPOCHS, BATCH, WIDTH, RATE = 100, 50, 100, 0.01


def train_plain(scheme: Scheme, x: Tensor, y: Tensor, *, epochs: int, seed: int) -> nn.Module:
    """Train one network the way a careful reader of the paper would write it."""
    generator = torch.Generator().manual_seed(seed)
    first = nn.Sequential(nn.Linear(2, WIDTH), nn.ReLU())
    last = nn.Linear(WIDTH, 2)
    model = nn.Sequential(first, last)
    optimiser = torch.optim.Adam(model.parameters(), lr=RATE)
    cross_entropy = nn.functional.cross_entropy
    for _ in range(epochs):
        for rows in torch.randperm(len(x), generator=generator).split(BATCH):
            xb, yb = x[rows], y[rows]
            point = int(torch.randint(2, (), generator=generator))
            logits, lams, partners = [], [], []
            for _ in range(scheme.views.count):
                h = first(xb) if point else xb
                if scheme.mix is not None:
                    alpha = torch.tensor([scheme.mix.alpha, scheme.mix.alpha])
                    gamma = torch._standard_gamma(alpha, generator=generator)
                    lam = gamma[0] / gamma.sum()
                    partner = torch.randperm(len(h), generator=generator)
                    h = lam * h + (1 - lam) * h[partner]
                    lams.append(lam)
                    partners.append(partner)
                if scheme.noise is not None:
                    add = torch.randn(h.shape, generator=generator)
                    mult = torch.randn(h.shape, generator=generator)
                    h = h * (1 + scheme.noise.multiplicative * mult) + scheme.noise.additive * add
                logits.append(last(h) if point else model(h))
            loss = cross_entropy(logits[0], yb)
            if scheme.mix is not None:
                other = cross_entropy(logits[0], yb[partners[0]])
                loss = lams[0] * loss + (1 - lams[0]) * other
            if scheme.stability:
                log_p = [z.log_softmax(1) for z in logits]
                mixture = torch.stack([p.exp() for p in log_p]).mean(0).clamp_min(1e-12).log()
                jsd = sum((p.exp() * (p - mixture)).sum(1).mean() for p in log_p) / len(log_p)
                loss = loss + scheme.stability * jsd
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
    return model


def measure(repeats: int) -> dict[str, float | int | str]:
    """Time both ways in turn and return medians and ratios."""
    X, y = make_polygon_band(500, random_state=0)
    x, labels = torch.tensor(X[:250], dtype=torch.float32), torch.tensor(y[:250])
    schemes = fig4_schemes()

    def train_ours(names: list[str], seeds: range) -> None:
        chosen = [schemes[n] for n in names]
        Ensemble(chosen, x, labels, seeds=seeds, learning_rate=RATE, batch_size=BATCH).fit(EPOCHS)

    def six_plain() -> None:
        for scheme in schemes.values():
            train_plain(scheme, x, labels, epochs=EPOCHS, seed=0)

    parts = {
        "six_ours": lambda: train_ours(list(schemes), range(1)),
        "six_plain": six_plain,
        "many_ours": lambda: train_ours(["noisymix"], range(256)),
        "one_plain": lambda: train_plain(schemes["noisymix"], x, labels, epochs=EPOCHS, seed=0),
    }
    train_ours(["noisymix"], range(1))  # fills the noise pool, once per process
    rounds = [{name: timed(work)[0] for name, work in parts.items()} for _ in range(repeats)]
    median = {name: statistics.median(r[name] for r in rounds) for name in parts}
    return {
        "six_schemes_ours_s": median["six_ours"],
        "six_schemes_plain_s": median["six_plain"],
        "six_schemes_ratio": statistics.median(r["six_plain"] / r["six_ours"] for r in rounds),
        "noisymix_256_seeds_ours_s": median["many_ours"],
        "noisymix_one_net_plain_s": median["one_plain"],
        "noisymix_ratio_per_net": statistics.median(
            256 * r["one_plain"] / r["many_ours"] for r in rounds
        ),
        "repeats": repeats,
        "epochs": EPOCHS,
    }


def main() -> None:
    """Print the table; write it as JSON if asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    result = measure(arguments.repeats)
    conditions = (
        f"{EPOCHS} epochs, batch {BATCH}, width {WIDTH}, 250 samples, {torch.get_num_threads()} "
        f"threads, torch {torch.__version__}, {platform.machine()}"
    )
    print(f"Toy lab against one nn.Sequential and Adam at a time ({conditions})")
    print(
        f"  six schemes          plain {result['six_schemes_plain_s']:7.2f} s   "
        f"ours {result['six_schemes_ours_s']:6.2f} s   {result['six_schemes_ratio']:6.1f} times"
    )
    print(
        f"  NoisyMix, a network  plain {result['noisymix_one_net_plain_s']:7.2f} s   "
        f"ours {result['noisymix_256_seeds_ours_s'] / 256:6.4f} s   "
        f"{result['noisymix_ratio_per_net']:6.1f} times (256 seeds at once)"
    )
    if arguments.out:
        record = {"conditions": conditions, **result, **provenance()}
        write_json(arguments.out, record)


if __name__ == "__main__":
    main()
