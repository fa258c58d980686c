"""The engine in the browser and the lab in Python are the same: draws, gradients, training."""

import json
from dataclasses import asdict, replace

import layers as wanted_layers
import numpy as np
import pytest
import torch
from lab_server import chromium

from nmlib.lab.toy import draws
from nmlib.lab.toy.explorer.controls import STORIES, about
from nmlib.lab.toy.explorer.page import front_end
from nmlib.lab.toy.lab import Settings, ToyLab
from nmlib.lab.toy.shapes import SHAPES, toy_data
from nmlib.noise import NoiseDraw
from nmlib.objective import apply_draws
from nmlib.schemes import FIG4

# A helper for the tests: run the six schemes to the end, or look at one step.
HELP = """
const lab = (settings, rows) => new engine.Lab(settings, rows ?? null);
const trained = (settings, lanes, steps) => {
  const found = lab(settings), out = {};
  for (const lane of lanes) {
    found.run(lane, steps ?? found.totalSteps);
    out[lane] = {margins: Array.from(found.margins(lane)), numbers: found.numbers(lane)};
  }
  return out;
};
"""


@pytest.fixture(scope="module")
def page():
    with chromium() as browser:
        page = browser.new_page()
        trouble = []
        page.on("pageerror", lambda e: trouble.append(str(e)))
        page.add_script_tag(content=f"{front_end()}\nvar engine = makeEngine();\n{HELP}")
        yield page
        assert trouble == []


def js(page, code, *arguments):
    """The value of a JavaScript function of these arguments, through JSON."""
    text = page.evaluate(f"(a) => JSON.stringify(({code})(...a))", list(arguments))
    return json.loads(text)


SEEDS = (0, 7, 2**32 - 1)


# -- draws ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("purpose", draws.PURPOSES)
def test_words_are_equal_bit_for_bit(page, purpose):
    for seed in SEEDS:
        for index in (0, 3, 2**31):
            found = js(page, "(...a) => Array.from(engine.words(...a))", seed, purpose, index, 7)
            assert found == draws.words(seed, purpose, index, 7).tolist()


def test_integers_and_permutations_are_equal(page):
    found = js(page, "() => Array.from(engine.integers(5, 'partner', 9, 100, 1024))")
    assert found == draws.integers(5, "partner", 9, 100, 1024).tolist()
    for size in (1, 50, 250):
        found = js(page, "(n) => Array.from(engine.permutation(3, 'order', 2, n))", size)
        assert found == draws.permutations(3, "order", 2, size).tolist()


def test_normals_and_quantiles_are_equal(page):
    found = js(page, "() => Array.from(engine.normals(4, 'noise', 0, 999))")
    assert found == pytest.approx(draws.normals(4, "noise", 0, 999).tolist(), rel=1e-6, abs=1e-9)
    u = np.linspace(0.001, 0.999, 99)
    for alpha in (0.05, 0.3, 1.0, 2.0, 20.0):
        ours = js(page, "(u, a) => u.map((v) => engine.symmetricBeta(v, a))", u.tolist(), alpha)
        assert ours == pytest.approx(draws.symmetric_beta(u, alpha).tolist(), rel=1e-6)
    ours = js(page, "(u) => u.map(engine.scaleQuantile)", u.tolist())
    assert ours == pytest.approx(draws.scale_quantile(u).tolist(), rel=1e-6)


@pytest.mark.parametrize("shape", SHAPES)
def test_the_data_are_equal(page, shape):
    rows = np.array(js(page, "(s) => engine.toyData(s, 7, 0.3)", shape))
    X, y = toy_data(shape, seed=7, noise=0.3)
    assert np.abs(rows[:, :2] - X).max() < 1e-9
    assert (rows[:, 2] == y).all()
    assert (rows[:, 3] == (np.arange(500) >= 250)).all()


# -- gradients ------------------------------------------------------------------------------------

CASES = {
    "independent": {},
    "unmixed": {"reading": "unmixed", "alpha": 1.5},
    "noise": {"reading": "noise"},
    "released": {"law": "released", "sigma_add": 0.4, "sigma_mult": 0.3},
    "no noise": {"sigma_add": 0.0, "sigma_mult": 0.0},
    "another block": {"seed": 37, "batch_size": 30, "width": 20},
}
GRADIENT = """(settings, lane, step) => {
  const found = lab(settings), {net, what} = found.net(lane);
  found.run(lane, step);
  const p = Array.from(net.p);
  engine.backward(net, what, found.train, settings,
    engine.stepDraws(settings, found.count, step, {}), found.memory);
  return {p, gradient: Array.from(net.gradient), ce: net.ce, jsd: net.jsd};
}"""


