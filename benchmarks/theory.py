"""Theorems 1 to 3: speed of the reference ladder, and the terms on trained toy networks.

    python benchmarks/theory.py ladder      all cases of the reference, against plain NumPy
    python benchmarks/theory.py terms       all terms before and after training, 100 seeds

Without `--out FILE` it writes figures/data/theory_ladder.json or figures/data/theory_terms.json.
"""

from __future__ import annotations

import argparse
import math
import statistics
import sys
import time
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import torch

import nmlib as nm
from nmlib._files import write_json
from nmlib.lab.toy.ensemble import Ensemble
from nmlib.provenance import provenance
from nmlib.theory import NonSmoothWarning, nfm_expansion, stability_expansion

ROOT = Path(__file__).parents[1]
FIGURES = ROOT / "figures" / "data"


def plain_ladder(name: str) -> list[float]:
    """Return the exact losses of one case by the plain NumPy program of the tests."""
    from oracles import theory_plain
    from oracles.theory_nets import NUMPY
    from theory.reference import CASES, REFERENCE

    case = CASES[name]
    settings = case["settings"]
    common = dict(alpha=settings["alpha"], beta=settings["beta"], order=tuple(case["order"]))
    values = []
    for eps in case["eps"]:
        if case["kind"] == "nfm":
            values.append(
                theory_plain.nfm_loss(
                    NUMPY[case["net"]], np.array(REFERENCE["data"]["X"]),
                    np.array(REFERENCE["data"][case["y"]]), eps=eps,
                    sigma_add=settings["sigma_add"], sigma_mult=settings["sigma_mult"],
                    law=case.get("law", "gaussian"), **common,
                )
            )  # fmt: skip
        else:
            views = np.stack([REFERENCE["data"][v] for v in case["views"]])
            count = len(views)
            values.append(
                theory_plain.stability_loss(
                    NUMPY[case["net"]], views, eps=eps, shared=case.get("shared_noise", False),
                    sigma_add=np.broadcast_to(settings["sigma_add"], count),
                    sigma_mult=np.broadcast_to(settings["sigma_mult"], count),
                    pi=case.get("weights", [1 / count] * count), **common,
                )
            )  # fmt: skip
    return values


def ladder(repeats: int) -> dict[str, Any]:
    """Time every case: nmlib with the same rules, nmlib with its own choice, and plain NumPy.

    CPU seconds of one thread hardly depend on other load.
    """
    from theory.reference import CASES, exact, expansion

    rows = {}
    for name, case in CASES.items():
        timings: dict[str, list[float]] = {"same_rule": [], "settled": [], "plain": []}
        worst = 0.0
        for repeat in range(repeats):
            order = tuple(case["order"])
            if name == "nfm_released":
                order = (3, 3)
            start = time.process_time()
            expansion(name)
            values = [exact(name, eps, order) for eps in case["eps"]]
            timings["same_rule"].append(time.process_time() - start)
            if name != "nfm_released":  # the plain program lacks this law
                start = time.process_time()
                want = plain_ladder(name)
                timings["plain"].append(time.process_time() - start)
                worst = max(abs(a - b) / abs(b) for a, b in zip(values, want, strict=True))
            if repeat == 0:
                start = time.process_time()
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    for eps in case["eps"]:
                        exact(name, eps)
                timings["settled"].append(time.process_time() - start)
        rows[name] = {k: statistics.median(v) for k, v in timings.items() if v}
        rows[name]["largest_relative_difference"] = worst
        print(name, {k: f"{v:.3g}" for k, v in rows[name].items()}, flush=True)
    total = {
        k: sum(r.get(k, 0.0) for r in rows.values()) for k in ("same_rule", "settled", "plain")
    }
    print("total CPU seconds", {k: round(v, 1) for k, v in total.items()})
    wall = on_two_cores()
    print(f"whole ladder by two workers: {wall:.1f} s of wall time")
    return {"cases": rows, "total_cpu_seconds": total, "two_workers_wall_seconds": wall}


def on_two_cores() -> float:
    """Return the wall time of all expansions and exact losses with two single-threaded workers."""
    from theory.reference import CASES, exact, expansion

    jobs = [(name, eps) for name, case in CASES.items() for eps in case["eps"]]

    def run(job: tuple[str, float]) -> float:
        name, eps = job
        order = (3, 3) if name == "nfm_released" else tuple(CASES[name]["order"])
        return exact(name, eps, order)

    start = time.perf_counter()
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(run, jobs))
    for name in CASES:
        expansion(name)
    return time.perf_counter() - start


