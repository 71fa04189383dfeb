"""MobileNetV2 (arXiv 1801.04381) for 32x32 images under torchvision's key names."""

from __future__ import annotations

from torch import Tensor, nn

from akd.errors import ModelError
from akd.networks.resnet import initialise

# Expansion, channels, blocks, stride. The stem and the second stage keep the image's size, unlike on ImageNet.
STAGES = ((1, 16, 1, 1), (6, 24, 2, 1), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))


def _conv(inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1) -> nn.Sequential:
    convolution = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(outputs), nn.ReLU6())


class InvertedResidual(nn.Module):
    """Widen by `expansion`, filter each channel by 3x3, narrow again; a shortcut where the shape allows it."""

    def __init__(self, inputs: int, outputs: int, stride: int, expansion: int):
        super().__init__()
        hidden = inputs * expansion
        widen = [] if expansion == 1 else [_conv(inputs, hidden, 1)]
        narrow = nn.Conv2d(hidden, outputs, 1, bias=False), nn.BatchNorm2d(outputs)
        self.conv = nn.Sequential(*widen, _conv(hidden, hidden, 3, stride, groups=hidden), *narrow)
        self.same = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv(x) if self.same else self.conv(x)


class MobileNetV2(nn.Module):
    """images [B, in_channels, H, W] -> logits [B, num_classes]; `width` multiplies all channels, in multiples of 8."""

    def __init__(self, num_classes: int, in_channels: int = 3, width: float = 1.0):
        super().__init__()
        if not 0 < width <= 100:
            raise ModelError(f"width {width} must be above 0 and at most 100; 1.0 is the published net")
        channels = _scaled(32, width)
        layers: list[nn.Module] = [_conv(in_channels, channels, 3)]
        for expansion, base, blocks, stride in STAGES:
            for n in range(blocks):
                outputs = _scaled(base, width)
                layers.append(InvertedResidual(channels, outputs, stride if n == 0 else 1, expansion))
                channels = outputs
        last = _scaled(1280, max(1.0, width))
        self.features = nn.Sequential(*layers, _conv(channels, last, 1))
        # In torchvision's place of a dropout, which a small student has no capacity to spare for.
        self.classifier = nn.Sequential(nn.Identity(), nn.Linear(last, num_classes))
        initialise(self)

    def forward(self, images: Tensor) -> Tensor:
        return self.classifier(self.features(images).mean((2, 3)))


def _scaled(channels: int, width: float) -> int:
    """The multiple of 8 nearest to the product, but never less than nine tenths of it."""
    wanted = channels * width
    nearest = max(8, int(wanted + 4) // 8 * 8)
    return nearest if nearest >= 0.9 * wanted else nearest + 8
