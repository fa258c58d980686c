"""The table of schemes and the picture of their order: what they show is what was measured."""

import io
import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_rgb
from oracles.records import record

import nmlib as nm
from nmlib.corruptions import PERTURBATIONS
from nmlib.lab.cifar.displays.bars import FamilyBarsDisplay, FlipBarsDisplay
from nmlib.lab.cifar.displays.ordering import OrderingDisplay
from nmlib.lab.cifar.displays.radar import CorruptionRadarDisplay
from nmlib.lab.cifar.displays.scheme_table import SchemeTableDisplay, Spread
from nmlib.lab.display.base import Live
from nmlib.lab.display.looks import scheme_label
from nmlib.metrics import CORRUPTION_FAMILIES
from nmlib.paper import table as paper_table

SCHEMES = ("baseline", "stability_training", "nfm", "augmax", "noisymix")


def flips(scheme, seed):
    draw = np.random.default_rng([seed, *scheme.encode()])
    return {n: float(draw.uniform(0.01, 0.2)) for n in PERTURBATIONS}


@pytest.fixture(scope="module")
def records():
    # As `measured` returns them, by scheme and seed; an ablation row beside.
    every = [*SCHEMES, "noise"]
    return [
        record(s, k, images=50, flip_probability=flips(s, k) if s in nm.SCHEMES else None)
        for s in every for k in range(3)
    ]  # fmt: skip


def of(records, scheme):
    return [r for r in records if r["scheme"] == scheme]


def bound(spread):
    """A range is not broken at its slash."""
    return spread.text().replace(" / ", "\u00a0/\u00a0")


def drawn(figure):
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=60)
    assert file.tell() < 300_000
    return figure.axes


def test_a_spread_is_written_as_in_the_paper():
    frame = paper_table(2).query("dataset == 'CIFAR-10-C' and method == 'Baseline'")
    value, low, high = (frame[c].item() for c in ("value", "low", "high"))
    assert Spread(value, low, high).text() == "73.8 (73.5 / 74.2)"
    assert Spread(2.0).text() == "2.0" and Spread.of([4.0]).text(2) == "4.00"
    assert sorted([Spread(10.0), Spread(9.0)]) == [9.0, 10.0]


def test_the_table_has_every_measure_of_every_seed(records):
    display = SchemeTableDisplay.from_records(records)
    assert display.schemes == SCHEMES  # and no row of the ablation alone
    for s in SCHEMES:
        own = of(records, s)
        for metric, values in {
            "clean_accuracy": [r["clean_accuracy"] for r in own],
            "robust_accuracy": [r["robust_accuracy"] for r in own],
            "flip_probability": [np.mean([*r["flip_probability"].values()]) for r in own],
            "expected_calibration_error": [
                r["corrupted"]["expected_calibration_error"] for r in own
            ],
            "aurra": [r["corrupted"]["aurra"] for r in own],
        }.items():
            shown = display.ours[s][metric]
            assert float(shown) == pytest.approx(100 * np.mean(values))
            assert (shown.low, shown.high) == pytest.approx((100 * min(values), 100 * max(values)))


def test_the_papers_numbers_are_the_papers(records):
    display = SchemeTableDisplay.from_records(records)
    for s, method in {"baseline": "Baseline", "nfm": "NFM", "noisymix": "NoisyMix"}.items():
        for number, metric, query in (
            (2, "clean_accuracy", "dataset == 'CIFAR-10'"),
            (2, "robust_accuracy", "dataset == 'CIFAR-10-C'"),
            (13, "flip_probability", "corruption == 'mean'"),
        ):
            row = paper_table(number).query(f"method == {method!r} and {query}")
            assert float(display.paper[s][metric]) == row["value"].item()
            if number == 2:
                assert display.paper[s][metric].low == row["low"].item()
    assert display.paper["stability_training"] == {}
    assert display.copied == ("augmax",) and "†" in display.table().text()
    assert display.source == "Tables 2 and 13, CIFAR-10, PreActResNet-18"


def test_the_table_as_html_and_text(records):
    display = SchemeTableDisplay.from_records(records)
    html = display.table().html()
    robust = display.ours["nfm"]["robust_accuracy"]
    assert f">{bound(robust)}<" in html
    assert re.search(r'class="paper[^>]*>83\.3 \(82\.7\s/\s83\.9\)<', html)
    assert "invented, none, budget smoke" in html and "seeds 0, 1, 2" in html
    text = display._repr_mimebundle_()["text/plain"]
    assert bound(robust) in text and "mean (lowest / highest seed)" in text
    best = max(SCHEMES, key=lambda s: display.ours[s]["robust_accuracy"])
    assert f"{bound(display.ours[best]['robust_accuracy'])}*" in text
    assert f"robust {scheme_label(best)}" in display.summary


