"""The README's results are those of figures/data."""

import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest

from nmlib import BUDGETS, SCHEMES, cli, get_scheme
from nmlib.lab.cifar.conditions import flips_note
from nmlib.lab.cifar.displays.scheme_table import SchemeTableDisplay
from nmlib.lab.cifar.experiments import cells
from nmlib.lab.cifar.ordering import compare_schemes, paper_ordering, published
from nmlib.lab.cifar.records import LENGTHS, SHORT, ablation_cells, measured, seeds_complete
from nmlib.paper import SWITCHES, ablation
from nmlib.rng import Rng
from nmlib.statistics import effects

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "README.md").read_text(encoding="utf-8")
WORDS = " ".join(TEXT.split())


@pytest.fixture(scope="module")
def records():
    return measured()


@pytest.fixture(scope="module")
def shorter():
    return measured(SHORT)


def test_the_rows_of_the_schemes(records):
    names = {"Baseline": "baseline", "Mixup": "mixup", "NFM": "nfm", "AugMix": "augmix",
             "AugMax": "augmax", "NoisyMix": "noisymix"}  # fmt: skip
    table = SchemeTableDisplay.from_records([r for r in records if r["scheme"] in names.values()])
    rows = re.findall(r"^\| (\w+) \| (\*[\d.]+\* \|.*/.*) \|$", TEXT, re.MULTILINE)
    assert [name for name, _ in rows] == list(names)
    paper = published(2, "CIFAR-10-C")
    for label, printed in rows:
        ours, scheme = table.ours[names[label]], names[label]
        short = (str(ours[k]).split(" ")[0] for k in (
            "flip_probability", "expected_calibration_error"))  # fmt: skip
        assert printed.split(" | ") == [
            f"*{paper[scheme].value}*", str(ours["robust_accuracy"]), str(ours["clean_accuracy"]),
            *short,
        ]  # fmt: skip


def test_the_counts_of_pairs(records):
    assert seeds_complete(records) == [0, 1, 2] and "Every scheme, three seeds each," in WORDS
    assert {r["scheme"] for r in records} == {*SCHEMES}
    order = paper_ordering(records, resamples=2)
    robust = order.counts
    clear = sum(robust.values()) - robust["tied"]
    assert (
        f"Of the {clear} pairs of schemes that the paper tells apart by robust accuracy, "
        f"{robust['holds']} stand in the same order here, {robust['reversed']} in the opposite "
        f"one, and {robust['open']} cannot be told (" in WORDS
    )
    own = paper_ordering([r for r in records if r["scheme"] != "augmax"], resamples=2).counts
    assert (
        f"(without AugMax, whose number the paper copied: {own['holds']}, {own['reversed']} and "
        f"{own['open']} of {sum(own.values()) - own['tied']})" in WORDS
    )
    ahead = order.ours["noisymix"].mean() - order.ours["baseline"].mean()
    assert f"NoisyMix is ahead of the baseline by {ahead:.1f} points and of every other" in WORDS
    verdicts = {name: order.pair("noisymix", name).verdict for name in order.schemes[1:]}
    behind = {name for name, verdict in verdicts.items() if verdict != "holds"}
    assert behind == {"augmix", "augmax"}
    assert "every other scheme of Table 2 but AugMix and AugMax;" in WORDS
    found = {(r["scheme"], r["seed"]): r["robust_accuracy"] for r in records}
    apart = [found["noisymix", seed] - found["augmix_no_jsd", seed] for seed in range(3)]
    assert min(apart) < 0 < max(apart) and "AugMix without the JSD loss, which is" in WORDS
    commits = {r["provenance"]["commit"][:7] for r in records}
    assert commits == {"fdde22a"} and "commit fdde22a" in WORDS
    flips = paper_ordering(records, "flip_probability", resamples=2).counts
    assert flips["reversed"] == 1
    assert f"Flips of ours are means over {flips_note(records)}; the paper's are over" in WORDS
    assert f"{flips['holds']} of {sum(flips.values())} pairs hold and one is reversed" in WORDS


def test_the_effects_of_the_parts(shorter):
    both = [ablation_cells(shorter), ablation()]
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


def test_what_longer_training_changed(records, shorter):
    long = paper_ordering(records, resamples=2)
    short = paper_ordering([r for r in shorter if r["scheme"] in SCHEMES], resamples=2)
    ahead = short.ours["noisymix"].mean() - short.ours["baseline"].mean()
    assert (
        f"NoisyMix was {-ahead:.1f} points below the baseline, and of the same pairs "
        f"{short.counts['holds']} held and {short.counts['reversed']} were reversed (" in WORDS
    )
    assert {(p.upper, p.lower) for p in short.pairs} == {(p.upper, p.lower) for p in long.pairs}
    assert f"was {short.agreement.rho:.2f} then and is {long.agreement.rho:.2f} now" in WORDS


def test_what_still_longer_training_changed():
    seed = {n: [r for r in measured(file) if r["seed"] == 0] for n, file in LENGTHS.items()}
    behind = {n: compare_schemes(found, "augmix", "noisymix") for n, found in seed.items()}
    ahead = compare_schemes(seed[200], "noisymix")
    last = behind[200]
    assert (
        f"{behind[20].difference:.1f} points behind AugMix after 20 epochs, "
        f"{behind[60].difference:.1f} after 60, {behind[120].difference:.1f} after 120 and "
        f"{last.difference:.1f} ({last.low:.1f} to {last.high:.1f}) after 200, the paper's "
        f"number, where it is {ahead.difference:.1f} ahead of the baseline"
    ) in WORDS
    assert behind[120].low < 0 < behind[120].high and last.low < 0 < last.high
    commits = [{r["provenance"]["commit"][:7] for r in seed[n]} for n in (120, 200)]
    assert commits == [{"fe9b2d9"}, {"6c12768"}] and "commits fe9b2d9 and 6c12768" in WORDS


def test_the_code_of_the_library_part_runs(capsys):
    (code,) = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
    found: dict[str, Any] = {}
    exec(compile(code, "README.md", "exec"), found)
    assert found["parts"].total.isfinite()
    assert found["p"].shape == (3, 100, 10)
    assert "robust accuracy" in capsys.readouterr().out


def commands():
    """Return what pages and notebooks tell the reader to type, without comments."""
    pages = [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")]
    texts = [page.read_text(encoding="utf-8") for page in pages]
    for path in ROOT.glob("notebooks/*.ipynb"):
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        texts += ["".join(c["source"]) for c in cells if c["cell_type"] == "markdown"]
    lines = (line.strip() for text in texts for line in text.splitlines())
    return sorted({line for line in lines if re.match(r"nmlib [a-z]+( |$)", line)})


@pytest.mark.parametrize("line", commands())
def test_commands_that_are_shown_are_understood(line, monkeypatch, tmp_path):
    """Read by the real parsers, and the names in them known; nothing is run."""
    seen = []
    for module in (cli.train, cli.evaluate, cli.reproduce, cli.corrupt, cli.doctor):
        monkeypatch.setattr(module, "_run", lambda options: seen.append(options) or 0)
    assert cli.main(shlex.split(line, comments=True)[1:]) == 0
    (options,) = seen
    if options.command == "reproduce":
        assert cells(
            options.table, budget=options.budget, dataset=options.dataset, model=options.model,
            precision=options.precision, epochs=options.epochs, schemes=options.schemes,
        )  # fmt: skip
    if options.command == "train":
        assert get_scheme(options.scheme) and options.budget in BUDGETS


def test_there_are_commands():
    assert {line.split()[1] for line in commands()} >= {"train", "evaluate", "reproduce", "corrupt"}
