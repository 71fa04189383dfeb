"""The default method: what works best here today. Its parts and what each gave are in docs/lab.md."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from akd.methods.plan import Method, Plan, StudentOptimiser, View, cosine
from akd.networks.classifier import ModelCard
from akd.objectives import images, logits
from akd.objectives.terms import Seen, Term
from akd.synthesis.augment import shift
from akd.synthesis.online import Online


def statistics(seen: Seen) -> Tensor:
    return images.bn_mismatch(seen.teacher.bn)


def asked(seen: Seen) -> Tensor:
    assert seen.labels is not None
    return logits.asked_class(seen.teacher.logits, seen.labels)


def balance(seen: Seen) -> Tensor:
    return logits.imbalance(seen.teacher.logits)


def disagreement(seen: Seen) -> Tensor:
    return logits.masked_disagreement(seen.student.logits, seen.teacher.logits)


def softened(temperature: float):  # type: ignore[no-untyped-def]
    def imitate(seen: Seen) -> Tensor:
        return logits.kl(seen.student.logits, seen.teacher.logits, temperature)

    return imitate


@dataclass(frozen=True, kw_only=True)
class Default(Method):
    """A class-conditioned generator held to the teacher's BatchNorm statistics, a bank, an annealed adversary, an average."""

    name: ClassVar[str] = "akd"
    paper: ClassVar[str] = "this project, docs/lab.md"
    needs_batch_norm: ClassVar[bool] = True

    batch_size: int = 128
    student_steps: int = 5
    student_lr: float = 0.1
    weight_decay: float = 1e-4
    generator_lr: float = 2e-3
    temperature: float = 4.0
    bn: float = 1.0
    one_hot: float = 0.5
    balance: float = 2.0
    adversary: float = 1.0
    bank: int = 10_000
    fresh: float = 0.5
    average: float = 0.995

    def plan(self, card: ModelCard) -> Plan:
        flip = card.input_size[0] == 3  # a mirrored photograph is a photograph; a mirrored letter may be none

        def shifted(x: Tensor, *_: object) -> Tensor:
            return shift(x, max(1, x.shape[-1] // 8), flip)

        views: tuple[View, ...] = (shifted,)
        return Plan(
            maker=Online(lr=cosine(self.generator_lr), asked=True),
            image={
                "bn": Term(self.bn, statistics, frozenset({"bn"})),
                "one_hot": Term(self.one_hot, asked),
                "balance": Term(self.balance, balance),
                "adversary": Term(((0.0, -self.adversary), (1.0, 0.0)), disagreement),
            },
            student={"imitate": Term(1.0, softened(self.temperature))},
            optimiser=StudentOptimiser(lr=cosine(self.student_lr, warmup=0.05), weight_decay=self.weight_decay),
            views=views,
            batch_size=self.batch_size,
            student_steps=self.student_steps,
            bank=self.bank,
            fresh=self.fresh,
            average=self.average,
        )
