"""Write the pages of docs/ that come from the code and the paper's tables.

`python tools/equation_index.py` writes docs/equations.md (equation -> function -> notebook),
docs/deviations.md (where the released code or nmlib departs from the paper), docs/methods.md
(`nmlib.methods.CARDS`) and docs/audit.md (the paper's tables against each other); with `--check` it
writes nothing and fails if they are out of date.
"""

from __future__ import annotations

import ast
import functools
import inspect
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tools")]

import usage

PACKAGE = ROOT / "nmlib"
NOTICE = "<!-- Written by `make docs` from the code; change that. -->"


@dataclass(frozen=True)
class Entry:
    """One documented object.

    Attributes:
        name: Dotted name, e.g. nmlib.losses.noisymix_loss.
        path: File, relative to the repository.
        line: Line of the definition.
        summary: First line of the docstring.
        source: Text after `Source:`, or "".
        differs: Text after `Differs:`, or "".
    """

    name: str
    path: str
    line: int
    summary: str
    source: str
    differs: str


def section(docstring: str, heading: str) -> str:
    """Return the text after `heading:` in a cleaned docstring, up to the end of its paragraph.

    >>> section("One line.\\n\\nSource: paper eq. 2\\n    and 3.\\nDiffers: no.", "Source")
    'paper eq. 2 and 3.'
    """
    # The paragraph ends at a blank line or at the next heading that is not indented.
    found = re.search(
        rf"^{heading}:\s*(.*?)(?=\n\s*\n|\n[A-Z]\w+:|\Z)", docstring, re.MULTILINE | re.DOTALL
    )
    return " ".join(found[1].split()) if found else ""


