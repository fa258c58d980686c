"""The glossary, the links to it, and the pages on the theorems."""

import re
from pathlib import Path

import glossary
import nbformat
import pytest

import nmlib as nm
import nmlib.theory

ROOT = Path(__file__).parents[1]
TERMS = glossary.glossary()
ANCHORS = {glossary.slug(term): sentence for term, sentence in TERMS.items()}


def test_links_lie_in_prose_and_longer_terms_come_first():
    terms = {"mixup": "M.", "manifold mixup": "MM.", "JSD": "J."}
    cells = ["# mixup\n\n`mixup` $mixup$ [mixup](x)\n```\nmixup\n```\n| mixup |\n$$\nJSD\n$$"]
    cells.append("Manifold mixup, not mixup-like; mixup and mixup.")
    first, second = glossary.linked(cells, terms)
    page = glossary.PAGE
    assert first == cells[0]
    assert second == (
        f'[Manifold mixup]({page}#manifold-mixup "MM."), not mixup-like; '
        f'[mixup]({page}#mixup "M.") and mixup.'
    )
    assert glossary.linked([first, second], terms) == [first, second]
    assert glossary.linked([second], {}) == [cells[1]]


@pytest.mark.parametrize(
    "path", sorted((ROOT / "notebooks").glob("[0-9]*.ipynb")), ids=lambda p: p.stem
)
def test_notebooks_link_to_the_glossary(path):
    prose = [c.source for c in nbformat.read(path, as_version=4).cells if c.cell_type == "markdown"]
    assert glossary.linked(prose, TERMS) == prose, "run: python tools/glossary.py"
    links = re.findall(rf'\({re.escape(glossary.PAGE)}#([^ ]*) "([^"]*)"\)', "".join(prose))
    assert len(links) >= 3 and all(ANCHORS[anchor] == title for anchor, title in links)


def test_every_scheme_and_every_data_label_is_in_the_glossary():
    known = " ".join(TERMS).lower()
    for name in ("baseline", "mixup", "manifold mixup", "cutmix", "puzzlemix", "nfm", "augmix",
                 "augmax", "noisymix", "cifar10-jpeg", "tiny100", "fashion-mini"):  # fmt: skip
        assert name in known
    assert all(sentence.endswith(".") and len(sentence) < 250 for sentence in TERMS.values())


def test_pages_name_functions_that_exist():
    for page in ("theorems", "glossary"):
        text = (ROOT / f"docs/{page}.md").read_text(encoding="utf-8")
        for dotted in re.findall(r"`nmlib\.([\w.]+)", text):
            there = nm
            for part in dotted.split("."):
                there = getattr(there, part)
