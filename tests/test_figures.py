"""The committed figures are what their data and the code give, and the check of it bites."""

import io
import re
import shutil
import sys
from pathlib import Path

import make_figures
import matplotlib
import numpy as np
import pytest
from make_figures import FIGURES, INDEX, MEND, OTHERS
from oracles import records
from PIL import Image

from nmlib.lab import measurements as files
from nmlib.lab.cifar.records import GRID, SHORT, store

ROOT = Path(__file__).parents[1]
HERE = ROOT / "figures"


def test_the_committed_figures_are_fresh():
    """Adding seeds to the grid, or changing a drawing, fails here; one command mends it."""
    found = make_figures.stale(HERE)
    assert not found, "stale figures; " + MEND + ":\n" + "\n".join(found)


# -- the check bites ------------------------------------------------------------------------------


@pytest.fixture
def copy(tmp_path, monkeypatch):
    """A folder with one figure, fresh."""
    monkeypatch.setattr(make_figures, "FIGURES", {"fig1": FIGURES["fig1"]})
    for name in ("fig1.png", "fig1.svg", *OTHERS):
        shutil.copy(HERE / name, tmp_path)
    (tmp_path / INDEX).write_text(make_figures.index({"fig1": FIGURES["fig1"].make()}))
    assert make_figures.stale(tmp_path) == []
    return tmp_path


@pytest.mark.parametrize(
    "change",
    [
        lambda figure: figure.axes[0].set_title("other"),
        lambda figure: figure.axes[0].axhline(50, color="red"),
        lambda figure: figure.set_figwidth(5),
        lambda figure: figure.axes[0].set_xlim(0, 100),
    ],
)
def test_a_changed_drawing_makes_a_figure_stale_and_one_call_mends_it(copy, monkeypatch, change):
    draw = make_figures.draw

    def other(name):
        display, figure = draw(name)
        change(figure)
        return display, figure

    monkeypatch.setattr(make_figures, "draw", other)
    assert make_figures.stale(copy) == ["fig1: looks different when it is drawn now"]
    before = (copy / "fig1.svg").read_bytes()
    make_figures.make(["fig1"], copy)
    assert make_figures.stale(copy) == []
    assert (copy / "fig1.svg").read_bytes() != before


def test_on_another_matplotlib_words_still_count(copy, monkeypatch):
    (copy / "fig1.png").write_bytes((HERE / "fig6.png").read_bytes())
    monkeypatch.setattr(matplotlib, "__version__", "0.0")
    assert make_figures.stale(copy) == []
    kind = type(FIGURES["fig1"].make())
    monkeypatch.setattr(kind, "summary", property(lambda display: "other words"))
    assert make_figures.stale(copy) == [f"{INDEX}: is not what the figures say"]


def test_files_that_are_lost_or_left(copy):
    (copy / "fig1.svg").unlink()
    (copy / "left_over.png").write_bytes(b"")
    assert make_figures.stale(copy) == [
        "fig1: has not been drawn",
        "left_over.png: belongs to no figure of tools/make_figures.py",
    ]
    make_figures.make(["fig1"], copy)
    assert make_figures.stale(copy) == []


def test_last_bits_and_palettes_do_not_count():
    def packed(pixels, **options):
        file = io.BytesIO()
        Image.fromarray(pixels.astype(np.uint8)).quantize(**options).save(file, "png")
        return file.getvalue()

    pixels = np.tile(np.arange(0, 250, 2)[:, None, None], (1, 90, 3))
    picture = packed(pixels, colors=256)
    assert make_figures.same_look(picture, packed(pixels + 1, colors=100))
    moved = pixels.copy()
    moved[40:50, 40:50] = 255
    assert not make_figures.same_look(picture, packed(moved, colors=256))
    assert not make_figures.same_look(picture, packed(pixels[:-1], colors=256))


# -- bytes, corners, words ------------------------------------------------------------------------


