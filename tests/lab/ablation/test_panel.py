"""The panel of the ablation lab without a browser."""

import json
import re
from html.parser import HTMLParser

import pytest

from nmlib.lab.ablation.displays.placed import AblationLabDisplay
from nmlib.lab.ablation.lab import AblationLab, LabSettings, LabStatus
from nmlib.lab.ablation.panel import ablation_lab
from nmlib.lab.ablation.table import lab_table
from nmlib.lab.ablation.view import loss_svg, row_key, status_words, table_html
from nmlib.lab.panel import Message
from nmlib.training import Budget

TINY = Budget("tiny", "preact_resnet_small", epochs=1, subset=32, batch_size=16)
MIXING = LabSettings(False, True, False, False)


@pytest.fixture(scope="module")
def lab():
    """A lab with the baseline, mixing, and mixing at another level."""
    lab = AblationLab(TINY, test_images=8)
    lab.train(MIXING.baseline)
    lab.train(MIXING)
    lab.train(MIXING, alpha=0.3)
    return lab


def ask(panel, action=None, seen=None, **settings):
    message = {"kind": "ask", "seen": seen} | ({"action": action} if action else {})
    reply, buffers = panel.answer(panel.checked(settings), Message(message))
    json.dumps(reply, allow_nan=False)  # what the browser can parse
    assert buffers == []
    return reply


def still(lab):
    return ablation_lab(lab, mode="still")


def off(**on):
    return dict.fromkeys(LabSettings().switches._fields, False) | on


