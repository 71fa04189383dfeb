"""The default method: what works best here today. Its parts and what each gave are in docs/lab.md."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from akd.methods.plan import Method, Plan, StudentOptimiser, cosine, mixed, shifted
from akd.networks.classifier import ModelCard
from akd.objectives import wants
from akd.objectives.terms import Schedule
from akd.synthesis.online import Online


@dataclass(frozen=True, kw_only=True)
class Default(Method):
    """Formula pictures, and a generator that restyles them toward the teacher's BatchNorm statistics.

    Each picture is asked to become the class that it is most like, and to be disputed between teacher and student (L1), less
    and less so as the run goes on. What is made is kept in a bank; the student imitates softened answers on shifted images,
    half of them mixed (CutMix); the result is its average over the last tenth.
    """

    name: ClassVar[str] = "akd"
    paper: ClassVar[str] = "akd's own"

    batch_size: int = 128
    student_steps: int = 5
    student_lr: float = 0.1
    weight_decay: float = 5e-4
    generator_lr: float = 2e-3
    temperature: Schedule = 4.0
    bn: Schedule = 50.0
    one_hot: Schedule = 2.0
    balance: Schedule = 5.0
    adversary: float = 8.0
    pictures: float = 0.4
    cutmix: float = 0.5
    bank: int = 20_000
    average: float = 17.0

    def plan(self, card: ModelCard) -> Plan:
        side = min(card.input_size[1:])
        return Plan(
            maker=Online(
                lr=cosine(self.generator_lr),
                first=20,
                latent=64 if side < 16 else 256,
                width=min(128, 8 * side),
                restyles=True,
                betas=(0.5, 0.999),
            ),
            image={
                "bn": wants.relative_statistics(self.bn),
                "one_hot": wants.asked(self.one_hot),
                "balance": wants.balanced(self.balance),
                "adversary": wants.discrepancy(cosine(-self.adversary)),
            },
            jitter=shifted(card),
            views=(shifted(card), mixed(self.cutmix)),
            student={"imitate": wants.divergence(1.0, self.temperature)},
            optimiser=StudentOptimiser(lr=cosine(self.student_lr, warmup=0.05), weight_decay=self.weight_decay, nesterov=True),
            batch_size=self.batch_size,
            student_steps=self.student_steps,
            pictures=self.pictures,
            bank=self.bank,
            fresh=0.0,
            average=self.average,
        )
