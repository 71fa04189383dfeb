"""VGG with BatchNorm (arXiv 1409.1556) for 32x32 images: one linear layer behind the convolutions."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from akd.networks.resnet import initialise

WIDTHS = (64, 128, 256, 512, 512)


class VGG(nn.Module):
    """images [B, in_channels, H, W] -> logits [B, num_classes]; `depths` 3x3 convolutions by stage, max-pool after each."""

    def __init__(self, depths: Sequence[int], num_classes: int, in_channels: int = 3):
        super().__init__()
        layers: list[nn.Module] = []
        channels = in_channels
        for depth, width in zip(depths, WIDTHS, strict=True):
            for _ in range(depth):
                layers += [nn.Conv2d(channels, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU()]
                channels = width
            layers.append(nn.MaxPool2d(2))
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Linear(channels, num_classes)
        initialise(self)

    def forward(self, images: Tensor) -> Tensor:
        return self.classifier(self.features(images).mean((2, 3)))
