"""The page without a kernel: its coding, its index, and that the committed page is the code's."""

import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import torch

pytest.importorskip("anywidget")

from nmlib.lab.toy.explorer import atlas as module
from nmlib.lab.toy.explorer.atlas import (
    COLUMNS,
    LARGEST_PAGE,
    Atlas,
    Plan,
    compute_atlas,
    decode_grids,
    difference_code,
    page_text,
    read_page,
)
from nmlib.lab.toy.lab import Settings, ToyLab

ROOT = Path(__file__).resolve().parents[3]
PAGE = ROOT / "figures" / "explorer.html"
REMEDY = "run: python -m nmlib.lab.toy.explorer.atlas --page-only"
SMALL = Plan(
    axes={"alpha": (0.2, 1.0), "sigma_add": (0.0, 0.1, 0.3), "sigma_mult": (0.0, 0.2)},
    steps=(5, 20),
    size=14,
    settings=Settings(width=16, batch_size=125),
)


@pytest.fixture(scope="module")
def small():
    return compute_atlas(SMALL)


@pytest.fixture(scope="module")
def page():
    return PAGE.read_text(encoding="utf-8")


def test_the_coding_is_undone_exactly_even_where_it_wraps():
    import zlib

    q = np.random.default_rng(0).integers(0, 256, (5, 9, 9)).astype(np.uint8)
    coded = difference_code(q)
    assert coded.dtype == np.uint8
    packed = zlib.compress(coded.tobytes())
    assert np.array_equal(decode_grids(Atlas({"size": 9}, packed)), q)
    # Spelt out for one picture, as a reader of the format would.
    n, data, before = 9, coded[0].ravel(), np.zeros(81, int)
    for i in range(81):
        left = before[i - 1] if i % n else before[i - n] if i else 0
        before[i] = (int(data[i]) + left) % 256
    assert np.array_equal(before, q[0].ravel())


def test_each_scheme_is_kept_over_the_axes_that_it_depends_on():
    assert SMALL.uses == {
        "baseline": (),
        "noise_injection": ("sigma_add", "sigma_mult"),
        "manifold_mixup": ("alpha",),
        "nfm": ("alpha", "sigma_add", "sigma_mult"),
        "manifold_mixup_jsd": ("alpha",),
        "noisymix": ("alpha", "sigma_add", "sigma_mult"),
    }
    assert list(SMALL.cells.values()) == [1, 6, 2, 12, 2, 12]
    assert list(SMALL.offsets.values()) == [0, 2, 14, 18, 42, 46]
    cells = {
        SMALL.cell("nfm", {"alpha": a, "sigma_add": s, "sigma_mult": m})
        for a in SMALL.axes["alpha"]
        for s in SMALL.axes["sigma_add"]
        for m in SMALL.axes["sigma_mult"]
    }
    assert cells == set(range(12))
    # Row-major, and off the grid the nearest: 0.9 -> 1.0, 0.12 -> 0.1, 0.11 -> 0.2.
    assert SMALL.cell("nfm", {"alpha": 0.9, "sigma_add": 0.12, "sigma_mult": 0.11}) == 6 + 2 + 1


@pytest.mark.parametrize(
    ("lane", "params"),
    [
        ("noisymix", {"alpha": 1.0, "sigma_add": 0.3, "sigma_mult": 0.0}),
        ("noise_injection", {"alpha": 0.2, "sigma_add": 0.1, "sigma_mult": 0.2}),
        ("manifold_mixup", {"alpha": 1.0, "sigma_add": 0.3, "sigma_mult": 0.2}),
        ("baseline", {"alpha": 1.0, "sigma_add": 0.3, "sigma_mult": 0.2}),
    ],
)
def test_a_cell_holds_what_a_lab_shows(small, lane, params):
    grids = decode_grids(small).astype(float)
    lab = ToyLab(SMALL.settings, **params)
    cell = SMALL.cell(lane, params)
    for k, steps in enumerate(SMALL.steps):
        lab.step(steps - lab.steps_done)
        at = SMALL.offsets[lane] + k * SMALL.cells[lane] + cell
        assert np.abs(grids[at] / (SMALL.levels - 1) - lab.probability(lane, SMALL.size)).max() < (
            0.51 / (SMALL.levels - 1)
        )
        metrics = lab.metrics(lane)
        for name, value in zip(COLUMNS, small.head["metrics"][lane][cell][k], strict=True):
            assert value == pytest.approx(float(metrics[name]), rel=1e-3)