@pytest.mark.parametrize("case", CASES)
def test_gradients_are_those_of_autograd(page, case):
    """At the weights of JavaScript, with the draws of Python; at both mix points."""
    settings = Settings(epochs=2, **CASES[case])
    toy = ToyLab(settings)
    points = set()
    for step in (0, 1, 5, 8, 9):
        for i, lane in enumerate(FIG4):
            ours = js(page, GRADIENT, asdict(settings), lane, step)
            drawn, y = toy._ensemble.draws(i, 0, step)
            points.add(drawn.point)
            model = toy._ensemble.member(i, 0).double()
            weights = torch.tensor(ours["p"], dtype=torch.float64)
            torch.nn.utils.vector_to_parameters(weights, model.parameters())
            parts = apply_draws(
                model, y, _doubled(drawn), stability=toy.settings.schemes()[lane].stability
            )
            wanted = torch.cat(
                [g.flatten() for g in torch.autograd.grad(parts.total, list(model.parameters()))]
            )
            found = torch.tensor(ours["gradient"], dtype=torch.float64)
            assert float((found - wanted).norm()) <= 1e-5 * float(wanted.norm()), (lane, step)
            assert ours["ce"] == pytest.approx(float(parts.ce), rel=1e-6)
            assert ours["jsd"] == pytest.approx(float(parts.jsd), rel=1e-5, abs=1e-9)
    assert points == {0, 1}


def _doubled(drawn):
    noise = drawn.noise and NoiseDraw(
        *(
            f if f is None else f.double()
            for f in (drawn.noise.additive, drawn.noise.multiplicative)
        )
    )
    return replace(drawn, views=drawn.views.double(), noise=noise)


# -- training -------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", [0, 5, 33])
def test_the_same_seed_gives_the_same_picture(page, seed):
    """To the accuracy that rounding leaves: a change of 1e-7 in the first weights moves as much."""
    settings = Settings(seed=seed, data_seed=seed % 4)
    ours = js(page, "(s, lanes) => trained(s, lanes)", asdict(settings), list(FIG4))
    toy = ToyLab(settings)
    toy.step(toy.total_steps)
    for lane in FIG4:
        grey = 255 / (1 + np.exp(-np.array(ours[lane]["margins"]).reshape(100, 100)))
        assert np.abs(grey - 255 * toy.probability(lane)).mean() < 1.5, lane
        accuracy = ours[lane]["numbers"]["test_accuracy"]
        assert accuracy == pytest.approx(toy.metrics(lane)["test_accuracy"], abs=0.01)


@pytest.mark.parametrize("case", CASES)
def test_numbers_and_layers_are_the_labs(page, case):
    """After few steps rounding has not grown: everything agrees closely."""
    settings = Settings(epochs=4, **CASES[case])
    toy = ToyLab(settings)
    toy.step(toy.total_steps)
    ours = js(page, "(s, lanes) => trained(s, lanes)", asdict(settings), list(FIG4))
    code = """(s, lane, steps) => {
      const found = lab(s);
      found.run(lane, steps);
      const saw = found.saw(lane);
      return {...saw, mixed: saw.mixed && Array.from(saw.mixed),
              map: Array.from(found.jsdMap(lane, 20, 3)),
              band: Array.from(found.band(lane, 2, 20))};
    }"""
    for lane in FIG4:
        wanted = toy.metrics(lane)
        for name, value in ours[lane]["numbers"].items():
            if value is None or isinstance(value, bool):
                assert value is wanted[name]
            else:
                assert value == pytest.approx(wanted[name], rel=2e-3, abs=2e-5), (lane, name)
        layers = js(page, code, asdict(settings), lane, toy.total_steps)
        saw = wanted_layers.saw(toy, lane)
        assert np.allclose(layers["points"], saw["points"])
        if lane != "baseline" and settings.sigma_add:  # else there is nothing to do
            assert layers["point"] == saw["point"]
            assert (layers["mixed"] is None) == (saw["mixed"] is None)
        assert layers["partner"] in (None, saw["partner"])
        if layers["mixed"] is not None and saw["mixed"] is not None:
            assert layers["mixed"] == pytest.approx(saw["mixed"].flatten().tolist(), abs=1e-5)
        assert np.abs(np.array(layers["map"]) - wanted_layers.jsd_map(toy, lane, 20, 3)).max() <= 1
        band = wanted_layers.band(toy, lane, 2, 20).ravel()
        assert np.count_nonzero(np.array(layers["band"]) != band) <= 1


