"""The committed notebooks follow the rules of tools/nblint.py, and the rules bite."""

import copy
import json
import subprocess
import sys
from pathlib import Path

import address
import nblint
import pytest

ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.name)
def test_notebook(path):
    assert nblint.lint(path) == []


def test_the_start_notebook_links_all_others():
    if not NOTEBOOKS:
        pytest.fail("there are no notebooks")
    start = NOTEBOOKS[0].read_text()
    missing = [path.name for path in NOTEBOOKS[1:] if path.name not in start]
    assert missing == []


def test_every_sanitising_rule_replaces_by_something():
    """A bare `replace:` would silently drop its rule."""
    lines = (ROOT / "notebooks/nbval.cfg").read_text().splitlines()
    rules = [line for line in lines if not line.startswith("[")]
    assert len(rules) % 2 == 0
    for regex, replace in zip(rules[::2], rules[1::2], strict=True):
        assert regex.startswith("regex: ")
        assert len(replace.removeprefix("replace: ")) > 0
        assert replace.startswith("replace: ")


# -- the first cell finds nmlib, or says what to do ------------------------------------------------

# `%pip` only writes down what it is asked.
SHELL = """
import sys
sys.modules["nmlib"] = None  # import nmlib: ModuleNotFoundError
from IPython.core.interactiveshell import InteractiveShell
shell = InteractiveShell.instance()

def pip(line):
    print("asked:", line)
    sys.modules.pop("nmlib", None)

shell.register_magic_function(pip)
shell.run_cell(sys.stdin.read())
"""


def first_code(path):
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return next("".join(c["source"]) for c in cells if c["cell_type"] == "code")


CELL = address.install_cell(nblint.REPOSITORY, nblint.PROJECT["version"])


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_all_notebooks_begin_with_the_same_cell(path):
    assert first_code(path) == CELL, "run: make address, with the URL that pyproject.toml names"


WHEEL = "nmlib-1.0-py3-none-any.whl"


