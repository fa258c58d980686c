"""Our docstrings (Google style, LaTeX between dollars, Markdown code) as reStructuredText."""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping
from typing import Any

_CODE = re.compile(r"(`+)(.+?)\1", re.DOTALL)
_DOLLARS = re.compile(r"(?<![\\\w$])\$(?!\s)([^$]+?)(?<!\s)\$(?!\d)", re.DOTALL)
_LINK = re.compile(r"\[([^\]]+)\]\((https?://[^)\s]+)\)")
_EMPHASIS = re.compile(r"(?<![\w*])(\*{1,2})(?=[^\s*])([^*\n]+?)(?<!\s)\1(?![\w*])")
_BULLET = re.compile(r"(\s*)([-*]|\d+\.) ")


def inline(text: str, names: Mapping[str, str]) -> str:
    r"""Return a paragraph with its code, formulas and links in reStructuredText's form.

    Args:
        text: Markdown as our docstrings use it.
        names: What a name in backticks refers to; others become plain code.

    >>> inline("`mix` of $h_k$, see `x`", {"mix": "nmlib.mix"})
    ':py:obj:`~nmlib.mix` of :math:`h_k`, see ``x``'
    """
    kept: list[str] = []

    def keep(rst: str, following: str) -> str:
        # Markup must be followed by a space or punctuation.
        kept.append(rst + ("\\ " if re.match(r"[\w\\]", following) else ""))
        return f"\0{len(kept) - 1}\0"

    def code(m: re.Match[str]) -> str:
        words = " ".join(m[2].split())
        if (target := names.get(words.removesuffix("()"))) is not None:
            return keep(f":py:obj:`~{target}`", text[m.end() : m.end() + 1])
        return keep(f"``{words}``", text[m.end() : m.end() + 1])

    text = _CODE.sub(code, text)
    text = _DOLLARS.sub(
        lambda m: keep(f":math:`{' '.join(m[1].split())}`", m.string[m.end() : m.end() + 1]), text
    )
    text = _LINK.sub(lambda m: keep(f"`{m[1]} <{m[2]}>`__", m.string[m.end() : m.end() + 1]), text)
    text = _EMPHASIS.sub(lambda m: keep(m[0], m.string[m.end() : m.end() + 1]), text)
    # What means something to reStructuredText only.
    text = text.replace("\\", "\\\\").replace("|", "\\|")
    text = re.sub(r"(?<=\w)_(?!\w)", r"\\_", text)
    text = text.replace("*", "\\*")
    return re.sub("\0(\\d+)\0", lambda m: kept[int(m[1])], text)


def _indent(line: str) -> str:
    return line[: len(line) - len(line.lstrip())]


def convert(docstring: str, names: Mapping[str, str]) -> str:
    r"""Return a cleaned docstring as reStructuredText, its Google sections left to napoleon.

    Formulas on lines of their own become `math` directives, fenced code becomes code blocks,
    `Source:` and `Differs:` become fields beside the parameters. Doctests stay as they are.

    >>> print(convert("One.\n\nSource: paper eq. 2,\n    and 3.", {}))
    One.
    <BLANKLINE>
    :Source: paper eq. 2,
        and 3.
    """
    out: list[str] = []
    paragraph: list[str] = []

    def flush() -> None:
        if paragraph:
            out.extend(inline("\n".join(paragraph), names).split("\n"))
            paragraph.clear()

    def blank() -> None:
        if out and out[-1].strip():
            out.append("")

    # Formulas get lines of their own, wherever in a sentence they stand.
    def display(m: re.Match[str]) -> str:
        start = m.string.rfind("\n", 0, m.start()) + 1
        margin = _indent(m.string[start : m.start()] + "x")
        body = " ".join(m[1].split())
        return f"\n{margin}\0math {body}\n{margin}"

    lines = re.sub(r"\$\$(.+?)\$\$", display, docstring, flags=re.DOTALL).splitlines()
    fence: str | None = None
    doctest = False
    for line in lines:
        text = line.strip()
        if fence is not None:
            if text == "```":
                fence = None
                out.append("")
            else:
                out.append(f"    {line}")
        elif doctest and text:
            out.append(line)
        elif text.startswith(">>>"):
            flush()
            blank()
            out.append(line)
            doctest = True
        elif text.startswith("```"):
            flush()
            blank()
            fence = _indent(line)
            out += [f"{fence}.. code-block:: {text[3:] or 'text'}", ""]
        elif text.startswith("\0math "):
            flush()
            blank()
            out += [f"{_indent(line)}.. math:: {text[6:]}", ""]
        elif not text:
            flush()
            blank()
            doctest = False
        elif found := re.match(r"(Source|Differs):\s+(.*)", line):
            flush()
            if out and not out[-1].startswith((":", "    ")):
                blank()
            paragraph.append(f":{found[1]}: {found[2]}")
        else:
            bullet = _BULLET.match(line)
            if bullet and paragraph and not _BULLET.match(paragraph[0]):
                flush()
                blank()
            paragraph.append(line)
    flush()
    while out and not out[-1].strip():
        out.pop()
    return "\n".join(out)


def readable_signature(signature: str) -> str:
    """Return a signature whose computed defaults are left out: Sphinx cannot read them.

    >>> readable_signature("(x, eps=tuple(2**-k for k in range(9)))")
    '(x, eps=...)'
    """
    if " for " not in signature:
        return signature
    (function,) = ast.parse(f"def f{signature}: ...").body
    assert isinstance(function, ast.FunctionDef)
    arguments = function.args
    for defaults in (arguments.defaults, arguments.kw_defaults):
        for i, default in enumerate(defaults):
            loops = (ast.GeneratorExp, ast.ListComp, ast.DictComp)
            if default is not None and any(isinstance(n, loops) for n in ast.walk(default)):
                defaults[i] = ast.Constant(...)
    return f"({ast.unparse(arguments)})"


class Converter:
    """The hook of autodoc: rewrites every docstring in place, before napoleon reads it.

    Attributes:
        names: What a name in backticks refers to.
    """

    def __init__(self, names: Mapping[str, str]) -> None:
        self.names = names

    def __call__(
        self, app: Any, what: str, name: str, obj: Any, options: Any, lines: list[str]
    ) -> None:
        """Convert the lines of a docstring."""
        lines[:] = [*convert("\n".join(lines), self.names).splitlines(), ""]

    def signature(
        self, app: Any, what: str, name: str, obj: Any, options: Any, text: str, returns: str
    ) -> tuple[str, str] | None:
        """Convert a signature; a protocol is not called, so it has none."""
        if text == "(*args, **kwargs)" and what == "class":
            return "", returns
        return (readable_signature(text), returns) if text else None
