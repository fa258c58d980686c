"""The pages of the library: every public name, grouped by what a reader wants to do."""

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from suite_site.docstrings import convert


@dataclass(frozen=True)
class Group:
    """One page.

    Attributes:
        page: Name of the file.
        title: Heading.
        text: What one does with it.
        modules: Modules (with all below them) whose names it shows, in this order.
    """

    page: str
    title: str
    text: str
    modules: tuple[str, ...]


GROUPS = (
    Group(
        "loss",
        "Schemes and the loss",
        "A scheme is a value that says which views, which mixing, which noise and how much "
        "stability; `batch_loss` is the one path that all schemes take.",
        ("objective", "schemes", "methods", "losses", "rng"),
    ),
    Group(
        "ingredients",
        "Views, mixing and noise",
        "What a scheme is made of. Each draws its chance into a small record first and then "
        "applies it, so that a draw can be looked at, repeated or written by hand.",
        ("views", "mixing", "puzzlemix", "noise", "ops"),
    ),
    Group(
        "models",
        "Models",
        "A model is a list of stages; mix point k is the input of stage k.",
        ("models",),
    ),
    Group(
        "data",
        "Data",
        "The toy problem, CIFAR from its official archives, and small sets that come with the "
        "package. Nothing is fetched without being asked for.",
        ("data",),
    ),
    Group(
        "training",
        "Train",
        "One call trains any scheme on any staged model, resumes after an interruption and keeps "
        "a record of what it did.",
        ("training",),
    ),
    Group(
        "corruptions",
        "Corrupt images",
        "The corruptions of CIFAR-C and ImageNet-C and the sequences of CIFAR-P and ImageNet-P, "
        "from a seed.",
        ("corruptions",),
    ),
    Group(
        "evaluation",
        "Measure robustness and calibration",
        "Predictions, accuracy under corruptions, flip probabilities, and whether a network knows "
        "when it is wrong.",
        ("evaluation", "metrics"),
    ),
    Group(
        "theory",
        "Check the theorems",
        "Exact expectations, the expansions of Theorems 1 and 2 term by term, and the bound of "
        "Theorem 3 with a verdict on each of its assumptions.",
        ("theory",),
    ),
    Group(
        "paper",
        "The paper's tables, and statistics of an ablation",
        "The published numbers as data, what recomputing them shows, the measured grid, and the "
        "effects of the four switches with intervals.",
        ("paper", "statistics"),
    ),
    Group(
        "lab",
        "The lab",
        "One room for each notebook: displays, panels with sliders, studies and exercises.",
        ("lab",),
    ),
    Group(
        "machine",
        "This machine, and the command line",
        "What works here, and where each number comes from.",
        ("doctor", "identity", "provenance", "cli"),
    ),
)
# Modules that nobody has put into a group yet are shown all the same.
OTHERS = Group("more", "More", "Everything else.", ())


@dataclass(frozen=True)
class Item:
    """One public name.

    Attributes:
        name: As a user would import it, e.g. nmlib.batch_loss.
        home: Where it is defined, e.g. nmlib.objective.batch_loss.
        kind: "class", "exception", "function" or "data".
        value: The object.
        doc: Its cleaned docstring, or "".
    """

    name: str
    home: str
    kind: str
    value: Any
    doc: str

    @property
    def summary(self) -> str:
        """The docstring's first line."""
        return self.doc.partition("\n")[0]


def modules() -> list[ModuleType]:
    """Return the package and all its modules, imported."""
    package = importlib.import_module("nmlib")
    names = (m.name for m in pkgutil.walk_packages(package.__path__, "nmlib."))
    return [package, *(importlib.import_module(n) for n in names if not n.endswith("__main__"))]


