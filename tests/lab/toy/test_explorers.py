"""The live and the still explorer on the Python side, with a comm that only records."""

import json
import re
import struct
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import traitlets

from nmlib.lab.toy import explore
from nmlib.lab.toy import explorer as widgets
from nmlib.lab.toy.lab import Settings

SHORT = {"epochs": 4}


class FakeComm:
    """Keeps what the kernel sends, and lets a test speak as the browser."""

    comm_id, kernel, target_name = "fake", object(), "jupyter.widget"

    def __init__(self):
        self.sent = []

    def send(self, data=None, metadata=None, buffers=None):
        self.sent.append((data, buffers))

    def on_msg(self, callback):
        self.callback = callback

    def close(self, *_, **__):
        pass

    def say(self, **content):
        """Speak as the browser; returns the custom messages that came back."""
        before = len(self.sent)
        self.callback(
            {"content": {"data": {"method": "custom", "content": content}}, "buffers": []}
        )
        return [data["content"] for data, _ in self.sent[before:] if data["method"] == "custom"]

    @property
    def custom(self):
        return [data["content"] for data, _ in self.sent if data["method"] == "custom"]


@pytest.fixture
def live():
    explorer = explore(mode="live", **SHORT)
    explorer.comm = FakeComm()
    return explorer


def tick(explorer, **request):
    base = {"kind": "tick", "gen": 1, "rev": 0, "lanes": ["noisymix"], "size": 16, "view": "a"}
    sent = explorer.comm.say(**{**base, **request})
    # Another thread's change may be told meanwhile.
    (reply,) = (message for message in sent if message["kind"] != "set")
    return reply


def test_a_request_gets_one_reply_and_no_state_is_echoed(live):
    live.comm.say(kind="hello", id=1, view="a")
    reply = tick(live, id=2, steps=5, params={"sigma_add": 0.4}, state={"lane": "nfm"})
    assert (reply["kind"], reply["id"], reply["step"]) == ("frame", 2, 5)
    assert (live.sigma_add, live.lane) == (0.4, "nfm")
    assert {data["method"] for data, _ in live.comm.sent} == {"custom"}
    assert len(live.comm.sent) == 2
    assert len(live.comm.sent[-1][1][0]) == 16 * 16


def test_python_leads_with_one_message(live):
    live.alpha = 0.7
    live.lane = "nfm"
    live.playing = False
    first, second, third = live.comm.custom
    assert (first["kind"], first["params"], first["rev"]) == ("set", {"alpha": 0.7}, 1)
    assert second["state"] == {"lane": "nfm"}
    assert third["state"] == {"playing": False}
    assert live.lab.settings.alpha == 0.7
    live.alpha = 0.7  # no change, no message
    assert len(live.comm.sent) == 3


def test_other_views_of_the_same_explorer_follow(live):
    live.comm.say(kind="hello", id=1, view="a")
    live.comm.say(kind="hello", id=1, view="b")
    to_b, reply = live.comm.say(
        kind="tick", id=2, gen=1, rev=0, lanes=[], view="a", params={"alpha": 0.9}
    )
    assert (to_b["kind"], to_b["view"], to_b["params"]) == ("set", "b", {"alpha": 0.9})
    assert reply["view"] == "a"


def test_a_wrong_value_is_refused_with_a_remedy():
    explorer = explore(mode="live", **SHORT)
    with pytest.raises(ValueError, match="alpha must be a finite number > 0, got -1"):
        explorer.alpha = -1
    with pytest.raises(ValueError, match="unknown lane 'nmf'; lanes are baseline"):
        explorer.lane = "nmf"
    with pytest.raises(traitlets.TraitError):
        explorer.seed = "one"
    assert explorer.alpha == explorer.lab.settings.alpha == Settings().alpha


def test_ordinary_sliders_lead_and_follow():
    explorer = explore(mode="live", **SHORT)
    alpha, sigma_add, _, gamma, seed = explorer.sliders.children
    assert explorer.sliders is explorer.sliders
    sigma_add.value = 0.5
    assert explorer.sigma_add == explorer.lab.settings.sigma_add == 0.5
    explorer.alpha = 9.0  # beyond the range offered: the slider makes room
    assert (alpha.value, explorer.alpha) == (9.0, 9.0)
    seed.value = 4
    assert explorer.lab.settings.seed == 4
    changes = []
    explorer.observe(changes.append, "stability")
    gamma.value = 2.0
    assert [c["new"] for c in changes] == [2.0]  # once: nothing answers itself


def test_a_slider_under_a_finger_is_not_pushed_back(live):
    slider = live.sliders.children[1]
    slider.value = 0.6  # leads; the browser's page has not heard of it yet
    tick(live, id=3, rev=0, params={"sigma_add": 0.1})
    assert live.sigma_add == slider.value == 0.6


