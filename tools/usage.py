"""Which notebook uses which part of nmlib: names are followed through imports and calls."""

from __future__ import annotations

import ast
import functools
import json
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


class Code:
    """The names of a module or a notebook.

    Attributes:
        tree: The parsed code.
        names: What a name at the top level means: full name, wherever it was imported from.
        bodies: The code behind each definition, by its name.
    """

    def __init__(self, text: str, module: str) -> None:
        self.tree = ast.parse(text)
        self.names: dict[str, str] = {}
        self.bodies: dict[str, ast.AST] = {}
        # Imports inside functions count for the whole module.
        for node in ast.walk(self.tree):
            if isinstance(node, ast.ImportFrom):
                for alias in node.names:
                    self.names[alias.asname or alias.name] = f"{node.module}.{alias.name}"
            elif isinstance(node, ast.Import):
                for alias in node.names:
                    bound = alias.asname or alias.name.partition(".")[0]
                    self.names[bound] = alias.name if alias.asname else bound
        for node in self.tree.body:
            targets: list[ast.expr] = []
            if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
                self.bodies[node.name] = node
            elif isinstance(node, ast.Assign):
                targets = node.targets
            elif isinstance(node, ast.AnnAssign):
                targets = [node.target]
            self.bodies |= {t.id: node for t in targets if isinstance(t, ast.Name)}
        for name, node in self.bodies.items():
            # `paper = nm.paper` is another name of the same.
            value = getattr(node, "value", None)
            same = isinstance(value, (ast.Name, ast.Attribute)) and [*self.mentions(value)]
            self.names[name] = same[0] if same else f"{module}.{name}"

    def mentions(self, within: ast.AST) -> Iterator[str]:
        """Yield the full names that some code mentions, e.g. nmlib.batch_loss for nm.batch_loss."""
        for node in ast.walk(within):
            chain: list[str] = []
            while isinstance(node, ast.Attribute):
                chain.insert(0, node.attr)
                node = node.value
            if isinstance(node, ast.Name) and node.id in self.names:
                yield ".".join([self.names[node.id], *chain])


@functools.cache
def module(name: str) -> Code | None:
    """Return the code of a module of nmlib, or None if there is none of this name."""
    path = ROOT.joinpath(*name.split("."))
    path = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    return Code(path.read_text(encoding="utf-8"), name) if path.exists() else None


@functools.cache
def defined(name: str) -> str:
    """Return where something is defined, "" if it is no definition of nmlib.

    >>> defined("nmlib.batch_loss"), defined("nmlib.theory.nfm_loss_exact"), defined("numpy.sum")
    ('nmlib.objective.batch_loss', 'nmlib.theory.exact.nfm_loss_exact', '')
    """
    parts = name.split(".")
    if parts[0] != "nmlib":
        return ""
    # The longest beginning that is a module; what follows is a name in it, or an attribute of one.
    for count in range(len(parts) - 1, 0, -1):
        home = ".".join(parts[:count])
        if (code := module(home)) is not None:
            if parts[count] in code.bodies:
                return f"{home}.{parts[count]}"
            found = ".".join([code.names.get(parts[count], ""), *parts[count + 1 :]])
            # A package may import its own submodule.
            return defined(found) if found != name else ""
    return ""


@functools.cache
def needs(name: str) -> frozenset[str]:
    """Return the definitions that a definition mentions."""
    home, _, last = name.rpartition(".")
    code = module(home)
    assert code is not None
    return frozenset(filter(None, map(defined, code.mentions(code.bodies[last]))))


@functools.cache
def of_notebook(path: Path) -> tuple[frozenset[str], frozenset[str], frozenset[str]]:
    """Return what a notebook names, what it reaches through that, and all its attributes."""
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    lines = [
        line
        for cell in cells
        if cell["cell_type"] == "code"
        for line in ["", *"".join(cell["source"]).split("\n")]
    ]
    text = "\n".join(re.sub(r"^(\s*)[%!].*", r"\1pass", line) for line in lines)
    code = Code(text, path.stem)
    named = {defined(name) for name in code.mentions(code.tree)} - {""}
    reached, new = set(named), set(named)
    while new:
        new = set().union(*map(needs, new)) - reached
        reached |= new
    attributes = {node.attr for node in ast.walk(code.tree) if isinstance(node, ast.Attribute)}
    return frozenset(named), frozenset(reached), frozenset(attributes)


def notebooks(name: str) -> list[str]:
    """Return the notebooks that use a definition, those that name it or, if none does, all others.

    A method counts where its name is an attribute and its class is reached.
    """
    paths = sorted((ROOT / "notebooks").glob("[0-9]*.ipynb"))
    whole, _, last = name.rpartition(".")
    if defined(name) != name:
        return [p.name for p in paths for _, reached, attributes in [of_notebook(p)]
                if whole in reached and last in attributes]  # fmt: skip
    named = [p.name for p in paths if name in of_notebook(p)[0]]
    return named or [p.name for p in paths if name in of_notebook(p)[1]]
