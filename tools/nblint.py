"""Check committed notebooks: `python tools/nblint.py [NOTEBOOK ...]`.

Outputs can be compared strictly only if a notebook was run from top to bottom and holds no widget
state. Readers need headings, alt text and short cells.
"""

from __future__ import annotations

import ast
import itertools
import json
import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
# The public address (tools/address.py). Without one, notebooks neither link nor install from it.
REPOSITORY = PROJECT["urls"].get("Repository", "")

# Pictures and their interactive forms.
MAX_BYTES = 400_000
MAX_IGNORED = 0.2
MAX_FUNCTION_LINES = 12
IGNORING_TAGS = {"nbval-ignore-output", "nbval-skip"}
TRAINING = {r"\.backward\(": ".backward()", r"\boptim\b": "an optimiser"}
MACHINE_PATHS = re.compile(r"(?<![\w/.])/(root|home|work|tmp|Users|mnt)/\w+")

Cell = dict[str, Any]


def text_of(value: str | list[str]) -> str:
    """Return a multi-line string of the notebook format as one string."""
    return value if isinstance(value, str) else "".join(value)


def is_ignored(cell: Cell) -> bool:
    """Return whether nbval skips the comparison of this cell."""
    return bool(IGNORING_TAGS & {*cell["metadata"].get("tags", ())})


def lint_code(cell: Cell) -> Iterator[str]:
    """Yield what is wrong with the source of a code cell."""
    source = text_of(cell["source"])
    for pattern, name in TRAINING.items():
        if re.search(pattern, source):
            yield f"uses {name}: a training loop belongs into nmlib"
    if re.search(MACHINE_PATHS, source):
        yield "names a path of one machine"
    # Without the lines of IPython.
    plain = re.sub(r"^(\s*)[%!].*$", r"\1pass", source, flags=re.MULTILINE)
    for node in ast.walk(ast.parse(plain)):
        if isinstance(node, ast.ClassDef):
            yield f"defines class {node.name}: it belongs into nmlib"
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            if lines > MAX_FUNCTION_LINES:
                yield f"defines {node.name} of {lines} lines: it belongs into nmlib"


def has_alt_text(output: dict[str, Any], mime: str) -> bool:
    """Return whether an image has alt text: `alt` metadata or a sentence of plain text."""
    metadata = output.get("metadata", {})
    alt = metadata.get(mime, {}).get("alt") or metadata.get("alt") or ""
    plain = text_of(output["data"].get("text/plain", ""))
    return len(alt) >= 10 or (len(plain) >= 10 and not plain.lstrip().startswith("<"))


def lint_outputs(cell: Cell) -> Iterator[str]:
    """Yield what is wrong with the outputs of a code cell."""
    expects_error = "raises-exception" in cell["metadata"].get("tags", ())
    for output in cell["outputs"]:
        kind = output["output_type"]
        if kind == "error" and not expects_error:
            yield f"stores an error: {output.get('ename')}"
        if kind == "stream" and output.get("name") == "stderr":
            yield "stores text on stderr"
        for mime in output.get("data", {}):
            if mime.startswith("image/") and not has_alt_text(output, mime):
                yield f"has an {mime} output without alt text"
        shown = text_of(output.get("text", "")) + text_of(
            output.get("data", {}).get("text/plain", "")
        )
        if re.search(MACHINE_PATHS, shown):
            yield "prints a path of one machine"


def lint_markdown(source: str) -> Iterator[str]:
    """Yield what is wrong with a markdown cell."""
    for alt in re.findall(r"!\[([^\]]*)\]\(", source):
        if not alt.strip():
            yield "has an image without alt text"
    for tag in re.findall(r"<img\b[^>]*>", source):
        if not re.search(r"\balt=[\"'][^\"']+[\"']", tag):
            yield "has an <img> without alt text"


