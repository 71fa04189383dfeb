"""Residual networks (arXiv 1512.03385) under torchvision's key names, with the CIFAR or the ImageNet stem."""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from akd.errors import ModelError, did_you_mean

MOST_BLOCKS = 500  # a bound on what an absurd config makes this machine build


def initialise(net: nn.Module) -> None:
    """He's normal initialisation of all convolutions by fan-out (arXiv 1502.01852), biases zero; draws from torch's RNG."""
    for module in net.modules():
        # Nothing to fill on the meta device, and seconds lost there: torch would import its compiler for it.
        if isinstance(module, nn.Conv2d) and not module.weight.is_meta:
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)


class PadShortcut(nn.Module):
    """[B, inputs, H, W] -> [B, outputs, H/stride, W/stride] without parameters: every stride-th pixel, new channels zero
    (option A of the paper), half of them before the old ones as in the published CIFAR nets."""

    def __init__(self, inputs: int, outputs: int, stride: int):
        super().__init__()
        if outputs < inputs:
            raise ModelError(f"shortcut 'pad' cannot go from {inputs} to {outputs} channels; let widths grow or project")
        self.before, self.after = (outputs - inputs) // 2, (outputs - inputs + 1) // 2
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        return F.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, self.before, self.after))


def _projection(inputs: int, outputs: int, stride: int) -> nn.Module:
    return nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))


class BasicBlock(nn.Module):
    """Two 3x3 convolutions beside the shortcut."""

    expansion = 1

    def __init__(self, inputs: int, width: int, stride: int, downsample: nn.Module | None):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, width, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.downsample = downsample

    def forward(self, x: Tensor) -> Tensor:
        out = F.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        return F.relu(out + (x if self.downsample is None else self.downsample(x)))


class Bottleneck(nn.Module):
    """1x1, 3x3 (which strides, as in torchvision) and 1x1 to four times the width, beside the shortcut."""

    expansion = 4

    def __init__(self, inputs: int, width: int, stride: int, downsample: nn.Module | None):
        super().__init__()
        outputs = width * self.expansion
        self.conv1 = nn.Conv2d(inputs, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, outputs, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(outputs)
        self.downsample = downsample

    def forward(self, x: Tensor) -> Tensor:
        out = F.relu(self.bn1(self.conv1(x)))
        out = F.relu(self.bn2(self.conv2(out)))
        out = self.bn3(self.conv3(out))
        return F.relu(out + (x if self.downsample is None else self.downsample(x)))


BLOCKS: dict[str, type[BasicBlock] | type[Bottleneck]] = {"basic": BasicBlock, "bottleneck": Bottleneck}
SHORTCUTS = {"projection": _projection, "pad": PadShortcut}
STEMS = {"cifar": (3, 1, 1), "imagenet": (7, 2, 3)}  # kernel, stride, padding; the latter is followed by a max-pool


class ResNet(nn.Module):
    """images [B, in_channels, H, W] -> logits [B, num_classes]; `depths` blocks of `widths` channels by stage.

    Every stage but the first halves the image; the imagenet stem divides it by four before that.
    """

    def __init__(
        self,
        depths: Sequence[int],
        widths: Sequence[int],
        num_classes: int,
        in_channels: int = 3,
        *,
        block: str = "basic",
        stem: str = "cifar",
        shortcut: str = "projection",
    ):
        super().__init__()
        _check(depths, widths)
        for name, value, known in (("block", block, [*BLOCKS]), ("stem", stem, [*STEMS]), ("shortcut", shortcut, [*SHORTCUTS])):
            if value not in known:
                raise ModelError(f"{name} {value!r} is not one of {', '.join(known)}{did_you_mean(str(value), known)}")
        kind, join = BLOCKS[block], SHORTCUTS[shortcut]
        kernel, stride, padding = STEMS[stem]
        self.conv1 = nn.Conv2d(in_channels, widths[0], kernel, stride, padding, bias=False)
        self.bn1 = nn.BatchNorm2d(widths[0])
        self.maxpool = nn.MaxPool2d(3, 2, 1) if stem == "imagenet" else nn.Identity()
        channels = widths[0]
        self.stages = [f"layer{n}" for n in range(1, len(depths) + 1)]
        for name, depth, width in zip(self.stages, depths, widths, strict=True):
            blocks: list[nn.Module] = []
            for n in range(depth):
                stride = 2 if n == 0 and name != "layer1" else 1
                outputs = width * kind.expansion
                plain = stride == 1 and channels == outputs
                blocks.append(kind(channels, width, stride, None if plain else join(channels, outputs, stride)))
                channels = outputs
            self.add_module(name, nn.Sequential(*blocks))
        self.fc = nn.Linear(channels, num_classes)
        initialise(self)

    def forward(self, images: Tensor) -> Tensor:
        x = self.maxpool(F.relu(self.bn1(self.conv1(images))))
        for name in self.stages:
            x = getattr(self, name)(x)
        return self.fc(x.mean((2, 3)))


def _check(depths: Sequence[int], widths: Sequence[int]) -> None:
    if not depths or len(depths) != len(widths) or min(depths) < 1 or sum(depths) > MOST_BLOCKS or min(widths) < 1:
        raise ModelError(f"depths {list(depths)} and widths {list(widths)} do not go together; give one of each for a stage")
