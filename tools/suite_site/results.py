"""What the front page says was measured, computed from figures/data and the paper's tables."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from nmlib.lab.cifar.conditions import conditions
from nmlib.lab.cifar.records import GRID, measured
from nmlib.lab.display.looks import LANE_LABELS, scheme_label
from nmlib.lab.measurements import measured_files, read_measured
from nmlib.lab.toy.displays.study import PAPER_FIG4
from nmlib.paper import audit


def table(head: Sequence[str], rows: Sequence[Sequence[str]], words: int = 1) -> str:
    """Return a Markdown table: first so many columns of words, then numbers to the right."""
    marks = ["---"] * words + ["---:"] * (len(head) - words)
    lines = [head, marks, *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _percent(mean: float, error: float) -> str:
    return f"{100 * mean:.2f} ± {100 * error:.2f}"


def toy() -> str:
    """Return the six schemes of Fig. 4 over many seeds."""
    record = read_measured("toy_final.jsonl")[0]
    summary = record["summary"]
    accuracy, noisy = summary["test_accuracy"], summary["noisy_accuracy"]
    length = summary["boundary_length"]
    rows = [
        [
            LANE_LABELS[name],
            f"*{PAPER_FIG4[name]:.1f}*",
            _percent(*accuracy[name]["mean"]),
            _percent(*noisy[name]["mean"]),
            f"{length[name]['mean'][0]:.2f}",
        ]
        for name in PAPER_FIG4
    ]
    shortest = min(PAPER_FIG4, key=lambda name: length[name]["mean"][0])
    best = max(PAPER_FIG4, key=lambda name: accuracy[name]["mean"][0])
    top = max(PAPER_FIG4, key=lambda name: PAPER_FIG4[name])
    head = ["toy problem", "*paper, one seed*", "test accuracy", "with test noise", "boundary"]
    return "\n\n".join(
        [
            f"**Fig. 4, {record['seeds']:,} seeds a scheme.** The shortest boundary is "
            f"{LANE_LABELS[shortest]}'s. The best test accuracy is {LANE_LABELS[best]}'s; in the "
            f"paper, with one seed, it is {LANE_LABELS[top]}'s.",
            table(head, rows),
            f"*{record['data']}; {record['label']}; accuracies in percent with standard errors; "
            f"commit {record['provenance']['commit']}. More in "
            "[notebook 01](notebooks/01_decision_boundaries.ipynb).*",
        ]
    )


def grid() -> str:
    """Return the measured schemes, or "" before there are any."""
    if GRID not in measured_files():
        return ""
    records = measured()
    shares = 100 * records.set_index("scheme")[["clean_accuracy", "robust_accuracy"]]
    by_scheme = shares.groupby("scheme", sort=False)
    means, errors, seeds = by_scheme.mean(), by_scheme.sem(), by_scheme.size()
    rows = []
    for name in means.index:
        cells = [
            f"{mean:.1f}" + (f" ± {error:.1f}" if seeds[name] > 1 else "")
            for mean, error in zip(means.loc[name], errors.loc[name], strict=True)
        ]
        rows.append([scheme_label(name), *cells, str(seeds[name])])
    best = means["robust_accuracy"].idxmax()
    return "\n\n".join(
        [
            f"**{len(rows)} schemes under 15 corruptions.** The highest mean robust accuracy at "
            f"this budget is {scheme_label(best)}'s.",
            table(["scheme", "clean accuracy", "robust accuracy", "seeds"], rows),
            f"*{conditions(records)}; accuracies in percent, with standard errors where there "
            "are several seeds. These images were compressed by JPEG: they are not CIFAR-10.*",
        ]
    )


def speed() -> str:
    """Return what is fast, each ratio within one run."""
    toys, latency = read_measured("toy_speed.json"), read_measured("explorer_latency.json")
    corruptions = read_measured("corruptions_speed.json")
    sets = corruptions["cifar10c"]
    return "\n".join(
        [
            f"- Six toy schemes train {toys['six_schemes_ratio']:.0f} times faster than one after "
            "another in plain PyTorch.",
            "- In JupyterLab the first changed frame comes "
            f"{latency['single_p50_ms']:.0f} ms after a slider was moved from rest (95th "
            f"percentile {latency['single_p95_ms']:.0f} ms).",
            f"- {sets['sets']} corrupted sets of {sets['images']:,} images of 32 pixels take "
            f"{sets['wall_s']:.0f} s.",
        ]
    )


def front() -> str:
    """Return the section of the front page."""
    findings = audit()
    kinds = findings["kind"].nunique()
    parts = [
        toy(),
        grid(),
        f"**The paper against itself.** Recomputing its tables from each other gives "
        f"{len(findings)} disagreements of {kinds} kinds that rounding hardly explains, or not at "
        "all: [the audit](docs/audit.md).",
        "**Speed**, on two cores of a virtual machine; conditions are in the files of "
        "`figures/data/`.",
        speed(),
    ]
    return "\n\n".join(part for part in parts if part)


def _cell(value: Any) -> str:
    text = f"{value:.4g}" if isinstance(value, float) else str(value)
    # Names of test sets stay on one line.
    text = re.sub(r"-(?=[CP]\b|10)", "\N{NON-BREAKING HYPHEN}", text)
    return text.replace("|", "\\|").replace("_", " ")


def _chance(chance: float) -> str:
    if np.isnan(chance):
        return ""
    return f"{chance:.0e}" if chance > 1e-12 else "below 1e-12"


def audit_page() -> str:
    """Return the audit of the paper's tables."""
    findings = audit()
    lines = [
        "# The paper's tables against each other",
        "",
        "`nmlib.paper.audit()` recomputes every average that the paper prints from the numbers "
        "that it is made of, and compares what is printed twice. Rounding explains most "
        "differences; these it hardly does, or not at all. *Chance* is the probability that "
        "rounding alone makes a difference as large.",
        "",
    ]
    for kind, rows in findings.groupby("kind", sort=False):
        lines += [f"## {str(kind).capitalize()}", ""]
        body = [
            [
                f"{row.table} / {row.against}",
                _cell(row.method),
                _cell(row.dataset),
                _cell(row.quantity),
                _cell(row.printed),
                _cell(row.recomputed),
                _chance(row.chance),
            ]
            for row in rows.itertuples()
        ]
        head = ["tables", "method", "test set", "what", "printed", "recomputed", "chance"]
        lines += [table(head, body, words=4), ""]
        lines += [
            f"- Table {row.table}, {_cell(row.method)}, {_cell(row.quantity)}: {row.explanation}"
            for row in rows.itertuples()
            if row.explanation
        ]
        lines += [""]
    return "\n".join(lines)
