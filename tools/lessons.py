"""Lessons from the notebooks: `make lessons` writes build/lessons, `make slides` the slides alone.

Tags of cells say what is what: `exercise` holds the empty answer, the next `check` cell its check,
`slide-NAME` belongs to the slides of docs/lessons/NAME.md. A right answer is the Python block of
the `<details>` below the check, else of docs/lessons/notes, which has all that instructors read.

student/     notebooks without answers, with the sum of the verdicts at the end
instructor/  the same with every answer and the notes
slides/      one page a lesson, with reveal.js and MathJax beside it: no network is needed
"""

from __future__ import annotations

import argparse
import ast
import copy
import html
import json
import os
import re
import shutil
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from typing import Any

import nbformat

ROOT = Path(__file__).parents[1]
NOTEBOOKS = ROOT / "notebooks"
LESSONS = ROOT / "docs/lessons"
BUILT = ROOT / "build/lessons"
DETAILS = re.compile(r"<details>.*?</details>\s*", re.DOTALL)
PYTHON = re.compile(r"```python\n(.*?)```", re.DOTALL)
# Links to what does not lie beside the notebooks here, with the words under the pointer.
DEAD = re.compile(
    r"(?<!!)\[([^]]*)\]\((?!https?:|\w+\.ipynb|\.\./figures/explorer\.html)[^)\s]*( \"[^\"]*\")?\)"
)


@dataclass(frozen=True)
class Exercise:
    """An exercise of a notebook: the name it asks for, its cells by number, and a right answer."""

    name: str
    stub: int
    check: int
    answer: str


def tags(cell: Any) -> list[str]:
    """Return the tags of a cell."""
    return cell.metadata.get("tags", [])


def asked(source: str) -> ast.stmt:
    """Return the last definition of a cell, which is what an exercise asks for.

    >>> asked("x = 1\\ndef f():\\n    return None").lineno
    2
    """
    found = [n for n in ast.parse(source).body if isinstance(n, (ast.FunctionDef, ast.Assign))]
    return found[-1]


def name_of(node: ast.stmt) -> str:
    """Return the name that a definition defines."""
    return node.name if isinstance(node, ast.FunctionDef) else node.targets[0].id  # type: ignore[attr-defined]


def notes(stem: str) -> dict[str, str]:
    """Return an instructor's notes to a notebook: "" for the whole, else by exercise."""
    text = (LESSONS / f"notes/{stem}.md").read_text(encoding="utf-8")
    parts = re.split(r"^## `(\w+)`.*\n", text.partition("\n")[2], flags=re.MULTILINE)
    return {"": parts[0].strip()} | {
        name: part.strip() for name, part in zip(parts[1::2], parts[2::2], strict=True)
    }


def exercises(notebook: Any, stem: str) -> list[Exercise]:
    """Return the exercises of a notebook, in order; raise ValueError if one has no answer."""
    cells, said, found = notebook.cells, notes(stem), []
    stubs = [k for k, cell in enumerate(cells) if "exercise" in tags(cell)]
    for stub, end in pairwise([*stubs, len(cells)]):
        name = name_of(asked(cells[stub].source))
        check = next(k for k in range(stub, end) if "check" in tags(cells[k]))
        hidden = [m for c in cells[check:end] for m in DETAILS.findall(c.source)]
        blocks = [b for text in [*hidden, said.get(name, "")] for b in PYTHON.findall(text)]
        answers = [b for b in blocks if name_of(asked(b)) == name]
        if not answers:
            raise ValueError(f"{stem}: no answer to {name}; write one into docs/lessons/notes")
        found.append(Exercise(name, stub, check, answers[0].strip()))
    return found


def answered(source: str, answer: str) -> str:
    """Return an exercise's cell with the answer in place of the empty one.

    >>> answered("a = 1\\nb = None  # yours", "b = 2")
    'a = 1\\nb = 2'
    """
    node, lines = asked(source), source.split("\n")
    return "\n".join([*lines[: node.lineno - 1], answer, *lines[node.end_lineno :]])


def without_dead_links(source: str) -> str:
    """Return Markdown whose links to other folders are words again; the glossary's keep its words.

    >>> without_dead_links('[mixup](../docs/glossary.md#mixup "Mixes two (images).") [b](../b.md)')
    '<abbr title="Mixes two (images).">mixup</abbr> b'
    """
    return DEAD.sub(lambda m: f"<abbr title={m[2][1:]}>{m[1]}</abbr>" if m[2] else m[1], source)


def verdicts(stem: str, found: list[Exercise], cells: list[Any]) -> list[Any]:
    """Return the last cells: the sum of the verdicts, and their file for a grader."""
    lines = []
    for each in found:
        last = ast.parse(cells[each.check].source).body[-1]
        lines.append(f'        "{each.name}": {ast.unparse(last)},')
    source = [
        "from nmlib.lab.display.verdict import Verdicts", "", "verdicts = Verdicts(",
        f'    "{stem}",', "    {", *lines, "    },", ")",
        f'verdicts.save("{stem}.verdicts.json")', "verdicts",
    ]  # fmt: skip
    words = (
        "## What is solved\n\nRun all cells, then this one. It writes what is solved and what is "
        f"open to `{stem}.verdicts.json`, which is what you hand in beside the notebook."
    )
    return [
        nbformat.v4.new_markdown_cell(words, id="verdicts-words"),
        nbformat.v4.new_code_cell("\n".join(source), id="verdicts"),
    ]


