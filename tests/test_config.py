import dataclasses

import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from akd.config import Run, Source, from_dict, from_yaml, parse_time, set_dotted, to_dict, to_yaml
from akd.errors import ConfigError
from akd.methods import METHODS
from akd.recipes import recipe, recipes
from akd.strict import difference

OK = {"teacher": {"source": "t"}, "budget": "10%", "steps": 10}


def test_a_run_survives_yaml():
    for name, method in METHODS.items():
        run = Run(teacher=Source(source="x", mean=(0.5,), std=(0.2,)), student="resnet20", method=method(), time=60.0, seed=3)
        again = from_dict(yaml.safe_load(to_yaml(run)))
        assert again == run and again.method.name == name


@given(
    st.sampled_from(sorted(METHODS)),
    st.integers(0, 2**31),
    st.one_of(st.integers(1, 10**6).map(lambda n: {"steps": n}), st.floats(0.1, 1e6).map(lambda t: {"time": t})),
)
def test_to_dict_and_from_dict_are_inverse(method, seed, length):
    values = {"teacher": {"source": "t"}, "budget": "10%", "method": method, "seed": seed, **length}
    run = from_dict(values)
    assert from_dict(to_dict(run)) == run and difference(to_dict(run), to_dict(from_dict(to_dict(run)))) == []


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"stepz": 1}, "did you mean 'steps'"),
        ({"method": "dfda"}, "did you mean 'dfad'"),
        ({"method": {"name": "dfad", "student_rl": 1}}, "did you mean 'method.student_lr'"),
        ({"method": {"name": "dfad", "student_lr": "fast"}}, "must be a number; write"),
        ({"method": {"name": "dfad", "batch_size": True}}, "must be a whole number; write"),
        ({"steps": 0}, "1 or more"),
        ({"steps": 1.5}, "must be a whole number; write"),
        ({"time": 10}, "one of the two"),
        ({"student": "resnet20"}, "one of the two"),
        ({"seed": -1}, "--seed"),
        ({"teacher": {"source": "t", "mean": 0.5}}, "must be a list"),
        ({"teacher": {"path": "t"}}, "unknown option teacher.path"),
        ({"teacher": {}}, "teacher.source is missing"),
        ({"teacher": 7}, "must be a mapping"),
        ({"method": 7}, "unknown method"),
        ({"method": {"name": "dfad", "batch_size": 1}}, "must be from 2"),
        ({"method": {"name": "dfad", "student_lr": -0.1}}, "must be from 0"),
        ({"method": {"name": "dfad", "student_lr": float("inf")}}, "must be from 0"),
    ],
)
def test_what_does_not_fit_is_named_with_a_remedy(change, words):
    with pytest.raises(ConfigError, match=r"\w") as caught:
        from_dict({**OK, **change})
    assert words in str(caught.value) and "\n" not in str(caught.value)


json_like = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=True) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
keys = st.sampled_from([f.name for f in dataclasses.fields(Run)]) | st.text(max_size=6)


@given(st.dictionaries(keys, json_like, max_size=5))
def test_any_mapping_gives_a_run_or_one_line(values):
    try:
        from_dict({**OK, **values})
    except ConfigError as error:
        assert str(error)


@given(st.text(max_size=60))
def test_any_text_as_yaml_gives_a_mapping_or_one_line(text):
    try:
        assert isinstance(from_yaml(text), dict)
    except ConfigError as error:
        assert "\n" not in str(error)


@pytest.mark.parametrize(
    ("text", "seconds"), [("90", 90), ("90s", 90), ("10m", 600), ("1.5h", 5400), ("0.5m", 30), (" 2 m", 120)]
)
def test_times(text, seconds):
    assert parse_time(text) == seconds


@given(st.text(max_size=8))
def test_any_text_as_a_time_gives_seconds_or_one_line(text):
    try:
        assert parse_time(text) > 0
    except ConfigError as error:
        assert "10m" in str(error)


def test_dotted_assignments_reach_into_short_forms():
    values = {"method": "dfad", "teacher": "t"}
    set_dotted(values, "method.student_lr=1e-3")
    set_dotted(values, "teacher.mean=[0.1, 0.2, 0.3]")
    run = from_dict({**OK, **values})
    assert run.method.name == "dfad" and run.method.student_lr == 0.001 and run.teacher.mean == (0.1, 0.2, 0.3)


@pytest.mark.parametrize("bad", ["method.student_lr", "=3", "a..b=1", "seed.x=1", "steps={"])
def test_bad_assignments_are_refused(bad):
    with pytest.raises(ConfigError):
        set_dotted({"seed": 3}, bad)


def test_numpy_s_numbers_are_numbers():
    told = {"teacher": {"source": "t"}, "budget": "10%", "steps": np.int64(3), "seed": np.int32(4)}
    run = from_dict({**told, "method": {"name": "akd", "student_lr": np.float32(0.5)}})
    assert (type(run.steps), run.steps, run.seed, run.method.student_lr) == (int, 3, 4, 0.5)


def test_the_difference_in_a_list_is_that_of_its_items():
    assert difference({"m": [{"s": 1}, {"s": 2}]}, {"m": [{"s": 1}, {"s": 3}, 4]}) == ["m.1.s: 2 -> 3", "m.2: None -> 4"]


def test_the_difference_names_every_leaf():
    a, b = from_dict(OK), from_dict({**OK, "seed": 5, "method": {"name": "dfad"}})
    lines = difference(to_dict(a), to_dict(b))
    assert "seed: 0 -> 5" in lines and any(line.startswith("method.name: ") for line in lines)


@pytest.mark.parametrize("name", recipes())
def test_every_recipe_is_a_run(name):
    run = from_dict({**recipe(name), "teacher": "t"})
    assert run.time == 600 and from_dict(to_dict(run)) == run


def test_a_recipe_that_is_not_there_is_named_with_its_neighbour():
    with pytest.raises(ConfigError, match="did you mean 'cifar100-10pct'"):
        recipe("cifar100-10")