def test_the_stories_are_true(page):
    """Each story's sentence holds for the mean over seeds 0 to 3."""
    code = """(settings) => {
      const mean = {};
      for (const lane of ["baseline", "noisymix"]) {
        const sum = {test_accuracy: 0, boundary_length: 0, collapsed: 0};
        for (let seed = 0; seed < 4; seed++) {
          const found = lab({...settings, seed, data_seed: seed});
          found.run(lane, found.totalSteps);
          const numbers = found.numbers(lane);
          for (const name of Object.keys(sum)) sum[name] += Number(numbers[name]) / 4;
        }
        mean[lane] = sum;
      }
      return mean;
    }"""
    small, overfits, fine, collapse = (
        js(page, code, asdict(Settings(**story))) for story in STORIES.values()
    )
    assert small["noisymix"]["test_accuracy"] < small["baseline"]["test_accuracy"] - 0.01
    assert small["noisymix"]["boundary_length"] < small["baseline"]["boundary_length"]
    assert overfits["noisymix"]["test_accuracy"] > overfits["baseline"]["test_accuracy"]
    assert overfits["noisymix"]["boundary_length"] < overfits["baseline"]["boundary_length"]
    assert fine["noisymix"]["test_accuracy"] < fine["baseline"]["test_accuracy"] - 0.1
    assert collapse["noisymix"]["collapsed"] == 1 and collapse["baseline"]["collapsed"] == 0


def test_one_step_taken_apart_is_that_step(page):
    code = """(settings, lane) => {
      const found = lab(settings);
      found.run(lane, 3);
      const told = engine.slowMotion(found, lane), before = Array.from(found.net(lane).net.p);
      found.run(lane, 4);
      const {net} = found.net(lane), at = Float32Array.from(told.pair[0].slice(0, 2));
      return {told, ce: net.ce, jsd: net.jsd, after: 1 / (1 + Math.exp(-net.margins(at)[0])),
              moved: Math.hypot(...before.map((w, i) => net.p[i] - w))};
    }"""
    for lane in FIG4:
        found = js(page, code, asdict(Settings()), lane)
        told = found["told"]
        assert told["batchCe"] == found["ce"] and told["batchJsd"] == found["jsd"]
        assert told["after"] == found["after"] and told["moved"] == pytest.approx(found["moved"])
        assert len(told["views"]) == (3 if lane in ("noisymix", "manifold_mixup_jsd") else 1)


# -- links and tables -----------------------------------------------------------------------------

SPECS, LANES = about()["specs"], about()["lanes"]
ROUND = "(state, specs, lanes) => readLink(writeLink(state, specs), specs, lanes)"


def first(page):
    return js(page, "(specs) => firstState(specs)", SPECS)


def test_a_link_holds_everything(page):
    state = first(page)
    assert js(page, ROUND, state, SPECS, LANES) == {"state": state, "said": []}
    state["settings"] |= {
        "alpha": 0.75,
        "seed": 12,
        "law": "released",
        "shape": "moons",
        "epochs": 30,
    }
    state |= {
        "lane": "nfm", "view": "six", "stopped": 120,
        "added": [[0.5, -0.25, 1, 0], [-1.599, 1.234, 0, 1]],
        "removed": [3, 99],
        "own": [[0.1 * k - 1, 0.05 * k, k % 2, int(k > 9)] for k in range(20)],
        "hide": "trials.alpha", "lesson": "What does σ do? <b>Try</b> it & say.", "present": True,
    }  # fmt: skip
    state["own"] = [[round(x, 3), round(y, 3), c, t] for x, y, c, t in state["own"]]
    state["layers"] |= {"jsd": True, "points": False}
    assert js(page, ROUND, state, SPECS, LANES) == {"state": state, "said": []}


