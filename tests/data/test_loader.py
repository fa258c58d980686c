"""Batches against a loop over samples; draws, shares, ends of epochs."""

import itertools

import numpy as np
import pytest
import torch
from data.sets import Counted, Pictures, Stream, normalised, pixels, shaken, to_tensor
from torch.utils.data import DataLoader
from torch.utils.data.distributed import DistributedSampler

import nmlib as nm
from nmlib.data.images import fingerprint
from nmlib.data.loader import Batches, LoaderBatches, flip_and_crop


def make(count=50, side=(8, 10), seed=0):
    rng = np.random.default_rng(seed)
    images = torch.from_numpy(rng.integers(1, 256, (count, *side, 3), dtype=np.uint8))
    labels = torch.from_numpy(rng.integers(0, 10, count))
    classes = tuple("abcdefghij")
    print_ = fingerprint(images, labels)
    return nm.ImageData("made", "train", images, labels, classes, "made", print_)


DATA = make()


def one_sample(image, flip, offset, padding):
    """The slow way: one image, NumPy, no cleverness."""
    height, width, _ = image.shape
    if flip:
        image = image[:, ::-1]
    framed = np.zeros((height + 2 * padding, width + 2 * padding, 3), image.dtype)
    framed[padding : padding + height, padding : padding + width] = image
    return framed[offset[0] : offset[0] + height, offset[1] : offset[1] + width]


# -- the tensor function --------------------------------------------------------------------------


@pytest.mark.parametrize("padding", [0, 1, 4])
def test_flip_and_crop_equals_a_loop_for_every_decision(padding):
    offsets = list(itertools.product(range(2 * padding + 1), repeat=2))
    decisions = [(f, o) for f in (False, True) for o in offsets]
    images = make(len(decisions)).images
    before = images.clone()
    got = flip_and_crop(
        images,
        torch.tensor([f for f, _ in decisions]),
        torch.tensor([o for _, o in decisions]),
        padding,
    )
    assert got.shape == images.shape and got.dtype == torch.uint8
    for image, out, (flip, offset) in zip(images, got, decisions, strict=True):
        assert (out.numpy() == one_sample(image.numpy(), flip, offset, padding)).all()
    assert torch.equal(images, before)


def test_flip_and_crop_of_floats():
    images = make(6).images.double() / 7
    flip, offset = torch.tensor([True, False] * 3), torch.tensor([[0, 8], [4, 4], [3, 1]] * 2)
    got = flip_and_crop(images, flip, offset)
    for i in range(6):
        expected = one_sample(images[i].numpy(), bool(flip[i]), offset[i].tolist(), 4)
        assert (got[i].numpy() == expected).all()


# -- batches --------------------------------------------------------------------------------------


@pytest.mark.parametrize("padding", [0, 2, 4])
def test_batches_equal_a_loop_over_samples(padding):
    batches = Batches(DATA, 16, rng=nm.Rng(3), padding=padding, drop_last=False)
    for epoch in (0, 5):
        for step, (x, y) in enumerate(batches.epoch(epoch)):
            draw = batches.draw(epoch, step)
            assert x.dtype == torch.float32 and x.is_contiguous()
            assert x.shape == (len(draw.index), 3, 8, 10)
            for i, row in enumerate(draw.index):
                cut = one_sample(DATA.images[row].numpy(), draw.flip[i], draw.offset[i], padding)
                expected = cut.transpose(2, 0, 1).astype(np.float32) / np.float32(255)
                assert (x[i].numpy() == expected).all()
                assert y[i] == DATA.labels[row]


def test_without_augmentation_images_are_as_they_are():
    batches = Batches(DATA, 10, rng=nm.Rng(0), augment=False, shuffle=False)
    x = torch.cat([x for x, _ in batches.epoch(0)])
    assert torch.equal((x * 255).round().to(torch.uint8), DATA.images.permute(0, 3, 1, 2))
    assert torch.equal(torch.cat([y for _, y in batches.epoch(9)]), DATA.labels)
    draw = batches.draw(0, 0)
    assert draw.flip is None and draw.offset is None


def test_every_epoch_holds_every_sample_once_in_its_own_order():
    batches = Batches(DATA, 8, rng=nm.Rng(0), drop_last=False)
    orders = [
        np.concatenate([batches.draw(e, s).index for s in range(len(batches))]) for e in range(3)
    ]
    assert all((np.sort(o) == np.arange(50)).all() for o in orders)
    assert not any((a == b).all() for a, b in itertools.combinations(orders, 2))


