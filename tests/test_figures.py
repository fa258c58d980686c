"""The committed figures are what their data and the code give, and the check of it bites."""

import json
import re
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import make_figures
import matplotlib
import numpy as np
import pytest
from drawn import differs, drawn
from make_figures import FIGURES, INDEX, LOCK, MEND, OTHERS, NotYet
from matplotlib.figure import Figure
from oracles import records

from nmlib.lab import measurements as files
from nmlib.lab.cifar.records import GRID, SHORT, store

ROOT = Path(__file__).parents[1]
HERE = ROOT / "figures"
# Quick to draw; one reads a measured file, one the paper's tables.
QUICK = ["fig1", "resnet20"]


def test_the_committed_figures_are_fresh():
    """Adding seeds to the grid, or changing a drawing, fails here; one command mends it."""
    found = make_figures.stale(HERE)
    assert not found, "stale figures; " + MEND + ":\n" + "\n".join(found)


# -- the check bites ------------------------------------------------------------------------------


@pytest.fixture
def copy(tmp_path, monkeypatch):
    """A copy of figures/, with its data in the place of the project's."""
    folder = tmp_path / "figures"
    shutil.copytree(HERE, folder, ignore=shutil.ignore_patterns("html", "explorer*"))
    monkeypatch.setattr(files, "_folder", lambda: folder / "data")
    # Only the quick ones, lest every test draws all.
    monkeypatch.setattr(make_figures, "FIGURES", {name: FIGURES[name] for name in QUICK})
    lock = json.loads((folder / LOCK).read_text())
    for name in set(lock["figures"]) - set(QUICK):
        for file in lock["figures"].pop(name)["files"]:
            (folder / file).unlink()
    (folder / LOCK).write_text(json.dumps(lock))
    (folder / INDEX).write_text(make_figures.index(lock))
    assert make_figures.stale(folder) == []
    return folder


def change(folder, name, edit):
    path = folder / "data" / name
    record = json.loads(path.read_text())
    edit(record)
    path.write_text(json.dumps(record))


def test_changed_data_make_a_figure_stale_and_one_call_mends_it(copy):
    def edit(record):
        record["accuracy"]["fog"][2] *= 1.001

    before = (copy / "resnet20.svg").read_bytes()
    change(copy, "corruptions_resnet20.json", edit)
    first, second = make_figures.stale(copy)
    assert first == "resnet20: figures/data has changed: corruptions_resnet20.json"
    # Not only the file: what is drawn has moved, by a thousandth of one of 75 numbers.
    assert second.startswith("resnet20: drawn now, it differs in the numbers in panel 1")
    make_figures.make(["resnet20"], copy, pages=False)
    assert make_figures.stale(copy) == []
    assert (copy / "resnet20.svg").read_bytes() != before


def test_data_that_are_not_drawn_count_too(copy):
    change(copy, "corruptions_resnet20.json", lambda record: record.update(extra="more"))
    assert make_figures.stale(copy) == [
        "resnet20: figures/data has changed: corruptions_resnet20.json"
    ]


@pytest.mark.parametrize(
    ("what", "where"),
    [
        (lambda figure: figure.axes[0].set_title("other"), "its words, colours or styles"),
        (lambda figure: figure.axes[0].lines[0].set_color("red"), "its words, colours or styles"),
        (lambda figure: figure.axes[0].plot([0, 1], [0, 1]), "its words, colours or styles"),
        (lambda figure: figure.set_figwidth(5), "its words, colours or styles"),
        (lambda figure: figure.axes[0].set_xlim(0, 1), "the numbers in panel 1"),
        (lambda figure: figure.add_axes((0, 0, 1, 1)), "its words, colours or styles"),
    ],
)
def test_a_changed_drawing_makes_a_figure_stale(copy, monkeypatch, what, where):
    kind = type(FIGURES["fig1"].make())
    plot = kind.plot

    def other(display):
        figure = plot(display)
        what(figure)
        return figure

    monkeypatch.setattr(kind, "plot", other)
    assert make_figures.stale(copy) == [f"fig1: drawn now, it differs in {where}"]


