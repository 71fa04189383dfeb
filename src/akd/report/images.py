"""Pictures for a page that opens offline: PNGs inside data URIs."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence

import torch
from PIL import Image
from torch import Tensor

SIDE = 64  # pixels a side at which one image is shown
HUE, OWN = (214, 69, 65), (120, 130, 140)  # of the confusion's errors, and of its diagonal: legible on white and on black


def data_uri(image: Image.Image) -> str:
    buffer = io.BytesIO()
    image.save(buffer, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


def strip_uri(images: Tensor, seen: Sequence[bool]) -> str:
    """uint8 [N, C, H, W] -> one picture, the images side by side with a transparent gap between them; not `seen`: a gap too."""
    n, channels, height, width = images.shape
    scale = max(1, -(-max(height, width) // SIDE))
    small = torch.nn.functional.avg_pool2d(images.float(), scale) if scale > 1 else images
    pixels = small.round().to(torch.uint8)
    coloured = pixels[:, :3] if channels >= 3 else pixels[:, :1].expand(-1, 3, -1, -1)
    height, width = coloured.shape[2:]
    gap = max(1, width // 16)
    sheet = torch.zeros(height, n * (width + gap) - gap, 4, dtype=torch.uint8)
    for i, image in enumerate(coloured):
        left = i * (width + gap)
        sheet[:, left : left + width, :3] = image.permute(1, 2, 0)
        sheet[:, left : left + width, 3] = 255 * seen[i]
    return data_uri(Image.fromarray(sheet.numpy(), "RGBA"))


def heat_uri(classes: int, cells: list[tuple[int, int, int]]) -> str:
    """A confusion of many classes, a pixel a cell: the root of each row's share as opacity, so that small ones show."""
    counts = torch.zeros(classes, classes)
    for row, column, count in cells:
        counts[row, column] = count
    alpha = (counts / counts.sum(1, keepdim=True).clamp_min(1)).sqrt()
    sheet = torch.tensor([*HUE, 0], dtype=torch.uint8).repeat(classes, classes, 1)
    sheet[torch.arange(classes), torch.arange(classes), :3] = torch.tensor(OWN, dtype=torch.uint8)
    sheet[:, :, 3] = (alpha * 255).round().to(torch.uint8)
    return data_uri(Image.fromarray(sheet.numpy(), "RGBA"))