class Balanced(HTMLParser):
    """Fails on tags that are not closed in order."""

    def __init__(self, text):
        super().__init__()
        self.open, self.classes = [], []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.classes.append((tag, dict(attrs)))
        if tag not in ("br", "circle", "line", "polyline"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag not in ("circle", "line", "polyline", "br"):
            assert self.open.pop() == tag


def test_a_question_is_answered_with_all_that_is_shown(lab):
    panel = still(lab)
    reply = ask(panel, **off(feature_mixing=True))
    assert reply["known"] and not reply["problem"]
    assert reply["key"] == row_key(MIXING) == "0100"
    assert "Mixup(alpha=1.0" in reply["code"]
    assert reply["tableVersion"] == 3 and "<table" in reply["table"] and "<svg" in reply["curve"]
    seen = {"table": reply["tableVersion"], "curve": reply["curveVersion"]}
    again = ask(panel, seen=seen, **off(feature_mixing=True, alpha=0.3))
    assert "table" not in again and "curve" not in again
    assert again["known"] and again["key"] == "0100 α 0.30"
    assert not ask(panel, **off(feature_mixing=True, seed=1))["known"]


def test_what_cannot_be_trained_is_explained(lab):
    panel = still(lab)
    reply = ask(panel, action="train", **off(jsd_loss=True))
    assert "Switch Augmentations or Noise on" in reply["problem"]
    assert not reply["status"]["busy"] and reply["code"] == ""
    for bad, words in ({"alpha": 9}, "alpha must lie in"), ({"sigma": 1}, "unknown setting 'sigma"):
        with pytest.raises(ValueError, match=words):
            ask(panel, action="train", **bad)


def test_train_is_placed_and_asked_again_is_shown():
    lab = AblationLab(TINY, test_images=8)
    panel = still(lab)
    noise = off(noise_injections=True, seed=4)
    reply = ask(panel, action="train", **noise)
    assert reply["status"]["busy"]
    assert "under way" in ask(still(lab), action="train")["problem"]
    lab.wait(120)
    reply = ask(panel, **noise)
    assert reply["status"]["state"] == "done" and reply["status"]["share"] == 1
    assert reply["known"] and reply["fresh"] == reply["key"] == "0010"
    assert list(lab.results) == [LabSettings(**off(seed=4)), LabSettings(**noise)]
    assert "over the baseline" in reply["status"]["words"]
    before, job = lab.results[LabSettings(**noise)], reply["status"]["job"]
    reply = ask(panel, action="train", **noise)
    assert (reply["status"]["state"], reply["status"]["job"]) == ("done", job + 1)
    assert lab.results[LabSettings(**noise)] is before


def test_stop():
    lab = AblationLab(Budget("tiny", "preact_resnet_small", 9, 64, 16), test_images=8)
    panel = still(lab)
    ask(panel, action="train", **off())
    ask(panel, action="stop", **off())
    lab.wait(120)
    reply = ask(panel, **off())
    assert reply["status"]["state"] == "stopped" and "Nothing" in reply["status"]["words"]
    assert not lab.results and reply["tableVersion"] == 0


def test_the_table_as_html(lab):
    table = lab_table(lab, records=[])
    text = table_html(table)
    tags = Balanced(text).classes
    rows = [a for tag, a in tags if tag == "tr" and "data-key" in a]
    assert len(rows) == 11  # ten of the paper and one at another level
    assert {"0100", "0100 α 0.30"} <= {a["data-key"] for a in rows}
    buttons = [json.loads(a["data-settings"]) for tag, a in tags if tag == "button"]
    assert LabSettings(**buttons[-1]) == LabSettings()
    assert LabSettings(**buttons[3]) == LabSettings(False, True, False, False, alpha=0.3)
    # No grid, no column for it; and no confusion about what was measured on what.
    assert "Our grid" not in text and "not numbers across columns" in text
    assert "CIFAR-100-C" in text and "fashion-mini" in text and "budget tiny" in text
    assert "+24.4" in text and "71.9 %" in text
    for place in re.findall(r"left:([-\d.]+)%", text):
        assert 0 <= float(place) <= 100


def test_the_loss_curve():
    status = LabStatus("training", MIXING, 1, 2, 2, 10, [(1, 2.5), (2, 1.5)], 0, 0, 4.2)
    text = loss_svg(status)
    Balanced(text)
    points = [
        tuple(map(float, p.split(","))) for p in re.search(r'points="(.*?)"', text)[1].split()
    ]
    assert points[0][0] < points[1][0] < 440 and points[0][1] < points[1][1]
    assert "Training loss 2.50 at step 1, 1.50 at step 2" in text
    assert "while the network trains" in loss_svg(LabStatus())
    assert ">0.7</text>" in loss_svg(LabStatus("training", MIXING, losses=[(1, 0.7)]))


def test_status_in_words(lab):
    table = lab_table(lab, records=[])
    words = [
        status_words(s, table)
        for s in (
            LabStatus(),
            LabStatus("training", MIXING.baseline, 1, 2, 2, 10, seconds_left=4.2),
            LabStatus("evaluating", MIXING, 2, 2, sets=3, total_sets=15),
            LabStatus("failed", MIXING, message="the loss became nan"),
        )
    ]
    assert words == [
        "Choose parts and levels, then press Train.",
        "Training Baseline (1 of 2): step 2 of 10, about 4 s left, then measuring.",
        "Measuring M (2 of 2): corrupted set 3 of 15.",
        "This training failed: the loss became nan",
    ]


@pytest.mark.parametrize("mode", ["still", "live"])
def test_both_forms(mode, lab):
    if mode == "live":
        pytest.importorskip("anywidget")
    widget = ablation_lab(lab, mode=mode, jsd_loss=False, seed=2)
    assert widget.lab is lab and widget.settings == LabSettings(jsd_loss=False, seed=2)
    assert repr(widget).startswith("Ablation lab at ✓✓✓✗, α 1.00, σ_add 0.50, σ_mult 0.50, seed 2")
    assert "budget tiny" in repr(widget) and "3 trained here" in repr(widget)
    assert "noisymix_no_jsd" in widget.as_code()
    assert (
        "compare rows, not panels" in widget.summary() and len(widget.table().column("here")) == 3
    )
    data, meta = widget._repr_mimebundle_()
    assert data["text/plain"].startswith(repr(widget)) and data["image/png"]
    assert meta["image/png"]["alt"] == data["text/plain"]
    assert ("application/vnd.jupyter.widget-view+json" in data) == (mode != "still")
    if mode == "live":
        sent = []
        widget.send = lambda content, buffers=None: sent.append(content)
        widget._receive(widget, {"kind": "ask", "view": "x", "gen": 3, "settings": {}}, [])
        assert [(m["view"], m["gen"]) for m in sent] == [("x", 3)]
        assert "export default" in widget._esm
        widget.jsd_loss = True  # Python leads
        assert widget.settings == LabSettings(seed=2)


def test_the_picture_and_its_words(lab):
    shown = AblationLabDisplay(lab_table(lab, records=[]))
    assert "+2.1 to +24.4" in shown.summary and "compare rows, not panels" in shown.summary
    figure = shown.plot().figure_
    titles = [ax.get_title() for ax in figure.axes]
    assert titles == ["", "paper, Table 4", "trained in this session"]
    drawn = {line.get_marker(): line for line in figure.axes[1].lines if line.get_marker() == "D"}
    assert drawn["D"].get_markerfacecolor() == "none"  # the paper's, hollow
    assert "Nothing trained" in AblationLabDisplay(lab_table(records=[])).summary


def test_arguments():
    with pytest.raises(ValueError, match="mode"):
        ablation_lab(mode="alive")
    with pytest.raises(ValueError, match="did you mean 'sigma_add'"):
        ablation_lab(mode="still", sigma_ad=0.1)
    with pytest.raises(ValueError, match="not both"):
        ablation_lab(AblationLab(TINY), budget="laptop")
