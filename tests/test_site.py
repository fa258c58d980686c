"""The site's parts: docstrings, links, notebooks, the check of finished pages.

`make site` builds it with every warning an error and checks the whole; here are the rules that it
relies on.
"""

import doctest
import json
import re
from pathlib import Path

import pytest
from suite_site import api, docstrings, gallery, links, maths, results, stage

import nmlib
from nmlib.lab.cifar.records import GRID, frame

ROOT = Path(__file__).parents[1]
REPOSITORY = "https://example.org/nmlib"


@pytest.fixture(scope="module")
def items():
    return api.items()


@pytest.fixture(scope="module")
def known(items):
    return api.names(items)


@pytest.mark.parametrize(
    "module", [api, docstrings, gallery, maths, stage], ids=lambda m: m.__name__
)
def test_examples(module):
    tried = doctest.testmod(module)
    assert tried.attempted
    assert not tried.failed


# -- the library ----------------------------------------------------------------------------------


def test_every_public_name_has_its_place(items):
    shown = {item.name for item in items}
    assert len(shown) == len(items)
    packages = {"effects", "paper", "theory"}
    assert {f"nmlib.{name}" for name in nmlib.__all__} - shown == {f"nmlib.{p}" for p in packages}
    for item in ("nmlib.paper.table", "nmlib.theory.nfm_expansion", "nmlib.statistics.Cells"):
        assert item in shown
    assert not [name for name in shown if any(part.startswith("_") for part in name.split("."))]
    grouped = api.grouped(items)
    assert sorted(item.name for found in grouped.values() for item in found) == sorted(shown)


def test_names_mean_what_users_write(known):
    assert known["batch_loss"] == known["nm.batch_loss"] == "nmlib.batch_loss"
    assert known["nmlib.objective.batch_loss"] == "nmlib.batch_loss"
    assert known["Scheme.switches"] == "nmlib.Scheme.switches"
    assert known["corruptions._api.corrupt"] == "nmlib.corrupt"
    # Several modules have one: a bare word means none of them.
    assert "main" not in known


def test_source_pages_lead_back(known):
    html = '<a class="viewcode-back" href="../api/loss.html#nmlib.draw_batch">[docs]</a>'
    fixed = api.correct_backlinks("nmlib.objective", html, known)
    assert 'href="../api/loss.html#nmlib.objective.draw_batch"' in fixed


def test_docstrings_become_restructuredtext():
    text = r"""Mix `h` as `mix` does, $m_1$s and all.

$$a_1 = \frac{1}{2},
\qquad b$$

where a*b and x_ and |x| are words, *this* is not.
- one
- two

Args:
    h: (B, ...) values.
    *more: Others.

Source: paper eq. 2
    and 3.
Differs: no.

>>> "`left` $alone$"
'`left` $alone$'
"""
    expected = r"""Mix ``h`` as :py:obj:`~nmlib.mix` does, :math:`m_1`\ s and all.

.. math:: a_1 = \frac{1}{2}, \qquad b

where a\*b and x\_ and \|x\| are words, *this* is not.

- one
- two

Args:
    h: (B, ...) values.
    \*more: Others.

:Source: paper eq. 2
    and 3.
:Differs: no.

>>> "`left` $alone$"
'`left` $alone$'"""
    assert docstrings.convert(text, {"mix": "nmlib.mix"}) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [("(a, b=1)", "(a, b=1)"), ("(a, *, b=[i for i in range(3)], c='x')", "(a, *, b=..., c='x')")],
)
def test_signatures_without_programs(text, expected):
    assert docstrings.readable_signature(text) == expected


# -- pages ----------------------------------------------------------------------------------------


def test_links_of_the_repository_work_on_the_site(known):
    rewrite = stage.Links(REPOSITORY, known).rewrite
    page = "docs/equations.md"
    assert rewrite("[`losses.noisymix_loss`](../nmlib/losses.py)", page) == (
        "{py:obj}`noisymix_loss <nmlib.noisymix_loss>`"
    )
    assert rewrite("[01_x.ipynb](../notebooks/01_x.ipynb)", page) == "[01](../notebooks/01_x.ipynb)"
    assert rewrite("[here](../tools/nblint.py)", page) == (
        f"[here]({REPOSITORY}/blob/main/tools/nblint.py)"
    )
    assert rewrite("[all](../figures/data)", page) == f"[all]({REPOSITORY}/tree/main/figures/data)"
    assert rewrite("[try](../figures/explorer.html)", page) == '<a href="../explorer.html">try</a>'
    without = stage.Links("", known).rewrite
    assert without("[here](../tools/nblint.py)", page) == "here"
    assert without("[d](deviations.md)", page) == "[d](deviations.md)"
    for same in (
        "[n](../notebooks/01_decision_boundaries.ipynb)", "[d](deviations.md)", "[a](#part)",
        "[w](https://arxiv.org)", "```\n[code](../nmlib/losses.py)\n```",
    ):  # fmt: skip
        assert rewrite(same, page) == same


