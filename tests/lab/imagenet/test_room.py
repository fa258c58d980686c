"""The network of notebook 08, its pictures, the mask, and the panel."""

import io
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import nmlib as nm
from nmlib.data.imagenet import renditions_classes
from nmlib.evaluation import CHECKPOINTS
from nmlib.lab.imagenet.cards import ModelCards
from nmlib.lab.imagenet.displays import JpegDisplay, TopFiveDisplay, prepared
from nmlib.lab.imagenet.panel import picture_panel
from nmlib.lab.imagenet.pictures import pictures, recompressed
from nmlib.lab.imagenet.squeezenet import (
    class_names,
    probabilities,
    squeezenet,
)
from nmlib.lab.panel import Message
from nmlib.paper.numbers import read_table


@pytest.fixture(scope="module")
def images():
    return pictures()


def test_the_network_is_squeezenet_1_0():
    weights = squeezenet().state_dict()
    assert len(weights) == 52 and sum(w.numel() for w in weights.values()) == 1_248_424
    assert sum(int((w != 0).sum()) for w in weights.values()) == 419_897
    kernels = [w for name, w in weights.items() if name.endswith("weight")]
    assert len(kernels) == 26 and all(len(w.unique()) <= 256 for w in kernels)  # 8-bit codes


@pytest.mark.parametrize(
    ("title", "name"),
    [("clock, edges", "wall clock"), ("chair, silhouette", "folding chair"),
     ("airplane made of chair", "warplane")],
)  # fmt: skip
def test_it_names_stimuli_rightly(images, title, name):
    assert TopFiveDisplay.from_image(images[title]).top[0][0] == name


def test_it_is_the_network_written_in_functions(images):
    """Layer by layer with torch's functions, from the stored arrays."""
    functional, w = torch.nn.functional, squeezenet().state_dict()
    x = images["china"].movedim(-1, 0)[None].double() - torch.tensor([123, 117, 104]).view(3, 1, 1)

    def conv(x, name, **options):
        return functional.conv2d(
            x, w[f"{name}.weight"].double(), w[f"{name}.bias"].double(), **options
        )

    x = conv(x, "features.0", stride=2).relu()
    for k in range(3, 13):
        if k in (3, 7, 12):
            x = functional.max_pool2d(x, 3, 2, ceil_mode=True)
        if k in (6, 11):
            continue
        s = conv(x, f"features.{k}.squeeze").relu()
        parts = conv(s, f"features.{k}.expand1x1"), conv(s, f"features.{k}.expand3x3", padding=1)
        x = torch.cat(parts, 1).relu()
    scores = conv(x, "classifier.1", padding=1).relu().mean((2, 3))
    torch.testing.assert_close(
        probabilities(images["china"][None]), scores.softmax(1).float(), rtol=1e-3, atol=1e-5
    )


def test_the_mask_runs_the_softmax_over_200_classes(images):
    batch = torch.stack([images["bottle, edges"], images["china"]])
    free, masked = probabilities(batch), probabilities(batch, masked=True)
    kept = list(renditions_classes())
    assert len(kept) == len(set(kept)) == 200 and kept[0] == 1 and kept[-1] == 988
    torch.testing.assert_close(masked[:, kept], free[:, kept] / free[:, kept].sum(1, keepdim=True))
    masked[:, kept] = 0
    assert masked.sum() == 0
    assert class_names()[kept[0]] == "goldfish" and class_names()[kept[-1]] == "acorn"


def test_pictures_have_the_size_of_imagenet_c(images):
    assert len(images) == 7
    assert all(p.shape == (224, 224, 3) and p.dtype == torch.uint8 for p in images.values())


def test_what_is_prepared_is_corrupted_then_stored(images):
    image = images["flower"]
    fog = nm.corrupt(image[None], "fog", 4, benchmark="imagenet", seed=0)[0]
    assert (prepared(image, "fog", 4, jpeg=False) == fog).all()
    stored = io.BytesIO()
    Image.fromarray(fog.numpy()).save(stored, "jpeg", quality=85)
    assert (prepared(image, "fog", 4, jpeg=True).numpy() == np.array(Image.open(stored))).all()


