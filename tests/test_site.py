"""The site as a reader finds it: every name, notebook and figure, and nothing from elsewhere."""

import doctest
import importlib
import os
import re
import shutil
import subprocess
import sys
import zlib
from html.parser import HTMLParser
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import unquote, urlsplit

import make_figures
import pytest
from lab_server import chromium, chromium_path

ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("[0-9]*.ipynb"))
if not find_spec("myst_nb") and not os.environ.get("CI"):
    pytest.skip("needs the site's packages: pip install '.[site]'", allow_module_level=True)
hooks = importlib.import_module("site_hooks")


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    # Pages of modules that are gone.
    shutil.rmtree(ROOT / "docs/api", ignore_errors=True)
    done = subprocess.run(
        [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "-c", "docs",
         "-d", folder / "doctrees", ".", folder / "html"],
        cwd=ROOT, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return (folder / "html").resolve()


class Page(HTMLParser):
    """What a page links to and loads, and its pictures."""

    def __init__(self, path):
        super().__init__()
        self.links, self.loaded, self.pictures, self.anchors = [], [], [], set()
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attributes):
        found = dict(attributes)
        self.anchors.add(found.get("id"))
        if tag == "a" and found.get("href"):
            self.links.append(found["href"])
        if tag in ("script", "img", "iframe", "source") and found.get("src"):
            self.loaded.append(found["src"])
        if tag == "link" and found.get("rel") in ("stylesheet", "preload", "icon"):
            self.loaded.append(found["href"])
        if tag == "img":
            self.pictures.append((found["src"], found.get("alt") or ""))


@pytest.fixture(scope="module")
def pages(site):
    return {path: Page(path) for path in site.rglob("*.html")}


def test_every_public_name_has_a_page(site):
    *_, packed = (site / "objects.inv").read_bytes().split(b"\n", 4)
    lines = zlib.decompress(packed).decode().splitlines()
    documented = {line.split()[0] for line in lines if line.split()[1].startswith("py:")}
    public = {f"{module}.{name}" for (name, _), module in hooks.offers().items()}
    assert len(public) > 300
    assert public - documented == set(), "a new module needs a line in docs/library.rst"


def test_every_notebook_and_figure_is_there(site, pages):
    front = pages[site / "docs/index.html"].links
    for path in NOTEBOOKS:
        assert f"../notebooks/{path.stem}.html" in front
        assert (site / f"notebooks/{path.stem}.html").exists()
    gallery = pages[site / "figures/README.html"]
    shown = {Path(src).name for src, _ in gallery.pictures}
    drawn = {
        path.name for path in (ROOT / "figures").glob("*.*") if path.suffix in (".png", ".jpg")
    }
    assert drawn - set(make_figures.OTHERS) <= shown
    interactive = {link for link in gallery.links if link.startswith("html/")}
    assert "html/fig1.html" in interactive and "html/table4.html" in interactive
    assert (site / "figures/explorer.html").exists()
    assert '<iframe id="explorer" src="../figures/explorer.html"' in (
        site / "docs/index.html"
    ).read_text(encoding="utf-8")


def test_nothing_is_loaded_from_elsewhere(site, pages):
    for path, page in pages.items():
        foreign = [address for address in page.loaded if urlsplit(address).netloc]
        assert foreign == [], path.relative_to(site)


def test_links_lead_somewhere(site, pages):
    for path, page in pages.items():
        for address in [*page.links, *page.loaded]:
            parts = urlsplit(address)
            # Sphinx's list of sources names the module of Python's own types, too.
            if address == "builtins.html":
                continue
            if parts.scheme or parts.netloc:
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            assert target.exists(), f"{path.relative_to(site)}: {address}"
            # After the explorer's address stands its state.
            if parts.fragment and target in pages and target.name != "explorer.html":
                anchors = pages[target].anchors
                assert unquote(parts.fragment) in anchors, f"{path.relative_to(site)}: {address}"


def test_pictures_have_words(site, pages):
    for path, page in pages.items():
        for address, words in page.pictures:
            assert words and not words.endswith((".png", ".jpg")), (path.relative_to(site), address)


@pytest.mark.skipif(chromium_path() is None, reason="no Chromium")
def test_formulas_are_drawn_without_a_network(site):
    with chromium() as browser:
        page = browser.new_page()
        asked = []
        page.on("request", lambda request: asked.append(request.url))
        for name in ("docs/equations", "docs/api/nmlib.losses", "notebooks/02_taylor_checks"):
            page.goto((site / f"{name}.html").as_uri())
            page.wait_for_function("document.querySelectorAll('mjx-container').length > 10")
            assert page.locator("[data-mjx-error]").count() == 0
    assert [url for url in asked if not url.startswith(("file:", "data:"))] == []