def test_every_row_of_the_index_leads_to_the_library(known):
    rewrite = stage.Links(REPOSITORY, known).rewrite
    for name in ("equations", "deviations"):
        text = (ROOT / f"docs/{name}.md").read_text()
        rows = re.findall(r"\[`[\w.]+`\]\(\.\./nmlib/", text)
        assert rows
        left = re.findall(r"\[`([\w.]+)`\]\(https", rewrite(text, f"docs/{name}.md"))
        # Inner parts of the package, shown in the repository.
        assert len(left) < len(rows) / 5, left


def notebook(*outputs):
    first = (
        "# A title\n\n[![Open in Colab](https://colab.example/badge.svg)](https://colab.example/x)"
        "\n\nIt says *one* thing. And another."
    )
    code = {
        "cell_type": "code", "source": "show()", "metadata": {}, "execution_count": 1,
        "outputs": list(outputs),
    }  # fmt: skip
    return {"cells": [{"cell_type": "markdown", "source": first, "metadata": {}}, code]}


def output(**data):
    kinds = {"png": "image/png", "text": "text/plain", "plotly": stage._PLOTLY}
    return {"output_type": "execute_result", "data": {kinds[k]: v for k, v in data.items()}}


def test_pictures_of_notebooks_carry_their_words(known):
    made = notebook(output(png="iVBO", text="A curve\nthat rises."))
    staged = stage.staged_notebook(made, "notebooks/09_x.ipynb", stage.Links(REPOSITORY, known))
    assert staged["cells"][1]["metadata"]["mystnb"]["image"]["alt"] == "A curve that rises."
    assert "badge.svg" not in json.dumps(staged)
    assert 'href="https://colab.example/x"' in staged["cells"][0]["source"]
    # The notebook itself stays as it was.
    assert "mystnb" not in made["cells"][1]["metadata"]


def test_live_widgets_are_said_to_be_stills(known):
    live = output(png="iVBO", text="A lab.")
    live["data"][stage._WIDGET] = {"model_id": "1"}
    links_ = stage.Links(REPOSITORY, known)
    made = notebook(live)
    staged = stage.staged_notebook(made, "notebooks/09_x.ipynb", links_)
    assert stage._WIDGET not in staged["cells"][1]["outputs"][0]["data"]
    assert staged["cells"][2]["source"].endswith("in the notebook itself.</p>")
    made["cells"][1]["source"] = "explore()"
    staged = stage.staged_notebook(made, "notebooks/09_x.ipynb", links_)
    assert 'href="../explorer.html"' in staged["cells"][2]["source"]
    assert len(stage.staged_notebook(notebook(), "notebooks/09_x.ipynb", links_)["cells"]) == 2


def test_plotly_figures_draw_themselves(known):
    spec = {"data": [{"y": [1, 2], "name": "</script>"}], "layout": {}}
    html = stage.plotly_html(spec, {"text/plain": 'Two "points"'}, "notebooks/09_x.ipynb")
    assert 'aria-label="Two &quot;points&quot;"' in html
    stored = re.search(r'<script type="application/json">(.*?)</script>', html)
    assert json.loads(stored[1]) == spec
    assert 'src="../_static/plotly.min.js"' in html


def test_the_figures_have_a_page_with_their_interactive_forms(monkeypatch):
    names = ("fig1", "fig6", "table4")
    lock = gallery.make_figures.read_lock(ROOT / "figures")["figures"]
    some = {"figures": {name: lock[name] for name in names}}
    monkeypatch.setattr(gallery.make_figures, "read_lock", lambda folder: some)
    wanted = gallery.pages()
    text = wanted["figures/README.md"]
    assert '<a href="html/fig1.html">interactive</a>' in text
    assert "html/fig6.html" not in text and ".svg" not in text
    assert wanted["figures/fig6.png"] == (ROOT / "figures/fig6.png").read_bytes()
    page = wanted["_extra/figures/html/fig1.html"].decode()
    assert 'src="../../_static/plotly.min.js"' in page and "NoisyMix" in page
    assert "<table" in wanted["_extra/figures/html/table4.html"].decode()


