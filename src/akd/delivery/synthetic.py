"""The images that a run made: from its bank, and from its maker as the checkpoint has it. Formulas where it left none."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from akd.errors import AkdError, ConfigError
from akd.files import lacking
from akd.ideas import plan_of
from akd.loop import pictures_for
from akd.networks.classifier import Classifier, ModelCard
from akd.runfolder import RunFolder
from akd.runtime import Rng, Runtime
from akd.synthesis.bank import Bank, eight_bit
from akd.synthesis.pictures import pictures


@dataclass(frozen=True)
class Left:
    """What a run left after `steps`: its bank uint8 [N, C, H, W], the last of `made` images, oldest first (made is None where
    the method keeps no bank), and `draw`, count -> fresh images uint8 [count, C, H, W]."""

    bank: Tensor
    made: int | None
    draw: Callable[[int], Tensor]
    steps: int


def left_by(run: Path, teacher: Classifier, runtime: Runtime) -> Left:
    """What the checkpoint of `run` holds, whose `teacher` is on the runtime's device. AkdError where there is none."""
    config, card = RunFolder(run).config(), teacher.card
    plan = plan_of(config.method, config.ideas, card)
    if not (run / "checkpoint.pt").exists() and not (run / "result.json").exists():
        raise ConfigError(lacking(run, "checkpoint"))
    if not (run / "checkpoint.pt").exists():
        raise ConfigError(f"{run} has no checkpoint.pt, which holds a run's images; start the run again in another --out")
    with _checkpoint(run) as saved:
        if not saved["counters"]["step"]:
            raise ConfigError(lacking(run, "images"))
        (bank, made), steps = _bank(saved, card), int(saved["counters"]["step"])
        maker = plan.maker.build(card)
        maker.load_state_dict(saved["parts"]["maker"])
        maker = runtime.place(maker)

    def draw(count: int) -> Tensor:
        drawn = plan.maker.draw(maker, lambda n: pictures_for(teacher, n, card, runtime), count)
        return eight_bit(drawn.images).cpu()

    return Left(bank, made, draw, steps)


@contextmanager
def _checkpoint(run: Path) -> Iterator[dict[str, Any]]:
    saved = RunFolder(run).load_checkpoint()
    try:
        yield saved
    except (KeyError, TypeError, ValueError, RuntimeError, AttributeError) as error:
        raise AkdError(f"{run / 'checkpoint.pt'} is of another version of akd, or of another run; make the run anew") from error


def _bank(saved: dict[str, Any], card: ModelCard) -> tuple[Tensor, int | None]:
    """The images uint8 [N, C, H, W] that a checkpoint's bank holds, oldest first, of how many; none of None without a bank."""
    if "bank" not in saved["parts"]:
        return torch.zeros((0, *card.input_size), dtype=torch.uint8), None
    bank = Bank(len(saved["parts"]["bank"]["images"]), card.input_size)
    bank.load_state_dict(saved["parts"]["bank"])
    oldest = bank.written % bank.capacity if bank.written > bank.capacity else 0
    return bank.images[: len(bank)].roll(-oldest, 0), bank.written


def images_of(source: Path | None, card: ModelCard, count: int, seed: int = 0) -> tuple[Tensor, str]:
    """`count` images uint8 [count, C, H, W] of the run in `source`, shuffled, and where they are from, in words.

    They are taken from its bank; what that cannot give, or all where `source` is no run's folder, are formula pictures.
    """
    bank = torch.zeros((0, *card.input_size), dtype=torch.uint8)
    if source is not None and (source / "checkpoint.pt").exists():
        with _checkpoint(source) as saved:
            bank, _ = _bank(saved, card)
    with Rng(seed).here():
        mine = bank[torch.randperm(len(bank))[:count]]
        if len(mine) == count:
            return mine, "the run's image bank"
        drawn = eight_bit(pictures(count - len(mine), card))
        mixed = torch.cat([mine, drawn])[torch.randperm(count)]
    return mixed, f"the run's image bank ({len(mine):,}) and formula pictures" if len(mine) else "formula pictures"