def test_no_picture_is_missing(small):
    count = sum(SMALL.cells.values()) * len(SMALL.steps)
    grids = decode_grids(small)
    assert grids.shape == (count, SMALL.size, SMALL.size)
    assert grids.max() < SMALL.levels
    assert all(grid.any() for grid in grids)
    rows = [row for cells in small.head["metrics"].values() for cell in cells for row in cell]
    assert len(rows) == count and all(len(row) == len(COLUMNS) for row in rows)


def test_threads_are_given_back_and_the_bytes_are_the_same_again(small):
    before = torch.get_num_threads()
    again = compute_atlas(SMALL)
    assert torch.get_num_threads() == before
    assert page_text(again, SMALL) == page_text(small, SMALL)


def test_a_page_gives_its_atlas_back(small):
    back = read_page(page_text(small, SMALL))
    assert back.packed == small.packed and back.head == small.head
    with pytest.raises(ValueError, match="no atlas"):
        read_page("<p>Something else</p>")


def test_other_settings_have_another_digest():
    assert Plan().digest() != Plan(settings=Settings(seed=1)).digest() != SMALL.digest()
    with pytest.raises(ValueError, match="ascend"):
        Plan(steps=(50, 10))
    with pytest.raises(ValueError, match="values of alpha"):
        Plan(axes={"alpha": (1.0, 0.5)})


class Loads(HTMLParser):
    """Collects what a browser would fetch."""

    def __init__(self):
        super().__init__()
        self.found = []

    def handle_starttag(self, tag, attributes):
        for name, value in attributes:
            if name in ("src", "srcset", "data", "poster", "action") or (
                name == "href" and tag != "a"
            ):
                self.found.append((tag, name, value))


def test_the_page_loads_nothing(page):
    loads = Loads()
    loads.feed(page)
    assert loads.found == [("link", "href", "data:,")]
    assert "default-src 'none'" in page
    code = re.sub(r'<script type="application.*?</script>', "", page, flags=re.S)
    for word in ("@import", "url(", "fetch(", "XMLHttpRequest", "import(", "WebSocket"):
        assert word not in code, word
    for folder in (ROOT, Path.home()):
        assert f"{folder}/" not in code


def test_the_committed_page_is_what_the_code_makes(page):
    plan = Plan()
    atlas = read_page(page)
    assert atlas.head["digest"] == plan.digest(), "run: python -m nmlib.lab.toy.explorer.atlas"
    assert page_text(atlas, plan) == page, REMEDY
    assert len(page.encode()) <= LARGEST_PAGE
    assert re.fullmatch(r"[0-9a-f]{7,}\+?", atlas.head["made"]["commit"])


@pytest.mark.parametrize(
    ("lane", "params"),
    [
        ("noisymix", {"alpha": 0.5, "sigma_add": 0.25, "sigma_mult": 0.2}),
        ("nfm", {"alpha": 1.0, "sigma_add": 0.1, "sigma_mult": 0.0}),
    ],
)
def test_cells_of_the_committed_page_can_be_recomputed(page, lane, params):
    plan, atlas = Plan(), read_page(page)
    lab = ToyLab(plan.settings, **params)
    cell = plan.cell(lane, params)
    grids = decode_grids(atlas).astype(float)
    for k, steps in enumerate(plan.steps):
        lab.step(steps - lab.steps_done)
        at = plan.offsets[lane] + k * plan.cells[lane] + cell
        now, row = module.snapshot(lab, lane, plan)
        # Another processor rounds otherwise, and 500 steps make that larger: a level on average.
        assert np.abs(grids[at] - now).mean() < 1
        then = dict(zip(COLUMNS, atlas.head["metrics"][lane][cell][k], strict=True))
        again = dict(zip(COLUMNS, row, strict=True))
        assert then["test_accuracy"] == pytest.approx(again["test_accuracy"], abs=0.021)
        assert then["boundary_length"] == pytest.approx(again["boundary_length"], rel=0.1)
