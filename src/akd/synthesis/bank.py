"""Images kept for replay: a bounded ring of 8-bit images with the class that was asked of each."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from akd.synthesis.maker import Batch

MOST_BYTES = 512 << 20


def eight_bit(images: Tensor) -> Tensor:
    """Images in 0..1, rounded to the 256 levels that files hold: uint8."""
    return (images.clamp(0, 1) * 255).round().to(torch.uint8)


class Bank(nn.Module):
    """Holds at most `capacity` images (fewer where they are large: 512 MB at the most); the oldest goes first.

    Its contents are buffers, so they are saved like weights.
    """

    images: Tensor
    labels: Tensor

    def __init__(self, capacity: int, input_size: tuple[int, int, int]):
        super().__init__()
        self.capacity = capacity = max(1, min(capacity, MOST_BYTES // math.prod(input_size)))
        self.register_buffer("images", torch.zeros((capacity, *input_size), dtype=torch.uint8))
        self.register_buffer("labels", torch.zeros(capacity, dtype=torch.int64))
        self.written = 0  # a plain number: nobody waits for the device to learn it

    def get_extra_state(self) -> int:
        return self.written

    def set_extra_state(self, state: int) -> None:
        self.written = state

    def __len__(self) -> int:
        return min(self.written, self.capacity)

    @torch.no_grad()
    def add(self, images: Tensor, labels: Tensor) -> None:
        """Keep images [B, C, H, W] in 0..1, rounded to 8 bit, and their labels [B]."""
        start, images, labels = self.written, images[-self.capacity :], labels[-self.capacity :]
        slots = torch.arange(start, start + len(images), device=self.images.device) % self.capacity
        self.images[slots] = eight_bit(images)
        self.labels[slots] = labels
        self.written += len(images)

    def draw(self, count: int) -> Batch:
        """`count` images with their labels; none twice where few are held."""
        held = len(self)
        if count * 8 > held:
            rounds = [torch.randperm(held, device=self.images.device) for _ in range(-(-count // held))]
            pick = torch.cat(rounds)[:count]
        else:  # so many that a draw hardly meets one twice, and a permutation of all would cost more
            pick = torch.randint(held, (count,), device=self.images.device)
        return Batch(self.images[pick].float() / 255, self.labels[pick])
