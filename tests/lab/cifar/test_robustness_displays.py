"""Radar, family bars, reliability diagrams, flip curves: what they draw is what was measured."""

import io
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from evaluation.nets import Colours
from matplotlib.figure import Figure

import nmlib as nm
from nmlib.lab.cifar.displays.bars import FamilyBarsDisplay
from nmlib.lab.cifar.displays.flips import FlipCurvesDisplay
from nmlib.lab.cifar.displays.radar import CorruptionRadarDisplay
from nmlib.lab.cifar.displays.reliability import ReliabilityDisplay
from nmlib.lab.display.looks import PAPER as GREY
from nmlib.lab.display.looks import scheme_label
from nmlib.metrics import CORRUPTION_FAMILIES

SCHEMES = ("baseline", "augmix", "noisymix")


def made_up(schemes=SCHEMES, seeds=3):
    """A tidy table of accuracies that the tests can recompute."""
    rng = np.random.default_rng(0)
    names = ["clean", *nm.CORRUPTIONS]
    return [
        dict(dataset="toy", model="net", scheme=s, seed=k, corruption=n, severity=v, images=1000,
             accuracy=rng.uniform(0.2, 0.9))
        for s in schemes for k in range(seeds) for n in names
        for v in ([0] if n == "clean" else range(1, 6))
    ]  # fmt: skip


PAPER = pd.DataFrame({n: 60.0 + i for i, n in enumerate(nm.CORRUPTIONS)}, ["noisymix"])


def mean(rows, scheme, names):
    return 100 * np.mean(
        [r["accuracy"] for r in rows if r["scheme"] == scheme and r["corruption"] in names]
    )


@pytest.fixture(scope="module")
def reports():
    data = nm.load("fashion-mini", "test").first(40)
    return {
        s: [
            nm.evaluate_corruptions(
                Colours(seed=10 * i + k), data, corruptions=["fog", "contrast"], severities=[1, 3]
            )
            for k in range(2)
        ]
        for i, s in enumerate(("baseline", "noisymix"))
    }


def drawn(figure):
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=50)
    assert file.tell() < 300_000
    return figure.axes


def test_radar_draws_the_means():
    rows = made_up()
    display = CorruptionRadarDisplay._of(rows, PAPER)
    (ax,) = drawn(display.plot().figure_)
    lines = {line.get_label(): line for line in ax.lines}
    for scheme in SCHEMES:
        line = lines[scheme_label(scheme)]
        expected = [mean(rows, scheme, [n]) for n in (*nm.CORRUPTIONS, "gaussian_noise")]
        np.testing.assert_allclose(line.get_ydata(), expected)
    paper = lines["NoisyMix in the paper"]
    assert list(paper.get_ydata()) == [*range(60, 75), 60]
    assert paper.get_color() == GREY and paper.get_linestyle() == ":"
    assert display.small_print.startswith("toy, net, 1,000 images, severity 1 to 5, 3 seeds")
    assert [t.get_text() for t in ax.get_xticklabels()][:2] == ["gaussian", "shot"]
    for trace, scheme in zip(display.plotly().data, SCHEMES, strict=False):
        assert trace.name == scheme_label(scheme)
        np.testing.assert_allclose(
            trace.r[:-1], [mean(rows, scheme, [n]) for n in nm.CORRUPTIONS], atol=0.006
        )
    assert "NoisyMix" in display.summary and len(display.plotly().data) == 4
    with pytest.raises(ValueError, match="polar"):
        display.plot(Figure().add_subplot())


