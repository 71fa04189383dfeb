"""Pictures, augmentations, the bank, generators and names: laws that hold whatever is drawn."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from akd.networks.classifier import ModelCard
from akd.synthesis import pictures as P
from akd.synthesis.augment import cutmix, shift
from akd.synthesis.bank import Bank
from akd.synthesis.generators import Generator, Restyler
from akd.synthesis.names import name_vectors
from akd.synthesis.pictures import pictures

sizes = st.tuples(st.sampled_from([1, 2, 3]), st.integers(5, 40), st.integers(5, 40))


def card(size, mean=0.5, std=0.25):
    return ModelCard("x", 4, (mean,) * size[0], (std,) * size[0], size)


@given(sizes, st.integers(1, 9))
def test_pictures_are_images_of_any_size(size, count):
    drawn = pictures(count, card(size))
    assert drawn.shape == (count, *size) and drawn.min() >= 0 and drawn.max() <= 1


def test_clouds_fall_with_frequency_as_they_are_told():
    """By a straight line through the logarithms of the mean spectrum, for one channel and a single exponent."""
    drawn = P.clouds(200, card((1, 64, 64)))
    assert torch.allclose(drawn.std((1, 2, 3)), torch.ones(200), atol=1e-4)
    amplitude = torch.fft.rfft2(drawn)[:, 0, 0, 2:30].abs()
    frequency = torch.arange(2.0, 30.0)
    x = frequency.log() - frequency.log().mean()
    slopes = (amplitude.log() * x).sum(1) / x.square().sum()
    assert -2.0 < slopes.mean() < -1.0 and slopes.mean() == pytest.approx(-1.5, abs=0.15)


def test_leaves_are_drawn_in_parts_where_they_are_large(monkeypatch):
    monkeypatch.setattr(P, "MOST", 12 * 120 * 2)
    seen, drawn_at_once = [], P._dead_leaves
    monkeypatch.setattr(P, "_dead_leaves", lambda count, *rest: seen.append(count) or drawn_at_once(count, *rest))
    assert P.dead_leaves(5, card((3, 12, 10))).shape == (5, 3, 12, 10) and seen == [2, 2, 1]


def test_a_world_of_one_colour_is_that_colour_edges_and_all(monkeypatch):
    monkeypatch.setattr(P, "SLOPE", 0.0)
    monkeypatch.setattr(P, "ROUGH", 0.0)
    monkeypatch.setattr(P, "noise", lambda count, channels, h, w, device: torch.full((count, channels, h, w), 0.7))
    monkeypatch.setattr(P, "clouds", lambda count, card, device: torch.zeros(count, *card.input_size))
    drawn = P.dead_leaves(64, card((3, 16, 12)))
    assert torch.allclose(drawn, torch.full_like(drawn, 0.7), atol=1e-5)


def test_pictures_take_the_colours_of_the_card():
    torch.manual_seed(0)
    dark, bright = (pictures(400, card((3, 32, 32), mean, 0.1)) for mean in (0.3, 0.6))
    assert dark.mean() == pytest.approx(0.3, abs=0.03) and bright.mean() == pytest.approx(0.6, abs=0.03)
    red, green = bright[:, 0].flatten(), bright[:, 1].flatten()
    assert torch.corrcoef(torch.stack([red, green]))[0, 1] > 0.6


@given(sizes, st.integers(1, 3), st.booleans())
def test_shift_moves_whole_images_by_at_most_its_pad(size, pad, flip):
    images = torch.rand(6, *size)
    moved = shift(images, pad, flip)
    assert moved.shape == images.shape
    padded = torch.nn.functional.pad(images, (pad,) * 4, mode="replicate")
    for one, whole in zip(moved, padded, strict=True):
        windows = [whole[:, y : y + size[1], x : x + size[2]] for y in range(2 * pad + 1) for x in range(2 * pad + 1)]
        assert any(torch.equal(one, w) or (flip and torch.equal(one, w.flip(2))) for w in windows)


def test_shift_without_room_or_mirror_is_the_identity():
    images = torch.rand(3, 1, 8, 8)
    assert torch.equal(shift(images, 0, flip=False), images)


@given(st.floats(0, 1))
def test_cutmix_takes_every_pixel_from_one_of_two_images(share):
    images = torch.arange(8.0).view(8, 1, 1, 1).expand(8, 3, 9, 7)
    mixed = cutmix(images, share)
    assert all(len(image.unique()) <= 2 for image in mixed)
    assert torch.equal(cutmix(images, 0.0), images)


@given(st.lists(st.integers(1, 9), min_size=1, max_size=6))
def test_the_bank_keeps_the_newest_in_eight_bits(batches):
    bank, value, kept = Bank(7, (1, 2, 2)), 0, []
    for count in batches:
        values = torch.arange(value, value + count) % 256
        bank.add((values / 255).view(-1, 1, 1, 1).expand(-1, 1, 2, 2), values)
        kept, value = (kept + values.tolist())[-7:], value + count
    assert len(bank) == len(kept)
    drawn = bank.draw(len(kept))
    images, labels = drawn.images, drawn.labels
    assert sorted(labels.tolist()) == sorted(kept)  # as many as there are: each of them once
    assert torch.equal((images[:, 0, 0, 0] * 255).round().long(), labels)


@pytest.mark.parametrize("size", [(1, 8, 8), (1, 28, 28), (3, 32, 32), (3, 24, 40), (2, 7, 5), (3, 64, 64)])
def test_generators_give_images_of_the_size_that_is_asked(size):
    plain, restyled = (
        Generator(size, 16, 32)(torch.randn(4, 16)),
        Restyler(size, 4, 16, 32)(torch.rand(4, *size), torch.arange(4)),
    )
    assert plain.shape == restyled.shape == (4, *size)
    assert all(images.min() >= 0 and images.max() <= 1 for images in (plain, restyled))


def test_a_restyler_begins_with_the_pictures_and_hears_their_labels():
    restyler, images = Restyler((3, 24, 40), 4, 16, 32), 0.1 + 0.8 * torch.rand(8, 3, 24, 40)
    one, two = (restyler(images, torch.full((8,), label)) for label in (0, 1))
    assert (one - images).abs().mean() < 0.05
    assert 0 < (one - two).abs().mean() < 0.05


def test_classes_whose_names_differ_in_case_alone_stay_two():
    bird, machine = name_vectors(("Crane", "crane"), 2)
    assert not torch.allclose(bird, machine)


def test_names_that_share_letters_lie_closer():
    maple, oak, rocket = name_vectors(("maple_tree", "oak_tree", "rocket"), 3)
    assert maple @ oak > maple @ rocket + 0.1
    assert torch.equal(name_vectors(("maple_tree", "oak_tree", "rocket"), 3)[2], rocket)
    nameless = name_vectors(None, 50)
    assert (nameless @ nameless.T - torch.eye(50)).abs().max() < 0.6 and nameless.norm(dim=1) == pytest.approx(1)
