"""The figures of the corruptions hold the arrays they show; the panels draw what is asked for."""

import io

import numpy as np
import pytest
import torch
from PIL import Image

import nmlib as nm
from nmlib.data.embedded import sample_photographs
from nmlib.lab.corruptions.displays import (
    ContactSheetDisplay,
    DifferenceDisplay,
    FrequencyDisplay,
    SequenceDisplay,
    compare_strip,
)
from nmlib.lab.corruptions.gallery import corruption_gallery, sequence_player
from nmlib.lab.panel import Message


@pytest.fixture(scope="module")
def images():
    return nm.load("fashion-mini", "test").images[:40]


def shown(display):
    data, metadata = display._repr_mimebundle_()
    kind = next(k for k in data if k.startswith("image/"))
    picture = Image.open(io.BytesIO(data[kind]))
    assert len(data[kind]) < 300_000
    assert metadata[kind]["alt"] == data["text/plain"] and len(data["text/plain"]) > 40
    return np.asarray(picture.convert("RGB")), data["text/plain"]


def test_photographs():
    pictures = sample_photographs(96)
    assert set(pictures) == {"china", "flower"}
    assert all(p.shape == (96, 96, 3) and p.dtype == torch.uint8 for p in pictures.values())


def test_contact_sheet(images):
    sheet = ContactSheetDisplay.from_image(images[0], title="shoe", seed=4)
    for j, name in ((0, "gaussian_noise"), (14, "jpeg_compression")):
        expected = nm.corrupt(images[:1], name, 2, seed=4)[0]
        assert (sheet.tiles[j, 1] == expected.numpy()).all()
    assert len(sheet.change()["fog"]) == 5
    picture, words = shown(sheet)
    assert picture.std() > 30 and "severity 1 to 5" in words


def test_difference(images):
    display = DifferenceDisplay.from_image(images[1], "brightness", 5)
    strip = compare_strip(display.clean, display.corrupted)
    assert strip.shape == (224, 3 * 224 + 12, 3)
    assert (strip[:, 230:454] == display.corrupted.repeat(7, 0).repeat(7, 1)).all()
    same = compare_strip(display.clean, display.clean)
    assert np.unique(same[:, 460:]).tolist() == [127]
    _, words = shown(display)
    assert f"{display.mean_change:.3g}" in words


def test_frequencies_by_parseval_and_known_spectra(images):
    display = FrequencyDisplay.from_images(images, 3, bins=8)
    assert display.share.sum(1) == pytest.approx(np.ones(15))
    # Parseval: what the rings of the clean images leave out is their mean.
    assert display.clean.sum() == pytest.approx(1)
    # White noise fills rings in proportion to their area (clipping keeps it nearly white).
    grey = torch.full((60, 32, 32, 3), 128, dtype=torch.uint8)
    white = FrequencyDisplay.from_images(grey, 1, names=["gaussian_noise"], bins=8)
    frequency = np.hypot(np.fft.fftfreq(32)[:, None], np.fft.fftfreq(32))
    area = np.bincount(np.minimum((frequency * 16).astype(int), 7).ravel()) / 1024
    assert np.abs(white.share[0, 1:] - area[1:]).max() < 0.02
    _, words = shown(display)
    assert "Highest" in words


def test_sequence(images):
    display = SequenceDisplay.from_image(images[0], "translate")
    assert display.frames.shape == (16, 32, 32, 3)
    _, words = shown(display)
    assert "16 frames" in words


def asked(panel, **settings):
    """What the page would show at other settings."""
    reply, (picture,) = panel.answer({**panel.settings, **settings}, Message({}))
    return reply, picture


def test_gallery(images):
    gallery = corruption_gallery({"a": images[0], "b": images[1]}, "fog", 1, mode="live")
    reply, before = asked(gallery)
    assert reply["words"] == gallery.caption and "fog at severity 1" in gallery.caption
    assert asked(gallery, severity=5)[1] != before
    gallery.name, gallery.severity, gallery.image, gallery.seed = "snow", 5, "b", 3
    assert gallery.settings == {"image": "b", "name": "snow", "severity": 5, "seed": 3}
    expected = nm.corrupt(images[1:2], "snow", 5, seed=3)[0]
    assert (gallery.display().corrupted == expected.numpy()).all()
    data, metadata = gallery._repr_mimebundle_()
    assert data["text/plain"] == metadata["image/jpeg"]["alt"] == gallery.caption
    assert data["application/vnd.jupyter.widget-view+json"]["model_id"] == gallery.model_id
    with pytest.raises(ValueError, match="empty"):
        corruption_gallery({})
    with pytest.raises(ValueError, match="did you mean 'frost'"):
        corruption_gallery({"a": images[0]}, "frosty")


def test_player_steps_through_the_frames(images):
    player = sequence_player(images[0], "rotate", title="shoe", mode="live")
    reply, first = asked(player)
    assert (reply["words"], reply["last"]) == ("rotate, frame 0 of 30", 30)
    assert asked(player, frame=30)[1] != first
    reply, _ = asked(player, name="translate", frame=30)  # a shorter sequence: its last frame
    assert (reply["words"], reply["last"]) == ("translate, frame 15 of 15", 15)
    player.name = "translate"
    assert len(player.sequence().frames) == 16 and "shoe, translate: 16 frames" in player.caption


def test_stills_are_pictures(images):
    for still in (
        corruption_gallery({"a": images[0]}, mode="still"),
        sequence_player(images[0], mode="still"),
    ):
        data, _ = still._repr_mimebundle_()
        assert set(data) == {"text/plain", "image/jpeg"}
        Image.open(io.BytesIO(data["image/jpeg"]))