def test_family_bars_draw_the_means():
    rows = made_up()
    display = FamilyBarsDisplay._of(rows, PAPER)
    assert display.groups == ("clean", "noise", "blur", "weather", "digital", "all 15")
    (ax,) = drawn(display.plot().figure_)
    # Error bars are containers too.
    heights = [[p.get_height() for p in c] for c in ax.containers if hasattr(c, "patches")]
    groups = {"clean": ("clean",)} | CORRUPTION_FAMILIES | {"all 15": nm.CORRUPTIONS}
    for scheme, found in zip(SCHEMES, heights, strict=True):
        np.testing.assert_allclose(found, [mean(rows, scheme, n) for n in groups.values()])
    diamonds = next(x for x in ax.lines if x.get_label() == "in the paper")
    assert diamonds.get_markerfacecolor() == "none" and np.isnan(diamonds.get_ydata()[0])
    np.testing.assert_allclose(
        diamonds.get_ydata()[1:],
        [PAPER[list(names)].mean(axis=None) for names in [*groups.values()][1:]],
    )
    below, above = (part.loc["baseline", "noise"] for part in display.spread)
    noise = [
        np.mean([100 * r["accuracy"] for r in rows
                 if r["scheme"] == "baseline" and r["seed"] == k
                 and r["corruption"] in CORRUPTION_FAMILIES["noise"]])
        for k in range(3)
    ]  # fmt: skip
    centre = np.mean(noise)
    np.testing.assert_allclose([below, above], [centre - min(noise), max(noise) - centre])
    figure = display.plotly()
    assert [t.name for t in figure.data] == ["Baseline", "AugMix", "NoisyMix", "in the paper"]
    np.testing.assert_allclose(figure.data[2].y, heights[2], atol=0.006)


def test_every_scheme_can_be_told_from_every_other():
    schemes = list(nm.SCHEMES)
    (ax,) = drawn(CorruptionRadarDisplay.from_rows(made_up(schemes, 1)).plot().figure_)
    looks = {(x.get_color(), x.get_marker(), str(x.get_linestyle())) for x in ax.lines}
    assert len(looks) == len(schemes) > 8
    assert len({x.get_label() for x in ax.lines}) == len(schemes)
    (ax,) = drawn(FamilyBarsDisplay.from_rows(made_up(schemes, 1)).plot().figure_)
    bars = {(c[0].get_facecolor(), c[0].get_hatch()) for c in ax.containers}
    assert len(bars) == len(schemes)


def test_from_reports_equals_the_reports(reports):
    radar = CorruptionRadarDisplay.from_reports(reports)
    assert radar.names == ("fog", "contrast")
    assert list(radar.means.index) == list(reports)
    for scheme, several in reports.items():
        np.testing.assert_allclose(
            radar.values["fog"][scheme], [100 * r.by_corruption["fog"] for r in several]
        )
    bars = FamilyBarsDisplay.from_reports(reports)
    assert bars.groups == ("clean", "weather", "digital", "all 2")
    np.testing.assert_allclose(
        bars.values["all 2"]["noisymix"], [100 * r.robust_accuracy for r in reports["noisymix"]]
    )
    assert "severity 1, 3, 2 seeds a scheme; whiskers" in bars.small_print
    drawn(bars.plot().figure_)


def both_curves(report):
    curves = {"clean": nm.metrics.reliability_curve(report.clean), "foggy": report.reliability()}
    return ReliabilityDisplay.from_curves(curves, conditions=report.coverage)


def test_reliability_draws_the_curves(reports):
    report = reports["baseline"][0]
    display = both_curves(report)
    clean, corrupted = drawn(display.plot().figure_)[:2]
    for ax, curve in ((clean, display.curves["clean"]), (corrupted, report.reliability())):
        filled = curve.count > 0
        heights = [p.get_height() for c in ax.containers[:2] for p in c]
        np.testing.assert_allclose(sorted(heights), sorted(curve.accuracy[filled]))
        assert f"{100 * curve.error():.1f} %" in ax.get_title()
        assert f"{100 * curve.error():.1f} %" in display.summary
    few = nm.metrics.reliability_curve(report.clean, bins=5)
    single = ReliabilityDisplay.from_curves({"net": few})
    figure = Figure()
    drawn(single.plot(figure.subplots(2, 1)).figure_)
    assert sum(len(t.x) for t in display.plotly().data if t.name.startswith("accuracy")) == sum(
        int((c.count > 0).sum()) for c in display.curves.values()
    )
    with pytest.raises(ValueError, match="no curves"):
        ReliabilityDisplay.from_curves({})
    with pytest.raises(ValueError, match="draws into 4 axes, got 1"):
        display.plot(figure.axes[0])


