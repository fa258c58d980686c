"""`ImageFolder` and ImageNet's folders: names to labels, pixels as torchvision's, bad files."""

import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from nmlib.data import imagenet
from nmlib.data.image_folder import ImageFolder, Preparation, Unreadable
from nmlib.data.imagenet import (
    corrupted_folder,
    renditions_classes,
    renditions_folder,
    robustbench_images,
    validation_folder,
    video_folder,
    wordnet_ids,
)

IDS = wordnet_ids()


def picture(seed, width=60, height=48):
    draw = np.random.default_rng(seed)
    small = draw.integers(0, 256, (6, 8, 3), dtype=np.uint8)
    return Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC)


def write(path, seed, **size):
    path.parent.mkdir(parents=True, exist_ok=True)
    picture(seed, **size).save(path, "PNG" if path.suffix == ".png" else "JPEG", quality=90)


@pytest.fixture
def folder(tmp_path):
    """Three classes; the names of files and of folders are not in the order of the labels."""
    for k, (name, count) in enumerate({"n2": 2, "n1": 3, "n3": 1}.items()):
        for i in range(count):
            write(tmp_path / "set" / name / f"ILSVRC2012_val_{9 - i:08d}.JPEG", 10 * k + i)
    (tmp_path / "set" / "README.txt").write_text("read me")
    (tmp_path / "set" / "n1" / ".DS_Store").write_text("")
    return tmp_path / "set"


# -- names ----------------------------------------------------------------------------------------


def test_labels_follow_names(folder):
    data = ImageFolder(folder, ("n3", "n1", "n2"), Preparation(40, 32), label="mine")
    assert data.labels.tolist() == [0, 1, 1, 1, 2, 2] and len(data) == 6
    assert [n.split("/")[0] for n in data.names] == ["n3", "n1", "n1", "n1", "n2", "n2"]
    assert list(data.names[1:4]) == sorted(data.names[1:4])
    assert (data.label, data.split, data.classes) == ("mine", "test", ("n3", "n1", "n2"))
    few = data.among([2, 0])
    assert few.labels.tolist() == [1, 0, 0] and few.classes == ("n2", "n3")
    assert data.take([5, 0]).labels.tolist() == [2, 0] and data.first(2).names == data.names[:2]
    assert data[4][1] == 2 and data[4][0].size == (32, 32)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda root: (root / "n9").mkdir(), r"1 folder \(n9\) of no known class"),
        (lambda root: write(root / "a.jpg", 0), r"1 file \(a.jpg\) beside the folders"),
        (lambda root: (root / "n3").rename(root / ".n3"), r"lacks 1 folder \(n3\) of 3; .*partial"),
        (lambda root: (root / "n1" / "notes.md").write_text("x"), "notes.md, which is no picture"),
        (lambda root: [p.unlink() for p in (root / "n3").iterdir()], "n3 is empty"),
    ],
)
def test_folders_that_do_not_fit(folder, change, told):
    change(folder)
    with pytest.raises(ValueError, match=told):
        ImageFolder(folder, ("n1", "n2", "n3"))


def test_some_classes(folder):
    data = ImageFolder(folder, ("n0", "n1", "n2", "n3"), partial=True)
    assert sorted(set(data.labels.tolist())) == [1, 2, 3]
    with pytest.raises(ValueError, match="no picture of these 1 classes"):
        data.among([0])
    with pytest.raises(ValueError, match=r"lacks 2 folders \(m1, m2\) of 2; give the folder"):
        ImageFolder(folder / "n1", ("m1", "m2"), partial=True)


def test_archives_are_named(tmp_path):
    with pytest.raises(FileNotFoundError):
        ImageFolder(tmp_path / "none", IDS)
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        tar.addfile(tarfile.TarInfo("n1/a.jpg"))
    with pytest.raises(ValueError, match=r"is an archive; unpack it \(tar -xf\)"):
        ImageFolder(tmp_path / "a.tar", IDS)
    (tmp_path / "b.tar").write_text("<html>")
    with pytest.raises(ValueError, match="named as an archive but is none"):
        ImageFolder(tmp_path / "b.tar", IDS)
    (tmp_path / "c.jpg").write_text("x")
    with pytest.raises(ValueError, match="is a file; give the folder"):
        ImageFolder(tmp_path / "c.jpg", IDS)


