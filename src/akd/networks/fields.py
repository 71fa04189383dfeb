"""What is told about a model, by its config.json or by its user: read strictly, and held against each other."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from akd.errors import ModelError, brief, shortened
from akd.networks import zoo

Fields = dict[str, Any]
"""Those fields of a ModelCard that are known, by name."""
LARGEST = 1024  # pixels of height or width: a bound on what an absurd config makes this machine allocate


def read_config(folder: Path) -> Fields:
    """The known fields of a folder's config.json, akd's or timm's (which nests some of them); {} where there is none."""
    file = folder / "config.json"
    if not os.path.isfile(file):
        return {}
    try:
        config = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ModelError(f"{file} cannot be read ({brief(error, 80)}); save the model folder again") from error
    if not isinstance(config, dict):
        raise ModelError(f"{file} holds no JSON object; save the model folder again")
    nested = config.get("pretrained_cfg")
    return checked({**nested, **config} if isinstance(nested, dict) else config, str(file))


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 < value < 1 << 31


def _numbers(value: Any) -> bool:
    return _list(value) and len(value) <= LARGEST and all(map(_number, value))


def _small(value: Any) -> bool:
    return all(one <= 1 for one in value)


def _number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and -1e6 < value < 1e6


def _arguments(value: Any) -> bool:
    try:
        json.dumps(dict(value))
    except (TypeError, ValueError, RecursionError):
        return False
    return isinstance(value, Mapping) and not {"architecture", "num_classes", "input_size"} & value.keys()


def _list(value: Any) -> bool:
    return isinstance(value, (list, tuple))


FIELDS: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "architecture": ("a name", lambda value: isinstance(value, str) and 0 < len(value) <= 200),
    "num_classes": ("a positive whole number", _whole),
    "mean": (
        "numbers for pixels in 0..1 (divide those for 0..255 by 255)",
        lambda value: _numbers(value) and _small(value),
    ),
    "std": ("numbers for pixels in 0..1 (divide those for 0..255 by 255)", lambda value: _numbers(value) and _small(value)),
    "input_size": (
        f"channels, height and width, the latter at most {LARGEST}",
        lambda value: _list(value) and len(value) == 3 and all(map(_whole, value)) and max(value) <= LARGEST,
    ),
    "label_names": ("a list of names", lambda value: _list(value) and all(isinstance(name, str) for name in value)),
    "arguments": ("a dictionary of the factory's own arguments, such as JSON can hold", _arguments),
}


_SPELT: dict[str, Callable[[Any], Any]] = {
    "architecture": zoo.canonical,
    "mean": lambda value: tuple(map(float, value)),
    "std": lambda value: tuple(map(float, value)),
    "input_size": tuple,
    "label_names": tuple,
    "arguments": lambda value: json.loads(json.dumps(dict(value))),
}


OPTIONS = {"architecture": "--arch", "label_names": "--labels"}  # where an option is not called like its field


def checked(values: Mapping[str, Any], where: str) -> Fields:
    """Those of `values` that are known fields and given, each of its type, in one spelling."""
    fields = {name: values[name] for name in FIELDS if values.get(name) is not None}
    for name, value in fields.items():
        what, fits = FIELDS[name]
        if not fits(value):
            raise ModelError(f"{where}: {name} must be {what}, not {shortened(repr(value), 60)}")
        fields[name] = _SPELT[name](value) if name in _SPELT else value
    return fields


def agree(told: Fields, config: Fields, source: str) -> None:
    """ModelError for the first field on which the two differ."""
    for name in told.keys() & config.keys():
        if told[name] != config[name]:
            option = _option(name)
            said, asked = shortened(config[name]), shortened(told[name])
            raise ModelError(f"{source} says {name} {said}, not {asked}; leave {option} out")


@contextmanager
def correctable(config: Fields, folder: Path) -> Iterator[None]:
    """Where an error asks for options that the `config` of `folder` tells otherwise, all of them, it names that file too."""
    try:
        yield
    except ModelError as error:
        asked = {name for name in FIELDS if re.search(rf"{_option(name)}\b", str(error))}
        as_told = any(f"{_option(name)} {config.get(name)}" in str(error) for name in asked)
        if asked and asked <= config.keys() and not as_told:
            raise ModelError(f"{error} (told by {folder / 'config.json'}: correct it there)") from error
        raise


def _option(name: str) -> str:
    return OPTIONS.get(name, f"--{name.replace('_', '-')}")