def student(notebook: Any, stem: str) -> Any:
    """Return a notebook without its answers; the outputs of all other cells stay as hints."""
    made, found = copy.deepcopy(notebook), exercises(notebook, stem)
    for cell in made.cells:
        if cell.cell_type == "markdown":
            cell.source = without_dead_links(DETAILS.sub("", cell.source)).strip()
    made.cells = [cell for cell in made.cells if cell.source]
    if found:
        made.cells += verdicts(stem, found, notebook.cells)
    return made


def instructor(notebook: Any, stem: str) -> Any:
    """Return a notebook with an answer to every exercise, and the notes where they are needed."""
    made, found, said = copy.deepcopy(notebook), exercises(notebook, stem), notes(stem)
    extra = {0: said[""]} | {each.check: said[each.name] for each in found}
    for each in found:
        made.cells[each.stub].source = answered(made.cells[each.stub].source, each.answer)
        made.cells[each.check].outputs = []  # of the empty answer
    cells = []
    for k, cell in enumerate(made.cells):
        if cell.cell_type == "markdown":
            cell.source = without_dead_links(cell.source)
        cells.append(cell)
        if k in extra:
            text = PYTHON.sub("", extra[k]).strip()
            text = f"**For the instructor.** {text}".replace("\n", "\n> ")
            cells.append(nbformat.v4.new_markdown_cell(f"> {text}", id=f"notes-{k}"))
    made.cells = cells + (verdicts(stem, found, notebook.cells) if found else [])
    return made


def execute(notebook: Any, folder: Path) -> Any:
    """Run a notebook from a folder; return it with its outputs, or raise if a cell does."""
    from nbclient import NotebookClient

    client = NotebookClient(
        notebook, timeout=300, kernel_name="python3", store_widget_state=False,
        resources={"metadata": {"path": str(folder)}},
    )  # fmt: skip
    # The last: as under nbval, panels show their still picture alone.
    quiet = {"PYTHONWARNINGS": "ignore", "TQDM_DISABLE": "1", "PYTEST_CURRENT_TEST": "lessons"}
    return client.execute(env={**os.environ, "OMP_NUM_THREADS": "1", **quiet})


# -- slides ---------------------------------------------------------------------------------------

TEMPLATE = """
{%- extends 'reveal/index.html.j2' -%}
{%- block html_head_js -%}{%- endblock -%}
{%- block html_head_js_mathjax -%}
<script>MathJax = {tex: {inlineMath: [['$', '$']]}};</script>
<script defer src="{{ resources.reveal.url_prefix }}/tex-svg.js"></script>
{%- endblock -%}
{%- block html_head_css -%}
<style>
.reveal .slides section { text-align: left; font-size: 24px; }
.reveal .slides :is(h1, h2, h3) { text-transform: none; font-size: 40px; }
.reveal .slides img {
  height: 420px; width: 100%; object-fit: contain; margin: 8px 0; display: block;
}
:root { --jp-code-font-size: 17px; }
.reveal .slides pre { width: auto; box-shadow: none; }
.reveal .slides .caption { font-size: 17px; color: #555c65; display: -webkit-box;
  -webkit-box-orient: vertical; -webkit-line-clamp: 3; overflow: hidden; }
.jp-Cell { padding: 0 !important; }
.jp-OutputPrompt, .jp-InputPrompt, .jp-Collapser { display: none !important; }
</style>
{%- endblock -%}
{%- block footer_js -%}
<script src="{{ resources.reveal.url_prefix }}/dist/reveal.js"></script>
<script>Reveal.initialize({hash: true, slideNumber: true, center: false, transition: 'none',
  width: 1280, height: 720, margin: 0.06});</script>
{%- endblock -%}
"""