@pytest.mark.parametrize(
    ("size", "drop", "sizes"),
    [
        (16, True, [16, 16, 16]),
        (16, False, [16, 16, 16, 2]),
        (25, True, [25, 25]),
        (25, False, [25, 25]),
        (50, True, [50]),
        (64, False, [50]),
        (1, True, [1] * 50),
    ],
)
def test_the_end_of_an_epoch(size, drop, sizes):
    batches = Batches(DATA, size, rng=nm.Rng(0), drop_last=drop)
    assert len(batches) == len(sizes)
    assert [len(y) for _, y in batches.epoch(0)] == sizes


def test_any_step_can_be_drawn_without_the_earlier_ones():
    all_steps = list(Batches(DATA, 16, rng=nm.Rng(1)).epoch(4))
    fresh = Batches(DATA, 16, rng=nm.Rng(1))
    for step in (2, 0, 1):
        x, y = fresh.at(4, step)
        assert torch.equal(x, all_steps[step][0]) and torch.equal(y, all_steps[step][1])
    resumed = list(fresh.epoch(4, start=1))
    assert len(resumed) == 2 and torch.equal(resumed[0][0], all_steps[1][0])
    # Another epoch in between leaves no trace.
    fresh.at(7, 0)
    assert torch.equal(fresh.at(4, 2)[0], all_steps[2][0])


def test_draws_are_keyed_by_seed_epoch_and_step():
    def decisions(seed, epoch, step):
        draw = Batches(DATA, 16, rng=nm.Rng(seed)).draw(epoch, step)
        return tuple(draw.index), tuple(draw.flip), tuple(draw.offset.flatten())

    assert decisions(0, 1, 2) == decisions(0, 1, 2)
    keys = list(itertools.product((0, 1), (0, 1, 2), (0, 1, 2)))
    # Each of the three kinds of decisions by itself.
    for kind in zip(*(decisions(*key) for key in keys), strict=True):
        assert len(set(kind)) == len(keys)
    # The batches of a run are not the numbers of its other streams.
    same = Batches(DATA, 16, rng=nm.Rng(0)).draw(0, 0).flip
    assert not (same == (nm.Rng(0).fold(0, 0, "flip").numpy().random(16) < 0.5)).all()


def test_flips_and_offsets_are_uniform():
    data = make(2000, side=(4, 4))
    batches = Batches(data, 500, rng=nm.Rng(0))
    draws = [batches.draw(e, s) for e in range(10) for s in range(4)]
    flips = np.concatenate([d.flip for d in draws])
    offsets = np.concatenate([d.offset for d in draws])
    # Five standard errors of a share among 20,000 draws.
    assert abs(flips.mean() - 0.5) < 5 * (0.25 / len(flips)) ** 0.5
    for axis in (0, 1):
        share = np.bincount(offsets[:, axis], minlength=9) / len(offsets)
        assert len(share) == 9
        assert np.abs(share - 1 / 9).max() < 5 * (1 / 9 * 8 / 9 / len(offsets)) ** 0.5
    # Rows, columns and flips are independent of each other.
    assert np.abs(np.corrcoef(np.c_[flips, offsets].T) - np.eye(3)).max() < 0.04


def test_the_same_decisions_whatever_the_device_of_the_stream():
    a = Batches(DATA, 16, rng=nm.Rng(0)).draw(0, 0)
    b = Batches(DATA, 16, rng=nm.Rng(0, device="meta")).draw(0, 0)
    assert (a.index == b.index).all() and (a.offset == b.offset).all()


def test_global_random_state_is_left_alone():
    before = torch.get_rng_state()
    list(Batches(DATA, 16, rng=nm.Rng(0)).epoch(0))
    assert torch.equal(torch.get_rng_state(), before)


def test_the_data_are_not_changed():
    before = DATA.images.clone()
    for x, y in Batches(DATA, 16, rng=nm.Rng(0)).epoch(0):
        x.zero_(), y.zero_()
    assert torch.equal(DATA.images, before)
    assert DATA.fingerprint == fingerprint(DATA.images, DATA.labels)


# -- subsets --------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [list, np.array, torch.tensor, tuple])
def test_subsets(kind):
    rows = [40, 3, 17, 8, 9]
    batches = Batches(DATA, 2, rng=nm.Rng(0), subset=kind(rows), drop_last=False)
    assert len(batches) == 3
    seen = np.concatenate([batches.draw(0, s).index for s in range(3)])
    assert sorted(seen) == sorted(rows)
    plain = Batches(DATA, 5, rng=nm.Rng(0), subset=kind(rows), shuffle=False, augment=False)
    x, y = plain.at(0, 0)
    assert torch.equal(y, DATA.labels[rows])
    assert torch.equal(x, DATA.images[rows].permute(0, 3, 1, 2) / 255)


