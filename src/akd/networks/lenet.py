"""Nets for digits: LeNet-5 with its half, and a small BatchNorm net that scales."""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from akd.errors import ModelError
from akd.networks.resnet import initialise


class LeNet5(nn.Module):
    """images [B, C, H, W] of `input_size` (C, H, W) -> logits [B, num_classes]; ReLU and max-pooling as in DAFL.

    Images below 32 pixels are padded by two, so 28x28 and 32x32 have the same weights. `widths`: three convolutions,
    then the hidden linear layer.
    """

    def __init__(
        self,
        num_classes: int,
        input_size: tuple[int, int, int] = (1, 28, 28),
        widths: tuple[int, int, int, int] = (6, 16, 120, 84),
    ):
        super().__init__()
        channels, height, width = input_size
        padding = 2 if min(height, width) < 32 else 0
        rest = [((side + 2 * padding - 4) // 2 - 4) // 2 for side in (height, width)]
        if min(rest) < 1:
            raise ModelError(f"lenet5 needs images of 12x12 or more, not {height}x{width}; try digitsnet")
        first, second, third, hidden = widths
        self.conv1 = nn.Conv2d(channels, first, 5, padding=padding)
        self.conv2 = nn.Conv2d(first, second, 5)
        self.conv3 = nn.Conv2d(second, third, (rest[0], rest[1]))  # sees all that is left: 5x5
        self.fc1 = nn.Linear(third, hidden)
        self.fc2 = nn.Linear(hidden, num_classes)

    def forward(self, images: Tensor) -> Tensor:
        x = F.max_pool2d(F.relu(self.conv1(images)), 2)
        x = F.max_pool2d(F.relu(self.conv2(x)), 2)
        x = F.relu(self.conv3(x)).flatten(1)
        return self.fc2(F.relu(self.fc1(x)))


class DigitsNet(nn.Module):
    """images [B, in_channels, H, W] -> logits [B, num_classes]: a 3x3 convolution with BatchNorm and ReLU for each width.

    All but the first halve the image; made for 8x8, right for any small one.
    """

    def __init__(self, num_classes: int, in_channels: int = 1, widths: Sequence[int] = (32, 64, 128)):
        super().__init__()
        if not widths or min(widths) < 1:
            raise ModelError(f"widths {list(widths)} must be one or more channel counts, e.g. 32, 64, 128")
        layers: list[nn.Module] = []
        channels = in_channels
        for n, width in enumerate(widths):
            layers += [nn.Conv2d(channels, width, 3, min(n, 1) + 1, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU()]
            channels = width
        self.features = nn.Sequential(*layers)
        self.fc = nn.Linear(channels, num_classes)
        initialise(self)

    def forward(self, images: Tensor) -> Tensor:
        return self.fc(self.features(images).mean((2, 3)))