def test_one_seed_has_no_range_and_rows_sort(records):
    single = [r for r in records if r["seed"] == 0]
    display = SchemeTableDisplay.from_records(single, sort_by="flip_probability")
    means = [display.ours[s]["flip_probability"] for s in display.schemes]
    assert means == sorted(means)
    assert "lowest / highest" not in display.table().caption
    down = SchemeTableDisplay.from_records(single, sort_by="robust_accuracy")
    means = [down.ours[s]["robust_accuracy"] for s in down.schemes]
    assert means == sorted(means, reverse=True)


def test_calibration_on_clean_images_has_the_reference_convention(records):
    clean = [
        r | {"clean": r["clean"] | {"rms_calibration_error_reference": 0.01 + 0.01 * r["seed"]}}
        for r in records
    ]
    display = SchemeTableDisplay.from_records(clean, calibration="clean")
    assert display.ours["nfm"]["rms_calibration_error_reference"].text() == "2.0 (1.0 / 3.0)"
    assert display.ours["nfm"]["aurra"].text() == "80.0 (80.0 / 80.0)"
    assert "Calibration: clean images" in display.table().caption
    default = SchemeTableDisplay.from_records(records)
    assert "rms_calibration_error_reference" not in default.metrics


def test_radar_and_family_bars_of_records(records):
    few = ("noisymix", "baseline")
    radar = CorruptionRadarDisplay.from_records(records, schemes=few, paper=7)
    bars = FamilyBarsDisplay.from_records(records, schemes=few, paper=7)
    assert list(radar.means.index) == list(few)
    for scheme in few:
        expected = [100 * np.mean(r["accuracy"]["fog"]) for r in of(records, scheme)]
        np.testing.assert_allclose(radar.values["fog"][scheme], expected)
    frame = paper_table(7).query("method == 'NoisyMix'").set_index("corruption")["value"]
    np.testing.assert_allclose(radar.paper.loc["noisymix"], [frame[n] for n in nm.CORRUPTIONS])
    clean = paper_table(2).query("dataset == 'CIFAR-10' and method == 'NoisyMix'")["value"].item()
    noise = np.mean([frame[n] for n in CORRUPTION_FAMILIES["noise"]])
    np.testing.assert_allclose(bars.paper.loc["noisymix"][:2], [clean, noise])
    for display in (radar, bars):
        assert "ours: invented, none, budget smoke" in display.small_print
        assert "paper: Table 7" in display.small_print
        drawn(display.plot().figure_)
    assert "whiskers" in bars.small_print
    with pytest.raises(ValueError, match="unknown measured scheme"):
        CorruptionRadarDisplay.from_records(records, schemes=["mixup"])


def test_flip_bars_of_records(records):
    display = FlipBarsDisplay.from_records(records, paper=13)
    assert display.groups == (*PERTURBATIONS, "mean")
    assert list(display.means.index) == list(SCHEMES)
    (ax,) = drawn(display.plot().figure_)
    heights = [[p.get_height() for p in c] for c in ax.containers if hasattr(c, "patches")]
    for s, found in zip(SCHEMES, heights, strict=True):
        each = [100 * np.mean([flips(s, k)[n] for k in range(3)]) for n in PERTURBATIONS]
        np.testing.assert_allclose(found, [*each, np.mean(each)])
    frame = paper_table(13).query("method == 'NFM' and corruption != 'mean'")
    np.testing.assert_allclose(display.paper.loc["nfm", "mean"], frame["value"].mean())
    assert "10 sequences a perturbation" in display.small_print
    part = [r | {"flip_probability": {"tilt": 0.1}} if r["scheme"] == "nfm" else r for r in records]
    # A mean over one perturbation is no mean over ten.
    partial = FlipBarsDisplay.from_records(part)
    assert np.isnan(partial.means.loc["nfm", "mean"])
    names = [t.name for t in display.plotly().data]
    assert names[:5] == [scheme_label(s) for s in SCHEMES] and names.count("in the paper") == 3


