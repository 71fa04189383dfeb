"""Details of an evaluation against scikit-learn, and against the one number they are the details of."""

import json
from dataclasses import asdict

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import confusion_matrix

from akd.evaluation.details import details
from akd.evaluation.metrics import Answers, ask, calibration_error, evaluate
from tests.evaluation.test_metrics import draw, knows, numbered


def answers_of(seed, classes=6):
    (logits, labels), (theirs, _) = draw(seed, classes=classes), draw(seed + 1, classes=classes)
    return ask(knows(logits), numbered(labels), knows(theirs)), logits, theirs, labels


@given(st.integers(0, 2**31), st.integers(2, 9))
def test_confusion_and_classes_against_scikit_learn(seed, classes):
    answers, logits, theirs, labels = answers_of(seed, classes)
    found = details(answers)
    told = np.zeros((classes, classes), int)
    for teacher, student, images in found.confusion:
        told[teacher, student] = images
    assert np.array_equal(told, confusion_matrix(theirs.argmax(1), logits.argmax(1), labels=range(classes)))
    assert [cell[2] for cell in found.confusion] == sorted((cell[2] for cell in found.confusion), reverse=True)
    by_label = confusion_matrix(labels, logits.argmax(1), labels=range(classes))
    for i, row in enumerate(found.classes):
        assert row.images == (labels == i).sum()
        assert row.student == pytest.approx(100 * by_label[i, i] / row.images)
        assert row.lost == pytest.approx(row.teacher - row.student)
        others = [told[i, j] for j in range(classes) if j != i]
        assert row.instead is None if not any(others) else told[i, int(row.instead)] == max(others)
        assert row.agreement is None if not told[i].any() else row.agreement == pytest.approx(100 * told[i, i] / told[i].sum())
    assert json.loads(json.dumps(asdict(found), allow_nan=False))["names"] == list(map(str, range(classes)))


@given(st.integers(0, 2**31))
def test_the_bins_add_up_to_accuracy_and_calibration_error(seed):
    answers, logits, _, labels = answers_of(seed)
    found = details(answers)
    for who, told in (("student", answers.model), ("teacher", answers.teacher)):
        bins, n = found.calibration[who], len(labels)
        assert sum(one.images for one in bins) == n
        accuracy = 100 * (told.argmax(1) == answers.labels).double().mean().item()
        assert sum(one.images * one.accuracy for one in bins) / n == pytest.approx(accuracy)
        gap = sum(one.images * abs(one.accuracy - one.confidence) for one in bins) / n
        assert gap == pytest.approx(found.ece[who]) == pytest.approx(calibration_error(told, answers.labels))
    assert found.ece["student"] == pytest.approx(evaluate(knows(logits), numbered(labels)).ece)


def test_without_a_teacher_and_without_images_of_a_class():
    logits = torch.eye(3, dtype=torch.float64)[[0, 1, 1]]
    found = details(Answers(logits, None, torch.tensor([0, 1, 0]), ("a", "b", "c")))
    assert found.confusion == [] and set(found.calibration) == {"student"}
    assert [row.student for row in found.classes] == [50, 100, None]
    assert all(row.teacher is row.lost is row.agreement is row.instead is None for row in found.classes)
