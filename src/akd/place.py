"""Where this process stands among those of its run. Without torch, so that a word on the terminal need not wait for it."""

from __future__ import annotations

import os
from dataclasses import dataclass


@dataclass(frozen=True)
class Place:
    """Which of a run's processes this is, in all and on its machine, and how many there are."""

    rank: int = 0
    size: int = 1
    local_rank: int = 0
    local_size: int = 1


def place() -> Place:
    """As the environment tells it (torchrun, accelerate); one alone where nothing does."""
    told = [os.environ.get(name, "") for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE")]
    return Place(*map(int, told)) if all(number.isdecimal() for number in told) else Place()
