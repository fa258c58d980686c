"""The pages made from docstrings are current and complete."""

import equation_index
import pytest
import usage

ENTRIES = equation_index.all_entries()


@pytest.mark.parametrize("path", equation_index.pages(), ids=lambda p: p.name)
def test_pages_are_current(path):
    assert path.read_text() == equation_index.pages()[path], "run: make docs"


def test_paragraphs_end_where_they_should():
    text = "One.\n\nSource: paper eq. 2,\n    and sec. 3\nDiffers: here.\n    There.\n\n>>> 1\n1"
    assert equation_index.section(text, "Source") == "paper eq. 2, and sec. 3"
    assert equation_index.section(text, "Differs") == "here. There."
    assert equation_index.section(text, "Raises") == ""


def test_the_core_names_its_sources():
    sources = {e.name: e.source for e in ENTRIES}
    for name in (
        "losses.jensen_shannon_divergence", "losses.noisymix_loss", "losses.soft_cross_entropy",
        "mixing.mix", "mixing.Mixup", "noise.Noise", "noise.inject", "objective.batch_loss",
        "schemes.Scheme", "data.toy.make_polygon_band",
    ):  # fmt: skip
        assert sources[f"nmlib.{name}"], name


def test_equations_come_in_order():
    keys = [equation_index.place(s) for s in ("eqs. 26-36", "paper eq. 2", "paper sec. 3", "x")]
    assert sorted(keys) == [keys[1], keys[0], keys[2], keys[3]]


def test_equations_lead_to_the_notebooks_that_use_them():
    """Through what they call, if none names it; whatever a notebook calls its own variables."""
    expected = {
        "losses.noisymix_loss": {"04", "05", "06"},
        "losses.jensen_shannon_divergence": {"04", "05", "06"},
        "noise.inject": {"02", "04", "05", "06"},
        "theory.exact.nfm_loss_exact": {"02"},
        "lab.toy.displays.study.ToyStudyDisplay": {"01", "07"},
    }
    for name, numbers in expected.items():
        assert numbers <= {n[:2] for n in usage.notebooks(f"nmlib.{name}")}, name
    # 01, 02, 05 and 06 have a variable called `table`.
    assert usage.notebooks("nmlib.paper.frames.table") == [
        "07_paper_vs_ours.ipynb", "09_transfer.ipynb",
    ]  # fmt: skip


def test_names_are_followed_to_where_they_are_defined():
    text = "import nmlib as nm\nfrom nmlib import theory\npaper = nm.paper\nmix = 1\n"
    code = usage.Code(text + "nm.mix(theory.slope, paper.audit(), mix)", "notebook")
    found = {usage.defined(name) for name in code.mentions(code.tree)} - {""}
    # `mix` alone is the notebook's own.
    assert found == {"nmlib.mixing.mix", "nmlib.theory.expansion.slope", "nmlib.paper.audits.audit"}