@pytest.mark.parametrize(
    ("link", "name", "value", "said"),
    [
        ("#alpha=1e99", "alpha", 100, "Mixing 1e99 became 100"),
        ("#alpha=-3", "alpha", 0.01, "Mixing -3 became 0.01"),
        ("#alpha=abc", "alpha", 0.3, "Mixing abc is not known, it is 0.3"),
        ("#width=1e9", "width", 512, "Hidden units 1e9 became 512"),
        ("#epochs=3.7", "epochs", 4, "Epochs 3.7 became 4"),
        ("#law=<img src=x>", "law", "paper", "Noise law <img src=x> is not known, it is paper"),
        ("#lane=best", "lane", None, "the scheme best is not known"),
        ("#v=99", "alpha", 0.3, "the link is of a newer version; what this one knows is shown"),
        ("#v=2&points=!!!", "alpha", 0.3, "points could not be read"),
        ("#v=2&view=two", "alpha", 0.3, "the view two is not known"),
    ],
)  # fmt: skip
def test_absurd_links_become_the_nearest_valid_state(page, link, name, value, said):
    found = js(page, "(l, s, lanes) => readLink(l, s, lanes)", link, SPECS, LANES)
    assert said in found["said"]
    if value is not None:
        assert found["state"]["settings"][name] == value
    ToyLab(Settings(**{k: v for k, v in found["state"]["settings"].items() if k != "epochs"}))


def test_links_of_the_first_version_still_open(page):
    found = js(page, "(l, s, n) => readLink(l, s, n)", "#alpha=0.5&seed=3&lane=all", SPECS, LANES)
    state = found["state"]
    assert (state["settings"]["alpha"], state["settings"]["seed"], state["view"]) == (0.5, 3, "six")
    found = js(page, "(l, s, n) => readLink(l, s, n)", "#lane=nfm", SPECS, LANES)["state"]
    assert (found["lane"], found["view"]) == ("nfm", "one")


TABLE = """(text) => {
  try { return readTable(text); } catch (error) { return error.message; }
}"""


@pytest.mark.parametrize(
    "text",
    [
        "x,y,class\n0,0,a\n1,1,b\n2,2,a\n4,3,b",
        "0,0,a\n1,1,b\n2,2,a\n4,3,b",
        "0;0;a\r\n1;1;b\r\n2,0;2,0;a\r\n4;3;b\r\n",
        "0\t0\ta\n1\t1\tb\n2\t2\ta\n4\t3\tb",
        "0,0,a\r1,1,b\r2,2,a\r4,3,b",
        "# mine\n 0 0 a\n1 1 b\n\n2 2 a\n4 3 b",
        '"x","y","kind"\n"0","0","a"\n1,1,b\n2,2,a\n4,3,b',
    ],
)
def test_tables_of_every_kind_are_the_same_points(page, text):
    found = js(page, TABLE, text)
    scale = 1.3 / 2
    wanted = [[-2, -1.5, 0, 0], [-1, -0.5, 1, 0], [0, 0.5, 0, 1], [2, 1.5, 1, 1]]
    assert found["points"] == [
        [pytest.approx(scale * x, abs=1e-3), pytest.approx(scale * y, abs=1e-3), c, t]
        for x, y, c, t in wanted
    ]
    assert "class 0 is 'a', class 1 is 'b'" in found["words"] and "(x − 2) × 0.65" in found["words"]


def test_classes_and_signs_as_people_write_them(page):
    found = js(page, TABLE, "−1,0,0\n1,1,1.0\n2,2,0.0\n4,3,1")
    assert [point[2] for point in found["points"]] == [0, 1, 0, 1]
    assert found["points"][0][0] == -1.3


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the table is empty"),
        ("1,2", "line 1 has 2 of the columns x, y, class"),
        ("x,y,c\n1,2,a\n3,oops,b", "line 3: '3, oops' are not two numbers"),
        ("1,2,a\n3,4,a", "the third column has 1 class ('a'); the lab takes two"),
        ("1,O2,a\n1,2,b\n2,2,a\n3,3,b", "line 1: '1, O2' are not two numbers"),
        ("1,2,\n3,4,b", "line 1 has no class"),
        ("1e-320,0,a\n0,1e-320,b\n0,0,a\n1e-320,0,b", "too large, or too close together"),
        ("1,2,a\n3,4,b\n5,6,c", "the third column has 3 classes ('a', 'b', 'c')"),
        ("1,2,a\n3,4,b", "keep at least one test point"),
        ("\n".join(f"{k},1,{k % 2}" for k in range(5001)), "5001 points; the lab takes 5000"),
    ],
)
def test_tables_that_cannot_be_used_say_why(page, text, message):
    assert message in js(page, TABLE, text)
