"""The images of a run as a data set: chosen evenly by class, with what the teacher says of each, and a card."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from akd.config import check_seed
from akd.delivery.card import LICENSE, conditions, front_matter, published_history
from akd.delivery.synthetic import Left, left_by
from akd.errors import AkdError, ConfigError
from akd.networks.classifier import Classifier, distinct
from akd.runfolder import RunFolder
from akd.runtime import Rng, Runtime

BATCH = 256
Look = Callable[[str, float], None]
MOST = 10_000_000  # they are held in memory
MOST_DRAWN = 4  # fresh images looked at for each one asked for, before a class counts as out of the maker's reach


@dataclass(frozen=True)
class Dreamt:
    """Images uint8 [N, C, H, W], no two alike, with the teacher's logits float32 [N, K] and its choice int64 [N].

    names: of the K classes; from_bank: how many are from the run's bank, the others being its maker's; steps: the run's;
    seed: what chose them.
    """

    images: Tensor
    logits: Tensor
    labels: Tensor
    names: list[str]
    from_bank: int
    steps: int
    seed: int

    def counts(self) -> dict[str, int]:
        """How many images each class has."""
        return dict(zip(self.names, self.labels.bincount(minlength=len(self.names)).tolist(), strict=True))


def dreamt(
    run: Path, teacher: Classifier, count: int, seed: int, runtime: Runtime, look: Look = lambda doing, done: None
) -> Dreamt:
    """`count` images of the run in the folder `run`, as even over the teacher's classes as its bank and maker allow.

    The same seed chooses the same images; `look` is told what is being done and how much of it is, in 0..1.
    Raises AkdError where there are fewer, or no checkpoint.
    """
    if not 1 <= count <= MOST:
        raise ConfigError(f"--images {count} must be from 1 to {MOST:,}; leave it out for 10,000")
    check_seed(seed)
    placed = runtime.place(copy.deepcopy(teacher))
    left = left_by(run, placed, runtime)
    with Rng(seed, runtime.device).here(), torch.no_grad():
        images, logits, from_bank = _gathered(left, placed, count, runtime.device, look)
        if len(images) < count:
            raise AkdError(f"{run} can give {len(images):,} different images and no more; ask for --images {len(images)}")
        pick = evenly(logits.argmax(1), count)
    names = distinct(teacher.card.label_names or tuple(map(str, range(teacher.card.num_classes))))
    logits = logits[pick]
    return Dreamt(images[pick], logits, logits.argmax(1), names, int((pick < from_bank).sum()), left.steps, seed)


def evenly(labels: Tensor, count: int) -> Tensor:
    """Which `count` of these labels [N] to take so that classes come out as even as they can: int64 [count], mixed.

    Each class's members are numbered in random order, and the lowest numbers are taken.
    """
    order = torch.randperm(len(labels))
    number = torch.empty_like(labels)
    for label in labels.unique():
        mine = order[labels[order] == label]
        number[mine] = torch.arange(len(mine))
    taken = order[number[order].argsort(stable=True)][:count]
    return taken[torch.randperm(count)]


def _gathered(left: Left, teacher: Classifier, count: int, device: torch.device, look: Look) -> tuple[Tensor, Tensor, int]:
    """Images to choose from, the teacher's logits for them, and how many of them, the first, are the bank's.

    The maker draws until every class has its share of `count`, has nothing new, or has had MOST_DRAWN chances.
    """
    classes, seen = teacher.card.num_classes, set[bytes]()
    share = -(-count // classes)
    images = _unseen(left.bank, seen)
    logits = _asked(teacher, images, device, partial(look, "what the teacher sees in the run's bank"))
    parts, have, drawn = [(images, logits)], logits.argmax(1).bincount(minlength=classes), 0
    while have.clamp(max=share).sum() < count and drawn < MOST_DRAWN * count:
        look("drawing what the bank lacks", have.clamp(max=share).sum().item() / count)
        fresh = _unseen(left.draw(BATCH), seen)
        if len(fresh) == 0:
            break
        logits = _asked(teacher, fresh, device)
        labels = logits.argmax(1)
        wanted = (have[labels] < share) | (have.sum() < count)
        parts.append((fresh[wanted], logits[wanted]))
        have += labels[wanted].bincount(minlength=classes)
        drawn += BATCH
    return torch.cat([part[0] for part in parts]), torch.cat([part[1] for part in parts]), len(images)


def _unseen(images: Tensor, seen: set[bytes]) -> Tensor:
    """Those of the images uint8 [N, C, H, W] that are not in `seen` yet, which gets their digests."""
    new = []
    for i, image in enumerate(images):
        key = hashlib.blake2b(image.numpy().tobytes(), digest_size=16).digest()
        if key not in seen:
            seen.add(key)
            new.append(i)
    return images[new]


def _asked(
    teacher: Classifier, images: Tensor, device: torch.device, look: Callable[[float], None] = lambda done: None
) -> Tensor:
    """The teacher's logits float32 [N, K], on the CPU, for images uint8 [N, C, H, W]."""
    logits = [torch.zeros(0, teacher.card.num_classes)]
    for i in range(0, len(images), BATCH):
        look(i / len(images))
        logits.append(teacher(images[i : i + BATCH].to(device).float() / 255).float().cpu())
    return torch.cat(logits)


