"""Each loss against an independent formula, or a law it must obey."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from torch.distributions import Categorical, kl_divergence

from akd.objectives import logits as L

finite = st.floats(-20, 20, width=32)
pairs = st.integers(2, 7).flatmap(
    lambda k: st.integers(1, 5).flatmap(lambda b: st.tuples(*[arrays(np.float64, (b, k), elements=finite)] * 2))
)


@given(pairs, st.floats(0.5, 20))
def test_kl_is_torchs_own_divergence_of_the_softened_answers(pair, temperature):
    s, t = map(torch.from_numpy, pair)
    oracle = kl_divergence(Categorical(logits=t / temperature), Categorical(logits=s / temperature)).mean() * temperature**2
    assert L.kl(s, t, temperature).item() == pytest.approx(oracle.item(), rel=1e-6, abs=1e-9)


@given(pairs)
def test_kl_vanishes_when_student_equals_teacher_and_is_never_negative(pair):
    s, t = map(torch.from_numpy, pair)
    assert L.kl(t, t).item() == pytest.approx(0, abs=1e-9)
    assert L.kl(s, t).item() >= -1e-9


def test_kl_at_high_temperature_becomes_half_the_squared_distance_of_centred_logits():
    # Hinton et al., 1503.02531, section 2.1: for T large, T^2 KL -> sum_k (s_k - t_k)^2 / (2 K) for zero-mean logits.
    s, t = torch.randn(2, 8, 10, dtype=torch.float64)
    s, t = s - s.mean(1, keepdim=True), t - t.mean(1, keepdim=True)
    assert L.kl(s, t, 1e4).item() == pytest.approx(((s - t) ** 2).mean().item() / 2, rel=1e-3)


@given(pairs)
def test_l1_is_the_mean_absolute_difference(pair):
    s, t = pair
    assert L.l1(torch.from_numpy(s), torch.from_numpy(t)).item() == pytest.approx(np.abs(s - t).mean())


@given(pairs)
def test_masked_disagreement_counts_only_where_both_choose_alike(pair):
    s, t = map(torch.from_numpy, pair)
    each = kl_divergence(Categorical(logits=t), Categorical(logits=s))
    oracle = sum(e.item() for e, a, b in zip(each, s, t, strict=True) if a.argmax() == b.argmax()) / len(s)
    assert L.masked_disagreement(s, t).item() == pytest.approx(oracle, rel=1e-6, abs=1e-8)


@given(pairs)
def test_confidence_is_minus_the_log_of_the_highest_probability(pair):
    s, _ = map(torch.from_numpy, pair)
    assert L.confidence(s).item() == pytest.approx(-s.softmax(1).max(1).values.log().mean().item(), abs=1e-9)


def test_imbalance_is_lowest_for_balanced_batches_and_zero_for_one_class():
    k = 6
    balanced = torch.eye(k, dtype=torch.float64) * 1e3
    assert L.imbalance(balanced).item() == pytest.approx(-math.log(k))
    assert L.imbalance(balanced[:1].expand(k, k)).item() == pytest.approx(0, abs=1e-9)


@given(pairs)
def test_imbalance_is_minus_the_entropy_of_the_mean_prediction(pair):
    s, _ = map(torch.from_numpy, pair)
    assert L.imbalance(s).item() == pytest.approx(-Categorical(probs=s.softmax(1).mean(0)).entropy().item(), abs=1e-6)


@given(pairs)
def test_js_is_symmetric_and_bounded_by_log_two(pair):
    s, t = map(torch.from_numpy, pair)
    assert L.js(s, t).item() == pytest.approx(L.js(t, s).item(), abs=1e-9)
    assert -1e-9 <= L.js(s, t).item() <= math.log(2) + 1e-9


@given(pairs, st.floats(1, 10))
def test_js_is_half_the_divergences_from_the_middle(pair, temperature):
    s, t = (Categorical(logits=torch.from_numpy(x) / temperature) for x in pair)
    middle = Categorical(probs=(s.probs + t.probs) / 2)
    oracle = (kl_divergence(s, middle) + kl_divergence(t, middle)).mean() / 2
    found = L.js(*map(torch.from_numpy, pair), temperature)
    assert found.item() == pytest.approx(oracle.item(), abs=1e-6)


def test_agreement_is_a_percentage():
    a = torch.tensor([[1.0, 0], [1, 0], [0, 1], [0, 1]])
    b = torch.tensor([[1.0, 0], [0, 1], [0, 1], [0, 1]])
    assert L.agreement(a, b).item() == 75.0


@pytest.mark.parametrize("loss", [L.kl, L.l1, L.masked_disagreement, L.js])
def test_gradients_reach_both_networks_and_are_right(loss):
    torch.manual_seed(1)
    s = torch.randn(4, 5, dtype=torch.float64, requires_grad=True)
    t = (s.detach() + 0.3 * torch.randn(4, 5, dtype=torch.float64)).requires_grad_()
    assert torch.autograd.gradcheck(loss, (s, t))
    grads = torch.autograd.grad(loss(s, t), (s, t))
    assert all(bool(g.abs().sum() > 0) for g in grads)


def test_the_class_an_image_is_most_like_is_not_the_class_that_all_images_are_like():
    logits = torch.randn(60, 7, dtype=torch.float64)
    said = L.most_like(logits)
    by_hand = [
        max(range(7), key=lambda k: (row[k] - row.mean() - centred[k].mean()) / centred[k].std())
        for centred in [(logits - logits.mean(1, keepdim=True)).T]
        for row in logits
    ]
    assert said.tolist() == by_hand
    assert torch.equal(L.most_like(logits + 50 * torch.randn(1, 7) + 50 * torch.randn(60, 1)), said)
    assert set(said.tolist()) == set(range(7))
