import hashlib

import pytest
import torch
from torch.nn.functional import interpolate

from samebits.base.errors import UserError
from samebits.datasets.prepare import apportion, hold_out, resize
from samebits.datasets.split import Split


def noise(n, height, width):
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (n, height, width), dtype=torch.uint8, generator=generator)


@pytest.mark.parametrize("side", [1, 7, 14, 27, 32])
def test_resize_is_bilinear_with_antialiasing(side):
    images = noise(20, 28, 20)
    exact = interpolate(images[:, None].double(), size=(side, side), mode="bilinear", antialias=True)[:, 0]
    resized = resize(images, side)
    assert resized.shape == (20, side, side)
    assert resized.dtype == torch.uint8
    assert (resized - exact).abs().max() < 1.001, "each of the two passes rounds once"


def test_resize_keeps_what_has_the_right_size_and_takes_no_images_too():
    assert torch.equal(resize(noise(5, 8, 8), 8), noise(5, 8, 8))
    assert resize(noise(0, 8, 8), 14).shape == (0, 14, 14)


def test_resize_gives_these_bytes_on_every_machine():
    digest = hashlib.sha256()
    for side in (5, 14, 20, 32, 64):
        digest.update(resize(noise(20, 28, 28), side).numpy().tobytes())
    assert digest.hexdigest() == "0fd01b02d77ca562986c3835ccfd13b4c55d68c3379058da754ea0b65d25fb91"


@pytest.mark.parametrize(
    ("seats", "counts", "shares"),
    [
        (0, [3, 4], [0, 0]),
        (10, [6000, 6000], [5, 5]),
        (3, [5, 5], [2, 1]),  # a tie goes to the first
        (10, [1, 1, 98], [0, 0, 10]),
        (5, [10, 20, 70], [1, 1, 3]),  # 0.5, 1.0, 3.5: one seat left, a tie
        (7, [30, 20, 50], [2, 1, 4]),  # 2.1, 1.4, 3.5
    ],
)
def test_largest_remainders(seats, counts, shares):
    assert apportion(seats, counts) == shares


def toy(counts):
    """A split of one-pixel images, each of which is its own number."""
    labels = torch.cat([torch.full((count,), label) for label, count in enumerate(counts)]).to(torch.uint8)
    labels = labels[torch.randperm(len(labels), generator=torch.Generator().manual_seed(0))]
    return Split(torch.arange(len(labels), dtype=torch.uint8)[:, None, None], labels)


def test_held_out_images_have_the_same_share_of_each_class_and_stay_with_their_labels():
    split = toy([100, 60, 40])
    train, validation = hold_out(split, 20, ["a", "b", "c"])
    assert torch.bincount(validation.labels).tolist() == [10, 6, 4]
    numbers = torch.cat([train.images, validation.images]).flatten()
    assert sorted(numbers.tolist()) == list(range(200)), "each image is in one of the two, once"
    assert torch.equal(split.labels[numbers.long()], torch.cat([train.labels, validation.labels]))
    for part in (train, validation):
        assert torch.equal(part.images.flatten(), part.images.flatten().sort().values), "in the order they came"
    assert validation.images.flatten().tolist() != list(range(20)), "not just the first ones"


def test_which_images_are_held_out_does_not_change():
    numbers = torch.arange(16, dtype=torch.uint8)
    validation = hold_out(Split(numbers[:, None, None], numbers % 2), 4, ["a", "b"])[1]
    assert validation.images.flatten().tolist() == [8, 9, 10, 13]


def test_a_larger_validation_set_contains_the_smaller_one():
    small, large = (set(hold_out(toy([100, 100]), size, ["a", "b"])[1].images.flatten().tolist()) for size in (20, 60))
    assert small < large


def test_nothing_held_out():
    split = toy([3, 4])
    train, validation = hold_out(split, 0, ["a", "b"])
    assert torch.equal(train.images, split.images)
    assert validation.images.shape == (0, 1, 1)


def test_too_many_held_out():
    with pytest.raises(UserError, match="validation_size is 7, but must be less than the 7 training images"):
        hold_out(toy([3, 4]), 7, ["a", "b"])
    with pytest.raises(UserError, match="takes 1 of the 1 training images of the class b: at least one must stay"):
        hold_out(toy([9, 1]), 9, ["a", "b"])