def test_cards_take_their_question_from_the_start_notebook(tmp_path):
    path = tmp_path / "09_x.ipynb"
    path.write_text(json.dumps(notebook(output(png="aGVsbG8=", text="A curve. It rises."))))
    asked = stage.card(path, {"09_x.ipynb": ("Why?", "20")})
    assert (asked.title, asked.question, asked.minutes) == ("A title", "Why?", "20")
    assert asked.picture == ("png", b"hello", "A curve. It rises.")
    assert stage.card(path, {}).question == "It says *one* thing."
    page = stage.cards_markdown([asked])
    assert ":img-alt: A curve" in page
    assert "20 seconds" in page
    start = json.loads((ROOT / "notebooks/00_start_here.ipynb").read_text())
    assert "01_decision_boundaries.ipynb" in stage.questions(start)


def test_the_explorer_can_stand_in_a_frame():
    page = (ROOT / "figures/explorer.html").read_text()
    framed = stage.explorer_page(page)
    assert framed.startswith(page.partition("</body>")[0])
    assert "postMessage" in framed.removeprefix(page.partition("</body>")[0])
    with pytest.raises(ValueError, match="no single"):
        stage.explorer_page("<p>nothing</p>")


def test_numbers_of_the_front_page_are_computed(monkeypatch):
    text = results.toy()
    record = results.read_measured("toy_final.jsonl")[0]
    mean, error = record["summary"]["test_accuracy"]["noisymix"]["mean"]
    assert f"{100 * mean:.2f} ± {100 * error:.2f}" in text
    made = [
        {"scheme": s, "seed": seed, "clean_accuracy": 0.5, "robust_accuracy": r + 0.02 * seed,
         "dataset": "cifar10-jpeg", "model": "small", "budget": "laptop", "train_images": 5000,
         "test_images": 1000, "epochs": [{}] * 20, "provenance": {"commit": "abc"}}
        for s, r in (("baseline", 0.3), ("noisymix", 0.4)) for seed in (0, 1)
    ]  # fmt: skip
    monkeypatch.setattr(results, "measured", lambda: frame(made))
    monkeypatch.setattr(results, "measured_files", lambda: {GRID: None})
    text = results.grid()
    assert "| NoisyMix | 50.0 ± 0.0 | 41.0 ± 1.0 | 2 |" in text
    assert "not CIFAR-10" in text
    assert "5,000 images x 20 epochs" in text and "seeds 0, 1, commit abc" in text
    monkeypatch.setattr(results, "measured_files", dict)
    assert results.grid() == ""


def test_the_audit_page_shows_every_finding():
    page = results.audit_page()
    rows = [line for line in page.splitlines() if re.match(r"\| \d+ / \d+ \|", line)]
    assert len(rows) == len(results.audit())


# -- the check of the finished site ---------------------------------------------------------------

GOOD = '<h1 id="top">A</h1><a href="b.html#there">b</a><img src="p.png" alt="A curve">'


@pytest.fixture
def site(tmp_path):
    (tmp_path / "index.html").write_text(GOOD)
    (tmp_path / "b.html").write_text('<h1>B</h1><p id="there"><a href="index.html#top">a</a>')
    (tmp_path / "p.png").write_bytes(b"")
    return tmp_path


def test_a_sound_site_has_no_problems(site):
    assert links.check(site) == []


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ('<h1>A</h1><a href="c.html">', "no such file: c.html"),
        ('<h1>A</h1><a href="b.html#here">', "no such anchor: b.html#here"),
        ('<h1>A</h1><a href="#here">', "no such anchor: #here"),
        ('<h1>A</h1><img src="q.png" alt="x">', "no such file: q.png"),
        ('<h1>A</h1><img src="p.png">', "a picture without words: p.png"),
        ('<h1>A</h1><img src="p.png" alt="p.png">', "a picture without words: p.png"),
        ('<h1>A</h1><script src="https://cdn.example/x.js"></script>', "from elsewhere"),
        ('<h1>A</h1><link rel="stylesheet" href="//cdn.example/x.css">', "from elsewhere"),
        ("<p>A</p>", "0 first headings"),
        ('<h1 id="a">A</h1><p id="a">', "two things are called #a"),
    ],
)
def test_problems_are_found(site, body, problem):
    (site / "index.html").write_text(body + '<p id="top">')
    (found,) = links.check(site)
    assert problem in found


def test_a_search_quotes_the_formula_and_not_its_latex():
    source = r'<annotation encoding="application/x-tex">\sigma_{add}' + "\n</annotation>"
    kept = "<math><semantics><msub><mi>σ</mi><mtext>add</mtext></msub></semantics></math>"
    assert maths.without_source(kept.replace("</semantics>", f"{source}</semantics>")) == kept


def test_formulas_keep_their_alphabets():
    assert maths.styled("N", "double-struck") == "ℕ"
    assert maths.styled("ab1", "bold") == "𝐚𝐛1"
