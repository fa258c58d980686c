"""Store trained networks inside the package, in half precision, and measure what is stored.

    nmlib train --dataset fashion-mini --scheme SCHEME --budget long --subset 6000 --epochs 60
        --batch-size 64 --precision bf16 --out RUNS/SCHEME
    python tools/ship_networks.py RUNS/SCHEME ...

Measured are the rounded weights: all test images under the 15 corruptions, 200 of them along the
ten sequences.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch

import nmlib as nm
from nmlib._files import rename_into, write_text
from nmlib.corruptions import SEQUENCES
from nmlib.provenance import combined
from nmlib.training.record import read_run

FOLDER = Path(__file__).parents[1] / "nmlib" / "models" / "trained"
SEQUENCE_IMAGES = 200


def measured(source: Path) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """Return the rounded weights of a run, and what they can do."""
    run = read_run(source)
    rows = [row for row in nm.training.read_rows(source) if row["kind"] == "epoch"]
    details = run["details"]
    model = nm.training.load_model(source)
    weights = {
        name: value.half() if value.is_floating_point() else value
        for name, value in model.state_dict().items()
    }
    model.load_state_dict(weights)
    test = nm.load(details["dataset"], "test")
    key = {"model": details["model"], "scheme": run["scheme"], "seed": run["seed"]}
    report = nm.evaluate_corruptions(model, test, key=key, progress=True)
    few = test.first(SEQUENCE_IMAGES)
    flips = nm.evaluate_perturbations(model, few, key=key, progress=True)
    made = [run["provenance"]]
    made += [{k: v for k, v in r.provenance.items() if k in made[0]} for r in (report, flips)]
    record = {
        "dataset": run["data"]["label"],
        **key,
        "classes": details["num_classes"],
        "switches": list(nm.SCHEMES[run["scheme"]].switches),
        "budget": f"{details['dataset']}-{run['recipe']['epochs']}",
        "recipe": run["recipe"],
        "precision": run["recipe"]["precision"],
        **report.numbers(),
        "flip_probability": {row["perturbation"]: row["flip_probability"] for row in flips.rows},
        "sequence_images": len(few),
        "sequences": SEQUENCES,
        "train_images": run["data"]["images"],
        "test_images": len(test),
        "train_fingerprint": run["data"]["fingerprint"],
        "test_fingerprint": test.fingerprint,
        "epochs": [{k: row.get(k) for k in ("epoch", "loss", "ce", "jsd")} for row in rows],
        "training_seconds": round(run["seconds"], 1),
        "provenance": combined(made),
    }
    print(report.summary)
    return weights, record


def main() -> None:
    """Measure all, then write: the commit of each record is that of a clean checkout."""
    torch.set_num_threads(1)
    for weights, record in [measured(Path(source)) for source in sys.argv[1:]]:
        name = f"{record['dataset']}_{record['scheme']}"
        with rename_into(FOLDER / f"{name}.npz") as path, path.open("wb") as file:
            np.savez_compressed(file, **{k: v.numpy() for k, v in weights.items()})
        # On one line, as the records of figures/data: nobody reads two thousand hits.
        write_text(FOLDER / f"{name}.json", json.dumps(record, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