def test_on_another_matplotlib_words_still_count(copy, monkeypatch):
    monkeypatch.setattr(matplotlib, "__version__", "0.0")
    assert make_figures.stale(copy) == []
    kind = type(FIGURES["fig1"].make())
    monkeypatch.setattr(kind, "summary", property(lambda display: "other words"))
    assert make_figures.stale(copy) == ["fig1: its summary (alt text) has changed"]


def test_files_that_were_tampered_with_lost_or_left(copy):
    (copy / "fig1.svg").write_text("another picture")
    (copy / "resnet20.png").unlink()
    (copy / "left_over.png").write_bytes(b"")
    page = (copy / INDEX).read_text()
    (copy / INDEX).write_text(page.replace("Fig. 1", "Fig. 16"))
    assert make_figures.stale(copy) == [
        "fig1: fig1.svg is not the picture that was drawn",
        "resnet20: resnet20.png is missing",
        "left_over.png: belongs to no figure of tools/make_figures.py",
        f"{INDEX}: is not what the figures say",
    ]
    make_figures.make(QUICK, copy, pages=False)
    (copy / "left_over.png").unlink()
    assert make_figures.stale(copy) == []


def test_a_figure_that_was_taken_off_the_list_goes(copy, monkeypatch):
    monkeypatch.setattr(make_figures, "FIGURES", {"fig1": FIGURES["fig1"]})
    assert "resnet20: no longer among FIGURES" in make_figures.stale(copy)
    make_figures.make(["fig1"], copy, pages=False)
    assert make_figures.stale(copy) == []
    assert not (copy / "resnet20.png").exists()


def test_figures_appear_with_their_data_and_go_with_them(copy, monkeypatch, capsys):
    there = False

    def made():
        if not there:
            raise NotYet("some file is not there yet")
        return FIGURES["fig1"].make()

    late = replace(FIGURES["fig1"], make=made)
    monkeypatch.setitem(make_figures.FIGURES, "late", late)
    assert make_figures.stale(copy) == []
    assert make_figures.make(["late"], copy, pages=False) == {"late": "some file is not there yet"}
    assert "skipped: some file is not there yet" in capsys.readouterr().out
    there = True
    assert make_figures.stale(copy) == ["late: has not been drawn"]
    make_figures.make(["late"], copy, pages=False)
    assert make_figures.stale(copy) == []
    there = False
    assert make_figures.stale(copy) == ["late: is drawn, but some file is not there yet"]
    make_figures.make(["late"], copy, pages=False)
    assert not (copy / "late.png").exists()
    assert make_figures.stale(copy) == []


# -- bytes, corners, words ------------------------------------------------------------------------


def test_two_runs_give_the_same_bytes_whatever_the_users_settings():
    first = make_figures.pictures("fig1")[2]
    with matplotlib.rc_context({"font.size": 20, "axes.facecolor": "red", "savefig.dpi": 30}):
        second = make_figures.pictures("fig1")[2]
    assert first == second
    svg = first["fig1.svg"].decode()
    assert not re.search(r"\d{4}-\d\d-\d\d|<dc:date>|matplotlib\.org|Matplotlib v", svg)
    assert "<text" not in svg  # letters are paths
    assert f"<title>{FIGURES['fig1'].make().summary}</title>" in svg
    chunks = re.findall(rb"tEXt|tIME|iTXt|zTXt", first["fig1.png"])
    assert chunks == []


def test_pages_open_without_a_network_and_say_their_conditions(tmp_path):
    display, figure = make_figures.draw("fig1")
    assert make_figures.write_page("fig1", display, figure, tmp_path)
    page = (tmp_path / "fig1.html").read_text()
    assert 'src="plotly.min.js"' in page
    assert not re.search(r'(src|href)="https?:', page)
    assert "paper: Table 1, ResNet-50" in page
    assert not make_figures.write_page("fig6", *make_figures.draw("fig6"), tmp_path)


