"""Networks that turn noise into images in 0..1."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

EARLY = 5  # BatchNorm, then upsample, convolution, BatchNorm, LeakyReLU


class Generator(nn.Module):
    """The generator that CMI, FastDFKD and NAYER share: Linear, then (upsample, conv, BN, LeakyReLU) twice or more.

    z [B, latent] -> images [B, C, H, W] in 0..1. It starts at a quarter of the image's side (less for large images) and
    doubles; `width` channels at the start, half of it at the end.
    """

    def __init__(self, input_size: tuple[int, int, int], latent: int = 256, width: int = 128):
        super().__init__()
        channels, self.height, self.width = input_size
        doublings = max(2, math.ceil(math.log2(max(self.height, self.width) / 8)))
        self.start = (width, -(-self.height // 2**doublings), -(-self.width // 2**doublings))
        self.latent = latent
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


class ConditionalGenerator(nn.Module):
    """A `Generator` whose noise carries the class that is asked for: (z [B, latent], labels [B]) -> images [B, C, H, W].

    The class enters as a learned vector of the same length as the noise, added to it.
    """

    def __init__(self, input_size: tuple[int, int, int], num_classes: int, latent: int = 256, width: int = 128):
        super().__init__()
        self.latent = latent
        self.embed = nn.Embedding(num_classes, latent)
        self.body = Generator(input_size, latent, width)

    def forward(self, z: Tensor, labels: Tensor) -> Tensor:
        return self.body(z + F.layer_norm(self.embed(labels), (self.latent,)))
