"""The theory meter without a browser, the figures."""

import io

import pytest
from theory.reference import CASES

from nmlib.lab.theory.displays import RemainderDisplay, TermsDisplay, TrainedTermsDisplay
from nmlib.lab.theory.meter import theory_meter
from nmlib.theory import (
    example_problem,
    meter_reading,
    nfm_expansion,
    nfm_loss_exact,
    stability_loss_exact,
)

S = dict(alpha=1.3, beta=0.7, sigma_add=0.4, sigma_mult=0.3)
SLIDERS = dict(alpha=0.8, sigma_add=0.5, sigma_mult=0.3)


def test_the_example_is_the_reference_problem():
    problem = example_problem()
    terms = nfm_expansion(problem.f, problem.X, problem.y, **S)
    for name, (_, value) in CASES["nfm_binary"]["terms"].items():
        assert terms[name] == pytest.approx(value, rel=1e-9)
    assert problem.centred.mean(0).abs().max() < 1e-15


@pytest.mark.parametrize("part", ["nfm", "stability"])
def test_a_reading_is_what_the_theory_says(part):
    problem = example_problem()
    reading = meter_reading(0.3, part=part, **SLIDERS)
    if part == "nfm":
        want = nfm_loss_exact(problem.f, problem.X, problem.y, eps=0.3, **SLIDERS)
        terms = nfm_expansion(problem.f, problem.X, problem.y, **SLIDERS)
        assert reading.expanded == pytest.approx(terms.at(0.3), rel=1e-12)
        assert reading.terms["R2_add"] == pytest.approx(0.09 * terms.R2_add, rel=1e-12)
    else:
        want = stability_loss_exact(problem.f, problem.views, eps=0.3, **SLIDERS)
    assert abs(reading.measured - want) < 1e-3 * abs(reading.change)


def test_amber_is_ten_per_cent_of_the_change():
    for eps in (0.0, 0.1, 0.3, 0.45, 0.6, 1.0):
        reading = meter_reading(eps, alpha=1.0, sigma_add=0.4, sigma_mult=0.2)
        off = abs(reading.measured - reading.expanded)
        assert reading.parted is (off > 0.1 * abs(reading.measured - reading.base) and off > 1e-13)
        assert theory_meter(mode="still", eps=eps).reading.parted is reading.parted
    assert meter_reading(0.1, alpha=1.0, sigma_add=0.4, sigma_mult=0.2).parted is False
    assert meter_reading(1.0, alpha=1.0, sigma_add=0.4, sigma_mult=0.2).parted is True


def test_nothing_moves_without_mixing_and_noise():
    reading = meter_reading(0.0, alpha=1.0, sigma_add=0.4, sigma_mult=0.2, part="stability")
    assert reading.miss == 0 and reading.change == pytest.approx(0, abs=1e-16)


@pytest.mark.parametrize("mode", ["still", "live"])
def test_both_forms_of_the_meter(mode):
    meter = theory_meter(mode=mode, eps=0.7, sigma_add=0.6)
    assert meter.settings["sigma_add"] == 0.6 and meter.settings["part"] == "nfm"
    assert meter.reading == meter_reading(0.7, alpha=1.0, sigma_add=0.6, sigma_mult=0.2, part="nfm")
    assert "amber: they part" in repr(meter)
    data, metadata = meter._repr_mimebundle_()
    assert data["text/plain"] == repr(meter) == metadata["image/png"]["alt"]
    assert data["image/png"].startswith(b"\x89PNG")
    assert ("application/vnd.jupyter.widget-view+json" in data) is (mode == "live")
    (shown,) = meter.displays()
    assert shown.summary == repr(meter) and "they part" in shown.plot().ax_.get_title(loc="left")


def test_the_live_meter_answers_one_message_with_one_reading():
    meter = theory_meter(mode="live")
    sent = []
    meter.send = lambda content, buffers: sent.append(content)
    settings = {**meter.settings, "eps": 0.2}
    meter._receive(meter, {"kind": "ask", "gen": 7, "settings": settings}, [])
    meter._receive(meter, {"kind": "ask", "gen": 8, "settings": {"eps": 9.0}}, [])
    assert [m["gen"] for m in sent] == [7, 8]
    assert sent[0]["parted"] is meter_reading(**settings).parted
    assert sent[0]["curve"]["eps"][-1] == 1.0 and len(sent[0]["curve"]["measured"]) == 11
    assert "eps must lie in" in sent[1]["error"]


def test_wrong_settings():
    with pytest.raises(ValueError, match="unknown setting 'sigma'"):
        theory_meter(mode="still", sigma=0.1)
    with pytest.raises(ValueError, match="alpha must lie in"):
        theory_meter(mode="still", alpha=0.0)
    with pytest.raises(ValueError, match="unknown part 'jsd'"):
        theory_meter(mode="still", part="jsd")
    with pytest.raises(ValueError, match="unknown mode"):
        theory_meter(mode="alive")


def test_displays():
    problem = example_problem()
    terms = nfm_expansion(problem.f, problem.X, problem.y, **S)

    def loss(eps):
        return nfm_loss_exact(problem.f, problem.X, problem.y, eps=eps, **S)

    shown = RemainderDisplay.from_loss(loss, terms, leave_out=["R1"], eps=(0.04, 0.02, 0.01, 0.005))
    assert shown.slope() == pytest.approx(3, abs=0.05)
    assert "without R1 1.0" in shown.summary
    bars = TermsDisplay.from_expansion(terms, eps=0.5)
    assert bars.values[bars.names.index("R2")] == pytest.approx(terms.R2 / 4)
    record = {
        "tanh": {
            "mean_and_standard_error": {"before": {"R2": [2.0, 0.1]}, "nfm": {"R2": [1, 0.2]}}
        },
        "provenance": {"epochs": 1, "seeds": 2},
    }
    trained = TrainedTermsDisplay.from_record(record, "tanh", ["R2"])
    assert trained.mean.tolist() == [[2.0, 1.0]] and trained.error.tolist() == [[0.1, 0.2]]
    for display in (shown, bars, trained):
        picture = io.BytesIO()
        display.plot().figure_.savefig(picture)
        assert len(picture.getvalue()) > 3000
        assert len(display.plotly().data) >= 1
        assert display._repr_mimebundle_()[0]["text/plain"] == display.summary
