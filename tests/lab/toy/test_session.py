"""The conversation between a browser and a lab, without either."""

import json
import threading

import numpy as np
import pytest

from nmlib.lab.toy.explorer.controls import TOY_CONTROLS
from nmlib.lab.toy.explorer.session import Session
from nmlib.lab.toy.lab import Settings, ToyLab
from nmlib.schemes import FIG4

SHORT = {"epochs": 4}  # 20 steps


@pytest.fixture
def session():
    return Session(ToyLab(**SHORT))


def tick(session, **request):
    base = {"kind": "tick", "gen": 0, "rev": 0, "lanes": ["noisymix"], "size": 16}
    reply, buffers = session.answer({**base, **request})
    assert reply["kind"] == "frame", reply
    json.dumps(reply, allow_nan=False)  # what the browser can parse
    return reply, buffers


def test_hello_tells_all_the_page_needs(session):
    reply, buffers = session.answer({"kind": "hello", "id": 7, "view": "a"})
    assert (reply["id"], reply["view"], buffers) == (7, "a", [])
    assert reply["lanes"] == list(FIG4)
    assert reply["total"] == 20
    assert len(reply["points"]) == 500
    assert sum(p[3] for p in reply["points"]) == 250
    assert [c["name"] for c in reply["controls"]] == [c.name for c in TOY_CONTROLS]
    assert reply["params"]["sigma_add"] == Settings().sigma_add
    json.dumps(reply, allow_nan=False)


def test_a_frame_is_what_the_lab_shows(session):
    reply, buffers = tick(session, steps=10, gen=3, id=1)
    twin = ToyLab(**SHORT)
    twin.step(10)
    assert (reply["gen"], reply["step"], reply["trained"], reply["total"]) == (3, 10, 10, 20)
    assert reply["buffers"] == [{"name": "grids", "lane": "noisymix", "size": 16}]
    grid = np.frombuffer(buffers[0], np.uint8).reshape(16, 16)
    np.testing.assert_array_equal(grid, twin.grid("noisymix", 16))
    want = twin.metrics("noisymix")
    got = reply["lanes"]["noisymix"]
    assert got["errors"] == want["errors"]
    assert got["loss"] == pytest.approx(want["loss"], rel=1e-4)


def test_training_stops_at_the_end(session):
    assert tick(session, steps=500)[0]["step"] == 20
    assert tick(session, steps=500)[0]["trained"] == 0


def test_another_setting_starts_again_and_the_same_does_not(session):
    tick(session, steps=10)
    assert tick(session, steps=5, params={"alpha": session.lab.settings.alpha})[0]["step"] == 15
    assert tick(session, steps=5, params={"alpha": 0.7})[0]["step"] == 5
    assert session.lab.settings.alpha == 0.7
    assert tick(session, steps=0, restart=True)[0]["step"] == 0


def test_integers_stay_integers(session):
    tick(session, params={"seed": 3.0, "width": 12.0})
    assert (session.lab.settings.seed, session.lab.settings.width) == (3, 12)
    assert isinstance(session.lab.settings.seed, int)


def test_only_what_is_asked_for_is_computed(session):
    reply, buffers = tick(session, lanes=list(FIG4), measure=["nfm"])
    assert len(buffers) == 6
    assert [lane for lane, m in reply["lanes"].items() if m] == ["nfm"]
    reply, buffers = tick(session, size=0, measure=[], layers=["jsd", "seeds"])
    assert [b["name"] for b in reply["buffers"]] == ["jsd", "seeds"]
    assert all(len(b) == 50 * 50 for b in buffers)


def test_what_the_model_saw(session):
    reply, _ = tick(session, layers=["saw"])
    assert reply["saw"]["noisymix"] is None  # nothing before the first step
    points = set()
    for _ in range(12):
        reply, _ = tick(session, steps=1, layers=["saw"])
        saw = reply["saw"]["noisymix"]
        points.add(saw["point"])
        assert len(saw["x"]) == len(saw["y"]) == 50
        assert (saw["mixed"] is None) == (saw["point"] == 1)
        if saw["mixed"] and saw["partner"]:
            # Mixing by hand, up to the noise of view 0.
            x, lam = np.array(saw["x"]), saw["lam"]
            want = lam * x + (1 - lam) * x[saw["partner"]]
            assert np.abs(np.array(saw["mixed"])[0] - want).max() < 8 * 0.15
    assert points == {0, 1}
    reply, _ = tick(session, lanes=["baseline"], layers=["saw"])
    assert reply["saw"]["baseline"]["partner"] is None


