"""What a browser may send to the live panels: whatever it is, there is one answer and no harm."""

import json
import math
import random
import re
from pathlib import Path

import pytest

import nmlib as nm
import nmlib.lab
from nmlib.lab.ablation.lab import AblationLab, LabSettings
from nmlib.lab.panel import Message, answered
from nmlib.training import Budget

pytest.importorskip("anywidget")

INF, NAN = float("inf"), float("nan")
JUNK = (
    None, True, False, 0, 1, -1, 0.5, 10**400, -(10**9), INF, -INF, NAN, "", "constructor",
    "__proto__", "noisymix", "x" * 5_000, [], [None], [[]], [INF], ["noisymix"] * 3, {}, {"a": 1},
    {"constructor": {}}, [[0, 0, 1, 0]], [[NAN, 0, 0, 0]], [{}], {"alpha": NAN}, {"seed": INF},
)  # fmt: skip
KINDS = ("ping", "ask", "constructor", None, 3, [], {})
FIELDS = ("id", "view", "gen", "settings", "seen", "action")
NAMES = (
    "alpha", "sigma_add", "sigma_mult", "eps", "part", "seed", "width", "depth", "law", "point",
    "net", "draw", "pair", "jsd_loss", "table", "curve", "op_severity", "constructor",
)  # fmt: skip


ASK = {"kind": "ask", "gen": 1, "settings": {}}


class Panel:
    """A live panel whose replies are kept instead of sent."""

    def __init__(self, widget, good):
        self.widget, self.good, self.sent = widget, good, []
        widget.send = lambda content, buffers=None: self.sent.append(content)

    def say(self, content):
        """Give the panel a message; returns its replies."""
        before = len(self.sent)
        self.widget._receive(self.widget, content, [])
        return self.sent[before:]


def meter():
    from nmlib.lab.theory.meter import theory_meter

    return Panel(theory_meter(mode="live"), dict(ASK))


def blocks():
    from nmlib.lab.blocks.panel import building_blocks

    model = nm.build_model("preact_resnet_small")
    widget = building_blocks(model, nm.load("fashion-mini", "test"), mode="live")
    return Panel(widget, dict(ASK))


def lab():
    from nmlib.lab.ablation.panel import ablation_lab

    lab = AblationLab(Budget("tiny", "preact_resnet_small", 1, 64, 16), test_images=8)
    return Panel(ablation_lab(lab, mode="live"), {**ASK, "seen": {}})


def gallery():
    from nmlib.lab.corruptions.gallery import corruption_gallery

    images = nm.load("fashion-mini", "test").images
    return Panel(corruption_gallery({"a": images[0]}, "fog", mode="live"), dict(ASK))


def player():
    from nmlib.lab.corruptions.gallery import sequence_player

    image = nm.load("fashion-mini", "test").images[0]
    return Panel(sequence_player(image, "tilt", mode="live"), dict(ASK))


def picture():
    from nmlib.lab.imagenet.panel import picture_panel

    return Panel(picture_panel(mode="live"), dict(ASK))


PANELS = [meter, blocks, lab, gallery, player, picture]


@pytest.fixture(scope="module", params=PANELS, ids=[make.__name__ for make in PANELS])
def panel(request):
    return request.param()


def refused(reply):
    return reply.get("error")


def test_what_is_no_message_is_refused_in_words(panel):
    for content in (None, 3, "hello", [], [1], True):
        (reply,) = panel.say(content)
        assert refused(reply).startswith("a message must be an object with names, got ")
    (reply,) = panel.say({})
    assert "unknown request kind None" in refused(reply)


def test_a_message_without_its_parts_is_answered(panel):
    kind = panel.good["kind"]
    for part in ("settings", "seen"):
        for message in ({"kind": kind, "gen": 5}, {**panel.good, "gen": 5, part: None}):
            (reply,) = panel.say(message)
            assert reply["gen"] == 5


def junk(rng, depth=0):
    """Draw a value that may be anything."""
    if depth < 2 and rng.random() < 0.3:
        return {rng.choice(NAMES): junk(rng, depth + 1) for _ in range(rng.randrange(3))}
    if depth < 2 and rng.random() < 0.1:
        return [junk(rng, depth + 1) for _ in range(rng.randrange(3))]
    return rng.choice(JUNK)


@pytest.mark.parametrize("seed", range(3))
def test_anything_gets_one_answer_that_a_browser_can_read(panel, seed):
    rng = random.Random(seed)
    settings = panel.widget.settings
    for _ in range(100):
        message = {"kind": rng.choice(KINDS)}
        if rng.random() < 0.5:  # one thing wrong in a good message gets further
            message = dict(panel.good)
        message |= {rng.choice(FIELDS): junk(rng) for _ in range(rng.randrange(1, 4))}
        if message.get("action") == "train":
            continue
        (reply,) = panel.say(message)
        text = json.dumps(reply, allow_nan=False)
        assert len(text) < 200_000, message
        assert "Traceback" not in text
    # It still works, at valid settings.
    (reply,) = panel.say(panel.good)
    assert not refused(reply)
    assert type(panel.widget.settings) is type(settings)
    values = vars(panel.widget.settings) if hasattr(settings, "__dict__") else panel.widget.settings
    for value in values.values():
        assert isinstance(value, str) or math.isfinite(value)


def test_a_question_whether_anybody_is_there(panel):
    assert [r["kind"] for r in panel.say({"kind": "ping", "view": "a"})] == ["ping"]


def test_traits_of_the_small_panels_take_valid_values_only():
    for make, name, wrong in ((meter, "eps", NAN), (meter, "part", "constructor"),
                              (blocks, "width", 99), (blocks, "net", "other")):  # fmt: skip
        widget = make().widget
        before = getattr(widget, name)
        with pytest.raises(ValueError, match=name):
            setattr(widget, name, wrong)
        assert getattr(widget, name) == before


def test_the_readers_of_a_message():
    message = Message({"t": {"a": 1}, "action": "go", "id": NAN, "gen": 10**20})
    assert message.table("t") == {"a": 1} and message.one_of("absent", "ab") == ""
    assert message.head == {}
    with pytest.raises(ValueError, match="params must be an object with names, got None"):
        message.table("params", needed=True)
    with pytest.raises(ValueError, match="unknown action 'go'; there are train, stop"):
        message.one_of("action", ("train", "stop"))
    (reply, buffers) = answered({"kind": "ask", "gen": 2}, lambda _: 1 / 0)
    assert (reply["error"], reply["gen"]) == ("ZeroDivisionError: division by zero", 2)
    assert buffers == []


def test_scripts_never_look_names_of_a_link_up_in_a_prototype():
    """`name in object` is true for 'constructor'."""
    for path in Path(nmlib.lab.__file__).parent.rglob("*.js"):
        found = re.findall(r"\b(?:if|&&|\|\|) \(?(\w+ in \w[\w.]*)", path.read_text("utf-8"))
        kept = [f for f in found if not re.match(r"\w+ in (reply\.saw|this\.frames)$", f)]
        assert kept == [], f"{path.name}: {kept}; use Object.hasOwn"


def test_settings_of_the_lab_stay_the_last_good_ones():
    panel = lab()
    (reply,) = panel.say({**panel.good, "settings": {"alpha": INF}})
    assert "alpha must lie in" in refused(reply)
    assert panel.widget.settings == LabSettings()
