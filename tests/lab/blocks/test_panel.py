"""The panel without a browser: its draws, its arithmetic, its forms."""

import io

import numpy as np
import pytest
import torch
from PIL import Image

import nmlib as nm
from nmlib.lab.blocks.panel import BuildingBlocks, building_blocks, drawn
from nmlib.lab.blocks.reading import BLOCK_CONTROLS, STABILITY, steady_lam, steady_plan
from nmlib.models.preact_resnet import preact_resnet
from nmlib.objective import Draws, apply_draws


@pytest.fixture(scope="module")
def data():
    return nm.load("fashion-mini", "test").first(60)


@pytest.fixture(scope="module")
def models():
    return {f"net {s}": nm.build_model("preact_resnet_small", 10, seed=s) for s in (0, 1)}


@pytest.fixture(scope="module")
def blocks(models, data):
    return BuildingBlocks(models, data)


# -- draws that move smoothly ---------------------------------------------------------------------


@pytest.mark.parametrize("alpha", [0.2, 1.0, 3.0])
def test_the_weight_has_the_law_of_mixup(alpha):
    from scipy.stats import kstest

    lam = [steady_lam(alpha, nm.Rng(0).fold(k)) for k in range(400)]
    assert kstest(lam, "beta", (alpha, alpha)).pvalue > 0.01


def test_the_weight_moves_with_alpha():
    for seed in range(5):
        distance = [abs(steady_lam(a, nm.Rng(seed)) - 0.5) for a in (0.2, 0.5, 1, 2, 4)]
        assert distance == sorted(distance, reverse=True)


def test_the_plan_has_the_law_of_augmix():
    plan = steady_plan(4.0, 3, 0, 2000, nm.Rng(0))
    usual = nm.AugMix(severity=4.0, width=3).draw(2000, nm.Rng(1))
    assert plan.operation.shape == usual.operation.shape
    for found in (plan, usual):
        done = found.operation[found.operation >= 0]
        assert np.bincount(done, minlength=9) / len(done) == pytest.approx(1 / 9, abs=0.01)
        lengths = found.depth.ravel()
        assert np.bincount(lengths)[1:] / len(lengths) == pytest.approx(1 / 3, abs=0.02)
        assert found.weights.sum(-1) == pytest.approx(1)
        # Uniform on the simplex: mean 1/3, variance (1/3)(2/3)/4.
        assert found.weights.mean((0, 1)) == pytest.approx([1 / 3] * 3, abs=0.01)
        assert found.weights.var((0, 1)) == pytest.approx([1 / 18] * 3, abs=0.004)
        assert found.level.min() >= 0.1 and found.level.max() <= 4
        assert found.level.mean() == pytest.approx(2.05, abs=0.03)
        assert found.mix.mean() == pytest.approx(0.5, abs=0.02)


def test_a_plan_changes_no_more_than_it_must():
    two, three = (steady_plan(3, width, 2, 4, nm.Rng(0)) for width in (2, 3))
    assert (three.operation[:, :, :2] == two.operation).all() and (three.mix == two.mix).all()
    kept = three.weights[:, :, :2] / three.weights[:, :, :2].sum(-1, keepdims=True)
    assert kept == pytest.approx(two.weights)
    deep = steady_plan(3, 2, 4, 4, nm.Rng(0))
    assert (deep.operation[..., :2] == two.operation).all()
    strong = steady_plan(9, 2, 2, 4, nm.Rng(0))
    assert (strong.operation == two.operation).all() and (strong.sign == two.sign).all()
    assert ((strong.level - 0.1) / 8.9).ravel() == pytest.approx(((two.level - 0.1) / 2.9).ravel())


# -- a reading ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("point", "law"), [(0, "paper"), (2, "released")])
def test_a_reading_is_a_noisymix_step(blocks, models, data, point, law):
    settings = {"point": point, "law": law, "net": "net 1", "seed": 3, "op_severity": 8.0}
    reading = blocks.read(settings)
    rows = blocks.rows(0)
    x = data.images[rows].permute(0, 3, 1, 2).contiguous() / 255
    lam = reading.mixing.lam
    views = nm.AugMix().apply(x, reading.plan)
    noise = nm.Noise(0.5, 0.5) if law == "paper" else nm.Noise.released(0.5, 0.5)
    model = models["net 1"].eval()
    with torch.no_grad():
        draws = Draws(views, point, (nm.Pair(torch.tensor([1, 0]), lam, lam),), noise)
        rng = nm.Rng(3).fold("step")  # apply_draws folds "noise" into it
        parts = apply_draws(model, data.labels[rows], draws, stability=12.0, rng=rng)
        p = torch.stack([model(v).double().softmax(-1) for v in views])
    assert float(reading.parts.total) == pytest.approx(float(parts.total), rel=1e-4)
    assert np.mean(reading.step_jsd) == pytest.approx(float(parts.jsd), rel=1e-4)
    assert reading.views.jsd == pytest.approx(
        nm.jensen_shannon_divergence(p).numpy(), rel=1e-3, abs=1e-9
    )
    # The maps show the noise that the loss has seen: run on from them.
    with torch.no_grad():
        h = torch.from_numpy(reading.mixing.maps[3:])
        logits = model(h, start=point)
    assert logits[0].numpy() == pytest.approx(parts.logits[0, 0].numpy(), abs=1e-4)