def test_flips_of_an_older_kind_are_marked(records):
    """Ours without zoom_blur, the paper's with it, and the small print says so."""
    old = [{k: v for k, v in r.items() if k != "sequences"} for r in records]
    said = "9 of 10 sequences, zoom_blur left out (measured with another zoom)"
    nine = [n for n in PERTURBATIONS if n != "zoom_blur"]
    own = [100 * np.mean([flips("nfm", k)[n] for n in nine]) for k in range(3)]
    paper = paper_table(13).query("method == 'NFM'").set_index("corruption")["value"]

    table = SchemeTableDisplay.from_records(old)
    assert float(table.ours["nfm"]["flip_probability"]) == pytest.approx(np.mean(own))
    assert float(table.paper["nfm"]["flip_probability"]) == paper["mean"]
    assert f"Flips: ours over {said}; the paper's over all." in table.table().caption
    assert said not in SchemeTableDisplay.from_records(records).table().caption

    bars = FlipBarsDisplay.from_records(old, paper=13)
    assert bars.groups == (*PERTURBATIONS, "mean") and said in bars.small_print
    assert bars.values["zoom_blur"].isna().all()
    np.testing.assert_allclose(bars.values["mean"]["nfm"], own)
    np.testing.assert_allclose(bars.paper.loc["nfm", "zoom_blur"], paper["zoom_blur"])
    np.testing.assert_allclose(bars.paper.loc["nfm", "mean"], paper[list(PERTURBATIONS)].mean())
    assert "nan" not in bars.summary
    assert bars.summary.endswith("Not measured by us, and not in our mean: zoom blur.")
    (ax,) = drawn(bars.plot().figure_)
    heights = [c[3].get_height() for c in ax.containers if hasattr(c, "patches")]
    assert np.isnan(heights).all()
    assert len(bars.plotly().data[0].y) == 11
    alone = FlipBarsDisplay.from_records(old)
    assert alone.groups == (*nine, "mean") and said in alone.small_print

    order = OrderingDisplay.from_records(old, "flip_probability", resamples=2)
    assert said in order.summary and order.ordering.note == said
    assert order.ordering.ours["nfm"].tolist() == pytest.approx(own)
    figure = order.plot().figure_
    assert "zoom_blur left out" in figure.get_supxlabel().replace("\n", " ")
    new = OrderingDisplay.from_records(records, "flip_probability", resamples=2)
    assert new.ordering.note == "" and "left out" not in new.summary


def test_a_number_of_the_paper_beyond_the_axis_is_written_at_its_edge(records):
    ours = FlipBarsDisplay.from_records(records)
    highest = ours.values.max(axis=None)
    near = pd.DataFrame(1.5 * highest, ["nfm"], ours.groups)
    display = replace(ours, paper=near)
    (ax,) = drawn(display.plot().figure_)
    assert ax.get_ylim()[1] > 1.5 * highest
    assert "beyond the axis" not in display.small_print
    display = replace(ours, paper=near.assign(tilt=10 * highest))
    (ax,) = drawn(display.plot().figure_)
    assert ax.get_ylim()[1] == pytest.approx(1.4 * highest)
    assert f"{10 * highest:.1f}" in [text.get_text() for text in ax.texts]
    assert "beyond the axis" in display.small_print


def test_the_order_is_drawn_as_computed(records):
    display = OrderingDisplay.from_records(records, resamples=20)
    o = display.ordering
    left, right = drawn(display.plot().figure_)
    assert display.rows() == ["noisymix", "augmax", "nfm", "stability_training"]
    for k, scheme in enumerate(display.rows()):
        bar = left.containers[k]
        assert bar.lines[0].get_xdata()[0] == o.to_baseline[scheme].difference
        ends = bar.lines[2][0].get_segments()[0][:, 0]
        i = o.to_baseline[scheme]
        np.testing.assert_allclose(sorted(ends), [i.low, i.high])
    marked = [x for x in left.lines if x.get_marker() == "D"]
    drawn_paper = sorted(float(x.get_xdata()[0]) for x in marked)
    expected = [
        o.paper["value"][s] - o.paper["value"]["baseline"] for s in ("noisymix", "augmax", "nfm")
    ]
    np.testing.assert_allclose(drawn_paper, sorted(expected))
    assert len(right.patches) == len(o.pairs) == 6
    texts = [t.get_text() for t in right.texts]
    for difference in o.pairs["difference"]:
        assert f"{difference:+.1f}".replace("-", "−") in texts
    for found, text in zip(o.pairs["verdict"], texts[::2], strict=True):
        assert text == {"holds": "✓", "reversed": "✗", "open": "?", "tied": "="}[found]
    data, metadata = display._repr_mimebundle_()
    assert metadata["image/png"]["alt"] == o.summary == data["text/plain"]
    without = [r for r in records if r["scheme"] != "baseline"]
    assert len(drawn(OrderingDisplay.from_records(without, resamples=20).plot().figure_)) == 1


def test_a_live_display_tells_numbers_in_its_alt_text_alone(records):
    display = FamilyBarsDisplay.from_records(records)
    data, metadata = Live(display)._repr_mimebundle_()
    assert metadata["image/png"]["alt"] == display.summary
    assert data["image/png"].startswith(b"\x89PNG")
    assert data["text/plain"].startswith("FamilyBarsDisplay: Mean accuracy by family")
    assert not re.search(r"\d", data["text/plain"])
    assert Live(display).groups == display.groups


def test_thin_lines_keep_their_colour_in_a_notebook(records):
    from PIL import Image

    display = CorruptionRadarDisplay.from_records(records, schemes=SCHEMES[:4])
    data, _ = display._repr_mimebundle_()
    with Image.open(io.BytesIO(data["image/png"])) as picture:
        shown = np.unique(np.asarray(picture.convert("RGB")).reshape(-1, 3), axis=0).astype(int)
    for line in display.plot().figure_.axes[0].lines:
        wanted = np.array([round(255 * v) for v in to_rgb(line.get_color())])
        assert np.abs(shown - wanted).max(1).min() <= 8
