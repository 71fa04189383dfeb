"""DFAD as its paper's algorithm box reads, in plain PyTorch: what the engine is measured against.

Own code, written from the paper (Fang et al., arXiv 1912.11006), fp32, nothing clever, the same networks as the engine's.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn


def literal_dfad(teacher: nn.Module, student: nn.Module, generator: nn.Module, latent: int, batch: int, turns: int) -> int:
    """`turns` times one generator step after five student steps; returns the student steps made."""
    opt_s = torch.optim.SGD(student.parameters(), lr=0.1, momentum=0.9, weight_decay=5e-4)
    opt_g = torch.optim.Adam(generator.parameters(), lr=1e-3)
    device = next(student.parameters()).device
    teacher.eval()
    student.train()
    generator.train()
    for _ in range(turns):
        for _ in range(5):
            z = torch.randn(batch, latent, device=device)
            images = generator(z).detach()
            with torch.no_grad():
                told = teacher(images)
            loss = F.l1_loss(student(images), told)
            opt_s.zero_grad()
            loss.backward()
            opt_s.step()
        z = torch.randn(batch, latent, device=device)
        images = generator(z)
        loss = -F.l1_loss(student(images), teacher(images))
        opt_g.zero_grad()
        loss.backward()
        opt_g.step()
    return 5 * turns