def test_what_each_setting_moves(blocks):
    base = blocks.read({})

    def differs(**changes):
        other = blocks.read(changes)
        maps = np.abs(other.mixing.maps - base.mixing.maps).max((1, 2, 3)) > 0
        return (
            "".join("spmn"[k] for k in range(4) if maps[k]),
            bool((other.views.views != base.views.views).any()),
        )

    assert differs(alpha=3.0) == ("mn", False)
    assert differs(draw=1) == ("mn", False)
    assert differs(sigma_add=0.8) == differs(sigma_mult=0.1) == ("n", False)
    assert differs(law="released") == ("n", False)
    assert differs(op_severity=9.0) == ("", True)
    assert differs(depth=3) == differs(width=5) == ("", True)
    assert differs(seed=1) == ("mn", True)
    assert differs(pair=1) == ("spmn", True)
    assert base.mixing.maps.shape[1:] != blocks.read({"point": 3}).mixing.maps.shape[1:]


def test_no_mixing_noise_and_augmentation_no_divergence(blocks):
    reading = blocks.read(
        {"sigma_add": 0.0, "sigma_mult": 0.0, "op_severity": 0.1, "depth": 1, "width": 1}
    )
    assert (reading.mixing.maps[2] == reading.mixing.maps[3]).all()
    assert reading.mixing.noise == "no noise"
    assert max(reading.step_jsd) < 1e-3


def test_pairs_have_two_classes(blocks, data):
    for number in range(20):
        first, second = data.labels[blocks.rows(number)]
        assert first != second


# -- forms ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["still", "live"])
def test_both_forms(models, data, mode):
    panel = building_blocks(models, data, mode=mode, alpha=2.0, point=1, depth=-1)
    assert panel.settings == BuildingBlocks(models, data).checked({"alpha": 2.0, "point": 1})
    assert panel.reading.mixing.point == 1
    assert "alpha=2.0, point=1" in repr(panel) and "net=net 0" in repr(panel)
    assert "JSD of the three views" in panel.summary()
    bundle, metadata = panel._repr_mimebundle_()
    assert bundle["text/plain"] == repr(panel) == metadata["image/png"]["alt"]
    picture = Image.open(io.BytesIO(bundle["image/png"]))
    assert np.asarray(picture.convert("L")).std() > 20
    assert len(bundle["image/png"]) < 100_000
    assert ("application/vnd.jupyter.widget-view+json" in bundle) is (mode != "still")


def test_the_reply_holds_the_pictures(blocks):
    for point in (0, 3):
        reading = blocks.read({"point": point})
        content, (views, states) = drawn(reading)
        shape = content["view_shape"]
        assert (
            np.frombuffer(views, np.uint8).reshape(shape).tolist() == reading.views.views.tolist()
        )
        found = np.frombuffer(states, np.uint8).reshape(content["state_shape"])
        if point == 0:
            assert not content["coloured"] and (found == reading.mixing.pixels).all()
        else:
            assert content["coloured"] and found.shape == (4, 16, 8, 8)
            assert set(found.ravel().tolist()) <= set(range(1, 256))
        assert np.array(content["probs"]).sum(-1) == pytest.approx(np.ones((3, 2)), abs=1e-3)
        assert content["total"] == pytest.approx(content["ce"] + 12 * content["mean_jsd"], rel=1e-5)


def test_the_live_panel_answers_one_message_with_one_reading(models, data):
    panel = building_blocks(models, data, mode="live")
    sent = []
    panel.send = lambda content, buffers: sent.append((content, buffers))
    panel._receive(panel, {"kind": "ask", "gen": 7, "settings": {**panel.settings, "draw": 3}}, [])
    panel._receive(panel, {"kind": "ask", "gen": 8, "settings": {"alpha": 99.0}}, [])
    assert [content["gen"] for content, _ in sent] == [7, 8]
    assert sent[0][0]["lam"] == pytest.approx(panel.read({"draw": 3}).mixing.lam)
    assert len(sent[0][1]) == 2 and "alpha must lie in" in sent[1][0]["error"]
    assert [c["name"] for c in panel._controls] == [c.name for c in BLOCK_CONTROLS]


def test_fewer_mix_points(data):
    model = preact_resnet(widths=(4, 8), blocks=(1, 1))
    panel = building_blocks(model, data, mode="live", point=1)
    assert [c["max"] for c in panel._controls if c["name"] == "point"] == [1]
    with pytest.raises(ValueError, match="point must be an integer from 0 to 1, got 2"):
        panel.checked({"point": 2})


def test_the_script_has_the_colours_of_the_displays():
    from nmlib.lab.panel.live import script

    code = script(BuildingBlocks)
    assert "[0, 114, 178]" in code and "[213, 94, 0]" in code and "[250, 250, 250]" in code
    assert code.count("export default") == 1


def test_wrong_settings(models, data, blocks):
    with pytest.raises(ValueError, match="unknown setting 'sigma'"):
        building_blocks(models, data, mode="still", sigma=0.1)
    with pytest.raises(ValueError, match="alpha must lie in"):
        building_blocks(models, data, mode="still", alpha=0.0)
    with pytest.raises(ValueError, match="unknown net 'net 2'"):
        building_blocks(models, data, mode="still", net="net 2")
    with pytest.raises(ValueError, match="unknown law"):
        building_blocks(models, data, mode="still", law="papr")
    with pytest.raises(ValueError, match="seed must be an integer"):
        building_blocks(models, data, mode="still", seed=-1)
    with pytest.raises(ValueError, match="unknown mode"):
        building_blocks(models, data, mode="alive")
    with pytest.raises(ValueError, match="models is empty"):
        building_blocks({}, data)
    with pytest.raises(TypeError, match="ImageData"):
        building_blocks(models, data.images)
    one_class = data.take((data.labels == 0).nonzero()[:, 0])
    with pytest.raises(ValueError, match="one class only"):
        building_blocks(models, one_class, mode="still").summary()
    assert nm.SCHEMES["noisymix"].stability == STABILITY
