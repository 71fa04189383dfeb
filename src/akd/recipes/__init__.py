"""Recipes: a run's config for a named task, as YAML beside this file; it states only what differs from the defaults."""

from __future__ import annotations

from importlib.resources import files
from typing import Any

from akd.config import from_yaml
from akd.errors import ConfigError, did_you_mean


def recipes() -> list[str]:
    return sorted(file.name.removesuffix(".yaml") for file in files(__name__).iterdir() if file.name.endswith(".yaml"))


def described() -> dict[str, str]:
    """The recipes' names, and what each is for: the first line of its file."""
    return {name: _text(name).partition("\n")[0].removeprefix("# ") for name in recipes()}


def recipe(name: str) -> dict[str, Any]:
    """The nested values of the recipe `name`, for `akd.config.from_dict`. ConfigError where there is none."""
    if name not in recipes():
        raise ConfigError(f"unknown recipe {name!r}{did_you_mean(name, recipes())}; there are {', '.join(recipes())}")
    return from_yaml(_text(name))


def _text(name: str) -> str:
    return files(__name__).joinpath(f"{name}.yaml").read_text()
