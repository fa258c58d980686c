"""The texts of the explorer: each language complete, each text used, none outside the tables."""

import re

import pytest

from nmlib.lab.toy import explore
from nmlib.lab.toy.explorer.controls import LANGUAGES, STATIC, STORIES, TOY_CONTROLS, strings
from nmlib.lab.toy.explorer.page import PARTS

SOURCES = {part: (STATIC / part).read_text("utf-8") for part in PARTS if part != "engine.js"}
PYTHON = "\n".join(path.read_text("utf-8") for path in STATIC.parent.glob("*.py"))
PAGE = (STATIC / "page.html").read_text("utf-8")


def placeholders(text):
    return sorted(re.findall(r"\{(\w+)\}", text))


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_language_is_complete(language):
    english, texts = strings("en"), strings(language)
    assert list(texts) == list(english)  # in the same order, so that files are read side by side
    for key, text in texts.items():
        assert placeholders(text) == placeholders(english[key]), key
        assert text.strip(), key


def asked():
    """Keys that stand in the JavaScript and the page, some as patterns."""
    for text in SOURCES.values():
        yield from map(re.escape, re.findall(r"\btr\(\"([\w.-]+)\"", text))
        for keys in re.findall(r"\btr\([^`\"]*\? \"([\w.-]+)\" : \"([\w.-]+)\"", text):
            yield from map(re.escape, keys)
        for key in re.findall(r"\btr\(`(\w(?:[^`$]|\$\{[^}]*\})+)`", text):
            yield "".join(
                re.escape(p) if k % 2 == 0 else r"[\w-]*"
                for k, p in enumerate(re.split(r"(\$\{.*?\})", key))
            )
        for name in re.findall(r"\bbutton\(\"([\w-]+)\"", text):
            yield from (name, rf"{name}\.help")
    yield from map(re.escape, re.findall(r"data-text=\"([\w.]+)\"", PAGE))
    yield from map(re.escape, re.findall(r"\{\{([a-z0-9.]+)\}\}", PAGE))
    yield from map(re.escape, re.findall(r"[\"'](python\.\w+)[\"']", PYTHON))
    for control in TOY_CONTROLS:
        yield from (control.name, rf"{control.name}\.symbol", rf"{control.name}\.help")
        yield from (rf"{control.name}\.{choice}" for choice in control.choices)
    for story in STORIES:
        yield from (rf"story\.{story}", rf"story\.{story}\.help")


def test_every_text_is_used_and_none_is_missing():
    patterns, keys = set(asked()), list(strings("en"))
    missing = [p for p in patterns if not any(re.fullmatch(p, key) for key in keys)]
    assert missing == []
    # Names of buttons and their states, the language's own name, units where there are some.
    patterns |= {"play", "pause", "replay", "language", r"\w+\.unit", r"python\.(collapsed|plain)"}
    assert [key for key in keys if not any(re.fullmatch(p, key) for p in patterns)] == []


def literals(text):
    """The texts of string literals, what stands in ${} aside."""
    text = re.sub(r"(?m)(?<!:)//.*$|/\*\*(?:.|\n)*?\*/", "", text)
    text = re.sub(r"(?m)^.*/[\[^]+\".*$", "", text)  # quotes in regular expressions
    quoted = r"\"((?:[^\"\\\n]|\\.)*)\""
    yield from re.findall(quoted, text)
    text = re.sub(quoted, "0", text)
    hole = r"\$\{(?:[^{}`]|\{[^{}`]*\})*\}"
    inner = re.compile(rf"`((?:[^`$]|\$(?!\{{)|{hole})*)`")
    while found := inner.search(text):  # templates within templates: from the inside
        yield re.sub(hole, "…", found[1])
        text = text[: found.start()] + "0" + text[found.end() :]


# Names of schemes, selectors and styles, and code: the same in every language.
NO_TEXT = re.compile(
    r"^(Noise injection|Manifold mixup( \+ JSD)?|use strict|python -m .*|from nmlib.*|\w+: \w+)$"
    r"|nm-|prefers-|data-name|const engine"
)


def test_no_text_stands_in_the_javascript():
    for part, text in SOURCES.items():
        for literal in literals(text):
            if not NO_TEXT.search(literal):
                assert not re.search(r"[A-Za-z]{2,},? [A-Za-z]{2,}", literal), (part, literal)


def test_python_speaks_it_too():
    explorer = explore(mode="still", language="de", epochs=4)
    assert "Testgenauigkeit" in explorer.summary() and re.search(r"\d,\d %", explorer.summary())
    assert explorer.sliders.still()[0]["text/plain"].startswith("Regler des Labors: α 0,30; ")
    assert "Entscheidungsgrenzen" in explorer.still()[0]["text/plain"]
    live = explore(mode="live", language="de", epochs=4)
    assert live.language == "de" and live.sliders.children[4].description == "Seed"
    for mode in ("live", "still"):
        with pytest.raises(ValueError, match=r"unknown language 'fr'\. Choose from: de, en"):
            explore(mode=mode, language="fr")
