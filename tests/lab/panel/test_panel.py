"""What all panels share: controls, checked settings, the choice of a form, the note of a still."""

import pytest

from nmlib import _host
from nmlib.lab.corruptions.gallery import sequence_player
from nmlib.lab.panel import Control, checked_settings
from nmlib.lab.theory.meter import METER_CONTROLS, TheoryMeter, theory_meter
from nmlib.lab.toy import explore


def test_a_control_keeps_the_type_of_its_setting():
    level, count = Control("level", "level", 0.5), Control("count", "count", 1, 0, 9, 1, 0)
    law = Control("law", "law", "paper", kind="radio", choices=("paper", "released"))
    switch = Control("on", "on", True, kind="switch")
    assert [repr(c.checked(v)) for c, v in ((level, 1), (count, 3.0), (law, "paper"))] == [
        "1.0", "3", "'paper'",
    ]  # fmt: skip
    wrong = (level, 2, "level must lie in"), (count, 2.5, "count must be an integer from 0 to 9")
    for control, value, words in (*wrong, (law, "papr", "unknown law 'papr'; did you mean")):
        with pytest.raises(ValueError, match=words):
            control.checked(value)
    with pytest.raises(TypeError, match="on must be True or False, got 1"):
        switch.checked(1)
    with pytest.raises(ValueError, match="unknown setting 'levl'; did you mean 'level'"):
        checked_settings([level, law], {"levl": 0.1})


def test_the_page_gets_plain_data_without_what_is_empty():
    spec = METER_CONTROLS[-1].spec()
    assert spec["choices"] == ["nfm", "stability"] and spec["kind"] == "radio"
    assert not {"start", "group", "unit", "values"} & set(spec)
    assert METER_CONTROLS[0].spec()["min"] == 0.0


@pytest.mark.parametrize(
    "make", [theory_meter, lambda **kw: explore(epochs=2, **kw)], ids=["meter", "explorer"]
)
def test_without_anywidget_a_line_says_which_package_is_missing(make, monkeypatch):
    display = pytest.importorskip("IPython.display")
    monkeypatch.setattr(_host, "notebook_host", lambda *_, **__: "jupyter")
    monkeypatch.setattr(_host.importlib.util, "find_spec", lambda name: None)
    shown = []
    monkeypatch.setattr(display, "publish_display_data", lambda *data: shown.append(data[0]))
    panel = make()
    monkeypatch.undo()
    monkeypatch.setattr(display, "publish_display_data", lambda *data: shown.append(data[0]))
    panel._ipython_display_()
    picture, note = shown
    assert "image/png" in picture and note == {
        "text/plain": "A still picture: anywidget is not installed. "
        "To make it live: pip install anywidget"
    }


def test_a_still_that_was_asked_for_has_no_note():
    panel = theory_meter(mode="still")
    assert panel.note == ""
    with pytest.raises(NotImplementedError):  # IPython takes the MIME bundle
        panel._ipython_display_()


def test_each_setting_of_a_live_panel_is_a_trait():
    pytest.importorskip("anywidget")
    panel = theory_meter(mode="live", eps=0.2)
    assert panel.has_trait("eps") and panel.eps == panel.settings["eps"] == 0.2
    panel.part = "stability"
    assert panel.reading.terms.keys() != theory_meter(mode="still").reading.terms.keys()
    assert [c["name"] for c in panel._controls] == list(panel.settings)
    assert isinstance(panel, TheoryMeter)


def test_modes():
    import torch

    image = torch.zeros(8, 8, 3, dtype=torch.uint8)
    for make in (theory_meter, explore, lambda **kw: sequence_player(image, **kw)):
        with pytest.raises(ValueError, match="unknown mode 'life'; did you mean 'live'"):
            make(mode="life")
        with pytest.raises(ValueError, match="unknown mode 'basic'"):
            make(mode="basic")