def test_a_subset_is_a_data_set():
    part = DATA.take([5, 2, 7])
    assert len(part) == 3 and torch.equal(part.images, DATA.images[[5, 2, 7]])
    assert part.labels.tolist() == DATA.labels[[5, 2, 7]].tolist()
    assert part.fingerprint == fingerprint(part.images, part.labels) != DATA.fingerprint
    assert DATA.take(range(50)).fingerprint == DATA.fingerprint
    assert DATA.take(np.arange(4)).fingerprint == DATA.first(4).fingerprint
    with pytest.raises(ValueError, match=r"row 50, .* rows 0 to 49"):
        DATA.take([3, 50])
    with pytest.raises(ValueError, match="row -1"):
        DATA.take([-1])
    with pytest.raises(ValueError, match="list of row numbers"):
        DATA.take(np.ones(50, bool))


# -- several processes ----------------------------------------------------------------------------


@pytest.mark.parametrize("world", [1, 2, 4])
@pytest.mark.parametrize("drop", [True, False])
def test_shares_join_to_the_batch_of_one_process(world, drop):
    data = make(54)  # leaves a small batch of 6
    one = Batches(data, 16, rng=nm.Rng(2), drop_last=drop)
    shares = [
        Batches(data, 16, rng=nm.Rng(2), drop_last=drop, rank=r, world_size=world)
        for r in range(world)
    ]
    assert {len(s) for s in shares} == {len(one)}
    for step in range(len(one)):
        x, y = one.at(1, step)
        parts = [s.at(1, step) for s in shares]
        assert torch.equal(torch.cat([p[0] for p in parts]), x)
        assert torch.equal(torch.cat([p[1] for p in parts]), y)
        sizes = [len(p[1]) for p in parts]
        assert max(sizes) - min(sizes) <= 1
        if len(y) == 16:
            assert set(sizes) == {16 // world}


# -- wrong calls ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (dict(batch_size=64), r"batch_size=64 exceeds the 50 images of made.*drop_last=False"),
        (dict(batch_size=4, subset=[1, 2]), "batch_size=4 exceeds the 2 images"),
        (dict(batch_size=0), "batch_size must be an integer >= 1, got 0"),
        (dict(batch_size=4, padding=-1), "padding must be an integer >= 0, got -1"),
        (dict(batch_size=4, subset=[]), "the subset is empty"),
        (dict(batch_size=4, subset=[0.5, 1.0]), "list of row numbers"),
        (dict(batch_size=1, subset=[[1], [2]]), "list of row numbers"),
        (dict(batch_size=4, subset=[1, 2, 3, 50]), "row 50, .* rows 0 to 49"),
        (dict(batch_size=4, subset=[1, 2, 3, -1]), "row -1"),
        (dict(batch_size=4, rank=2, world_size=2), "rank must be an integer from 0 to 1, got 2"),
        (dict(batch_size=4, rank=0, world_size=0), "world_size must be an integer >= 1"),
        (dict(batch_size=5, rank=0, world_size=2), "batch_size=5 cannot be shared equally by 2"),
        (
            dict(batch_size=16, rank=0, world_size=4, drop_last=False),
            "the last batch holds 2 of 50 images, too few for 4 processes",
        ),
    ],
)
def test_wrong_calls_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        Batches(DATA, rng=nm.Rng(0), **options)


def test_wrong_steps_are_named():
    batches = Batches(DATA, 16, rng=nm.Rng(0))
    for epoch, step in [(0, 3), (0, -1), (-1, 0)]:
        bad = f"epoch must .* got {epoch}" if epoch else f"step must .* got {step}"
        with pytest.raises(ValueError, match=bad):
            batches.at(epoch, step)


# -- DataLoaders ----------------------------------------------------------------------------------


def loaded(dataset, seed=3, batch=5, epochs=2, first=(0, 0), **options):
    """All batches of some epochs, from a step on."""
    augment = options.pop("augment", False)
    loader = DataLoader(dataset, batch, **options)
    batches = LoaderBatches(loader, rng=nm.Rng(seed), augment=augment)
    keys = [(e, s) for e in range(epochs) for s in range(len(batches)) if (e, s) >= first]
    return [batches.at(*key) for key in keys]


X = torch.zeros(3, 4, 4)