def _assigned(module: ModuleType) -> dict[str, str]:
    """Return the constants that a module assigns, with the strings below them."""
    body = ast.parse(Path(module.__file__ or "").read_text(encoding="utf-8")).body
    found = {}
    for node, following in zip(body, [*body[1:], None], strict=True):
        targets = node.targets if isinstance(node, ast.Assign) else []
        targets = [node.target] if isinstance(node, ast.AnnAssign) else targets
        text = ""
        if isinstance(following, ast.Expr) and isinstance(following.value, ast.Constant):
            text = inspect.cleandoc(str(following.value.value))
        found.update({t.id: text for t in targets if isinstance(t, ast.Name)})
    return found


def items() -> list[Item]:
    """Return every public name once, in the order of modules and lines."""
    loaded = modules()
    # The shortest way to each object that some `__all__` offers.
    offered: dict[tuple[str, int], str] = {}
    for module in sorted(loaded, key=lambda m: m.__name__.count(".")):
        if not any(part.startswith("_") for part in module.__name__.split(".")):
            for name in getattr(module, "__all__", ()):
                offered.setdefault((name, id(getattr(module, name))), f"{module.__name__}.{name}")
    found: list[Item] = []
    for module in loaded:
        constants = _assigned(module)
        for name, value in vars(module).items():
            public = offered.get((name, id(value)))
            if public is None or name.startswith("_") or isinstance(value, ModuleType):
                continue
            home = f"{module.__name__}.{name}"
            if inspect.isclass(value) or inspect.isfunction(value):
                if value.__module__ != module.__name__:
                    continue
                kind = "function" if inspect.isfunction(value) else "class"
                if kind == "class" and issubclass(value, BaseException):
                    kind = "exception"
                doc = inspect.cleandoc(value.__doc__ or "")
                # What dataclass writes where nobody wrote anything.
                doc = "" if doc.startswith(f"{name}(") else doc
                found.append(Item(public, home, kind, value, doc))
            elif name in constants:
                found.append(Item(public, home, "data", value, constants[name]))
    return found


def grouped(everything: list[Item]) -> dict[Group, list[Item]]:
    """Return the items of each page; what no group names goes to the last."""
    pages: dict[Group, list[Item]] = {group: [] for group in (*GROUPS, OTHERS)}
    place = {m: (g, i) for g in GROUPS for i, m in enumerate(g.modules)}
    order: dict[str, int] = {}
    for item in everything:
        group, position = place.get(item.home.split(".")[1], (OTHERS, 0))
        order[item.home] = position
        pages[group].append(item)
    for found in pages.values():
        # What is offered at the top comes first within its module.
        found.sort(key=lambda i: (order[i.home], i.name.count(".")))
    return {group: found for group, found in pages.items() if found}


def names(everything: list[Item]) -> dict[str, str]:
    """Return what a name in backticks means: its public path, for every unambiguous spelling.

    `mix`, `nm.mix`, `nmlib.mix`, `mixing.mix` and `nmlib.mixing.mix` are the same; so are the
    public members of classes after their class (`Scheme.switches`).
    """
    found: dict[str, set[str]] = {}

    def add(spelling: str, target: str) -> None:
        found.setdefault(spelling, set()).add(target)

    for item in everything:
        short = item.name.rsplit(".", 1)[-1]
        ways = {short, item.name, item.home, item.home.removeprefix("nmlib.")}
        # Packages between the top and the module may offer the name, too.
        parts = item.home.split(".")[1:-1]
        ways |= {".".join([*parts[:k], short]) for k in range(1, len(parts))}
        if item.name.count(".") == 1:
            ways.add("nm." + short)
        if item.name.startswith("nmlib."):
            ways.add(item.name.removeprefix("nmlib."))
        members = [""]
        if item.kind == "class":
            members += [f".{m}" for m in documented_members(item.value)]
        for way in ways:
            for member in members:
                add(way + member, item.name + member)
    return {spelling: targets.pop() for spelling, targets in found.items() if len(targets) == 1}


