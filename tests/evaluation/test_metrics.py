"""Evaluation against scikit-learn, against plain loops, and against the laws that its numbers obey."""

import json
from dataclasses import asdict

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, log_loss, top_k_accuracy_score
from torch import nn

from akd.errors import ModelError
from akd.evaluation import TestSet, evaluate, load_test_set
from akd.evaluation.metrics import calibration_error
from akd.networks.classifier import Classifier, ModelCard

seeds = st.integers(0, 2**32 - 1)


class Table(nn.Module):
    """Answers the image whose pixel is i with row i of `logits`."""

    def __init__(self, logits):
        super().__init__()
        self.register_buffer("logits", torch.as_tensor(logits, dtype=torch.float32))

    def forward(self, images):
        # Modulo, since measuring shows grey images.
        return self.logits[(images[:, 0, 0, 0] * 255).round().long() % len(self.logits)]


def classifier(net, classes, size=(1, 1, 1), names=None):
    zeros, ones = (0.0,) * size[0], (1.0,) * size[0]
    return Classifier(net, ModelCard("any", classes, zeros, ones, size, label_names=names))


def knows(logits, **options):
    return classifier(Table(logits), logits.shape[1], **options)


def numbered(labels, names=None):
    """Image i is one pixel of value i."""
    images = torch.arange(len(labels), dtype=torch.uint8).view(-1, 1, 1, 1)
    return TestSet(images, torch.as_tensor(labels, dtype=torch.int64), names, "numbered")


def draw(seed, n=60, classes=10, scale=3.0):
    rng = np.random.default_rng(seed)
    # Every class occurs, which scikit-learn asks for.
    labels = np.concatenate([np.arange(classes), rng.integers(0, classes, n - classes)])
    logits = rng.normal(0, scale, (n, classes)).astype(np.float32)
    logits[np.arange(n), labels] += rng.uniform(0, scale)
    return logits, labels


def softmax(logits):
    powers = np.exp(logits.astype(np.float64) - logits.max(1, keepdims=True))
    return powers / powers.sum(1, keepdims=True)


def ece_by_loop(logits, labels, bins=15):
    probabilities, error = softmax(logits), 0.0
    confidences, choices = probabilities.max(1), probabilities.argmax(1)
    for i in range(bins):
        inside = [n for n, c in enumerate(confidences) if i / bins < c <= (i + 1) / bins]
        if inside:
            accuracy = np.mean([choices[n] == labels[n] for n in inside])
            error += len(inside) / len(labels) * abs(accuracy - np.mean([confidences[n] for n in inside]))
    return 100 * error


@given(seeds, st.integers(6, 12))
@settings(max_examples=25, deadline=None)
def test_against_scikit_learn(seed, classes):
    logits, labels = draw(seed, classes=classes)
    found = evaluate(knows(logits), numbered(labels), batch_size=7)
    assert found.n == 60
    assert found.top1 == pytest.approx(100 * accuracy_score(labels, logits.argmax(1)))
    assert found.top5 == pytest.approx(100 * top_k_accuracy_score(labels, logits, k=5))
    assert found.nll == pytest.approx(log_loss(labels, softmax(logits)))
    assert found.ece == pytest.approx(ece_by_loop(logits, labels))
    for c in range(classes):
        assert found.per_class[str(c)] == pytest.approx(100 * (logits.argmax(1) == c)[labels == c].mean())


@given(seeds)
@settings(max_examples=25, deadline=None)
def test_against_a_teacher(seed):
    (logits, labels), (theirs, _) = draw(seed), draw(seed + 1)
    found = evaluate(knows(logits), numbered(labels), teacher=knows(theirs))
    p, q = softmax(theirs), softmax(logits)
    assert found.mean_kl == pytest.approx((p * np.log(p / q)).sum(1).mean())
    assert found.agreement == pytest.approx(100 * (theirs.argmax(1) == logits.argmax(1)).mean())
    assert found.teacher_top1 == pytest.approx(100 * accuracy_score(labels, theirs.argmax(1)))


@given(seeds)
@settings(max_examples=10, deadline=None)
def test_a_model_agrees_with_itself(seed):
    logits, labels = draw(seed)
    found = evaluate(knows(logits), numbered(labels), teacher=knows(logits))
    assert (found.agreement, found.mean_kl, found.teacher_top1) == (100, 0, found.top1)


