"""Formulas as MathML, made by KaTeX while the site is built: readers need no script and no network.

Browsers draw MathML themselves. A subset of a mathematical font comes with the site, for machines
that have none. A formula that KaTeX does not understand is a warning, and so stops the build.
"""

from __future__ import annotations

import re
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

FONT = "stix-two-math.woff2"
_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
# Chromium and Safari know no `mathvariant` but "normal": the letters themselves must be the
# styled ones. (First code point of the alphabet; letters that Unicode had already elsewhere.)
_ALPHABETS = {
    "script": (0x1D49C, dict(zip("BEFHILMRego", "ℬℰℱℋℐℒℳℛℯℊℴ", strict=True))),
    "double-struck": (0x1D538, dict(zip("CHNPQRZ", "ℂℍℕℙℚℝℤ", strict=True))),
    "fraktur": (0x1D504, dict(zip("CHIRZ", "ℭℌℑℜℨ", strict=True))),
    "bold": (0x1D400, {}),
    "bold-italic": (0x1D468, {}),
    "sans-serif": (0x1D5A0, {}),
    "monospace": (0x1D670, {}),
}


def styled(text: str, variant: str) -> str:
    """Return text in the letters of a mathematical alphabet.

    >>> styled("DE", "script")
    '𝒟ℰ'
    """
    start, elsewhere = _ALPHABETS[variant]
    return "".join(
        elsewhere.get(c) or (chr(start + _LETTERS.index(c)) if c in _LETTERS else c) for c in text
    )


def without_source(element: str) -> str:
    """Return a `<math>` element without its LaTeX: nothing draws it, but the search quotes it.

    >>> without_source('<math><mi>x</mi><annotation encoding="tex">x</annotation></math>')
    '<math><mi>x</mi></math>'
    """
    return re.sub(r"<annotation\b.*?</annotation>", "", element, flags=re.DOTALL)


@cache
def _katex() -> Any:
    import dukpy

    code = resources.files("sphinxcontrib").joinpath("katex.min.js").read_text(encoding="utf-8")
    interpreter = dukpy.JSInterpreter()
    interpreter.evaljs(code + ";1")
    return interpreter


@cache
def mathml(latex: str, display: bool = False) -> str:
    """Return LaTeX as a `<math>` element.

    Raises:
        ValueError: If KaTeX does not understand it; the message is KaTeX's.
    """
    import dukpy

    try:
        html = _katex().evaljs(
            "katex.renderToString(dukpy.latex, {displayMode: dukpy.display, output: 'mathml'})",
            latex=latex,
            display=display,
        )
    except dukpy.JSRuntimeError as error:
        raise ValueError(f"{latex!r}: {str(error).splitlines()[0]}") from None
    element = re.search(r"<math.*</math>", html, re.DOTALL)
    if element is None:
        raise ValueError(f"{latex!r}: KaTeX returned no formula")
    return re.sub(
        r'<(m\w+) mathvariant="([\w-]+)">([^<]*)<',
        lambda m: m[0] if m[2] not in _ALPHABETS else f"<{m[1]}>{styled(m[3], m[2])}<",
        without_source(element[0]),
    )


def _element(translator: Any, node: Any, display: bool) -> str:
    from sphinx.util import logging

    try:
        return mathml(node.astext().strip(), display)
    except ValueError as error:
        logging.getLogger(__name__).warning("formula %s", error, location=node)
        return f"<code>{translator.encode(node.astext())}</code>"


def visit_inline(translator: Any, node: Any) -> None:
    """Write a formula in a line."""
    from docutils import nodes

    translator.body.append(_element(translator, node, False))
    raise nodes.SkipNode


def visit_block(translator: Any, node: Any) -> None:
    """Write a formula of its own; on a narrow screen it scrolls, by keyboard too."""
    from docutils import nodes

    element = _element(translator, node, True)
    translator.body.append(
        '<div class="formula" tabindex="0" role="group" aria-label="Formula">'
        + element
        + "</div>\n"
    )
    raise nodes.SkipNode


def write_font(site: Path) -> Path:
    """Write the part of STIX Two Math (SIL Open Font Licence 1.1) that the formulas use.

    Args:
        site: Folder of finished HTML pages; the font goes to its `_static`.
    """
    import logging

    from fontTools import subset
    from fontTools.ttLib import TTFont

    letters = set("0123456789+-=<>()[]{}|/.,:;!" + _LETTERS)
    letters |= {chr(c) for c in (*range(0x1D434, 0x1D468), *range(0x1D6FC, 0x1D71C), 0x210E)}
    for page in site.rglob("*.html"):
        for formula in re.findall(r"<math.*?</math>", page.read_text(encoding="utf-8"), re.DOTALL):
            letters.update(re.sub(r"<[^>]*>", "", formula))
    logging.getLogger("fontTools").setLevel(logging.WARNING)
    options = subset.Options()
    options.flavor = "woff2"
    # Small forms for exponents, and i and j without dots under accents; no other alternates.
    options.layout_features = ["ssty", "dtls"]
    options.name_IDs = [0, 1, 2, 5, 13, 14]
    source = resources.files("ziamath").joinpath("fonts/STIXTwoMath-Regular.ttf")
    with resources.as_file(source) as path:
        font = TTFont(path)
    subsetter = subset.Subsetter(options)
    subsetter.populate(text="".join(sorted(letters)))
    subsetter.subset(font)
    target = site / "_static" / FONT
    subset.save_font(font, str(target), options)
    return target


def setup(app: Any) -> dict[str, bool]:
    """Register the renderer with Sphinx; `html_math_renderer = "mathml"` chooses it."""
    app.add_html_math_renderer("mathml", (visit_inline, None), (visit_block, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