def test_fingerprint_sees_files_order_and_preparation(folder):
    names = ("n1", "n2", "n3")
    data = ImageFolder(folder, names, Preparation(40, 32))
    same = data.fingerprint
    assert ImageFolder(folder, names, Preparation(40, 32), workers=1).fingerprint == same
    others = [
        data.prepared(Preparation(40, 32, "bicubic")), data.take([0]), data.take([1, 0, 2, 3, 4, 5])
    ]  # fmt: skip
    assert len({same, *(d.fingerprint for d in others)}) == 4
    write(folder / "n1" / "ILSVRC2012_val_00000009.JPEG", 77, width=61)
    assert ImageFolder(folder, names, Preparation(40, 32)).fingerprint != same


# -- pixels ---------------------------------------------------------------------------------------


def by_hand(path, side=40, crop=32, kind=Image.Resampling.BILINEAR):
    """Resize the shorter side and crop the centre, one picture, written out."""
    image = Image.open(path).convert("RGB")
    w, h = image.size
    if w < h:
        image = image.resize((side, int(side * h / w)), kind)
    else:
        image = image.resize((int(side * w / h), side), kind)
    w, h = image.size
    x, y = round((w - crop) / 2.0), round((h - crop) / 2.0)
    return np.asarray(image)[y : y + crop, x : x + crop]


@pytest.mark.parametrize("kind", ["bilinear", "bicubic"])
@pytest.mark.parametrize(("width", "height"), [(60, 48), (48, 61), (71, 40), (40, 40), (45, 47)])
def test_resize_and_crop(tmp_path, width, height, kind):
    write(tmp_path / "a" / "x.png", 3, width=width, height=height)
    data = ImageFolder(tmp_path, ("a",), Preparation(40, 32, kind))
    ((pixels, _),) = data.parts(5)
    expected = by_hand(tmp_path / "a" / "x.png", kind=Image.Resampling[kind.upper()])
    assert np.array_equal(pixels[0].numpy(), expected)


def test_crop_first(tmp_path):
    """Fast AutoAugment's order: 32 of 40 parts of the shorter side, then the resize."""
    write(tmp_path / "a" / "x.png", 3, width=70, height=50)
    data = ImageFolder(tmp_path, ("a",), Preparation(40, 32, "bicubic", crop_first=True))
    ((pixels, _),) = data.parts(1)
    whole = Image.open(tmp_path / "a" / "x.png")
    expected = whole.crop((15, 5, 55, 45)).resize((32, 32), Image.Resampling.BICUBIC)
    assert np.array_equal(pixels[0].numpy(), np.asarray(expected))


def test_preparation_refuses_nonsense(tmp_path):
    with pytest.raises(ValueError, match="crop_first needs both"):
        Preparation(None, 32, crop_first=True)
    with pytest.raises(ValueError, match="did you mean 'bilinear'"):
        Preparation(40, 32, "bilineal")
    write(tmp_path / "a" / "x.png", 3, width=20, height=50)
    with pytest.raises(Unreadable, match="20 x 50 pixels, fewer than the crop 32"):
        list(ImageFolder(tmp_path, ("a",), Preparation(None, 32)).parts(1))


