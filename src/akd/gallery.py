"""Pictures of what a run's maker makes, class by class: what is shown, how it is laid out, and how it is read back."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from akd.networks.taps import batch_norms
from akd.state import State
from akd.synthesis.bank import eight_bit

SIDE = 8  # images a side of a picture of many classes; of few classes there are at most so many images each
LEAST, FOR_EACH = 256, 4  # images made to choose from: at least so many, and so many for each class
SCALE, LARGE = 4, 64  # images of fewer pixels a side are enlarged


@dataclass(frozen=True)
class Layout:
    """`classes` are shown, in this order, each by `each` images side by side; `columns` images in a row."""

    classes: list[int]
    each: int
    columns: int


def layout(num_classes: int) -> Layout:
    """At most 64 classes, evenly chosen; few classes have several images each."""
    classes = torch.linspace(0, num_classes - 1, min(num_classes, SIDE * SIDE)).round().long().tolist()
    each = min(SIDE, max(1, SIDE * SIDE // num_classes))
    return Layout(classes, each, each * max(1, SIDE // each))


@torch.no_grad()
def gallery(state: State) -> Tensor:
    """What the maker makes now: images [classes · each, C, H, W] in 0..1 as `layout` orders them, in each of which the teacher
    sees that class; white where it sees it in none. The run goes on as if nothing had been drawn."""
    card = state.student.card
    wanted, size = max(LEAST, FOR_EACH * card.num_classes), state.plan.batch_size
    with state.rng.apart(state.step), _kept(state.maker), state.runtime.autocast():
        drawn = [state.plan.maker.draw(state.maker, state.draw_pictures, size).images for _ in range(-(-wanted // size))]
        said = torch.cat([state.folded(images).argmax(1) for images in drawn]).cpu()
    images, plan = torch.cat(drawn).float().cpu(), layout(card.num_classes)
    sheet = torch.ones(len(plan.classes), plan.each, *card.input_size)
    for row, number in zip(sheet, plan.classes, strict=True):
        mine = images[said == number][: plan.each]
        row[: len(mine)] = mine
    return sheet.flatten(0, 1)


@contextmanager
def _kept(maker: nn.Module) -> Iterator[None]:
    """A generator's BatchNorm layers remember what they are shown; afterwards they have not seen it."""
    before = [(layer, {name: value.clone() for name, value in layer.state_dict().items()}) for layer in batch_norms(maker)]
    try:
        yield
    finally:
        for layer, values in before:
            layer.load_state_dict(values)


def picture(images: Tensor, columns: int) -> bytes:
    """Images [N, C, H, W] in 0..1 as a PNG, small ones enlarged; a white line beside and below each."""
    n, channels, h, w = images.shape
    rows = -(-n // columns)
    canvas = torch.ones(rows * columns, channels, h + 1, w + 1)
    canvas[:n, :, :h, :w] = images
    sheet = canvas.view(rows, columns, channels, h + 1, w + 1).permute(0, 3, 1, 4, 2)
    sheet = sheet.reshape(rows * (h + 1), columns * (w + 1), channels)
    scale = _scale(h)
    pixels = eight_bit(sheet.repeat_interleave(scale, 0).repeat_interleave(scale, 1)).numpy()
    content = io.BytesIO()
    Image.fromarray(pixels if channels == 3 else pixels[:, :, 0]).save(content, "PNG")
    return content.getvalue()


def read(file: Path, input_size: tuple[int, int, int], num_classes: int) -> Tensor | None:
    """The images of a picture of `gallery`'s, uint8 [classes, each, C, H, W]; None where it is damaged, or no such picture."""
    channels, h, w = input_size
    plan = layout(num_classes)
    rows = -(-len(plan.classes) * plan.each // plan.columns)
    try:
        with Image.open(file) as opened:
            pixels = np.asarray(opened.convert("RGB"))
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        return None
    sheet = torch.from_numpy(pixels.copy())[:: _scale(h), :: _scale(h)]
    if sheet.shape != (rows * (h + 1), plan.columns * (w + 1), 3):
        return None
    tiles = sheet.view(rows, h + 1, plan.columns, w + 1, 3).permute(0, 2, 4, 1, 3)[..., :h, :w].flatten(0, 1)
    shape = (len(plan.classes), plan.each, 3, h, w)
    return tiles[: shape[0] * shape[1]].reshape(shape)[:, :, : 3 if channels == 3 else 1]


def _scale(height: int) -> int:
    return SCALE if height < LARGE else 1