# Where a page is wider than the screen, the names of what sticks out of every frame that scrolls.
STICKS_OUT = """() => {
  const wide = document.documentElement.clientWidth + 1;
  if (document.documentElement.scrollWidth <= wide) return [];
  const framed = (n) => { for (let p = n.parentElement; p; p = p.parentElement)
    if (getComputedStyle(p).overflowX !== "visible") return true; return false; };
  return [...document.body.querySelectorAll("*")]
    .filter((n) => n.getBoundingClientRect().right > wide && !framed(n))
    .map((n) => `${n.tagName} ${n.className}`).slice(0, 3);
}"""


@pytest.mark.skipif(chromium_path() is None, reason="no Chromium")
def test_pages_fit_phones_and_screens_and_can_be_searched(site):
    folders = ("docs", "docs/lessons", "notebooks", "figures")
    names = [p for folder in folders for p in sorted((site / folder).glob("*.html"))]
    names += sorted((site / "docs/api").glob("nmlib.*.html"))[::40]
    names += [site / f"{name}.html" for name in ("CHANGELOG", "CONTRIBUTING", "search", "genindex")]
    assert len(names) > 25
    faults = []
    with chromium() as browser:
        page = browser.new_page()
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("console", lambda m: m.type == "error" and faults.append(m.text))
        page.on("request", lambda r: r.url.startswith("http") and faults.append(r.url))
        for width, theme in ((390, "dark"), (1280, "light")):
            page.set_viewport_size({"width": width, "height": 900})
            page.emulate_media(color_scheme=theme)
            for path in names:
                page.goto(path.as_uri())
                found = page.evaluate(STICKS_OUT)
                faults += [f"{path.name} at {width} pixels: {found}"] if found else []
        assert faults == []
        # From a file, without a host, the search cannot fetch the sentences around what it finds.
        page.goto((site / "search.html").as_uri() + "?q=PuzzleMix")
        page.locator("#search-results li").first.wait_for()
        results = page.locator("#search-results").inner_text()
    assert "nmlib.puzzlemix.PuzzleMix" in results and "Glossary" in results


def test_terms_explain_themselves_under_the_pointer(site):
    text = (site / "notebooks/06_ablation.html").read_text(encoding="utf-8")
    assert 'href="../docs/glossary.html#noisymix" title="NoisyMix is noisy feature mixup' in text


# -- the hooks ------------------------------------------------------------------------------------


def test_examples():
    assert not doctest.testmod(hooks).failed


def test_docstrings_become_restructuredtext():
    text = r"""Mix `h` as `mix` does, $m_1$s and all.

$$a_1 = \frac{1}{2},
\qquad b$$

where a*b and x_ and |x| are words, *this* is not.

Args:
    h: (B, ...) values.
    *more: Others.

Source: paper eq. 2
    and 3.
Differs: no.

>>> "`left` $alone$"
'`left` $alone$'"""
    expected = r"""Mix :py:obj:`h` as :py:obj:`mix` does, :math:`m_1`\ s and all.



.. math:: a_1 = \frac{1}{2}, \qquad b



where a\*b and x\_ and \|x\| are words, *this* is not.

Args:
    h: (B, ...) values.
    \*more: Others.


:Source: paper eq. 2
    and 3.

:Differs: no.

>>> "`left` $alone$"
'`left` $alone$'"""
    assert hooks.restructured(text) == expected


def shown(source, **data):
    kinds = {"png": "image/png", "text": "text/plain", "plotly": hooks.PLOTLY, "live": hooks.WIDGET}
    output = {"output_type": "display_data", "data": {kinds[k]: v for k, v in data.items()}}
    cell = {"cell_type": "code", "source": source, "metadata": {}, "outputs": [output]}
    return hooks.notebook({"cells": [cell]})["cells"]


def test_pictures_of_notebooks_carry_their_words():
    (cell,) = shown("plot()", png="iVBO", text="A curve\nthat rises.")
    assert cell["metadata"]["mystnb"]["image"]["alt"] == "A curve that rises."


def test_live_widgets_are_stills_and_the_page_says_so():
    cell, note = shown("explore()", live={}, png="iVBO", text="A lab.")
    assert list(cell["outputs"][0]["data"]) == ["image/png", "text/plain"]
    assert "A still of a live widget" in note["source"] and "explorer.html" in note["source"]


def test_plotly_figures_draw_themselves():
    (cell,) = shown("plot()", plotly={"data": [{"name": "</script>"}]}, text='Two "points"')
    html = cell["outputs"][0]["data"]["text/html"]
    assert 'aria-label="Two &quot;points&quot;"' in html
    assert re.search(r'json">(.*?)</script>', html)[1] == '{"data": [{"name": "<\\/script>"}]}'
