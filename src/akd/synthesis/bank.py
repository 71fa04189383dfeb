"""Images kept for replay: a bounded ring of 8-bit images with the class that was asked of each."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Bank(nn.Module):
    """Holds at most `capacity` images; the oldest goes first. Its contents are buffers, so they are saved like weights."""

    images: Tensor
    labels: Tensor
    written: Tensor

    def __init__(self, capacity: int, input_size: tuple[int, int, int]):
        super().__init__()
        self.capacity = capacity
        self.register_buffer("images", torch.zeros((capacity, *input_size), dtype=torch.uint8))
        self.register_buffer("labels", torch.zeros(capacity, dtype=torch.int64))
        self.register_buffer("written", torch.zeros((), dtype=torch.int64))

    def __len__(self) -> int:
        return min(int(self.written), self.capacity)

    @torch.no_grad()
    def add(self, images: Tensor, labels: Tensor) -> None:
        """Keep images [B, C, H, W] in 0..1, rounded to 8 bit, and their labels [B]."""
        start = int(self.written)
        images, labels = images[-self.capacity :], labels[-self.capacity :]
        slots = torch.arange(start, start + len(images), device=self.images.device) % self.capacity
        self.images[slots] = (images.clamp(0, 1) * 255).round().to(torch.uint8)
        self.labels[slots] = labels
        self.written += len(images)

    def draw(self, count: int) -> tuple[Tensor, Tensor]:
        """`count` images [count, C, H, W] in 0..1 with labels [count]; none twice where few are held."""
        held = len(self)
        if count * 8 > held:
            rounds = [torch.randperm(held, device=self.images.device) for _ in range(-(-count // held))]
            pick = torch.cat(rounds)[:count]
        else:  # so many that a draw hardly meets one twice, and a permutation of all would cost more
            pick = torch.randint(held, (count,), device=self.images.device)
        return self.images[pick].float() / 255, self.labels[pick]