def test_the_index_and_the_lock_know_every_picture():
    lock = json.loads((HERE / LOCK).read_text())
    page = (HERE / INDEX).read_text()
    for name, record in lock["figures"].items():
        assert f"## {FIGURES[name].title}\n" in page
        assert f"python tools/make_figures.py {name}`" in page
        assert len(record["summary"]) > 40
        for file in record["files"]:
            assert f"]({file})" in page
            assert file.endswith(".svg") or (HERE / file).stat().st_size < 300_000
    for file, (maker, _) in OTHERS.items():
        assert (HERE / file).exists()
        assert f"[{file}]({file})" in page
        assert maker.startswith("python -m ") or (ROOT / maker).exists()


def test_pictures_of_the_readme_are_figures_with_words():
    found = re.findall(r"!\[([^\]]*)\]\((figures/[^)]+)\)", (ROOT / "README.md").read_text())
    assert len(found) == 3
    for alt, path in found:
        assert len(alt) > 40
        assert (ROOT / path).stat().st_size < 300_000
        known = make_figures.read_lock(HERE)["figures"].values()
        assert Path(path).name in OTHERS or any(Path(path).name in r["files"] for r in known)


def corner(figure):
    texts = [t.get_text() for t in figure.texts]
    return "\n".join(texts)


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
        try:
            drawing.make()
        except NotYet:
            continue
        assert {*read} <= {*drawing.data}, name


# -- the grid -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("grid", "with_paper_alone"),
    [(GRID, {"differences"}), (SHORT, {"table4", "waterfall", "effects"})],
)
def test_figures_of_a_grid_appear_with_its_first_seed(
    grid, with_paper_alone, tmp_path, monkeypatch
):
    invented = records.grid(seeds=1)
    monkeypatch.setattr(files, "_folder", lambda: tmp_path)
    names = [name for name, drawing in FIGURES.items() if drawing.data == (grid,)]
    ordering = next(name for name in names if name.startswith("ordering"))
    (tmp_path / "other.json").write_text("{}")
    alone = {}
    for name in names:
        try:
            alone[name] = make_figures.draw(name)[0].summary
        except NotYet as reason:
            assert grid in str(reason)
    assert with_paper_alone == set(alone)
    store([r for r in invented if r["scheme"] != "noisymix"], tmp_path / grid)
    with pytest.raises(NotYet, match="no cell of noisymix yet"):
        make_figures.draw(ordering)
    store(invented, tmp_path / grid)
    for name in names:
        display, figure = make_figures.draw(name)
        assert display.summary != alone.get(name)
        assert f"data: figures/data/{grid}" in corner(figure)
        assert "commit" in corner(figure)


def test_descriptions_see_small_changes_and_no_rounding():
    def figure(values, *, scale="linear", picture=None):
        made = Figure()
        axes = made.subplots()
        axes.plot(values)
        axes.set_yscale(scale)
        if picture is not None:
            axes.imshow(picture)
        return drawn(made)

    values = np.linspace(50, 90, 400)
    plain = figure(values)
    assert differs(plain, figure(values * (1 + 1e-12))) == ""
    moved = values.copy()
    moved[137] += 0.05
    assert differs(plain, figure(moved)) == "the numbers in panel 1"
    swapped = values.copy()
    swapped[[10, 11]] = swapped[[11, 10]]
    assert differs(plain, figure(swapped)) == "the numbers in panel 1"
    assert differs(plain, figure(values[:-1])) == "the numbers in panel 1"
    assert differs(plain, figure(values[:-1]), numbers=False) == ""
    assert differs(plain, figure(values, scale="log")) != ""
    tiny = np.geomspace(1e-11, 1, 9)
    lifted = tiny * np.where(np.arange(9) == 0, 1.1, 1)
    assert differs(figure(tiny, scale="log"), figure(lifted, scale="log")) != ""
    photo = np.random.default_rng(0).integers(0, 256, (96, 96, 3), dtype=np.uint8)
    other = photo.copy()
    other[5, 7] ^= 1
    assert differs(figure(values, picture=photo), figure(values, picture=other)) == ""
    other[20:40, 20:40] = 0
    changed = differs(figure(values, picture=photo), figure(values, picture=other))
    assert changed == "the images in panel 1"
