"""Link the notebooks' words to docs/glossary.md: `python tools/glossary.py [--check]`.

The first time that a notebook's prose uses a term, it becomes a link whose title, shown under the
pointer, is the first sentence of the glossary. Run it again after a change of either.
"""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path

import nbformat

ROOT = Path(__file__).parent.parent
PAGE = "../docs/glossary.md"

# How prose says it, where that is not the heading alone.
WORDS = {
    "view": r"views?",
    "mix point": r"mix points?",
    "scheme": r"schemes?",
    "seed": r"seeds?",
    "corruption": r"corruptions?",
    "corruption family": r"famil(?:y|ies)",
    "flip probability": r"flip probabilit(?:y|ies)",
    "implicit regulariser": r"implicit regularisers?",
    "ECE": r"expected calibration error|ECE",
    "JSD": r"Jensen-Shannon divergence|JSD",
    "calibration": r"calibrated",
    "decision boundary": r"decision boundar(?:y|ies)",
    "main effect": r"main effects?",
    "interaction": r"interactions?",
}
# Words that also mean other things, or whose sentence is a formula.
UNLINKED = {
    "alpha", "lambda", "sigma_add", "sigma_mult", "gamma", "epsilon", "width", "depth",
    "confidence", "95 % interval",
}  # fmt: skip
_OPAQUE = re.compile(r"(`[^`]*`|\$\$.*?\$\$|\$[^$\n]*\$|!?\[[^\]]*\]\([^)]*\)|<[^>]*>)", re.DOTALL)
_LINK = re.compile(rf"\[([^\]]*)\]\({re.escape(PAGE)}#[^)]*\)")


def slug(term: str) -> str:
    """Return the anchor of a heading, as Sphinx and repositories make it."""
    return re.sub(r"[^\w\- ]", "", term.lower()).replace(" ", "-")


def glossary() -> dict[str, str]:
    """Return the first sentence of each term, without its mathematics' marks."""
    found = {}
    text = (ROOT / "docs/glossary.md").read_text(encoding="utf-8")
    for part in re.split(r"^### ", text, flags=re.MULTILINE)[1:]:
        term, words = part.split("\n", 1)
        first = re.split(r"(?<=\.)\s", words.strip().split("\n\n")[0] + " ", maxsplit=1)
        plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", first[0])
        found[term.strip()] = plain.replace("`", "").replace("*", "").replace('"', "'")
    return found


def _prose(cell: str) -> list[tuple[str, bool]]:
    """Return a cell in pieces, and which of them are prose: no heading, table, code, formula."""
    pieces, inside = [], ""
    for line in cell.splitlines(keepends=True):
        fence = next((f for f in ("```", "$$") if line.count(f) % 2), "")
        if inside or fence or line.startswith(("#", "|", "    ")):
            pieces.append((line, False))
            inside = "" if fence and inside else inside or fence
            continue
        pieces += [(part, n % 2 == 0) for n, part in enumerate(_OPAQUE.split(line))]
    return pieces


def linked(sources: list[str], terms: dict[str, str]) -> list[str]:
    """Return the Markdown cells of a notebook with one link for each term that they use."""
    cells = [_LINK.sub(r"\1", source) for source in sources]
    # "Manifold mixup" before "mixup".
    for term in sorted(terms, key=len, reverse=True):
        if term in UNLINKED or "$" in terms[term]:
            continue
        flags = re.IGNORECASE if term.islower() else 0
        word = re.compile(
            rf"(?<![\w-])(?<!anifold )(?<!eration )(?:{WORDS.get(term, re.escape(term))})(?![\w-])",
            flags,
        )
        new = rf'[\g<0>]({PAGE}#{slug(term)} "{terms[term]}")'
        for number, cell in enumerate(cells):
            pieces = _prose(cell)
            at = next(
                (n for n, (text, prose) in enumerate(pieces) if prose and word.search(text)), -1
            )
            if at >= 0:
                pieces[at] = word.sub(new, pieces[at][0], count=1), True
                cells[number] = "".join(text for text, _ in pieces)
                break
    return cells


def main() -> int:
    """Write the links, or say where they are not up to date."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="change nothing")
    options = parser.parse_args()
    terms, stale = glossary(), []
    for path in sorted((ROOT / "notebooks").glob("[0-9]*.ipynb")):
        notebook = nbformat.read(path, as_version=4)
        prose = [cell for cell in notebook.cells if cell.cell_type == "markdown"]
        new = linked([cell.source for cell in prose], terms)
        if new != [cell.source for cell in prose]:
            stale.append(path.name)
            for cell, source in zip(prose, new, strict=True):
                cell.source = source
            if not options.check:
                nbformat.write(notebook, path)
    if stale:
        print(f"{'stale' if options.check else 'written'}: {', '.join(stale)}")
    return bool(stale and options.check)


if __name__ == "__main__":
    sys.exit(main())
