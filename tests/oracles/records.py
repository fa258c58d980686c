"""Records without meaning in the shape of a measured grid."""

import numpy as np

from nmlib.corruptions import CORRUPTIONS
from nmlib.schemes import ABLATION, SCHEMES

FIFTEEN = list(CORRUPTIONS)[:15]
EVERY = {**SCHEMES, **ABLATION}


def record(scheme, seed, *, images=100, **changes):
    """One record; the more switches, the more robust."""
    switches = EVERY[scheme].switches
    image = np.random.default_rng(7).normal(size=images)  # shared: some images are hard
    own = np.random.default_rng([seed, *scheme.encode()])
    skill = 0.1 + 0.55 * switches[0] + 0.2 * switches[1] + 0.1 * switches[2] + 0.15 * switches[3]
    skill += own.normal(scale=0.08)
    level = np.linspace(0.5, -0.9, 5)
    depth = np.linspace(0.3, -0.3, 15)
    logit = skill + image[:, None, None] + depth[:, None] + level
    right = own.random((images, 15, 5)) < 1 / (1 + np.exp(-1.7 * logit))
    clean = own.random(images) < 1 / (1 + np.exp(-1.7 * (1 + 0.2 * skill + image)))
    accuracy = right.mean(0)
    return {
        "dataset": "invented",
        "model": "none",
        "scheme": scheme,
        "switches": list(switches),
        "seed": seed,
        "budget": "smoke",
        "clean_accuracy": float(clean.mean()),
        "robust_accuracy": float(right.mean()),
        "clean": {"rms_calibration_error": 0.1, "expected_calibration_error": 0.1, "aurra": 0.8},
        "corrupted": {
            "rms_calibration_error": 0.2,
            "expected_calibration_error": 0.3 - 0.1 * skill,
            "aurra": 0.7,
        },
        "accuracy": {c: a.tolist() for c, a in zip(FIFTEEN, accuracy, strict=True)},
        "clean_hits": clean.astype(int).tolist(),
        "robust_hits": right.sum((1, 2)).tolist(),
        "flip_probability": {"gaussian_noise": 0.3 - 0.1 * skill, "tilt": 0.1} if scheme in SCHEMES
        else None,
        "sequence_images": 10,
        "sequences": 2,
        "train_images": 1000,
        "test_images": images,
        "train_fingerprint": "a",
        "test_fingerprint": "b",
        "epochs": [{"epoch": 0, "loss": 1.0, "ce": 1.0, "jsd": 0.0}],
        "provenance": {"commit": "0"},
    } | changes  # fmt: skip


def grid(seeds=3, schemes=EVERY, **options):
    """Every scheme with every seed."""
    return [record(scheme, seed, **options) for scheme in schemes for seed in range(seeds)]
