"""SpaceshipNet: data-free distillation by channel-wise feature exchange (Yu et al., CVPR 2023, arXiv 2303.11611)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from akd.methods.plan import Method, Plan, StudentOptimiser, cosine, shifted
from akd.networks.classifier import ModelCard
from akd.objectives import wants
from akd.objectives.terms import Schedule
from akd.synthesis.exchange import Exchange


@dataclass(frozen=True, kw_only=True)
class SpaceshipNet(Method):
    """Feature maps of the generator are kept instead of images; their channels are exchanged whenever they become images.

    No adversary; the student also sees where the teacher sees its class (class activation maps). Differs from the paper: the
    maps become images through the generator of the moment; maps are those of a round's last step and of one depth, where the
    authors keep the best step's and draw one of three; latents are sought along with the generator; activation maps are of the
    teacher's class alone, at one scale and of length one, and the KL beside them is a sum over classes where the authors' code
    takes a mean.
    """

    name: ClassVar[str] = "spaceship"
    paper: ClassVar[str] = "arXiv 2303.11611"

    batch_size: int = 256
    student_steps: int = 2000
    student_lr: float = 0.1
    weight_decay: float = 5e-4
    generator_steps: int = 200
    generator_lr: float = 1e-3
    latent_lr: float = 1e-3
    temperature: Schedule = 30.0
    bn: Schedule = 1.0
    one_hot: Schedule = 0.5
    activation_map: Schedule = 1.0
    exchange: float = 0.7
    maps: int = 10_000

    def plan(self, card: ModelCard) -> Plan:
        return Plan(
            maker=Exchange(
                images=self.batch_size,
                steps=self.generator_steps,
                lr=self.generator_lr,
                latent_lr=self.latent_lr,
                follow=1.0,
                share=self.exchange,
                maps=self.maps,
            ),
            image={"bn": wants.statistics(self.bn), "one_hot": wants.asked(self.one_hot)},
            jitter=shifted(card),
            views=(shifted(card),),
            student={
                "imitate": wants.divergence(1.0, self.temperature),
                "activation_map": wants.class_activation(self.activation_map),
            },
            optimiser=StudentOptimiser(lr=cosine(self.student_lr), weight_decay=self.weight_decay),
            batch_size=self.batch_size,
            student_steps=self.student_steps,
        )