def section(text: str, heading: str) -> str:
    """Return what stands below a heading of a page."""
    found = re.search(rf"^## {heading}\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    return found[1].strip() if found else ""


def deck(lesson: Path) -> Any:
    """Return the slides of a lesson as a notebook: title and goals, the tagged cells, questions."""
    text = lesson.read_text(encoding="utf-8")
    questions = re.findall(r"^### (.*)$", section(text, "Questions"), re.MULTILINE)

    def slide(source: str, kind: str = "slide") -> Any:
        return nbformat.v4.new_markdown_cell(source, metadata={"slideshow": {"slide_type": kind}})

    title = text.partition("\n")[0]
    cells = [slide(f"{title}\n\n{section(text, 'Goals')}")]
    for path in sorted(NOTEBOOKS.glob("*.ipynb")):
        for cell in nbformat.read(path, as_version=4).cells:
            if f"slide-{lesson.stem}" not in tags(cell):
                continue
            kind = cell.metadata.slideshow.slide_type
            if cell.cell_type == "markdown":
                # What stands before a heading belongs to the cell before; links lead nowhere here.
                source = re.sub(r"\A.*?(?=^##)", "", cell.source, flags=re.DOTALL | re.MULTILINE)
                source = re.sub(r"\]\(\w+\.ipynb\)", "](../)", source)
                cells.append(slide(without_dead_links(source), kind))
                continue
            for output in cell.outputs:
                data = output.get("data", {})
                found = next((k for k in data if k.startswith("image/")), None)
                if not found:
                    cells.append(nbformat.v4.new_code_cell("", metadata=cell.metadata))
                    cells[-1].outputs = [output]
                    continue
                words = html.escape(" ".join(data["text/plain"].split()))
                image = f'<img src="data:{found};base64,{data[found].strip()}" alt="{words}">'
                cells.append(slide(f'{image}\n<p class="caption">{words}</p>', kind))
    numbered = "\n".join(f"{k}. {question}" for k, question in enumerate(questions, 1))
    cells.append(slide(f"## Questions\n\n{numbered}"))
    return nbformat.v4.new_notebook(cells=cells, metadata={"title": title.lstrip("# ")})


def write_slides(folder: Path) -> list[Path]:
    """Write the slides of every lesson into a folder, with what they load; return their pages."""
    from nbconvert import SlidesExporter

    package = find_spec("sphinx_revealjs")
    mathjax = find_spec("sphinx-mathjax-offline")
    if not (package and package.origin and mathjax and mathjax.origin):
        raise SystemExit("slides need the site's packages: pip install '.[site]'")
    reveal = Path(package.origin).parent / "_static/revealjs"
    beside = folder / "reveal"
    shutil.rmtree(beside, ignore_errors=True)
    (beside / "dist/theme").mkdir(parents=True)
    for name in ("dist/reveal.js", "dist/reveal.css", "dist/theme/white.css", "LICENSE"):
        text = (reveal / name).read_text(encoding="utf-8")
        # Its fonts are the reader's own.
        text = re.sub(r"@import[^;]*;", "", text) if name.endswith(".css") else text
        (beside / name).write_text(text, encoding="utf-8")
    shutil.copyfile(
        Path(mathjax.origin).parent / "static/mathjax/tex-svg.js", beside / "tex-svg.js"
    )
    exporter = SlidesExporter(
        raw_template=TEMPLATE, reveal_url_prefix="reveal", reveal_theme="white", exclude_input=True
    )
    pages = []
    for lesson in lessons():
        page, _ = exporter.from_notebook_node(deck(lesson))
        pages.append(folder / f"{lesson.stem}.html")
        pages[-1].write_text(page, encoding="utf-8")
    return pages


def lessons() -> Iterator[Path]:
    """Yield the pages of the lessons: those that have a plan."""
    for path in sorted(LESSONS.glob("*.md")):
        if "\n## Plan\n" in path.read_text(encoding="utf-8"):
            yield path


def write(folder: Path, *, run: bool) -> Iterator[str]:
    """Write all lessons into a folder, executed if asked; yield a line for each notebook."""
    for path in sorted(NOTEBOOKS.glob("*.ipynb")):
        notebook = nbformat.read(path, as_version=4)
        for kind, make in (("student", student), ("instructor", instructor)):
            (folder / kind).mkdir(parents=True, exist_ok=True)
            made, start = make(notebook, path.stem), time.perf_counter()
            if run:
                made = execute(made, folder / kind)
            nbformat.write(made, folder / kind / path.name)
            line = f"{kind}/{path.name}"
            if run:
                line += f", {time.perf_counter() - start:.0f} s"
                handed_in = folder / kind / f"{path.stem}.verdicts.json"
                if handed_in.exists():
                    record = json.loads(handed_in.read_text(encoding="utf-8"))
                    handed_in.unlink()
                    line += f", {record['solved']} solved, {record['open']} open"
                    if record["open" if kind == "instructor" else "solved"]:
                        raise SystemExit(f"{line}: {made.cells[-1].outputs[-1]}")
            yield line
    (folder / "figures").mkdir(exist_ok=True)
    shutil.copy(ROOT / "figures/explorer.html", folder / "figures")


def main() -> None:
    """Write the lessons, whole or not at all."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--slides", action="store_true", help="the slides alone")
    parser.add_argument("--execute", action="store_true", help="run every notebook (minutes)")
    options = parser.parse_args()
    target = BUILT / "slides" if options.slides else BUILT
    BUILT.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=BUILT.parent) as folder:
        new = Path(folder) / "new"
        (new / "slides").mkdir(parents=True)
        pages = write_slides(new / "slides")
        if not options.slides:
            for line in write(new, run=options.execute):
                print(line, flush=True)
        shutil.rmtree(target, ignore_errors=True)
        (new / "slides" if options.slides else new).rename(target)
    print(*(BUILT / "slides" / page.name for page in pages), sep="\n")


if __name__ == "__main__":
    main()
