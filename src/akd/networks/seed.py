"""The two students of the project's starting document, reconstructed from their published parameter counts.

Each is the ResNet of two basic blocks a stage that has the published count, exactly, for 100 classes. The document calls
them "10 %" and "20 %" of a CIFAR-stem ResNet-34 (21,328,292 parameters); their true sizes are told below.
"""

from __future__ import annotations

from akd.networks.resnet import ResNet


def seed_student_1(num_classes: int, in_channels: int = 3) -> ResNet:
    """2,800,804 parameters for 100 classes: 13.13 % of ResNet-34, not 10."""
    return ResNet((2, 2, 2), (64, 128, 256), num_classes, in_channels)


def seed_student_2(num_classes: int, in_channels: int = 3) -> ResNet:
    """11,737,540 parameters for 100 classes: 55.03 % of ResNet-34, not 20."""
    return ResNet((2, 2, 2, 2), (96, 192, 384, 384), num_classes, in_channels)