SETTINGS = dict(alpha=1.0, sigma_add=0.4, sigma_mult=0.2)
SAMPLES = 64
TURN = math.radians(10)


def measured_terms(model: nm.StagedModel, x: np.ndarray, y: np.ndarray) -> dict[str, float]:
    """Return all terms of both expansions at the input, on some training samples."""
    turn = np.array([[math.cos(TURN), -math.sin(TURN)], [math.sin(TURN), math.cos(TURN)]])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NonSmoothWarning)
        nfm = nfm_expansion(model, x, y, **SETTINGS)
        stab = stability_expansion(model, np.stack([x, x @ turn.T]), **SETTINGS)
    row = {"loss": nfm.base} | {k: float(v) for k, v in nfm.terms.items()}
    row |= {"jsd": stab.base} | {f"stability_{k}": float(v) for k, v in stab.terms.items()}
    row["stability_order_1"] = stab.coefficient(1)
    row["stability_order_2"] = stab.coefficient(2)
    return row


def terms(seeds: int, epochs: int, activation: str) -> dict[str, Any]:
    """Train all six schemes on many seeds; return mean and standard error of every term."""
    schemes = nm.fig4_schemes()
    sets = [nm.make_polygon_band(500, random_state=s) for s in range(seeds)]
    x = np.stack([s[0][:250] for s in sets])
    y = np.stack([s[1][:250] for s in sets])
    ensemble = Ensemble(list(schemes.values()), x, y, seeds=range(seeds), activation=activation)
    rows: dict[str, list[dict[str, float]]] = {"before": []}
    for s in range(seeds):
        rows["before"].append(measured_terms(ensemble.member(0, s), x[s, :SAMPLES], y[s, :SAMPLES]))
    ensemble.fit(epochs)
    for c, name in enumerate(schemes):
        rows[name] = [
            measured_terms(ensemble.member(c, s), x[s, :SAMPLES], y[s, :SAMPLES])
            for s in range(seeds)
        ]
        print(activation, name, {k: f"{v:.3g}" for k, v in rows[name][0].items()}, flush=True)

    def spread(values: list[float]) -> list[float]:
        return [statistics.fmean(values), statistics.stdev(values) / math.sqrt(len(values))]

    table = {
        name: {key: spread([r[key] for r in many]) for key in many[0]}
        for name, many in rows.items()
    }
    change = {
        name: {
            key: spread(
                [r[key] - b[key] for r, b in zip(rows[name], rows["baseline"], strict=True)]
            )
            for key in rows[name][0]
        }
        for name in schemes
        if name != "baseline"
    }
    return {"mean_and_standard_error": table, "minus_baseline": change}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("what", choices=["ladder", "terms"])
    parser.add_argument("--out", type=Path)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--seeds", type=int, default=100)
    parser.add_argument("--epochs", type=int, default=100)
    options = parser.parse_args()
    out = options.out or FIGURES / f"theory_{options.what}.json"
    # The reference values and the plain program; this folder's theory.py would hide tests/theory.
    sys.path[0] = str(ROOT / "tests")
    torch.set_num_threads(1)
    if options.what == "ladder":
        result = ladder(options.repeats) | provenance(
            repeats=options.repeats, note="CPU seconds of one thread"
        )
        write_json(out, result)
        return
    result = {a: terms(options.seeds, options.epochs, a) for a in ("tanh", "relu")}
    about = {
        "data": "make_polygon_band(500, random_state=seed), first 250 rows",
        "measured_on": f"the first {SAMPLES} training rows, at the input",
        "settings": SETTINGS | {"gamma": 1.0, "views": "clean and turned by 10 degrees"},
        "schemes": "fig4_schemes() with its defaults",
        "network": "2-100-2, Adam, learning rate 0.01, batch 50",
        "values": "[mean over seeds, standard error]; noise levels are included in the terms",
    }
    write_json(
        out,
        {"about": about}
        | result
        | provenance(seeds=options.seeds, epochs=options.epochs, label="toy"),
    )


if __name__ == "__main__":
    main()
