"""The numbers of the README are those of figures/data; its code and its commands run."""

import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
from vision import timm

from nmlib import BUDGETS, SCHEMES, cli, get_scheme
from nmlib.lab.cifar.conditions import conditions
from nmlib.lab.cifar.experiments import cells
from nmlib.lab.cifar.ordering import compare_schemes, paper_ordering
from nmlib.lab.cifar.records import LENGTHS, measured, seeds_complete
from nmlib.lab.measurements import read_measured
from nmlib.lab.toy.study import count_claims

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "README.md").read_text(encoding="utf-8")


def numbers(word):
    """The numbers in the paragraphs with this link, each as it is written."""
    found = [part for part in TEXT.split("\n\n") if word in part and "**" in part]
    assert len(found) == 1, word
    return set(re.findall(r"(?<![\w/.-])\d[\d,]*(?:\.\d+)?(?![\w/])", found[0]))


def test_the_toy_study():
    record = next(r for r in read_measured("toy_final.jsonl") if "defaults, indep" in r["label"])
    claims = count_claims(read_measured("toy_screen.jsonl"))
    assert claims["papers_order"] == 0
    expected = {f"{record['seeds']:,}", str(claims["trained"])}
    measures = (("test_accuracy", 100), ("noisy_accuracy", 100), ("boundary_length", 1))
    for scheme in ("baseline", "noisymix"):
        for name, unit in measures:
            mean, error = record["summary"][name][scheme]["mean"]
            expected.add(f"{unit * mean:.2f}")
            if unit == 100:
                expected.add(f"{unit * error:.2f}")
    assert expected <= numbers("toy_final.jsonl")


def test_the_grid():
    records = measured()
    assert seeds_complete(records) == [0, 1, 2] and {*records["scheme"]} <= {*SCHEMES}
    order = paper_ordering(records, resamples=2)
    counts = order.counts
    clear = sum(counts.values()) - counts["tied"]
    expected = {str(n) for n in (clear, counts["holds"], counts["reversed"], counts["open"])}
    expected |= {
        f"{order.ours[s].mean():.1f}" for s in ("baseline", "augmix", "augmax", "noisymix")
    }
    longest = measured(LENGTHS[200]).query("seed == 0")
    expected |= {"200", f"{compare_schemes(longest, 'augmix', 'noisymix').difference:.1f}"}
    assert expected <= numbers("long.jsonl")
    assert {c[:7] for c in conditions(records).commits} == {"fdde22a"}


def test_the_code_of_the_library_part_runs(capsys):
    library, own = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
    found: dict[str, Any] = {}
    exec(compile(library, "README.md", "exec"), found)
    assert found["p"].shape == (3, 100, 10)
    assert "robust accuracy" in capsys.readouterr().out
    images = found["train"].images[:16].permute(0, 3, 1, 2) / 255
    found["loader"] = [(images, found["train"].labels[:16])]
    before = timm.create_model("resnet18", num_classes=10).state_dict()
    exec(compile(own, "README.md", "exec"), found)
    assert found["names"] == ("", "layer1", "layer2", "layer3")
    assert found["objective"].step == found["net"].bn1.num_batches_tracked == 1
    assert found["net"].state_dict().keys() == before.keys()


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
    for name in ("train", "finetune", "transfer", "evaluate", "reproduce", "corrupt", "doctor"):
        module = getattr(cli, name)
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
