"""Notebooks for students and for instructors, and the slides: what `make lessons` writes."""

import ast
import json
import re
from importlib.util import find_spec

import lessons
import nbformat
import pytest

import nmlib
from nmlib.lab.display.verdict import Verdict, Verdicts

NOTEBOOKS = sorted(lessons.NOTEBOOKS.glob("*.ipynb"))


def load(path):
    return nbformat.read(path, as_version=4)


def code(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_student_has_the_exercises_and_no_answer(path):
    notebook = load(path)
    found = lessons.exercises(notebook, path.stem)
    checks = [c for c in code(notebook) if re.search(r"^check_\w+\(", c.source, re.MULTILINE)]
    assert [notebook.cells[each.check] for each in found] == checks
    made = lessons.student(notebook, path.stem)
    nbformat.validate(made)
    text = "\n".join(cell.source for cell in made.cells)
    assert "<details>" not in text
    for target in re.findall(r"\]\((?!https?:)([^)\s]+)\)", text):
        assert target in {"../figures/explorer.html", *(path.name for path in NOTEBOOKS)}
    assert not any(each.answer in text for each in found)
    # Code and outputs are those of the notebook, up to the sum of the verdicts.
    assert code(made)[: len(code(notebook))] == code(notebook)
    assert len(code(made)) - len(code(notebook)) == bool(found)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_an_instructor_has_every_answer_and_the_notes(path):
    notebook, said = load(path), lessons.notes(path.stem)
    found = lessons.exercises(notebook, path.stem)
    made = lessons.instructor(notebook, path.stem)
    nbformat.validate(made)
    text = "\n".join(cell.source for cell in code(made))
    assert all(each.answer in text for each in found)
    assert set(said) == {"", *(each.name for each in found)}
    for word in ("**Time.**", "**What students get wrong.**", "**To discuss.**"):
        assert word in said[""], "every notebook has these notes"
    # They are read beside the notebooks, too, where links of this folder lead nowhere.
    assert "](" not in "".join(said.values())
    shown = [c.source for c in made.cells if c.source.startswith("> **For the instructor.**")]
    assert len(shown) == len(said)


# The checks of predictions compare with what the whole notebook computes.
ANSWERS = [
    pytest.param(path, each, id=f"{path.stem}-{each.name}")
    for path in NOTEBOOKS
    for each in lessons.exercises(load(path), path.stem)
    if each.name not in ("prediction", "my_suspect")
]


@pytest.mark.parametrize(("path", "each"), ANSWERS)
def test_every_answer_passes_its_check(path, each):
    cells = load(path).cells
    scope = {"nm": nmlib}
    for cell in code(nbformat.v4.new_notebook(cells=cells[: each.check])):
        if "%pip" not in cell.source:  # the first cell
            nodes = ast.parse(cell.source).body
            imports = [n for n in nodes if isinstance(n, (ast.Import, ast.ImportFrom))]
            exec("\n".join(map(ast.unparse, imports)), scope)
    exec(lessons.answered(cells[each.stub].source, each.answer), scope)
    *before, last = ast.parse(cells[each.check].source).body
    exec("\n".join(map(ast.unparse, before)), scope)
    assert eval(ast.unparse(last), scope).right is True


def test_an_exercise_without_an_answer_is_named(monkeypatch):
    path = NOTEBOOKS[1]
    monkeypatch.setattr(lessons, "notes", lambda stem: {})
    with pytest.raises(ValueError, match="no answer to prediction; write one into docs/lessons"):
        lessons.exercises(load(path), path.stem)


def test_an_answer_takes_the_place_of_the_empty_one():
    source = "import a\n\ndef f(x):\n    return None  # here\n\nprint(1)"
    assert lessons.answered(source, "def f(x):\n    return x") == (
        "import a\n\ndef f(x):\n    return x\n\nprint(1)"
    )


@pytest.mark.parametrize(("make", "solved"), [(lessons.student, 0), (lessons.instructor, 2)])
def test_both_run_and_hand_in_their_verdicts(make, solved, tmp_path):
    """The cheapest notebook; `make lessons EXECUTE=1` runs all."""
    stem = "07_paper_vs_ours"
    notebook = make(load(lessons.NOTEBOOKS / f"{stem}.ipynb"), stem)
    made = lessons.execute(notebook, tmp_path)
    said = made.cells[-1].outputs[-1].data["text/plain"]
    assert said.startswith(f"{solved} of 2 solved\nmy_room     ")
    record = json.loads((tmp_path / f"{stem}.verdicts.json").read_text())
    assert (record["solved"], record["open"]) == (solved, 2 - solved)
    assert [e["tried"] for e in record["exercises"]] == [bool(solved)] * 2


def test_verdicts_are_a_record_of_plain_facts(tmp_path):
    verdicts = Verdicts("n", {"a": Verdict(True, "yes."), "b": Verdict(False, "no.")})
    record = json.loads(verdicts.save(tmp_path / "v.json").read_text())
    assert record.pop("nmlib")
    assert record == {
        "format": 1, "notebook": "n", "solved": 1, "open": 1,
        "exercises": [
            {"exercise": "a", "solved": True, "tried": True, "message": "yes."},
            {"exercise": "b", "solved": False, "tried": True, "message": "no."},
        ],
    }  # fmt: skip
    assert repr(Verdicts("n", {})) == "0 of 0 solved"


@pytest.mark.parametrize("path", [*lessons.lessons()], ids=lambda path: path.stem)
def test_a_lesson_is_complete(path):
    text = path.read_text(encoding="utf-8")
    for heading in ("Goals", "Plan", "What the explorer shows", "Questions", "What goes wrong"):
        assert lessons.section(text, heading), heading
    assert path.with_name(f"{path.stem}_student.md").exists()
    # The minutes follow each other from 0 to the length that the page names.
    spans = re.findall(r"^\| (\d+) to (\d+) \|", text, re.MULTILINE)
    starts, ends = zip(*(map(int, span) for span in spans), strict=True)
    assert starts == (0, *ends[:-1])
    assert f"A lesson of {ends[-1]} minutes" in text
    # Slides are named by number.
    shown = [k for k in lessons.deck(path).cells if k.metadata.slideshow.slide_type == "slide"]
    cited = re.findall(r"\]\(slides/\w+\.html\) (\d+)(?: (?:to|and) (\d+))?", text)
    assert max(int(n) for pair in cited for n in pair if n) < len(shown)


@pytest.mark.skipif(not find_spec("sphinx_revealjs"), reason="needs the site's packages")
def test_slides_load_nothing_from_elsewhere(tmp_path):
    pages = lessons.write_slides(tmp_path)
    assert len(pages) == 3
    for page in pages:
        text = page.read_text(encoding="utf-8")
        loaded = re.findall(r"<(?:script|link|img)\b[^>]*\b(?:src|href)=\"([^\"]*)\"", text)
        assert loaded
        for address in loaded:
            assert address.startswith("data:") or (tmp_path / address).exists(), address
        assert "No description has been provided" not in text
    styles = "".join(path.read_text(encoding="utf-8") for path in tmp_path.rglob("*.css"))
    assert not re.search(r"@import|url\(['\"]?(?!['\"]?data:)", styles)
