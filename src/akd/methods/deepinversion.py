"""DeepInversion: dreaming to distill (Yin et al., CVPR 2020, arXiv 1912.08795), in its adaptive form."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from akd.methods.inverting import Inverting
from akd.methods.plan import Plan
from akd.networks.classifier import ModelCard
from akd.objectives import wants
from akd.objectives.terms import Schedule
from akd.synthesis.invert import Invert


@dataclass(frozen=True, kw_only=True)
class DeepInversion(Inverting):
    """Images optimised pixel by pixel: asked class, BatchNorm statistics, smoothness, and (adaptive) a student proved wrong.

    `competition` 0 gives plain DeepInversion. Differs from the paper: batches go into a bank and the student trains between
    them, so that the competition always meets the student of the moment; pixels are kept in 0..1 (which stands in for the
    authors' small L2 prior); images are judged under a shift and a mirror, where the authors roll by two pixels.
    """

    name: ClassVar[str] = "deepinversion"
    paper: ClassVar[str] = "arXiv 1912.08795"

    iterations: int = 2000
    image_lr: float = 0.05
    temperature: Schedule = 3.0
    one_hot: Schedule = 1.0
    bn: Schedule = 10.0
    variation: Schedule = 2.5e-5
    competition: Schedule = 1.0
    bank: int = 20_000

    def plan(self, card: ModelCard) -> Plan:
        return self.assembled(
            card,
            Invert(images=self.batch_size, iterations=self.iterations, lr=self.image_lr),
            {
                "one_hot": wants.asked(self.one_hot),
                "bn": wants.statistics(self.bn),
                "variation": wants.smooth(self.variation),
                "competition": wants.competition(self.competition, self.temperature),
            },
        )