def test_two_runs_give_the_same_bytes_whatever_the_users_settings():
    first = make_figures.pictures("fig1")[1]
    with matplotlib.rc_context({"font.size": 20, "axes.facecolor": "red", "savefig.dpi": 30}):
        second = make_figures.pictures("fig1")[1]
    assert first == second
    svg = first["fig1.svg"].decode()
    assert not re.search(r"\d{4}-\d\d-\d\d|<dc:date>|matplotlib\.org|Matplotlib v", svg)
    assert "<text" not in svg  # letters are paths
    assert f"<title>{FIGURES['fig1'].make().summary}</title>" in svg
    assert re.findall(rb"tEXt|tIME|iTXt|zTXt", first["fig1.png"]) == []


def test_pages_open_without_a_network_and_say_their_conditions(tmp_path, monkeypatch):
    monkeypatch.setattr(make_figures, "FIGURES", {n: FIGURES[n] for n in ("theory_terms", "fig6")})
    assert "theory_terms" in make_figures.write_pages(tmp_path)
    page = (tmp_path / "theory_terms.html").read_text()
    assert 'src="plotly.min.js"' in page
    assert not re.search(r'(src|href)="https?:', page)
    assert "theory_terms.json" in page


def test_the_index_leads_to_picture_class_data_and_notebook():
    page = (HERE / INDEX).read_text()
    sections = dict(re.findall(r"^## (.+?)\n(.*?)(?=^## |\Z)", page, re.MULTILINE | re.DOTALL))
    for name, drawing in FIGURES.items():
        section = sections[drawing.title]
        assert f"python tools/make_figures.py {name}`" in section
        found = re.search(r"drawn by \[`lab\.([\w.]+)`\]\(\.\./(nmlib/lab/[\w/]+\.py)\)", section)
        assert f"class {found[1].rpartition('.')[2]}" in (ROOT / found[2]).read_text()
        # The speeds are in no notebook.
        assert re.search(r"notebook \[0\d\]", section) or name == "speed", name
        picture = HERE / make_figures.picture_name(name)
        assert picture.stat().st_size < 300_000
    for file, (maker, _) in OTHERS.items():
        assert (HERE / file).exists()
        assert f"[{file}]({file})" in page
        assert maker.startswith("python -m ") or (ROOT / maker).exists()


def test_pictures_of_the_readme_are_figures_with_words():
    found = re.findall(r"!\[([^\]]*)\]\((figures/[^)]+)\)", (ROOT / "README.md").read_text())
    assert found
    for alt, path in found:
        assert len(alt) > 40
        assert (ROOT / path).stat().st_size < 300_000
        assert Path(path).name in OTHERS or Path(path).stem in FIGURES


def corner(figure):
    return " ".join("\n".join(text.get_text() for text in figure.texts).split())


def test_conditions_stand_in_the_corner():
    for name in ("fig1", "theory_terms", "toy_screen", "speed"):
        text = corner(make_figures.draw(name)[1])
        if not FIGURES[name].data:
            assert "paper: Table" in text
            continue
        for file in FIGURES[name].data:
            assert file in text
        assert re.search(r"commit [0-9a-f]{12}", text)


def test_figures_name_all_files_that_they_read(monkeypatch):
    read, real = [], files.read_measured

    def spy(name):
        read.append(name)
        return real(name)

    # By the modules that imported it.
    for name in ("measurements", "toy.displays.study", "speed", "cifar.records"):
        monkeypatch.setattr(sys.modules[f"nmlib.lab.{name}"], "read_measured", spy)
    for name, drawing in FIGURES.items():
        if drawing.source:
            continue
        read.clear()
        drawing.make()
        assert {*read} <= {*drawing.data}, name


@pytest.mark.parametrize("grid", [GRID, SHORT])
def test_figures_of_a_grid_need_one_seed_only(grid, tmp_path, monkeypatch):
    monkeypatch.setattr(files, "_folder", lambda: tmp_path)
    store(records.grid(seeds=1), tmp_path / grid)
    for name in [name for name, drawing in FIGURES.items() if drawing.data == (grid,)]:
        _, figure = make_figures.draw(name)
        assert f"data: figures/data/{grid}" in corner(figure)
        assert "commit" in corner(figure)
