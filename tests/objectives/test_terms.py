import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from akd.networks.taps import Sight
from akd.objectives.terms import Around, Seen, Term, at, needs_of_student, needs_of_teacher, never, times, total, wanted


def sight():
    return Sight(torch.zeros(2, 3))


def seen(progress=0.0):
    x = torch.ones(2, 1, 2, 2)
    nothing = Around(teacher=lambda images: sight(), student=lambda images: sight(), replay=lambda count: None, modules={})
    return Seen(x, torch.zeros(2).long(), sight(), sight(), nothing, progress)


def test_a_schedule_joins_its_points_by_straight_lines_and_is_flat_outside():
    points = ((0.2, 1.0), (0.6, 3.0))
    assert [at(points, p) for p in (0, 0.2, 0.4, 0.6, 1)] == pytest.approx([1, 1, 2, 3, 3])


def test_two_points_at_one_place_are_a_step():
    points = ((0, 1.0), (0.5, 1.0), (0.5, 0.1), (1, 0.1))
    assert [at(points, p) for p in (0.49, 0.5, 0.9)] == pytest.approx([1, 0.1, 0.1])


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(-5, 5)), min_size=1, max_size=6), st.floats(0, 1))
def test_a_schedule_stays_between_its_values(points, progress):
    points = tuple(sorted(points))
    values = [v for _, v in points]
    assert min(values) - 1e-9 <= at(points, progress) <= max(values) + 1e-9


def test_a_zero_weight_is_never_computed():
    def boom(_):
        raise AssertionError("computed")

    terms = {"off": Term(0.0, boom, frozenset({"bn"})), "on": Term(2.0, lambda s: s.images.sum())}
    loss, values = total(terms, seen())
    assert loss.item() == 16 and set(values) == {"on"}
    assert set(wanted(terms)) == {"on"} and needs_of_teacher(terms) == needs_of_student(terms) == frozenset()
    later = {"late": Term(((0.0, 0.0), (0.5, 0.0), (1.0, 1.0)), boom)}
    assert total(later, seen(0.3))[0].item() == 0
    with pytest.raises(AssertionError):
        total(later, seen(0.9))


def test_each_network_is_tapped_for_what_is_read_of_it():
    both, feature = Term(1.0, len, frozenset({"bn", "stages"})), frozenset({"feature"})
    terms = {"both": both, "student": Term(1.0, len, feature, reads_teacher=False)}
    assert needs_of_teacher(terms) == {"bn", "stages"} and needs_of_student(terms) == {"stages", "feature"}
    terms["student"] = Term(1.0, len, feature, reads_student=False)
    assert needs_of_teacher(terms) == {"bn", "stages", "feature"} and needs_of_student(terms) == {"stages"}


@given(st.floats(-3, 3), st.floats(-3, 3))
def test_the_total_is_linear_in_the_weights(a, b):
    one, two = (lambda s: s.images.sum()), (lambda s: (s.images * 3).sum())
    loss, _ = total({"one": Term(a, one), "two": Term(b, two)}, seen())
    assert loss.item() == pytest.approx(8 * a + 24 * b, abs=1e-4)


def test_never_means_zero_from_start_to_end():
    assert never(0.0) and never(((0, 0.0), (1, 0.0)))
    assert not never(((0, 0.0), (1, 1e-9)))


points = st.lists(st.tuples(st.floats(0, 1), st.floats(-5, 5)), min_size=1, max_size=4).map(lambda p: tuple(sorted(p)))
schedules = st.floats(-5, 5) | points


@given(schedules, schedules)
def test_the_product_of_schedules_is_exact_at_both_ones_points(a, b):
    product = times(a, b)
    whens = [0.0, 1.0, *(when for s in (a, b) if not isinstance(s, float) for when, _ in s)]
    for when in whens:
        assert at(product, when) == pytest.approx(at(a, when) * at(b, when), abs=1e-5)
