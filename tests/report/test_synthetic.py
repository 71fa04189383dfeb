"""What is measured of images: laws, and what BatchNorm itself says of its own data."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from akd.report.synthetic import collapse, copies, effective, look, mean_distance, within
from akd.synthesis.pictures import pictures
from tests.conftest import tiny_classifier

CPU = torch.device("cpu")


def eight_bit(images):
    return (images * 255).round().to(torch.uint8)


@given(st.lists(st.integers(0, 50), min_size=2, max_size=20).filter(any))
def test_effective_classes_lie_between_one_and_those_seen(counts):
    found = effective(torch.tensor(counts))
    assert 1 - 1e-9 <= found <= sum(count > 0 for count in counts) + 1e-9


def test_effective_classes_of_an_even_histogram_are_all():
    assert effective(torch.full((7,), 3)) == pytest.approx(7)
    assert effective(torch.tensor([0, 9, 0])) == pytest.approx(1)


def test_mean_distance_is_that_of_all_pairs():
    torch.manual_seed(0)
    features = torch.randn(9, 5, dtype=torch.float64)
    cosine = torch.nn.functional.cosine_similarity(features[:, None], features[None], dim=2)
    pairs = [1 - cosine[i, j].item() for i in range(9) for j in range(i)]
    assert mean_distance(features) == pytest.approx(sum(pairs) / len(pairs))


def test_within_a_class_and_copies_are_in_percent_of_a_pixels_range():
    black_and_white = torch.tensor([[0.0] * 4, [1.0] * 4, [0.5] * 4])
    assert within(black_and_white, torch.tensor([0, 0, 1])) == pytest.approx(100)
    assert within(black_and_white, torch.tensor([0, 1, 2])) is None
    near = torch.cat([black_and_white, black_and_white[:1] + 0.019])
    assert (copies(black_and_white), copies(near)) == (0, 50)


def test_the_mismatch_of_the_first_layer_vanishes_on_the_very_data():
    """A layer told the moments of these images is not off on them; told a shift of one deviation, it is off by one."""
    teacher = tiny_classifier()
    images = eight_bit(pictures(300, teacher.card))
    first = next(module for module in teacher.modules() if isinstance(module, torch.nn.BatchNorm2d))
    seen = []
    handle = first.register_forward_pre_hook(lambda _, x: seen.append(x[0]))
    with torch.no_grad():
        teacher(images.float() / 255)
    handle.remove()
    first.running_mean.copy_(seen[0].mean((0, 2, 3)))
    first.running_var.copy_(seen[0].var((0, 2, 3), unbiased=False))
    layer = look(teacher, images, CPU).layers[0]
    assert layer.mean == pytest.approx(0, abs=1e-4) and layer.variance == pytest.approx(0, abs=1e-4)
    first.running_mean.add_(first.running_var.sqrt())
    assert look(teacher, images, CPU).layers[0].mean == pytest.approx(1, abs=1e-4)


def test_a_look_leaves_the_teacher_as_it_was():
    teacher = tiny_classifier()
    before = {name: value.clone() for name, value in teacher.state_dict().items()}
    found = look(teacher, eight_bit(pictures(150, teacher.card)), CPU)
    assert all(torch.equal(value, before[name]) for name, value in teacher.state_dict().items())
    assert not any(module._forward_pre_hooks for module in teacher.modules())
    assert found.n == sum(found.seen) == 150 and 0 < found.confidence <= 100


def test_a_collapse_is_told_with_its_threshold():
    teacher = tiny_classifier()
    one = eight_bit(pictures(1, teacher.card)).expand(40, -1, -1, -1)
    found = look(teacher, one, CPU)
    reasons = collapse(found)
    assert found.copies == 100 and found.classes == pytest.approx(1)
    assert len(reasons) == 2 and "under 50 %" in reasons[0] and "over 10 %" in reasons[1]
    assert collapse(replace(found, classes=2.1, copies=9.0)) == []