def png_size(data):
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    return struct.unpack(">II", data[16:24])


@pytest.mark.parametrize("mode", ["live", "still"])
def test_pages_without_a_kernel_get_a_picture_and_the_same_text_everywhere(mode):
    explorer = explore(mode=mode, sigma_add=0.2, **SHORT)
    data, metadata = explorer._repr_mimebundle_()
    again, _ = explore(mode=mode, sigma_add=0.2, **SHORT)._repr_mimebundle_()
    assert data["text/plain"] == again["text/plain"]
    assert data["text/plain"].startswith("Explorer(alpha=0.30, sigma_add=0.20")
    assert metadata["image/png"]["alt"] == data["text/plain"]
    assert min(png_size(data["image/png"])) > 300
    assert ("application/vnd.jupyter.widget-view+json" in data) == (mode != "still")
    assert len(data["image/png"]) < 150_000
    assert explorer.lab.steps_done < 20  # the picture has its own training


def test_summary_and_preset_and_code():
    explorer = explore(mode="still", stability=12, epochs=30)
    assert re.search(r"^NoisyMix: .* collapsed to one class$", explorer.summary(), re.M)
    preset = explorer.preset()
    assert preset == {"stability": 12, "epochs": 30}
    assert explore(mode="still", **preset).settings == explorer.settings
    space = {}
    exec(explorer.as_code().replace("print", "str"), space)
    assert space["lab"].settings == explorer.settings


def test_modes():
    with pytest.raises(ValueError, match="unknown mode 'life'; did you mean 'live'"):
        explore(mode="life")
    assert type(explore(**SHORT)).__name__ == "StillExplorer"  # no notebook here


def test_what_an_observer_sets_while_the_browser_leads_reaches_the_lab(live):
    live.comm.say(kind="hello", id=1, view="a")
    live.observe(lambda change: setattr(live, "sigma_add", change["new"] / 2), "alpha")
    news, reply = live.comm.say(
        kind="tick", id=2, gen=1, rev=0, lanes=[], view="a", params={"alpha": 0.8}
    )
    assert live.sigma_add == live.lab.settings.sigma_add == 0.4
    assert (news["kind"], news["params"]) == ("set", {"sigma_add": 0.4})
    assert reply["rev"] == news["rev"]


@pytest.mark.parametrize("name", ["alpha", "lane"])
def test_what_a_cell_sets_while_the_browser_leads_is_not_lost(live, name):
    """A cell runs beside the thread that answers the browser."""
    mine, browsers = {"alpha": (1.5, 0.8), "lane": ("nfm", "baseline")}[name]
    threads = []

    def cell(change):
        if change["new"] != browsers:
            return
        threads.append(threading.Thread(target=setattr, args=(live, name, mine)))
        threads[0].start()
        while getattr(live, name) != mine:  # set, and waiting for the lock
            time.sleep(0.001)

    live.observe(cell, name)
    part = "state" if name == "lane" else "params"
    tick(live, id=2, **{part: {name: browsers}})
    threads[0].join(10)
    now = live._session.params | live._session.state
    assert getattr(live, name) == now[name] == mine
    assert live.comm.custom[-1]["kind"] == "set" and live.comm.custom[-1][part] == {name: mine}


def contrast(a, b):
    def light(rgb):
        part = [c / 255 for c in rgb]
        linear = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in part]
        return sum(w * c for w, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))

    low, high = sorted((light(a), light(b)))
    return (high + 0.05) / (low + 0.05)


def test_marks_stand_out_and_no_line_looks_like_a_class():
    """On every colour of the field, light and dark; keys of the legend have the marks' colours."""
    static = Path(widgets.__file__).parent / "static"
    themes = re.findall(
        r'ramp: (\[\[.*?\]\]),.*?zero: "(#\w+)", one: "(#\w+)"',
        (static / "field.js").read_text("utf-8"),
        re.S,
    )
    style = (static / "explorer.css").read_text("utf-8")
    keys, lines = (
        re.findall(p, style) for p in (r"--nm-(?:zero|one): (#\w+)", r"--c-noisymix: (#\w+)")
    )
    assert keys == [mark for _, *marks in themes for mark in marks] and len(lines) == 2
    for (ramp, *marks), line in zip(themes, lines, strict=True):
        for mark in marks:
            rgb = bytes.fromhex(mark[1:])
            assert min(contrast(rgb, field) for field in json.loads(ramp)) >= 4.5
            assert np.linalg.norm(np.subtract(list(rgb), list(bytes.fromhex(line[1:])))) > 60
