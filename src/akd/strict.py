"""Plain nested values as frozen dataclasses: every key must exist, every value must be of its field's type."""

from __future__ import annotations

import dataclasses
import numbers
import types
import typing
from collections.abc import Mapping
from typing import Any

from akd.errors import ConfigError, did_you_mean, shortened

FORMS = {
    int: ("a whole number", "8"),
    float: ("a number", "0.5"),
    bool: ("true or false", "true"),
    str: ("a word", "name"),
}  # what is expected, and an example


def build(cls: type[Any], values: Any, where: str) -> Any:
    """The dataclass `cls` made of `values`; ConfigError names what does not fit, under `where` ("method."), and a near one."""
    if not isinstance(values, Mapping):
        raise ConfigError(f"{where.rstrip('.') or 'the config'} must be a mapping, not {values!r}; see --print-config")
    fields = {f.name: f for f in dataclasses.fields(cls) if f.init}
    hints = typing.get_type_hints(cls)
    for key in values:
        if key not in fields:
            known = ", ".join(fields)
            raise ConfigError(f"unknown option {where}{key}{did_you_mean(str(key), fields, where)}; known here: {known}")
    for key, f in fields.items():
        required = f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING
        if required and key not in values:
            raise ConfigError(f"{where}{key} is missing; give --{key}")
    return cls(**{key: _convert(hints[key], value, f"{where}{key}") for key, value in values.items()})


def _convert(kind: Any, value: Any, where: str) -> Any:
    origin = typing.get_origin(kind)
    if origin in (types.UnionType, typing.Union):
        options = typing.get_args(kind)
        if value is None and type(None) in options:
            return None
        listed = isinstance(value, (list, tuple))
        named = [option for option in options if option is not type(None)]
        # A schedule is a number or a list of points: what is written decides which is read.
        fitting = [option for option in named if (typing.get_origin(option) is tuple) == listed]
        if isinstance(value, Mapping):  # a mapping is of the kind that has a field of its first key's name
            fitting = [o for o in named if dataclasses.is_dataclass(o) and {f.name for f in dataclasses.fields(o)} & set(value)]
        elif dataclasses.is_dataclass(value):
            fitting = [type(value)]
        return _convert((fitting or named)[0], value, where)
    if origin is tuple:
        if not isinstance(value, (list, tuple)):
            raise ConfigError(f"{where}={value!r} must be a list; write [a, b, c]")
        inner = typing.get_args(kind)
        if inner[-1] is Ellipsis:
            return tuple(_convert(inner[0], item, where) for item in value)
        if len(value) != len(inner):
            raise ConfigError(f"{where}={value!r} must have {len(inner)} values; write [{', '.join('abcdefgh'[: len(inner)])}]")
        return tuple(_convert(kind, item, where) for kind, item in zip(inner, value, strict=True))
    if origin is dict:
        if not isinstance(value, dict):
            raise ConfigError(f"{where}={value!r} must be a mapping; write {{name: value}}")
        return value
    if dataclasses.is_dataclass(kind):
        return value if isinstance(value, typing.cast(type, kind)) else build(typing.cast(type, kind), value, where + ".")
    return _scalar(kind, value, where)


def _scalar(kind: Any, value: Any, where: str) -> Any:
    if kind in (int, float) and isinstance(value, numbers.Real) and not isinstance(value, (bool, int, float)):
        value = int(value) if isinstance(value, numbers.Integral) else float(value)  # numpy's
    if isinstance(value, kind) and not (kind is int and isinstance(value, bool)):
        if kind is float and value != value:
            raise ConfigError(f"{where}={value!r} is not a number; write {where}=0.5")
        return value
    if kind is float and isinstance(value, (int, str)) and not isinstance(value, bool):
        try:
            return _scalar(float, float(value), where)  # YAML reads 1e-3 as a string
        except (ValueError, OverflowError):
            pass
    if kind is str and isinstance(value, (int, float)) and not isinstance(value, bool):
        return str(value)
    what, example = FORMS.get(kind, (kind.__name__, "..."))
    raise ConfigError(f"{where}={value!r} must be {what}; write {where}={example}")


def difference(old: Mapping[Any, Any], new: Mapping[Any, Any], where: str = "") -> list[str]:
    """'key: old -> new' for every leaf in which two configs differ."""
    lines = []
    for key in [*old, *(key for key in new if key not in old)]:
        a, b = old.get(key), new.get(key)
        if isinstance(a, list) and isinstance(b, list):
            a, b = dict(enumerate(a)), dict(enumerate(b))
        if isinstance(a, dict) and isinstance(b, dict):
            lines += difference(a, b, f"{where}{key}.")
        elif a != b:
            lines.append(f"{where}{key}: {shortened(a, 60)} -> {shortened(b, 60)}")
    return lines


def listed(value: Any) -> Any:
    """Nested values with lists in place of tuples, as YAML and JSON have them."""
    if isinstance(value, dict):
        return {key: listed(item) for key, item in value.items()}
    return [listed(item) for item in value] if isinstance(value, (list, tuple)) else value