@given(seeds, st.floats(0.01, 5))
@settings(max_examples=50, deadline=None)
def test_calibration_error_is_a_share_and_sees_false_confidence(seed, scale):
    logits, labels = draw(seed, scale=scale)
    error = calibration_error(torch.from_numpy(logits), torch.from_numpy(labels))
    assert 0 <= error <= 100
    certain = torch.nn.functional.one_hot(torch.from_numpy(labels), 10) * 1000.0
    assert calibration_error(certain, torch.from_numpy(labels)) == pytest.approx(0)
    assert calibration_error(certain.roll(1, 1), torch.from_numpy(labels)) == pytest.approx(100)


def test_a_network_that_answers_alike_gains_nothing_from_ties():
    found = evaluate(knows(np.zeros((60, 10), np.float32)), numbered([i % 10 for i in range(60)]))
    assert (found.top1, found.top5) == (10, 50)
    assert found.nll == pytest.approx(np.log(10))
    assert found.ece == pytest.approx(0)


def test_classes_without_images_and_names_that_come_twice():
    logits = np.eye(6, dtype=np.float32)[[0, 1, 1]]
    found = evaluate(knows(logits), numbered([0, 1, 0], ("crane", "dog", "crane", "a", "b", "c")))
    assert found.per_class == {"crane": 50, "dog": 100, "crane (2)": None, "a": None, "b": None, "c": None}
    assert json.loads(json.dumps(asdict(found), allow_nan=False))["top5"] == 100


def test_top5_of_few_classes_says_nothing():
    logits, labels = draw(0, classes=5)
    assert evaluate(knows(logits), numbered(labels)).top5 is None


def network():
    torch.manual_seed(0)
    body = nn.Sequential(nn.Conv2d(1, 4, 3, bias=False), nn.BatchNorm2d(4), nn.ReLU(), nn.Dropout(0.5))
    return classifier(nn.Sequential(body, nn.Flatten(), nn.Linear(4 * 36, 10)), 10, (1, 8, 8))


def test_a_real_network_on_real_digits_is_measured_and_left_alone():
    model, teacher = network(), network().freeze()
    model.train()
    model.net[0][1].eval()
    modes = [module.training for module in model.modules()]
    before = {key: value.clone() for key, value in model.state_dict().items()}
    digits = load_test_set("digits", model.card)
    torch.manual_seed(1)
    expected = torch.rand(3)
    torch.manual_seed(1)
    first, second = (evaluate(model, digits, teacher, batch_size=size) for size in (500, 64))
    assert torch.equal(torch.rand(3), expected)
    assert [module.training for module in model.modules()] == modes
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
    assert all(p.grad is None and p.requires_grad for p in model.parameters())
    # The same weights, with dropout off: the teacher's own answers.
    assert (first.agreement, first.mean_kl) == (100, 0)
    assert first.params == 9 * 4 + 2 * 4 + 4 * 36 * 10 + 10
    assert first.macs == 9 * 4 * 36 + 4 * 36 * 10
    assert first.latency_ms > 0
    assert (first.top1, first.top5, first.per_class) == (second.top1, second.top5, second.per_class)
    assert first.nll == pytest.approx(second.nll, rel=1e-6)


def test_half_precision_weights_are_fed_their_own_type():
    model = network().to(torch.bfloat16)
    digits = load_test_set("digits", model.card)
    assert 0 <= evaluate(model, digits).top1 <= 100


def test_modes_are_restored_when_the_network_fails():
    model = classifier(nn.Linear(3, 10), 10, (1, 8, 8))
    with pytest.raises(RuntimeError):
        evaluate(model, load_test_set("digits", model.card))
    assert model.net.training


def test_networks_that_cannot_be_judged():
    logits, labels = draw(0)
    with pytest.raises(ModelError, match="NaN"):
        evaluate(knows(np.where(logits > 0, logits, np.nan)), numbered(labels))
    with pytest.raises(ModelError, match="one number per class"):
        evaluate(classifier(Table(logits), 11), numbered(labels))
    with pytest.raises(ModelError, match="9 classes"):
        evaluate(knows(logits), numbered(labels), teacher=knows(logits[:, :9]))
    names = tuple("abcdefghij")
    with pytest.raises(ModelError, match="order"):
        evaluate(knows(logits, names=names), numbered(labels), teacher=knows(logits, names=names[::-1]))