def entries_of(path: Path) -> Iterator[Entry]:
    """Yield the module, classes, functions and constants of a file that have a docstring."""
    module = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
    tree = ast.parse(path.read_text(encoding="utf-8"))

    def entry(name: str, line: int, text: str) -> Entry:
        return Entry(
            name, str(path.relative_to(ROOT)), line, text.splitlines()[0],
            section(text, "Source"), section(text, "Differs"),
        )  # fmt: skip

    def visit(node: ast.AST, name: str) -> Iterator[Entry]:
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            text = inspect.cleandoc(ast.get_docstring(node, clean=False) or "")
            if text:
                yield entry(name, getattr(node, "lineno", 1), text)
            for child in node.body:
                if isinstance(child, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
                    yield from visit(child, f"{name}.{child.name}")

    yield from visit(tree, module)
    # A constant's docstring is the text after it.
    for before, after in pairwise(tree.body):
        if (
            isinstance(before, (ast.Assign, ast.AnnAssign))
            and isinstance(after, ast.Expr)
            and isinstance(after.value, ast.Constant)
            and isinstance(after.value.value, str)
        ):
            target = before.targets[0] if isinstance(before, ast.Assign) else before.target
            text = inspect.cleandoc(after.value.value)
            yield entry(f"{module}.{ast.unparse(target)}", before.lineno, text)


def all_entries() -> list[Entry]:
    """Return the entries of the package in the order of files and lines."""
    return [e for path in sorted(PACKAGE.rglob("*.py")) for e in entries_of(path)]


def place(source: str) -> tuple[int, float, str]:
    """Return a sort key: the paper by equation, then the rest of the paper, then other sources."""
    equation = re.search(r"\b[Ee]qs?\.\s*\(?(\d+)", source)
    if equation:
        return (0, float(equation[1]), source)
    if "paper" in source:
        return (1, 0.0, source)
    return (2, 0.0, source)


def cell(text: str) -> str:
    """Return text that is safe in a Markdown table."""
    return text.replace("|", "\\|")


@functools.cache
def offered(package: str) -> frozenset[str]:
    """Return the names in `__all__` of a package, none for a module."""
    path = ROOT.joinpath(*package.split("."), "__init__.py")
    if not path.exists():
        return frozenset()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            return frozenset(ast.literal_eval(node.value))
    return frozenset()


def imported_as(name: str) -> str:
    """Return the name by which one imports an object: its package's, if that offers it.

    >>> imported_as("nmlib.theory.exact.nfm_loss_exact")
    'nmlib.theory.nfm_loss_exact'
    """
    *parts, last = name.split(".")
    for count in range(2, len(parts)):
        package = ".".join(parts[:count])
        if last in offered(package):
            return f"{package}.{last}"
    return name


def link(entry: Entry) -> str:
    """Return the entry's name as a link to its file (no line: it would change all the time)."""
    return f"[`{imported_as(entry.name).removeprefix('nmlib.')}`](../{entry.path})"


def equations_page(entries: list[Entry]) -> str:
    """Return docs/equations.md."""
    rows = []
    for entry in sorted((e for e in entries if e.source), key=lambda e: (*place(e.source), e.name)):
        where = [f"[{n[:2]}](../notebooks/{n})" for n in usage.notebooks(entry.name)]
        rows.append(
            f"| {cell(entry.source.rstrip('.'))} | {link(entry)} | {cell(entry.summary)} | "
            f"{', '.join(where)} |"
        )
    return "\n".join(
        [
            "# From equation to code", "", NOTICE, "",
            "Equations are those of the NoisyMix paper (arXiv 2202.01263) unless another is named.",
            "The last column has the notebooks whose code names the object; if none does, those",
            "that reach it through what they call.", "",
            "| source | code | what it does | notebooks |", "|---|---|---|---|", *rows, "",
        ]
    )  # fmt: skip


def deviations_page(entries: list[Entry]) -> str:
    """Return docs/deviations.md."""
    rows = [f"| {link(e)} | {cell(e.differs)} |" for e in entries if e.differs]
    return "\n".join(
        [
            "# Where things differ from the paper", "", NOTICE, "",
            "Each line comes from the docstring of the code that it is about.",
            "", "| code | what differs |", "|---|---|", *rows, "",
        ]
    )  # fmt: skip


def audit_page() -> str:
    """Return docs/audit.md."""
    from nmlib.paper import audit, robustbench_audit

    def text(value: Any) -> str:
        shown = f"{value:.4g}" if isinstance(value, float) else str(value)
        return cell(shown.replace("_", " "))

    lines = [
        "# The paper's tables against each other", "", NOTICE, "",
        "`nmlib.paper.audit()` recomputes every average that the paper prints from its parts, and",
        "compares what is printed twice. Rounding explains most differences; it hardly explains",
        "these, or not at all. *Chance* is the probability that rounding alone makes a difference",
        "as large.",
    ]  # fmt: skip
    for kind, rows in audit().groupby("kind", sort=False):
        lines += ["", f"## {str(kind).capitalize()}", ""]
        lines += ["| tables | method | test set | what | printed | recomputed | chance |"]
        lines += ["|---|---|---|---|---:|---:|---:|"]
        notes = []
        for row in rows.itertuples():
            chance = "" if row.chance != row.chance else f"{row.chance:.0e}"
            chance = "below 1e-12" if chance and row.chance < 1e-12 else chance
            lines.append(
                f"| {row.table} / {row.against} | {text(row.method)} | {text(row.dataset)} | "
                f"{text(row.quantity)} | {text(row.printed)} | {text(row.recomputed)} | {chance} |"
            )
            if row.explanation:
                named = f"Table {row.table}, {text(row.method)}, {text(row.quantity)}"
                notes.append(f"- {named}: {row.explanation}")
        lines += ["", *notes] if notes else []
    rows = robustbench_audit()
    lines += [
        "", "## RobustBench's rows", "",
        f"`nmlib.paper.robustbench_audit()` compares each of the {len(rows)} rows of RobustBench's",
        "files with the other rows and with the paper's, as labelled and with its numbers in the",
        "order of columns of the other files, by Pearson's correlation. Its ImageNet has 5,000",
        "images.", "",
        "| test set | row | paper's method | as labelled | in the other order | misfiled |",
        "|---|---|---|---:|---:|---|",
    ]  # fmt: skip
    for row in rows.itertuples():
        lines.append(
            f"| {row.dataset} | {row.model} | {row.method} | {row.as_filed:.2f} | "
            f"{row.reordered:.2f} | {'**yes**' if row.misfiled else 'no'} |"
        )
    wrong = rows[rows["misfiled"]]
    lines += ["", *(f"- {r.dataset}, {r.model}: {r.explanation}" for r in wrong.itertuples())]
    return "\n".join([*lines, ""])


def methods_page() -> str:
    """Return docs/methods.md."""
    from nmlib.lab.cifar.conditions import conditions
    from nmlib.lab.cifar.records import by_family, measured
    from nmlib.methods import CARDS, Card

    def results(card: Card) -> list[str]:
        if not card.expected:
            return ["", "The paper's CIFAR tables have no row of it."]
        sets = ("CIFAR-10", "CIFAR-10-C", "CIFAR-100", "CIFAR-100-C")
        found = card.expected
        rows = [
            f"| {table} | {' | '.join(found.get((table, name), '') for name in sets)} |"
            for table in dict.fromkeys(table for table, _ in found)
        ]
        return ["", f"| table | {' | '.join(sets)} |", "|---" * 5 + "|", *rows]

    runs = measured()
    means = by_family(runs).groupby("scheme").mean()
    gains = means.rename(columns={"robust": "all corruptions"})

    def ours(scheme: str) -> list[str]:
        if scheme == "baseline":
            values = ", ".join(f"{name} {v['baseline']:.1f}" for name, v in gains.items())
            return [f"- measured accuracy: {values} %"]
        # Rounded twice: whether 1.45 becomes 1.4 must not depend on the last bit.
        points = {name: round(v[scheme] - v["baseline"], 6) for name, v in gains.items()}
        values = ", ".join(f"{name} {v:+.1f}" for name, v in points.items())
        return [f"- measured gain over the baseline, in points: {values}"]

    names = ("views", "mixing", "noise", "noise in effect", "mix points", "views compared by")
    lines = [
        "# The methods, one card each", "",
        NOTICE.replace("the docstrings", "`nmlib.methods.CARDS`"), "",
        "All are trained by the paper's recipe (`Recipe()`). Noise is given as additive and",
        "multiplicative level; in effect are the root mean squares from the first noisy view to",
        "the last. Mix point 0 is the normalised image, k the output of layer k. The tables hold",
        "the accuracy that the paper prints, in percent of test images (Table 2:",
        "PreActResNet-18, Table 3: WRN-28-4).", "",
        f"What is called measured is ours: {conditions(runs)}.",
    ]  # fmt: skip
    for key, card in CARDS.items():
        lines += ["", f"## {card.name}", "", f'{card.idea} `nm.SCHEMES["{key}"]`', ""]
        lines += [f"- {n}: {w}" for n, w in zip(names, card.settings, strict=True) if w]
        for place, settings in card.exceptions.items():
            changed = zip(names, settings, card.settings, strict=True)
            words = "; ".join(f"{name} {now}" for name, now, usual in changed if now != usual)
            lines.append(f"- on {place}: {words}")
        cost = "one pass" if card.passes == 1 else f"{card.passes} passes"
        lines.append(f"- costs: {cost} through the network for an image and step")
        lines += ours(key)
        lines.append(f"- mind: {card.caution}")
        lines.append(f"- source: {card.source}")
        lines += [f"- differs: {card.differs}"] if card.differs else []
        lines += results(card)
    return "\n".join([*lines, ""])


def pages() -> dict[Path, str]:
    """Return the pages by path."""
    entries = all_entries()
    return {
        ROOT / "docs/equations.md": equations_page(entries),
        ROOT / "docs/deviations.md": deviations_page(entries),
        ROOT / "docs/audit.md": audit_page(),
        ROOT / "docs/methods.md": methods_page(),
    }


def main() -> int:
    """Write the pages, or check them."""
    check, stale = "--check" in sys.argv[1:], []
    for path, text in pages().items():
        if path.exists() and path.read_text(encoding="utf-8") == text:
            continue
        stale.append(path)
        if not check:
            path.parent.mkdir(exist_ok=True)
            path.write_text(text, encoding="utf-8")
    for path in stale:
        print(f"{path.relative_to(ROOT)}: {'out of date, run make docs' if check else 'written'}")
    return bool(check and stale)


if __name__ == "__main__":
    sys.exit(main())
