"""What a user can get wrong. Each message is one line that ends with the remedy; the command line prints it bare."""

import difflib
from collections.abc import Iterable
from typing import Any


class AkdError(Exception):
    """The run failed for a reason the user can act on (exit code 1)."""

    exit_code = 1
    alike = False  # True: of several processes on one run all meet it alike, and one on each machine says so


class UsageError(AkdError):
    """What was asked for cannot be understood or does not exist (exit code 2)."""

    exit_code = 2
    alike = True


class ConfigError(UsageError):
    """An option, a value or a combination of them that cannot work."""


class ModelError(UsageError):
    """A teacher or model that cannot be found, read, or made to fit its architecture."""


class DataError(UsageError):
    """A test set that cannot be found or read."""


class Refused(AkdError):
    """The command did its work, and the answer is no: `result` is what it found, ready for JSON."""

    def __init__(self, message: str, result: dict[str, Any]):
        super().__init__(message)
        self.result = result


class Stopped(AkdError):
    """Asked to stop (SIGTERM, SIGUSR1): the state is saved; the same command goes on."""

    exit_code = 75
    alike = True


class Diverged(AkdError):
    """The run went wrong while it ran; the last good state is kept."""

    alike = True


def closest(word: str, known: Iterable[str]) -> str | None:
    """What of `known` is close to `word`, if anything is."""
    return next(iter(difflib.get_close_matches(word, list(known), n=1, cutoff=0.5)), None)


def did_you_mean(word: str, known: Iterable[str], where: str = "") -> str:
    """ "; did you mean 'dfad'?" where something known is close to `word`, else ''; `where`: what stands before both."""
    close = closest(word, known)
    return f"; did you mean {where + close!r}?" if close else ""


def shortened(value: object, limit: int = 80) -> str:
    """The start of a value's text, without line breaks."""
    text = " ".join(str(value).split())
    return text if len(text) <= limit else text[:limit] + "…"


def brief(error: BaseException, limit: int = 200) -> str:
    """An error's kind and the start of its text, in one line."""
    return f"{type(error).__name__}: {shortened(error, limit)}".removesuffix(": ")