def card_file(file: Path) -> Path:
    """Where the card of the data set `file` goes: README.md beside it, as the hub wants it, or FILE.md where that is another's.

    ConfigError where somebody else's words are in both.
    """
    for card in (file.with_name("README.md"), file.with_suffix(".md")):
        if not card.exists() or _mark(file.name) in card.read_text(errors="replace"):
            return card
    raise ConfigError(f"{card} and README.md beside it hold other words than this data set's card; choose another --out")


def _mark(file: str) -> str:
    return f"<!-- the card of {file}, written by akd dream -->"


def dream_card(file: str, found: Dreamt, run: RunFolder, teacher: Classifier, asked_under: Mapping[str, Any]) -> str:
    """Markdown with the hub's head for the data set `file`: what the images are, how they were made, under which conditions."""
    n, card, counts = len(found.labels), teacher.card, found.counts()
    title = f"{n:,} synthetic images with a teacher's logits"
    head = front_matter(
        pretty_name=title,
        task_categories=["image-classification"],
        tags=["synthetic", "knowledge-distillation", "data-free", "akd"],
        configs=[{"config_name": "default", "data_files": [{"split": "train", "path": file}]}],
    )
    short = [f"{name} ({count:,})" for name, count in counts.items() if count < n // len(counts)]
    fewer = f" Fewer than an even share have: {', '.join(short)}." if short else ""
    channels, height, width = card.input_size
    images = f"{found.from_bank:,} from the run's bank, {n - found.from_bank:,} from its maker, at step {found.steps:,}"
    return f"""{head}{_mark(file)}
# {title}

No photograph and no drawing is among these images: they were sought, from random numbers, while a student was distilled
from a teacher without the teacher's training data. No two are alike. They are for training classifiers to answer as the
teacher does. What a teacher has learnt from its data shows in such images, in some so that people see it: guard them as you
would guard the teacher.

| column of `{file}` | what it holds |
|---|---|
| `img` | a PNG of {height}×{width} pixels, {channels} channel{"s" * (channels > 1)} |
| `label` | the class the teacher sees, which is its highest logit; not a truth about the image |
| `logits` | what the teacher says of the pixels divided by 255: {card.num_classes} raw numbers, float32 |

```python
from datasets import load_dataset

images = load_dataset("parquet", data_files="{file}", split="train")
```

## How many of each class

{len(counts)} classes, as the teacher sees them: from {min(counts.values()):,} to {max(counts.values()):,} images each.{fewer}

## How they were made

| | |
|---|---|
{published_history(run)}| images | {images}; chosen with seed {found.seed} |
| logits computed under | {conditions(asked_under)} |

{LICENSE}"""