def headings(markdown: list[str]) -> list[int]:
    """Return the levels of all headings, outside fenced code."""
    text = re.sub(r"^```.*?^```", "", "\n\n".join(markdown), flags=re.MULTILINE | re.DOTALL)
    return [len(h) for h in re.findall(r"^(#{1,6})\s", text, re.MULTILINE)]


def lint_whole(path: Path, notebook: dict[str, Any]) -> Iterator[str]:
    """Yield what is wrong with the notebook as a whole."""
    cells, metadata = notebook["cells"], notebook["metadata"]
    code = [c for c in cells if c["cell_type"] == "code" and text_of(c["source"]).strip()]
    markdown = [text_of(c["source"]) for c in cells if c["cell_type"] == "markdown"]
    size = path.stat().st_size
    if size > MAX_BYTES:
        yield f"has {size / 1000:.0f} kB; at most {MAX_BYTES / 1000:.0f}"
    if "widgets" in metadata:
        yield "stores widget state (metadata.widgets)"
    if metadata.get("kernelspec", {}).get("name") != "python3":
        yield f"has kernelspec {metadata.get('kernelspec', {}).get('name')!r}, not python3"
    counts = [c.get("execution_count") for c in code]
    if counts != list(range(1, len(code) + 1)):
        yield f"was not run from top to bottom: execution counts {counts}"
    if code and not any(c["outputs"] for c in code):
        yield "has no outputs, so nothing is compared"
    ignored = sum(is_ignored(c) for c in code)
    if ignored > MAX_IGNORED * len(code):
        yield f"has {ignored} of {len(code)} cells that are not compared; at most {MAX_IGNORED:.0%}"
    levels = headings(markdown)
    if levels.count(1) != 1 or levels[:1] != [1]:
        yield f"needs exactly one H1, as the first heading; it has {levels.count(1)}"
    if any(b > a + 1 for a, b in itertools.pairwise(levels)):
        yield f"skips a level of headings: {levels}"
    yield from lint_links(path, "\n".join(markdown))


def lint_links(path: Path, markdown: str) -> Iterator[str]:
    """Yield what is wrong with the Colab badge and with links to other files."""
    badge = "https://colab.research.google.com/github/"
    # Colab reads from one host only.
    repository = "".join(REPOSITORY.partition("https://github.com/")[2:])
    found = re.findall(re.escape(badge) + r"[^)\"'\s]*", markdown)
    good = {
        f"{badge}{repository}/blob/{ref}/notebooks/{path.name}"
        for ref in ("main", f"v{PROJECT['version']}")
        if repository
    }
    if good and not found:
        yield "has no Colab badge"
    for url in found:
        if url not in good:
            yield f"has badge {url}, not {min(good, default='none: there is no public address')}"
    for target in re.findall(r"\]\((?!https?:|#|mailto:)([^)\s#]+)", markdown):
        if not target.startswith("attachment:") and not (path.parent / target).exists():
            yield f"links to {target}, which does not exist"


def lint(path: Path) -> list[str]:
    """Return a list of all that is wrong with a notebook."""
    notebook = json.loads(path.read_text(encoding="utf-8"))
    problems = list(lint_whole(path, notebook))
    for number, cell in enumerate(notebook["cells"]):
        if cell["cell_type"] == "code":
            found = [*lint_code(cell), *lint_outputs(cell)]
        else:
            found = list(lint_markdown(text_of(cell["source"])))
        problems += [f"cell {number} {problem}" for problem in found]
    return problems


def main() -> int:
    """Lint the notebooks named on the command line, or all."""
    paths = [Path(p) for p in sys.argv[1:]] or sorted((ROOT / "notebooks").glob("*.ipynb"))
    problems = [f"{path}: {problem}" for path in paths for problem in lint(path)]
    print("\n".join(problems) or f"{len(paths)} notebook(s), nothing wrong")
    return bool(problems)


if __name__ == "__main__":
    sys.exit(main())