def documented_members(value: type) -> list[str]:
    """Return the public methods and properties of a class that have a docstring of their own."""
    members = []
    for name, member in vars(value).items():
        function = getattr(member, "__func__", getattr(member, "fget", member))
        # functools.cached_property keeps it under another name.
        function = getattr(function, "func", function)
        if not name.startswith("_") and inspect.isfunction(function) and function.__doc__:
            members.append(name)
    return members


def described(value: Any) -> str:
    """Return a constant in a few words.

    >>> described({"a": 1, "b": 2})
    '2 entries: `a`, `b`'
    """
    if isinstance(value, (Mapping, tuple, list)) and (len(value) > 3 or isinstance(value, Mapping)):
        entries = [str(entry) for entry in value]
        if max(map(len, entries), default=0) < 40:
            return f"{len(value)} entries: " + ", ".join(f"`{entry}`" for entry in entries)
        return f"{len(value)} entries"
    text = repr(value)
    return f"`{text}`" if len(text) < 60 and "`" not in text and " at 0x" not in text else ""


def _entry(item: Item, known: Mapping[str, str]) -> Iterator[str]:
    if item.kind != "data":
        yield f".. auto{item.kind}:: {item.name}"
        if item.kind != "function":
            yield "   :members:"
        yield ""
        return
    kind = type(item.value).__name__
    yield f".. py:data:: {item.name}"
    yield f"   :type: {kind}"
    yield ""
    text = [item.doc] if item.doc else []
    if value := described(item.value):
        text.append(value + ".")
    for line in convert("\n\n".join(text), known).splitlines():
        yield f"   {line}"
    yield ""


def page(group: Group, found: list[Item], known: Mapping[str, str]) -> str:
    """Return one page in reStructuredText."""
    lines = [group.title, "=" * len(group.title), "", convert(group.text, known), ""]
    lines += [".. list-table::", "   :class: names", "   :widths: auto", ""]
    for item in found:
        target = f":py:obj:`{item.name.removeprefix('nmlib.')} <{item.name}>`"
        summary = convert(item.summary or described(item.value).partition(":")[0], known)
        lines += [f"   * - {target}", f"     - {summary}"]
    lines += [""]
    for item in found:
        lines += _entry(item, known)
    return "\n".join(lines)


def correct_backlinks(module: str, html: str, known: Mapping[str, str]) -> str:
    """Return a page of source code whose links to the documentation lead there.

    Sphinx assumes that all names of a module are offered under the same package; ours are offered
    where users look for them.
    """

    def change(m: re.Match[str]) -> str:
        parts = m[2].split(".")
        for start in range(1, len(parts)):
            name = ".".join(parts[start:])
            if (public := known.get(f"{module}.{name}")) is not None:
                return f'class="viewcode-back" href="{m[1]}#{public}"'
        return m[0]

    return re.sub(r'class="viewcode-back" href="([^"#]*)#([^"]*)"', change, html)


def pages() -> dict[str, str]:
    """Return the pages by file name, the list of them first."""
    everything = items()
    known = names(everything)
    groups = grouped(everything)
    index = [
        "The library", "===========", "",
        f"{len(everything)} public names, by what one does with them. ``import nmlib as nm`` "
        "gives the ones that are written ``nmlib.name`` here; the others come from their module.",
        "", ".. toctree::", "   :hidden:", "",
        *(f"   {group.page}" for group in groups),
        "",
    ]  # fmt: skip
    for group, found in groups.items():
        first = [i for i in found if i.name.count(".") == 1 and i.kind != "data"] or found
        some = ", ".join(f":py:obj:`~{i.name}`" for i in first[:4])
        index += [f":doc:`{group.title} <{group.page}>`", f"   {convert(group.text, known)}"]
        index += [f"   Among others {some}.", ""]
    files = {"index.rst": "\n".join(index)}
    files |= {f"{g.page}.rst": page(g, found, known) for g, found in groups.items()}
    return files
