"""Wide residual networks (arXiv 1605.07146) under the key names of their usual PyTorch form."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from akd.errors import ModelError
from akd.networks.resnet import MOST_BLOCKS, initialise


class Block(nn.Module):
    """Pre-activation block; where the channels change, the shortcut starts after the first BatchNorm and ReLU."""

    def __init__(self, inputs: int, outputs: int, stride: int):
        super().__init__()
        self.bn1 = nn.BatchNorm2d(inputs)
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.convShortcut = None if inputs == outputs else nn.Conv2d(inputs, outputs, 1, stride, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        active = F.relu(self.bn1(x))
        out = self.conv2(F.relu(self.bn2(self.conv1(active))))
        return out + (x if self.convShortcut is None else self.convShortcut(active))


class Stage(nn.Module):
    """The blocks of one width; published files call the list `layer`."""

    def __init__(self, depth: int, inputs: int, outputs: int, stride: int):
        super().__init__()
        first = Block(inputs, outputs, stride)
        self.layer = nn.Sequential(first, *(Block(outputs, outputs, 1) for _ in range(depth - 1)))

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x)


class WideResNet(nn.Module):
    """WRN-depth-width: images [B, in_channels, H, W] -> logits [B, num_classes]; depth = 6n + 4, 16·width channels first."""

    def __init__(self, depth: int, width: int, num_classes: int, in_channels: int = 3):
        super().__init__()
        blocks, rest = divmod(depth - 4, 6)
        if rest or not 1 <= blocks <= MOST_BLOCKS or width < 1:
            raise ModelError(f"no WRN-{depth}-{width}: the depth must be 6n + 4 (10, 16, 22, 28, 40 …), the width 1 or more")
        self.conv1 = nn.Conv2d(in_channels, 16, 3, 1, 1, bias=False)
        self.block1 = Stage(blocks, 16, 16 * width, 1)
        self.block2 = Stage(blocks, 16 * width, 32 * width, 2)
        self.block3 = Stage(blocks, 32 * width, 64 * width, 2)
        self.bn1 = nn.BatchNorm2d(64 * width)
        self.relu = nn.ReLU()
        self.fc = nn.Linear(64 * width, num_classes)
        initialise(self)

    def forward(self, images: Tensor) -> Tensor:
        x = self.block3(self.block2(self.block1(self.conv1(images))))
        return self.fc(self.relu(self.bn1(x)).mean((2, 3)))
