"""The trained networks that come with nmlib."""

from importlib import resources

import pytest
import torch

import nmlib as nm
from nmlib.identity import settings_of


@pytest.mark.parametrize("name", nm.PRETRAINED)
def test_what_is_shipped_is_what_was_measured(name):
    record = nm.pretrained_record(name)
    assert f"{record['dataset']}/{record['scheme']}" == name
    test = nm.load(record["dataset"], "test")
    assert record["test_fingerprint"] == test.fingerprint
    assert record["train_fingerprint"] == nm.load(record["dataset"], "train").fingerprint
    few = test.first(200)
    hits = nm.predict(nm.pretrained(name), few.images).argmax(1) == few.labels
    # Of 200 images one may tip over where processors round differently.
    assert abs(int(hits.sum()) - sum(record["clean_hits"][:200])) <= 1
    # Clean and corrupted accuracy are those of the hits in the same record.
    robust = sum(record["robust_hits"]) / (75 * len(test))
    assert record["clean_accuracy"] == pytest.approx(sum(record["clean_hits"]) / len(test))
    assert record["robust_accuracy"] == pytest.approx(robust, abs=1e-5)
    recipe = nm.Recipe(**record["recipe"])
    assert settings_of(recipe) == settings_of(nm.Recipe(epochs=60, batch_size=64, precision="bf16"))


@pytest.mark.parametrize("name", nm.PRETRAINED)
def test_weights_are_small_and_fit_a_fresh_network(name):
    file = resources.files("nmlib.models") / "trained" / f"{name.replace('/', '_')}.npz"
    with resources.as_file(file) as path:
        assert path.stat().st_size < 500_000
    model = nm.pretrained(name)
    assert not model.training
    assert {p.dtype for p in model.parameters()} == {torch.float32}
    x = torch.rand(4, 3, 32, 32, generator=nm.Rng(0).torch())
    for point in range(model.num_points):
        assert torch.allclose(model(model(x, stop=point), start=point), model(x), atol=1e-4)


def test_robust_training_made_robust_networks():
    robust = {n: nm.pretrained_record(n)["robust_accuracy"] for n in nm.PRETRAINED}
    assert robust["fashion-mini/baseline"] + 0.05 < min(
        robust["fashion-mini/augmix"], robust["fashion-mini/noisymix"]
    )


def test_an_unknown_name_suggests_the_nearest():
    with pytest.raises(ValueError, match=r"noisymi'; did you mean 'fashion-mini/noisymix'"):
        nm.pretrained("fashion-mini/noisymi")
