"""Curves: what is drawn is what was given, inside the frame, whatever the numbers are."""

import re
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from akd.report.charts import HEIGHT, WIDTH, Axis, Series, axis, plot, short_number
from akd.report.curves import learning

numbers = st.floats(-1e12, 1e12, allow_nan=False)
points = st.lists(st.tuples(numbers, st.none() | numbers), min_size=1, max_size=400)


def drawn(series, x, y, title="t"):
    return ElementTree.fromstring(plot(series, x, y, title))


@given(points, st.booleans())
def test_curves_stay_inside_the_frame(given_points, log):
    values = [b for _, b in given_points if b is not None]
    picture = drawn([Series("a", given_points)], axis("x", [a for a, _ in given_points]), axis("y", values, log))
    for a, b in re.findall(r"([-\d.]+) ([-\d.]+)", picture.find("g/path").get("d")):
        assert 0 <= float(a) <= WIDTH and 0 <= float(b) <= HEIGHT


@given(st.lists(numbers, min_size=1), st.booleans())
def test_an_axis_holds_its_values_between_round_ticks(values, log):
    found = axis("x", values, log)
    slack = 1e-6 * (found.high - found.low)
    assert found.low - slack <= min(values) and max(values) <= found.high + slack
    assert 2 <= len(found.ticks) <= 40 and found.low < found.high


def test_where_a_value_lies():
    assert [axis("x", [0, 10]).at(v) for v in (0, 5, 10)] == [0, 0.5, 1]
    log = axis("x", [1, 100], log=True)
    assert short_number(2.5e16) == "2e16" and short_number(7e10) == "70G"
    assert log.log and log.at(10) == pytest.approx(0.5) and [short_number(t) for t in log.ticks] == ["1", "10", "100"]
    assert not axis("x", [1, 10], log=True).log and not axis("x", [0, 100], log=True).log


def test_a_gap_lifts_the_pen_and_a_lone_point_is_a_dot():
    line = [(0, 1.0), (1, None), (2, 2.0), (3, 3.0), (4, None)]
    group = drawn([Series("a", line)], axis("x", [0, 4]), axis("y", [1, 3])).find("g")
    assert re.sub(r"[\d. ]", "", group.find("path").get("d")) == "MML"
    assert len(group.findall("circle")) == 1


@given(st.text(alphabet="<>&\"'aé ", max_size=20))
def test_labels_come_back_as_they_were(text):
    box = Axis(text, 0, 1, [0, 1])
    picture = drawn([Series(text, [(0, 0.0)])], box, box, title=text)
    assert picture.get("aria-label") == text and picture.find("g").get("data-label") == text
    assert [node.text or "" for node in picture.iter("text")][-1] == text


def test_every_loss_has_a_curve_over_steps_and_over_time():
    metrics = [
        {"step": s, "seconds": s / 5, "progress": s / 100, "probe_agreement": 50.0, "probe_kl": None, "image/bn": 9.0 / s,
         "student": 1.0, "imitate": 1.0}
        for s in (50, 100)
    ]  # fmt: skip
    curves = learning([{"name": "a", "metrics": metrics, "measured": None}, {"name": "b", "metrics": [], "measured": None}])
    assert [curve.title for curve in curves] == ["Probe agreement, %", "Student loss", "Image loss: bn"]
    assert all(len(curve.charts) == 2 and "student steps" in curve.charts[0] for curve in curves)
    assert learning([{"name": "a", "metrics": [], "measured": None}]) == []