def test_jpeg_moves_probability(images):
    few = {title: images[title] for title in ("china", "flower")}
    display = JpegDisplay.from_pictures(few)
    assert len(display.names) == 16 and display.names[0] == "none"
    p = probabilities(torch.stack([few["china"], recompressed(few["china"])]))
    q = probabilities(torch.stack([few["flower"], recompressed(few["flower"])]))
    moved = [np.abs((a - b).numpy()).sum() / 2 for a, b in (p, q)]
    assert display.moved[0] == pytest.approx(np.mean(moved), rel=1e-4)
    assert ((display.moved > 0) & (display.moved < 1)).all()
    assert set(display.renamed) <= {0, 0.5, 1}
    assert len(display.plot().ax_.patches) == 16 and "2 pictures" in display.summary


def test_the_panel_answers_with_picture_and_bars(images):
    panel = picture_panel(images, mode="live", picture="clock, edges")
    settings = {**panel.settings, "name": "contrast", "severity": 2, "masked": True}
    reply, (picture,) = panel.answer(settings, Message({}))
    assert Image.open(io.BytesIO(picture)).size == (224, 224)
    shown = panel.display(settings)
    assert [row[0] for row in reply["top"]] == [name for name, _, _ in shown.top]
    assert [row[1] for row in reply["top"]] == sorted((r[1] for r in reply["top"]), reverse=True)
    assert reply["words"] == shown.summary and "contrast at severity 2" in shown.summary
    panel.picture, panel.jpeg = "china", True
    assert "china" in panel.caption and "JPEG 85" in panel.caption


def test_the_still_is_a_picture_with_words(images):
    still = picture_panel(images, mode="still", picture="clock, edges")
    data, about = still._repr_mimebundle_()
    assert set(data) == {"text/plain", "image/jpeg"}
    assert about["image/jpeg"]["alt"] == data["text/plain"] == still.summary()
    with pytest.raises(ValueError, match="did you mean 'frost'"):
        picture_panel(images, mode="still", name="frosty")
    with pytest.raises(ValueError, match="empty"):
        picture_panel({}, mode="still")


def test_every_row_of_table_1_has_a_card_with_its_numbers():
    t, cards = read_table(1), ModelCards()
    assert set(cards.methods) == set(t["method"])
    for method in cards.methods:
        printed = t[(t["method"] == method) & (t["metric"] == "accuracy")]["value"]
        shown = [row["paper"] for row in cards.numbers(method).values()][: len(printed)]
        np.testing.assert_allclose([float(text) for text in shown], printed)
    numbers = cards.numbers("NoisyMix")
    assert numbers["ImageNet-C"]["Erichson2022NoisyMix_new"] == "53.3"
    text = cards.text()
    assert text.count("### ") == 10
    assert "Salman2020Do_50_2_Linf (WRN-50-2)" in text
    assert "those of Adversarial training in Table 6" in ModelCards(("Puzzle Mix",)).text()
    with pytest.raises(ValueError, match="did you mean 'CutMix'"):
        ModelCards(("Cutmixx",))
    for method, checkpoint in zip(cards.methods, CHECKPOINTS.values(), strict=False):
        assert checkpoint.method == method and checkpoint.file in text


def test_profile_keeps_shares_of_the_clean_accuracy():
    from nmlib.lab.imagenet.displays import MEASURED, ProfileDisplay
    from nmlib.lab.measurements import read_measured

    record, display = read_measured(MEASURED), ProfileDisplay.from_record()
    plain = {n: [*v.values()] for n, v in record["generated"]["accuracy"].items()}
    share = np.mean(plain["fog"]) / record["clean"]["accuracy"]
    assert display.kept.loc["fog", "EfficientNet-Lite0"] == pytest.approx(100 * share)
    assert display.accuracy["EfficientNet-Lite0"] == pytest.approx(
        100 * record["generated"]["calibration"]["accuracy"]
    )
    assert display.conditions.data == "imagenet-1000-photos"
    # What notebook 08 says of it in words.
    text = (Path(__file__).parents[3] / "notebooks/08_imagenet.ipynb").read_text(encoding="utf-8")
    for source in ("generated", "generated, JPEG 85"):
        assert f"{100 * record[source]['mean_corruption_error']:.1f}" in text
    shapes = record["stimuli"]["shape_bias"]
    words = f"in {shapes['shape'] + shapes['texture']}, and went by the shape in {shapes['shape']}"
    assert words in text and f"* of {100 * shapes['bias']:.0f} %" in text