def test_points_and_new_data(session):
    rows = [[x, y, c, t] for x, y, c, t in session.points() if not (c == 0 and t == 0)]
    rows += [[1.0, 1.0, 0, 0], [1.1, 1.0, 0, 0]]
    reply, _ = tick(session, points=rows)
    assert "points" not in reply
    assert (session.lab.y_train == 0).sum() == 2
    reply, _ = tick(session, params={"data_seed": 5})
    assert len(reply["points"]) == 500
    np.testing.assert_allclose(reply["points"][0][:2], ToyLab(data_seed=5).X_train[0], atol=1e-4)


def test_an_error_is_a_reply_in_its_own_words(session):
    before = session.lab.settings
    reply, _ = session.answer({"kind": "tick", "id": 4, "gen": 9, "params": {"alpha": -1}})
    assert (reply["kind"], reply["id"], reply["gen"]) == ("error", 4, 9)
    assert reply["message"] == "alpha must be a finite number > 0, got -1.0"
    assert session.lab.settings == before
    reply, _ = session.answer({"kind": "tick", "lanes": ["nmf"]})
    assert "'nmf'" in reply["message"] and "noisymix" in reply["message"]
    reply, _ = session.answer({"kind": "tick", "points": [[0, 0, 1, 0]]})
    assert "one training point of each class" in reply["message"]
    reply, _ = session.answer({"kind": "tack"})
    assert "unknown request kind 'tack'" in reply["message"]


def test_a_value_python_has_changed_since_wins_unless_held(session):
    message = session.change({"sigma_add": 0.5})
    assert (message["rev"], message["params"]) == (1, {"sigma_add": 0.5})
    # A request on its way when Python spoke: it has not seen change 1.
    reply, _ = tick(session, rev=0, params={"sigma_add": 0.1, "alpha": 0.9})
    assert (session.lab.settings.sigma_add, session.lab.settings.alpha) == (0.5, 0.9)
    assert reply["rev"] == 1
    # Under a finger the browser is right.
    tick(session, rev=0, params={"sigma_add": 0.2}, held=["sigma_add"])
    assert session.lab.settings.sigma_add == 0.2
    # Having seen change 1 it may change the value.
    tick(session, rev=1, params={"sigma_add": 0.3})
    assert session.lab.settings.sigma_add == 0.3


def test_the_listener_hears_what_the_browser_changed():
    heard = []
    session = Session(ToyLab(**SHORT), on_browser=lambda *news: heard.append(news))
    tick(session, params=session.params, state=session.state, view="a")
    assert heard == []
    tick(session, params={"alpha": 0.9}, state={"lane": "nfm"}, view="a")
    assert heard == [({"alpha": 0.9}, {"lane": "nfm"}, "a")]


def test_many_threads_one_at_a_time(session):
    replies = []

    def ask(k):
        replies.append(tick(session, steps=1, params={"alpha": 0.5 + 0.1 * (k % 2)})[0])

    threads = [threading.Thread(target=ask, args=(k,)) for k in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(replies) == 8
    assert all(r["step"] >= 1 for r in replies)


def test_a_preview_is_the_picture_that_comes_and_the_others_catch_up(session):
    params = {"alpha": 0.6}
    first, (early,) = tick(session, steps=6, preview=0, params=params)
    assert (first["step"], first["preview"], first["trained"]) == (6, True, 0)
    assert session.lab.steps_done == 0
    assert first["buffers"] == [{"name": "grids", "lane": "noisymix", "size": 16}]
    # A held slider goes on from there.
    assert tick(session, steps=30, preview=6)[0]["step"] == 20
    behind, nothing = tick(session, steps=4, **{"from": 6})
    assert (behind["step"], behind["lanes"], nothing) == (4, {}, [])
    level, (late,) = tick(session, steps=2, **{"from": 6})
    assert (level["step"], list(level["lanes"])) == (6, ["noisymix"])
    difference = np.frombuffer(early, np.uint8).astype(int) - np.frombuffer(late, np.uint8)
    assert abs(difference).max() <= 1


def test_a_preview_takes_changed_points_along(session):
    points = [[0.1 * i, 0.5, i % 2, int(i > 5)] for i in range(10)]
    reply, _ = tick(session, steps=2, preview=0, points=points)
    assert reply["step"] == 2
    assert len(session.lab.X_train) == 6
    reply, _ = tick(session, steps=2, preview=0, params={"data_seed": 5})
    assert len(reply["points"]) == 500
