"""Networks that turn noise, or pictures from formulas, into images in 0..1."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

EARLY = 5  # BatchNorm, then upsample, convolution, BatchNorm, LeakyReLU
APART = 0.3  # deviation of what classes begin with, so that they differ from the first step on
EDGE = 0.03  # a picture's pixels are kept so far from 0 and 1, whose logits are infinite


class Generator(nn.Module):
    """The generator that CMI, FastDFKD and NAYER share: Linear, then (upsample, conv, BN, LeakyReLU) twice or more.

    z [B, latent] -> images [B, C, H, W] in 0..1. It starts at a quarter of the image's side (less for large images) and
    doubles; `width` channels at the start, half of it at the end.
    """

    def __init__(self, input_size: tuple[int, int, int], latent: int = 256, width: int = 128):
        super().__init__()
        channels, self.height, self.width = input_size
        doublings = _doublings(input_size)
        self.start = (width, -(-self.height // 2**doublings), -(-self.width // 2**doublings))
        self.project = nn.Linear(latent, math.prod(self.start))
        blocks: list[nn.Module] = [nn.BatchNorm2d(width)]
        for i in range(doublings):
            out = width if i < doublings - 1 else width // 2
            blocks += [nn.Upsample(scale_factor=2), nn.Conv2d(width, out, 3, 1, 1, bias=False)]
            blocks += [nn.BatchNorm2d(out), nn.LeakyReLU(0.2, inplace=True)]
        self.blocks = nn.Sequential(*blocks)
        self.to_image = nn.Conv2d(width // 2, channels, 3, 1, 1)

    @property
    def map_size(self) -> tuple[int, int, int]:
        """(channels, height, width) of the maps between `early` and `late`."""
        channels, height, width = self.start
        return (channels, 2 * height, 2 * width)

    def early(self, z: Tensor) -> Tensor:
        """z [B, latent] -> feature maps [B, *map_size], after the first doubling."""
        maps: Tensor = self.blocks[:EARLY](self.project(z).view(-1, *self.start))
        return maps

    def late(self, maps: Tensor) -> Tensor:
        """Feature maps [B, *map_size] -> images [B, C, H, W] in 0..1."""
        x = self.blocks[EARLY:](maps)
        # Float32 here: the last bits of a bfloat16 near 1 are coarser than the 8 bits an image is kept in.
        return torch.sigmoid(self.to_image(x)[:, :, : self.height, : self.width].float())

    def forward(self, z: Tensor) -> Tensor:
        return self.late(self.early(z))


class Restyler(nn.Module):
    """Turns formula pictures into what a teacher knows: (pictures [B, C, H, W] in 0..1, labels [B]) -> images alike.

    A U-net (Ronneberger et al., 1505.04597) that halves a picture as often as a `Generator` doubles. The class that is asked
    for enters in the middle, as maps of its own that are added, and on the way back up. What the network says is added to the
    picture's logits, so that it begins with the pictures nearly as they are.
    """

    def __init__(self, input_size: tuple[int, int, int], num_classes: int, latent: int = 256, width: int = 128):
        super().__init__()
        channels, self.height, self.width = input_size
        halvings = _doublings(input_size)
        widths = [min(width, width * 2**i // 4) for i in range(halvings + 1)]
        self.down = nn.ModuleList([_block(channels, widths[0], 1)])
        self.down.extend(_block(widths[i], widths[i + 1], 2) for i in range(halvings))
        self.middle = (width, *(-(-side // 2**halvings) for side in (self.height, self.width)))
        self.embed = nn.Embedding(num_classes, latent)
        self.project = nn.Sequential(nn.LayerNorm(latent), nn.Linear(latent, math.prod(self.middle)))
        self.norm = nn.BatchNorm2d(width)
        self.up = nn.ModuleList(_Asked(widths[i + 1] + widths[i], widths[i], num_classes) for i in reversed(range(halvings)))
        self.to_image = nn.Conv2d(widths[0], channels, 3, 1, 1)
        nn.init.normal_(self.to_image.weight, std=0.01)

    def forward(self, pictures: Tensor, labels: Tensor) -> Tensor:
        whole = [side * 2 ** len(self.up) for side in self.middle[1:]]
        right, below = whole[1] - self.width, whole[0] - self.height
        x = F.pad(pictures, (0, right, 0, below), mode="replicate") if right or below else pictures
        x = 4 * x - 2
        maps = [x := layer(x) for layer in self.down]
        x = maps.pop() + self.norm(self.project(self.embed(labels)).view(-1, *self.middle))
        for layer in self.up:
            x = layer(torch.cat([F.interpolate(x, scale_factor=2), maps.pop()], 1), labels)
        change = self.to_image(x)[:, :, : self.height, : self.width].float()
        return torch.sigmoid(pictures.clamp(EDGE, 1 - EDGE).logit() + change)


def _block(channels: int, out: int, stride: int) -> nn.Sequential:
    conv = nn.Conv2d(channels, out, 3, stride, 1, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(out), nn.LeakyReLU(0.2, inplace=True))


class _Asked(nn.Module):
    """A convolution, and BatchNorm with a scale and a shift for each class (Dumoulin et al., 1610.07629)."""

    def __init__(self, channels: int, out: int, num_classes: int):
        super().__init__()
        self.conv = nn.Conv2d(channels, out, 3, 1, 1, bias=False)
        self.norm = nn.BatchNorm2d(out, affine=False)
        self.scale, self.shift = nn.Embedding(num_classes, out), nn.Embedding(num_classes, out)
        nn.init.normal_(self.scale.weight, mean=1.0, std=APART)
        nn.init.normal_(self.shift.weight, std=APART)

    def forward(self, x: Tensor, labels: Tensor) -> Tensor:
        x = self.norm(self.conv(x))
        scale, shift = (table(labels)[:, :, None, None].to(x.dtype) for table in (self.scale, self.shift))
        return F.leaky_relu(x * scale + shift, 0.2)


def _doublings(input_size: tuple[int, int, int]) -> int:
    return max(2, math.ceil(math.log2(max(input_size[1:]) / 8)))