@pytest.mark.parametrize("url", ["", "https://git.example.org/a/nmlib"])
@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ([WHEEL], f'asked: install -q "{WHEEL}[notebooks]"'),
        (["../nmlib/__init__.py"], 'asked: install -q "../nmlib/../[notebooks]"'),
        ([WHEEL, "../nmlib/__init__.py"], 'asked: install -q "nmlib-1.0'),
        ([], None),
    ],
)
def test_the_first_cell_installs_what_is_at_hand_and_nothing_else(tmp_path, files, expected, url):
    folder = tmp_path / "with space, ü" / "notebooks"
    folder.mkdir(parents=True)
    for file in files:
        (folder / file).parent.mkdir(exist_ok=True)
        (folder / file).touch()
    done = subprocess.run(
        [sys.executable, "-c", SHELL], cwd=folder, input=address.install_cell(url, "1.0"),
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    if expected is None and url:
        expected = f'asked: install -q "nmlib[notebooks] @ git+{url}@v1.0"'
    refused = "nmlib is not here: run this notebook in a clone of it, or put its wheel beside"
    assert (expected or refused) in done.stdout
    assert ("asked:" in done.stdout) == bool(expected)


# -- every rule refuses a notebook that breaks it --------------------------------------------------

NAME = "00_good.ipynb"
REPOSITORY = "https://github.com/our/nmlib"
BADGE = f"https://colab.research.google.com/github/our/nmlib/blob/main/notebooks/{NAME}"
PNG = {"image/png": "AAAA", "text/plain": "A boundary that bends twice."}


def code(source, count, *outputs, tags=()):
    return {
        "cell_type": "code",
        "source": source,
        "execution_count": count,
        "outputs": list(outputs),
        "metadata": {"tags": list(tags)} if tags else {},
    }


def shows(data, **metadata):
    return {"output_type": "display_data", "data": data, "metadata": metadata}


def markdown(source):
    return {"cell_type": "markdown", "source": source, "metadata": {}}


GOOD = {
    "nbformat": 4,
    "nbformat_minor": 5,
    "metadata": {"kernelspec": {"name": "python3"}},
    "cells": [
        markdown(f"# Title\n[![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)]({BADGE})"),
        code(
            "try:\n    import nmlib\nexcept ModuleNotFoundError:\n    %pip install -q '..[lab]'", 1
        ),
        markdown("## One idea\n```\n# not a heading\n```\n![a curve](https://example.org/a.png)"),
        code("plot()", 2, shows(PNG)),
        code(
            "print(1)", 3,
            {"output_type": "stream", "name": "stdout", "text": "1\n"},
        ),
        code("f = lambda x: x", 4),
        code("def g(x):\n    return x", 5),
    ],
}  # fmt: skip


@pytest.fixture
def lint(tmp_path, monkeypatch):
    def run(notebook, repository=REPOSITORY):
        monkeypatch.setattr(nblint, "REPOSITORY", repository)
        path = tmp_path / NAME
        path.write_text(json.dumps(notebook))
        return nblint.lint(path)

    return run


def test_a_good_notebook_passes(lint):
    assert lint(GOOD) == []


def cell(index, **changes):
    def change(notebook):
        notebook["cells"][index].update(changes)

    return change


def source(text):
    return cell(4, source=text)


def metadata(**changes):
    return lambda notebook: notebook["metadata"].update(changes)


LONG = "def f():\n" + "    pass\n" * 12

BROKEN = [
    (metadata(widgets={}), "stores widget state"),
    (metadata(kernelspec={"name": "venv"}), "kernelspec 'venv'"),
    (cell(4, execution_count=7), "not run from top to bottom"),
    (source("class A:\n    pass"), "defines class A"),
    (source(LONG), "defines f of 13 lines"),
    (source("loss.backward()"), "a training loop"),
    (source("open('/home/me/x')"), "names a path of one machine"),
    (cell(3, outputs=[shows({"image/png": "A", "text/plain": "<Figure size 1x1>"})]), "alt text"),
    (cell(3, outputs=[shows({"image/png": "A"})]), "alt text"),
    (cell(4, outputs=[{"output_type": "error", "ename": "KeyError"}]), "an error: KeyError"),
    (
        cell(4, outputs=[{"output_type": "stream", "name": "stderr", "text": "x"}]),
        "text on stderr",
    ),
    (
        cell(4, outputs=[{"output_type": "stream", "name": "stdout", "text": "/tmp/abc"}]),
        "prints a path of one machine",
    ),
    (
        lambda n: [c["metadata"].update(tags=["nbval-skip"]) for c in n["cells"][3:5]],
        "2 of 5 cells that are not compared",
    ),
    (cell(2, source="# Second title"), "exactly one H1"),
    (cell(0, source="## Title"), "exactly one H1"),
    (cell(2, source="### Too deep"), "skips a level"),
    (cell(2, source="## A\n![](a.png)"), "image without alt text"),
    (cell(2, source="## A\n<img src='a.png'>"), "<img> without alt text"),
    (cell(2, source="## A\n[next](01_none.ipynb)"), "links to 01_none.ipynb"),
    (cell(0, source="# Title"), "no Colab badge"),
    (cell(0, source="# Title\n" + BADGE.replace("our/nmlib", "you/fork")), "you/fork"),
    (cell(0, source="# Title\n" + BADGE.replace("00_good", "01_bad")), "01_bad"),
    (cell(2, source="## A\n" + "x" * 400_000), "has 40"),
    (
        lambda n: [c.update(outputs=[]) for c in n["cells"] if c["cell_type"] == "code"],
        "nothing is compared",
    ),
]


@pytest.mark.parametrize(("breaks", "complaint"), BROKEN)
def test_every_rule_bites(lint, breaks, complaint):
    notebook = copy.deepcopy(GOOD)
    breaks(notebook)
    problems = lint(notebook)
    assert any(complaint in problem for problem in problems), problems


def test_without_a_public_address_nothing_leads_to_one(lint):
    notebook = copy.deepcopy(GOOD)
    (problem,) = lint(notebook, repository="")
    assert "there is no public address" in problem
    notebook["cells"][0]["source"] = "# Title"
    assert lint(notebook, repository="") == []


def test_alt_text_may_be_metadata(lint):
    notebook = copy.deepcopy(GOOD)
    output = shows({"image/png": "A"}, **{"image/png": {"alt": "Two lobes and a bridge."}})
    notebook["cells"][3]["outputs"] = [output]
    assert lint(notebook) == []
