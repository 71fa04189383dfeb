"""The attack against its laws, and against a linear loss whose maximum in the box is known."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from akd.synthesis.pgd import pgd
from tests.conftest import tiny_classifier

boxes = st.floats(0, 1)


def images(seed: int) -> torch.Tensor:
    torch.manual_seed(seed)
    drawn = torch.rand(5, 2, 4, 4)
    drawn[0], drawn[1] = 0, 1  # corners of the box, where half of every step is cut off
    return drawn


@given(seed=st.integers(0, 99), epsilon=boxes, steps=st.integers(0, 12), step_size=boxes)
def test_it_stays_near_the_image_and_in_range(seed, epsilon, steps, step_size):
    clean = images(seed)
    weight = torch.randn(2, 4, 4)
    moved = pgd(clean, lambda x: (x * weight).sin().sum((1, 2, 3)), epsilon, steps, step_size)
    assert moved.shape == clean.shape and not moved.requires_grad
    assert (moved - clean).abs().max() <= epsilon + 1e-6
    assert moved.min() >= 0 and moved.max() <= 1


@given(seed=st.integers(0, 99), epsilon=boxes)
def test_of_a_linear_loss_it_finds_the_maximum(seed, epsilon):
    """From anywhere in the box 2 epsilon are at most to go, and nine steps of a quarter get there."""
    clean = images(seed)
    weight = torch.randn(2, 4, 4)
    moved = pgd(clean, lambda x: (x * weight).sum((1, 2, 3)), epsilon, 9, epsilon / 4)
    assert torch.allclose(moved, (clean + epsilon * weight.sign()).clamp(0, 1), atol=1e-5)


def test_nought_leaves_the_images():
    clean = images(0)
    assert torch.equal(pgd(clean, lambda x: x.square().sum(), 0.0, 10, 0.1), clean)


def test_the_start_is_random_and_the_callers():
    clean = images(0)
    torch.manual_seed(1)
    one, two = (pgd(clean, lambda x: x.sum() * 0, 0.1, 1, 0.02) for _ in range(2))
    torch.manual_seed(1)
    assert not torch.equal(one, two) and torch.equal(one, pgd(clean, lambda x: x.sum() * 0, 0.1, 1, 0.02))


@pytest.mark.parametrize("trains", [True, False])
def test_the_network_is_left_as_it_was(trains):
    model = tiny_classifier().requires_grad_(trains).train(trains)
    shown = torch.rand(8, 1, 8, 8)
    with torch.no_grad():  # as a caller may hold it; the attack takes its own gradients all the same
        moved = pgd(shown, lambda x: nn.functional.cross_entropy(model(x), torch.zeros(8, dtype=torch.long)), 0.1, 3, 0.05)
    assert not torch.equal(moved, shown)
    assert model.training is trains and all(p.grad is None and p.requires_grad is trains for p in model.parameters())
