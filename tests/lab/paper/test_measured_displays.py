"""Displays of measured records, for one, two and three seeds."""

import numpy as np
import pytest
from oracles.records import grid

from nmlib import paper
from nmlib.lab.ablation.displays.effects import EffectsDisplay, PrecisionDisplay
from nmlib.lab.ablation.displays.gains import InteractionDisplay, WaterfallDisplay
from nmlib.lab.ablation.displays.table4 import AblationTableDisplay
from nmlib.lab.display.base import png
from nmlib.lab.display.looks import OURS
from nmlib.lab.paper.displays.families import CorruptionDifferenceDisplay, FamilyDisplay
from nmlib.lab.paper.displays.scatter import AccuracyScatterDisplay
from nmlib.schemes import ABLATION
from nmlib.statistics import seed_scatter

KINDS = (
    AblationTableDisplay, WaterfallDisplay, InteractionDisplay, EffectsDisplay, PrecisionDisplay,
    AccuracyScatterDisplay, FamilyDisplay, CorruptionDifferenceDisplay,
)  # fmt: skip
GRIDS = {n: grid(n) for n in (1, 2, 3)}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seeds", [1, 3])
def test_every_display_draws_any_number_of_seeds(kind, seeds):
    display = kind.from_records(GRIDS[seeds])
    assert 40 < len(display.summary) < 600
    assert "nan" not in display.summary
    figure = display.plot().figure_
    assert 5_000 < len(png(figure)) < 60_000
    note = figure._supxlabel.get_text().replace("\n", " ")
    assert "invented" in note
    assert ("seed 0," if seeds == 1 else "seeds 0, 1, 2,") in note


def test_differences_by_corruption_are_those_of_the_records():
    rows = GRIDS[2]
    display = CorruptionDifferenceDisplay.from_records(rows)
    methods, table = display.difference(ours=True)

    def mean(scheme):
        return np.mean([r["accuracy"]["frost"] for r in rows if r["scheme"] == scheme])

    frost = list(rows[0]["accuracy"]).index("frost")
    for method, scheme in (("Puzzle Mix", "puzzlemix"), ("NoisyMix", "noisymix")):
        expected = 100 * (mean(scheme) - mean("baseline"))
        assert table[methods.index(method), frost] == pytest.approx(expected)
    assert set(methods) == {"Mixup", "Manifold Mixup", "CutMix", "Puzzle Mix", "NFM", "AugMix",
                            "AugMax", "NoisyMix"}  # fmt: skip


def test_the_scatter_never_calls_our_data_cifar():
    figure = AccuracyScatterDisplay.from_records(GRIDS[2]).plot().figure_
    axes = figure.axes[0]
    assert axes.get_xlabel() == "accuracy on CIFAR-10 (paper) (%)"
    assert "ours: invented" in [t.get_text() for t in axes.get_legend().get_texts()]
    display = AccuracyScatterDisplay.from_records(GRIDS[2])
    clean = [100 * r["clean_accuracy"] for r in GRIDS[2] if r["scheme"] == "cutmix"]
    assert display.ours["CutMix"][0] == pytest.approx(np.mean(clean))


def test_names_in_the_scatter_stand_by_their_own_points():
    display = AccuracyScatterDisplay.from_table(
        2, "CIFAR-10", "CIFAR-10-C",
        ours={"Puzzle Mix": (70.7, 57.0), "CutMix": (70.8, 56.1), "Mixup": (71.3, 57.4)},
    )  # fmt: skip
    figure = display.plot().figure_
    figure.canvas.draw()
    ax = figure.axes[0]
    to_pixels = ax.transData.transform
    points = {(m, True): to_pixels(xy) for m, xy in display.ours.items()}
    for method, pair in display.paper[["value_x", "value_y"]].iterrows():
        points[method, False] = to_pixels(pair.tolist())
    texts = {(t.get_text(), t.get_color() == OURS): t for t in ax.texts}
    assert set(texts) == set(points)
    led = [to_pixels(line.get_xydata()[0]) for line in ax.lines if line.get_color() == "0.75"]
    for key, text in texts.items():
        assert (text.get_style() == "normal") == key[1]
        box = text.get_window_extent()

        def away(point, box=box):
            x, y = np.clip(point, box.min, box.max)
            return np.hypot(x - point[0], y - point[1])

        if not any(np.allclose(points[key], start) for start in led):
            assert min(points, key=lambda k: away(points[k])) == key


def test_ablation_gains_are_paired_means():
    table = AblationTableDisplay.from_records(GRIDS[3]).table()
    values = {
        s: np.array([100 * r["robust_accuracy"] for r in GRIDS[3] if r["scheme"] == s])
        for s in ("baseline", "noisymix")
    }
    gain = values["noisymix"] - values["baseline"]
    full = next(r for r in table.rows if r[:4] == (True,) * 4)
    assert full[7] == pytest.approx(gain.mean())
    # Student with (10 - 1) x (3 - 1) degrees of freedom: t = 2.1009.
    every = np.array([[100 * r["robust_accuracy"] for r in GRIDS[3] if r["scheme"] == s]
                      for s in ABLATION])  # fmt: skip
    scatter, freedom = seed_scatter(every)
    assert freedom == 18
    assert full[8] == pytest.approx(2.1009 * np.sqrt(2 * scatter / 3), rel=1e-4)
    assert all(r[8] is None or np.isnan(r[8]) for r in AblationTableDisplay.from_records(
        GRIDS[1]).table().rows)  # fmt: skip


def test_effects_have_intervals_only_where_they_can():
    rows = EffectsDisplay.from_records(GRIDS[3]).rows()
    assert all(np.isnan(low) for _, low, _ in rows["paper"].values())
    assert all(low <= value <= high for value, low, high in rows["ours"].values())
    total = sum(v for t, (v, *_) in rows["paper"].items() if t.startswith("mean gain"))
    assert total == pytest.approx(71.9 - 47.4)
    text = EffectsDisplay.from_records(GRIDS[3]).table()
    assert len(text.split("\n")) == 1 + len(rows["paper"])


def test_the_papers_own_spread_and_steps():
    gaps = PrecisionDisplay.paper_gaps()
    assert len(gaps) == 9
    assert sum(gaps) == pytest.approx(71.9 - 47.4)
    spread = np.mean(list(paper.seed_deviation(3, "CIFAR-100-C").values()))
    assert PrecisionDisplay.paper_half_width(4) == pytest.approx(1.96 * spread * np.sqrt(2) / 2)
    with pytest.raises(ValueError, match="prints no lowest and highest"):
        paper.seed_deviation(4, "CIFAR-100-C")