def test_reliability_of_records_pools_the_seeds(reports):
    def record(scheme, seed, report):
        curve = report.reliability()
        stored = {k: np.nan_to_num(getattr(curve, k)).tolist() for k in ("confidence", "accuracy")}
        return {
            "scheme": scheme, "seed": seed, "dataset": "made up", "model": "net", "budget": "b",
            "train_images": 10, "test_images": len(report.clean), "epochs": [{}], "provenance": {},
            "reliability": {"count": curve.count.tolist(), **stored},
        }  # fmt: skip

    records = [
        record(scheme, seed, report)
        for scheme, found in reports.items()
        for seed, report in enumerate(found)
    ]
    display = ReliabilityDisplay.from_records(records)
    assert list(display.curves) == ["Baseline", "NoisyMix"]
    pooled = display.curves["NoisyMix"]
    parts = [r.reliability() for r in reports["noisymix"]]
    assert pooled.count.sum() == sum(p.count.sum() for p in parts) and len(parts) == 2
    assert pooled.error() == pytest.approx(type(pooled).pooled(parts).error())
    assert display.conditions.seeds == (0, 1) and "pooled" in display.small_print
    drawn(display.plot().figure_)
    small = replace(display, conditions="word " * 60).plot().figure_
    drawn(small)
    print_box = small._supxlabel.get_window_extent()
    assert print_box.x0 > 0 and print_box.x1 < small.bbox.width and print_box.y0 > 0
    assert list(ReliabilityDisplay.from_records(records, schemes=["noisymix"]).curves) == [
        "NoisyMix"
    ]
    with pytest.raises(ValueError, match="unknown measured scheme 'mixup'"):
        ReliabilityDisplay.from_records(records, schemes=["mixup"])
    del records[-1]["reliability"]
    with pytest.raises(ValueError, match="scheme 'noisymix' has no reliability curve"):
        ReliabilityDisplay.from_records(records)


def test_flip_curves_draw_the_reports():
    data = nm.load("fashion-mini", "test").first(25)
    names = ("shot_noise", "translate")
    reports = {
        s: nm.evaluate_perturbations(Colours(seed=i), data, perturbations=names)
        for i, s in enumerate(("baseline", "noisymix"))
    }
    display = FlipCurvesDisplay.from_reports(reports)
    axes = drawn(display.plot().figure_)
    for ax, name in zip(axes, names, strict=True):
        ours = [line.get_ydata() for line in ax.lines]
        for i, report in enumerate(reports.values()):
            np.testing.assert_allclose(ours[i], 100 * report.curves[name])
            np.testing.assert_allclose(ours[2 + i], [100 * report.flip_probabilities[name]])
    assert len(display.plotly().data) == 2 * 4
    assert "translate" in display.summary
    with pytest.raises(ValueError, match="draws into 2 axes, got 1"):
        display.plot(axes[0])


def test_shown_in_a_notebook_with_words(reports):
    for display in (FamilyBarsDisplay.from_reports(reports), both_curves(reports["baseline"][0])):
        data, metadata = display._repr_mimebundle_()
        assert data["image/png"][:4] == b"\x89PNG" and len(data["image/png"]) < 100_000
        assert metadata["image/png"]["alt"] == display.summary


def test_bad_input():
    rows = made_up()
    with pytest.raises(ValueError, match="no rows"):
        CorruptionRadarDisplay.from_rows([])
    with pytest.raises(ValueError, match="no rows with one of the 15"):
        FamilyBarsDisplay.from_rows([r for r in rows if r["corruption"] == "clean"])


def test_fine_tuning_is_counted_from_the_network_as_it_came():
    from nmlib.lab.cifar.displays import FineTuningDisplay
    from nmlib.lab.cifar.records import by_family, measured

    runs = measured(schemes=["baseline", "noisymix"])
    start = runs.query("scheme == 'baseline' and seed == 0").iloc[0]
    before = {"clean_accuracy": start["clean_accuracy"], "accuracy": start["accuracy"]}
    display = FineTuningDisplay.from_records(runs.assign(before=[before] * len(runs)))
    of_seeds = by_family(runs)
    came = of_seeds.loc["baseline", 0]
    assert display.before["robust"] == pytest.approx(came["robust"])
    assert display.before["robust"] == pytest.approx(100 * start["robust_accuracy"], abs=0.01)
    gain = of_seeds.loc["noisymix"].mean() - came
    assert display.gains.loc["noisymix"].tolist() == pytest.approx(gain.tolist())
    assert "As it came: " in display.summary
    with pytest.raises(ValueError, match="not of fine-tuning"):
        FineTuningDisplay.from_records(runs)