def test_every_kind_of_picture_becomes_rgb(tmp_path):
    (tmp_path / "a").mkdir()
    grey = np.arange(1024, dtype=np.uint8).reshape(32, 32)
    wide = (np.arange(1024, dtype=np.uint16) * 64).reshape(32, 32)
    Image.fromarray(grey).save(tmp_path / "a" / "1.png")
    Image.fromarray(wide).save(tmp_path / "a" / "2.png")
    palette = picture(1, 32, 32).quantize(16)
    palette.save(tmp_path / "a" / "3.png")
    cmyk = picture(2, 32, 32).convert("CMYK")
    cmyk.save(tmp_path / "a" / "4.jpg", quality=95)
    alpha = picture(3, 32, 32).convert("RGBA")
    alpha.save(tmp_path / "a" / "5.png")
    ((pixels, _),) = ImageFolder(tmp_path, ("a",)).parts(5)
    assert pixels.shape == (5, 32, 32, 3)
    assert np.array_equal(pixels[0].numpy(), np.repeat(grey[..., None], 3, 2))
    assert np.array_equal(pixels[1].numpy()[..., 0], wide // 257)
    assert np.array_equal(pixels[2].numpy(), np.asarray(palette.convert("RGB")))
    # JPEG of quality 95 moves values a little.
    difference = pixels[3].numpy().astype(int) - np.asarray(picture(2, 32, 32))
    assert np.abs(difference).mean() < 4
    assert np.array_equal(pixels[4].numpy(), np.asarray(picture(3, 32, 32)))


@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize("size", [1, 2, 4, 100])
def test_parts_are_in_order(folder, size, workers):
    data = ImageFolder(folder, ("n1", "n2", "n3"), Preparation(40, 32), workers=workers)
    parts = list(data.parts(size))
    assert [len(x) for x, _ in parts] == [min(size, 6 - k) for k in range(0, 6, size)]
    assert torch.equal(torch.cat([y for _, y in parts]), data.labels)
    expected = np.stack([by_hand(folder / name) for name in data.names])
    assert np.array_equal(torch.cat([x for x, _ in parts]).numpy(), expected)


def test_whoever_stops_asking_leaves_no_thread(folder):
    import threading

    before = threading.active_count()
    parts = ImageFolder(folder, ("n1", "n2", "n3"), Preparation(40, 32)).parts(1)
    next(parts)
    parts.close()
    assert threading.active_count() == before


def test_unreadable_pictures_are_all_named_and_counted(folder):
    bad = folder / "n1" / "ILSVRC2012_val_00000008.JPEG"
    bad.write_bytes(bad.read_bytes()[:300])
    (folder / "n3" / "ILSVRC2012_val_00000009.JPEG").write_bytes(b"")
    data = ImageFolder(folder, ("n1", "n2", "n3"), Preparation(40, 32))
    seen = []
    with pytest.raises(Unreadable, match=r"2 of 6 pictures in .* cannot be used: n1/ILS.*n3/ILS"):
        for x, _ in data.parts(1):
            seen.append(len(x))
    assert sum(seen) == 1  # what came before the first bad one


def test_sizes_of_prepared_sets(folder):
    data = ImageFolder(folder, ("n1", "n2", "n3"), size=(32, 32))
    with pytest.raises(Unreadable, match=r"6 of 6 .* has 60 x 48 pixels instead of 32 x 32"):
        list(data.parts(4))
    write(folder / "n2" / "ILSVRC2012_val_00000008.JPEG", 5, width=48)
    mixed = ImageFolder(folder, ("n1", "n2", "n3"))
    with pytest.raises(Unreadable, match="give a preparation that crops"):
        list(mixed.parts(6))


# -- ImageNet's sets ------------------------------------------------------------------------------


def test_lists():
    assert len(IDS) == 1000 and list(IDS) == sorted(IDS)
    chosen = renditions_classes()
    assert len(chosen) == 200 and (chosen[0], chosen[-1]) == (1, 988)
    assert IDS[1] == "n01443537" and IDS[988] == "n12267677"  # goldfish and acorn
    images = robustbench_images()
    assert len(set(images)) == 5000 and len({n.split("/")[0] for n in images}) == 997
    among = {IDS[k] for k in chosen}
    assert sum(n.split("/")[0] in among for n in images) == 1008


def flat(root, names):
    for seed, name in enumerate(names):
        write(root / name, seed)


NAMES = [n.split("/")[1] for n in robustbench_images()[:3]]
OF = [n.split("/")[0] for n in robustbench_images()[:3]]


@pytest.mark.parametrize(
    "lines",
    [
        [f"{n} {w}" for n, w in zip(NAMES, OF, strict=True)],
        [f"{Path(n).stem},{w} 1 2 3 4" for n, w in zip(NAMES, OF, strict=True)],
        [f"{n} {IDS.index(w)}" for n, w in zip(NAMES, OF, strict=True)],
        ["ImageId,Class", *(f"{Path(n).stem},{w}" for n, w in zip(NAMES, OF, strict=True))],
    ],
    ids=["names and ids", "boxes", "numbers", "heading"],
)  # fmt: skip
def test_flat_validation_images(tmp_path, lines):
    flat(tmp_path, NAMES)
    (tmp_path / "labels.txt").write_text("\n".join(lines) + "\n")
    data = validation_folder(tmp_path, Preparation(40, 32))
    found = {n: IDS[k] for n, k in zip(data.names, data.labels.tolist(), strict=True)}
    assert found == dict(zip(NAMES, OF, strict=True))
    assert len(next(data.parts(3))[0]) == 3
    assert data.named([f"{OF[1]}/{NAMES[1]}"]).names == (NAMES[1],)


def test_flat_images_need_right_labels(tmp_path):
    flat(tmp_path / "val", NAMES)
    with pytest.raises(ValueError, match="0 lists of their labels; give one"):
        validation_folder(tmp_path / "val")
    path = tmp_path / "list.txt"
    for text, told in (
        (f"{NAMES[0]} {OF[0]}", "has no label for 2 images"),
        (f"{NAMES[0]} n99999999", "line 1: .* names no class of ImageNet"),
        (f"{NAMES[0]} {OF[0]}\n490", "line 2: '490' has neither an image's name nor"),
        (f"{NAMES[0]} {IDS.index(OF[0]) + 1}", "gives .* class .*, but it is .*numbers count"),
    ):
        path.write_text(text)
        with pytest.raises(ValueError, match=told):
            validation_folder(tmp_path / "val", labels=path)


def test_corrupted_folder_holds_the_clean_images(tmp_path):
    for seed, wnid in enumerate((IDS[0], IDS[7], IDS[7])):
        write(tmp_path / "val" / wnid / f"ILSVRC2012_val_{seed:08d}.JPEG", seed)
    for seed, wnid in enumerate((IDS[0], IDS[7], IDS[7], IDS[3])):
        place = tmp_path / "c" / "fog" / "3" / wnid / f"ILSVRC2012_val_{seed:08d}.JPEG"
        write(place, seed, width=224, height=224)
    clean = validation_folder(tmp_path / "val", partial=True)
    found = corrupted_folder(tmp_path / "c", "fog", 3, like=clean)
    assert found.names == clean.names and torch.equal(found.labels, clean.labels)
    (tmp_path / "c" / "fog" / "3" / IDS[7] / "ILSVRC2012_val_00000001.JPEG").unlink()
    with pytest.raises(ValueError, match=r"lacks 1 picture \(n.*/ILSVRC2012_val_00000001\) of the"):
        corrupted_folder(tmp_path / "c", "fog", 3, like=clean)
    with pytest.raises(FileNotFoundError):
        corrupted_folder(tmp_path / "c", "snow", 3, like=clean)
    with pytest.raises(ValueError, match="lacks 997 folders"):
        corrupted_folder(tmp_path / "c", "fog", 3)


def test_renditions_have_labels_of_their_own(tmp_path):
    chosen = renditions_classes()
    for seed, k in enumerate((chosen[0], chosen[199])):
        write(tmp_path / IDS[k] / f"sketch_{seed}.jpg", seed)
    (tmp_path / "README.txt").write_text("styles")
    data = renditions_folder(tmp_path, partial=True)
    assert data.labels.tolist() == [0, 199] and len(data.classes) == 200
    (tmp_path / IDS[0]).mkdir()
    with pytest.raises(ValueError, match="of no known class"):
        renditions_folder(tmp_path, partial=True)


def video(path, frames, side=224):
    av = pytest.importorskip("av")
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = []
    with av.open(str(path), "w") as file:
        stream = file.add_stream("libx264rgb", rate=30, options={"crf": "0"})
        stream.width = stream.height = side
        stream.pix_fmt = "rgb24"
        for k in range(frames):
            pixels.append(np.asarray(picture(k, side, side)))
            file.mux(stream.encode(av.VideoFrame.from_ndarray(pixels[-1], format="rgb24")))
        file.mux(stream.encode(None))
    return np.stack(pixels)


def test_videos(tmp_path):
    expected = video(tmp_path / "p" / "tilt" / IDS[5] / "ILSVRC2012_val_00000001.mp4", 31)
    data = video_folder(tmp_path / "p", "tilt", partial=True)
    ((frames, labels),) = data.parts(2)
    assert frames.shape == (1, 31, 224, 224, 3) and labels.tolist() == [5]
    assert np.array_equal(frames[0].numpy(), expected)  # compressed without loss
    path = tmp_path / "p" / "tilt" / IDS[5] / "ILSVRC2012_val_00000002.mp4"
    video(path, 30)
    with pytest.raises(Unreadable, match=r"00002.mp4 \(it has 30 frames instead of 31\)"):
        list(video_folder(tmp_path / "p", "tilt", partial=True).parts(2))
    path.write_bytes(b"no video")
    with pytest.raises(Unreadable, match="it is no video, or damaged"):
        list(video_folder(tmp_path / "p", "tilt", partial=True).parts(2))


def test_videos_without_pyav(tmp_path, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "av", None)
    path = tmp_path / "tilt" / IDS[5] / "a.mp4"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"x")
    with pytest.raises(ModuleNotFoundError, match="pip install av"):
        list(video_folder(tmp_path, "tilt", partial=True).parts(1))


def test_damaged_lists_are_said(monkeypatch, tmp_path):
    (tmp_path / "imagenet_lists.npz").write_bytes(b"x")
    monkeypatch.setattr(imagenet.resources, "files", lambda name: tmp_path)
    imagenet._lists.cache_clear()
    with pytest.raises(ValueError, match="is missing or damaged"):
        imagenet._lists()
    imagenet._lists.cache_clear()


def test_only_names_are_read_before_parts_are_asked_for(folder, monkeypatch):
    monkeypatch.setattr(Image, "open", lambda *a: pytest.fail("read too early"))
    data = ImageFolder(folder, ("n1", "n2", "n3"), Preparation(40, 32))
    assert len(data.fingerprint) == 16 and len(data.take([1])) == 1
