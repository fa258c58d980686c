"""The README's results are those of figures/data."""

import re
from pathlib import Path
from typing import Any

import pytest

from nmlib import SCHEMES
from nmlib.effects import effects
from nmlib.paper import SWITCHES, ablation
from nmlib.plots.scheme_table import SchemeTableDisplay
from nmlib.reproduction import ablation_cells, measured, seeds_complete
from nmlib.reproduction.measured import LONG
from nmlib.reproduction.ordering import paper_ordering, published
from nmlib.rng import Rng

TEXT = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
WORDS = " ".join(TEXT.split())


@pytest.fixture(scope="module")
def records():
    return measured()


def test_the_rows_of_the_schemes(records):
    names = {"Baseline": "baseline", "Mixup": "mixup", "NFM": "nfm", "AugMix": "augmix",
             "AugMax": "augmax", "NoisyMix": "noisymix"}  # fmt: skip
    table = SchemeTableDisplay.from_records([r for r in records if r["scheme"] in names.values()])
    rows = re.findall(r"^\| (\w+) \| (\*[\d.]+\* \|.*/.*) \|$", TEXT, re.MULTILINE)
    assert [name for name, _ in rows] == list(names)
    paper = published(2, "CIFAR-10-C")
    for label, cells in rows:
        ours, scheme = table.ours[names[label]], names[label]
        short = (str(ours[k]).split(" ")[0] for k in (
            "flip_probability", "expected_calibration_error"))  # fmt: skip
        assert cells.split(" | ") == [
            f"*{paper[scheme].value}*", str(ours["robust_accuracy"]), str(ours["clean_accuracy"]),
            *short,
        ]  # fmt: skip


def test_the_counts_of_pairs(records):
    grid = [r for r in records if r["scheme"] in SCHEMES]
    robust = paper_ordering(grid, resamples=2).counts
    clear = sum(robust.values()) - robust["tied"]
    assert (
        f"Of the {clear} pairs of schemes that the paper tells apart by robust accuracy, "
        f"{robust['holds']} stand in the same order here, {robust['reversed']} in the opposite "
        f"one, and {robust['open']} cannot be told (" in WORDS
    )
    own = paper_ordering([r for r in grid if r["scheme"] != "augmax"], resamples=2).counts
    assert (
        f"(without AugMax, whose number the paper copied: {own['holds']}, {own['reversed']} and "
        f"{own['open']} of {sum(own.values()) - own['tied']})" in WORDS
    )
    flips = paper_ordering(grid, "flip_probability", resamples=2).counts
    assert flips["reversed"] == 0
    assert f"{flips['holds']} of {sum(flips.values())} pairs hold and none is reversed" in WORDS


def test_the_effects_of_the_parts(records):
    both = [ablation_cells(records), ablation()]
    ours, paper = (
        effects(cells, Rng(0), resamples=2, without=[(SWITCHES[0], SWITCHES[3])]) for cells in both
    )
    words = {}
    for switch in SWITCHES:
        values = (found.estimate[found.terms.index((switch,))] for found in (ours, paper))
        words[switch] = [f"{abs(v):.1f}" for v in values]
    mixing, noise = words["feature_mixing"], words["noise_injections"]
    for said in (
        "JSD loss gains {} points (in the paper {})".format(*words["jsd_loss"]),
        "augmentations {} ({})".format(*words["augmentations"]),
        "noise costs {} (gains {})".format(*noise),
        "feature mixing {} (gains {})".format(*mixing),
    ):
        assert said in WORDS


def test_what_longer_training_changes(records):
    longer = measured(LONG)
    seeds = seeds_complete(longer)
    assert seeds == [0, 1, 2] and "(three seeds of Table 2's schemes but AugMax," in WORDS
    both = {(r["scheme"], r["seed"]) for r in longer if r["seed"] in seeds}
    shorter, longer = (
        [r for r in g if (r["scheme"], r["seed"]) in both] for g in (records, longer)
    )
    short, long = (paper_ordering(g, resamples=2) for g in (shorter, longer))
    a, b = short.counts, long.counts
    assert (
        f"rises from {short.agreement.rho:.2f} to {long.agreement.rho:.2f}; of "
        f"{sum(b.values()) - b['tied']} pairs {b['holds']} hold ({a['holds']} at 20 epochs, these "
        f"schemes alone), "
        f"{b['reversed']} are reversed ({a['reversed']}) and {b['open']} cannot be told "
        f"({a['open']})." in WORDS
    )

    def ahead(order, other):
        return order.ours["noisymix"].mean() - order.ours[other].mean()

    assert (
        f"NoisyMix goes from {-ahead(short, 'baseline'):.1f} points below the baseline to "
        f"{ahead(long, 'baseline'):.1f} above it, and from {-ahead(short, 'augmix'):.1f} behind "
        f"AugMix to {-ahead(long, 'augmix'):.1f}; it is ahead of all others (" in WORDS
    )
    assert {p.verdict for p in long.pairs if p.upper == "noisymix"} == {"holds", "reversed"}
    assert long.pair("noisymix", "augmix").verdict == "reversed"
    assert long.counts["reversed"] == 3


def test_the_code_of_the_library_part_runs(capsys):
    (code,) = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
    found: dict[str, Any] = {}
    exec(compile(code, "README.md", "exec"), found)
    assert found["parts"].total.isfinite()
    assert found["p"].shape == (3, 100, 10)
    assert "robust accuracy" in capsys.readouterr().out