def same(a, b):
    return len(a) == len(b) and all(
        torch.equal(u, v) for p, q in zip(a, b, strict=True) for u, v in zip(p, q, strict=True)
    )


def test_batches_of_a_loader_are_converted_and_augmented_by_key():
    images = pixels()
    plain = Batches(nm.ImageData.of(images, np.arange(12) % 3), 5, rng=nm.Rng(3), drop_last=False,
                    shuffle=False)  # fmt: skip
    mine = loaded(Pictures(images, to_tensor), augment=True)
    assert same(mine, [plain.at(e, s) for e in range(2) for s in range(3)])


@pytest.mark.parametrize("workers", [0, 2])
def test_a_loader_shuffles_by_seed_and_epoch_and_can_be_taken_up_anywhere(workers):
    """Order and random transforms come from (seed, epoch), whatever was drawn globally before."""
    options = dict(shuffle=True, num_workers=workers)
    dataset = Pictures(pixels(), shaken)
    before = torch.get_rng_state()
    whole = loaded(dataset, **options)
    assert torch.equal(torch.get_rng_state(), before)
    torch.rand(7)
    assert same(loaded(dataset, first=(1, 1), **options), whole[4:])
    assert not same(whole[:3], whole[3:])
    assert not same(loaded(dataset, seed=4, epochs=1, **options), whole[:3])
    drawn = torch.cat([y for _, y in whole[:3]])
    assert drawn.sort().values.tolist() == [0] * 4 + [1] * 4 + [2] * 4


def test_a_sampler_is_told_the_epoch():
    dataset = Pictures(pixels(), to_tensor)
    sampler = DistributedSampler(dataset, num_replicas=1, rank=0, shuffle=True, seed=1)
    first, second = (
        [y for _, y in loaded(dataset, sampler=sampler, first=(e, 0), epochs=e + 1)] for e in (0, 1)
    )
    sampler.set_epoch(1)
    assert torch.cat(second).tolist() == [i % 3 for i in sampler]
    assert not torch.equal(torch.cat(first), torch.cat(second))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "those of the DataLoader that come from global generators"),
        ({"shuffle": True, "generator": torch.Generator()}, "has a generator of its own"),
        ({"num_workers": 1, "persistent_workers": True}, "and the order of the images, but"),
    ],
)
def test_a_loader_says_what_it_repeats(options, message):
    loader = DataLoader(Pictures(pixels()), 4, **options)
    assert message in LoaderBatches(loader, rng=nm.Rng(0)).promise


@pytest.mark.parametrize(
    ("loader", "error", "message"),
    [
        (DataLoader(Stream(pixels()), 4), TypeError, "does not know .* give that class a __len__"),
        (DataLoader(Pictures(pixels(3)), 4, drop_last=True), ValueError, "gives no batch"),
        (DataLoader(Counted(pixels(), 16), 4), ValueError, "ended after 3 batches, but .* is 4"),
        (DataLoader([{"x": 1, "label": 0}], 1), TypeError, "step 0, of list: .*'x', 'label'"),
        (DataLoader([(torch.zeros(3, 4, 4), 0.0)], 1), TypeError, "must be integers"),
        (DataLoader([(torch.zeros(3, 4, 4), 3)], 1), ValueError, "image 0 .* label 3, .* 3 outp"),
        (DataLoader([(torch.zeros(4, 4), 0)], 1), ValueError, r"must be \(B, 3, H, W\)"),
        (DataLoader([(X, 0)], 1, collate_fn=iter), TypeError, "it is <list_iterator"),
        (DataLoader([X, X], 2, collate_fn=lambda rows: (rows, [0, 1])), TypeError,
         r"its images are a list; give them one size \(Resize"),
    ],
)  # fmt: skip
def test_wrong_loaders_are_named(loader, error, message):
    with pytest.raises(error, match=message):
        batches = LoaderBatches(loader, rng=nm.Rng(0))
        batches.num_classes = 3
        for step in range(len(batches)):
            batches.at(0, step)


def test_the_first_batch_is_looked_at_and_not_read_twice():
    dataset = Pictures(pixels(), to_tensor)
    batches = LoaderBatches(DataLoader(dataset, 6, shuffle=True), rng=nm.Rng(0))
    first = batches.first()
    assert batches.at(0, 0) is first
    assert len(torch.cat([first[1], batches.at(0, 1)[1]])) == 12
    wrong = LoaderBatches(DataLoader(Pictures(pixels(), normalised), 6), rng=nm.Rng(0))
    with pytest.raises(ValueError, match=r"step 0, of Pictures must lie in .* take Normalize out"):
        wrong.first()
