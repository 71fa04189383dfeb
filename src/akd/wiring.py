"""A self-test before the first step: every gradient that the method needs is there, and nothing else is touched."""

from __future__ import annotations

import copy
from dataclasses import replace

import torch
from torch import Tensor, nn

from akd.errors import AkdError
from akd.eyes import Eyes
from akd.loop import student_step, turn_of_maker
from akd.objectives.terms import Terms, at
from akd.state import State
from akd.synthesis.maker import Batch, trained_by

SAMPLES = 16


class WiringError(AkdError):
    """A gradient that should be there is not, or something moved that must not."""


def _flows(output: Tensor, source: Tensor) -> bool:
    if not output.requires_grad:
        return False
    (gradient,) = torch.autograd.grad(output.square().sum(), source, allow_unused=True, retain_graph=True)
    return gradient is not None and bool(gradient.isfinite().all()) and bool(gradient.any())


def _snapshot(network: nn.Module) -> list[Tensor]:
    return [tensor.clone() for tensor in network.state_dict().values()]


def check_wiring(state: State) -> None:
    """Raise WiringError where the run could not learn. Leaves `state` as it was.

    Through teacher and student the answer must depend differentiably on the images; the image loss must reach the
    images; the student must get a gradient from its loss; the teacher must come out of all this bit for bit the same.
    """
    saved, teacher_before = copy.deepcopy(state.state_dict()), _snapshot(state.teacher)
    with state.rng.here():
        images = state.probe[:SAMPLES].float() / 255
        images = (images + 0.05 * torch.rand_like(images)).requires_grad_()
        labels = torch.arange(SAMPLES, device=images.device) % state.student.card.num_classes
        eyes = Eyes(state, state.plan.image)
        state.student.eval()
        for who, network in (("teacher", state.teacher), ("student", state.student)):
            if not _flows(eyes.see(network, images, frozenset()).logits, images):
                raise WiringError(
                    f"no gradient flows through the {who} to its input, so images cannot be sought with it; "
                    f"check its weights, and its forward pass for no_grad, detach or rounding"
                )
        _check_image_loss(state, eyes, Batch(images, labels))
        _check_maker(state, eyes)
        _check_student(state)
    same = all(torch.equal(a, b) for a, b in zip(teacher_before, _snapshot(state.teacher), strict=True))
    if not same or state.teacher.training:
        raise WiringError("the teacher changed while it was only looked at; it must keep its buffers in eval mode")
    state.load_state_dict(saved)


def _check_image_loss(state: State, eyes: Eyes, batch: Batch) -> None:
    """Where the image loss depends on a network's answer, its gradient flows through that answer; and on to the images."""
    if not eyes.terms:
        return
    answers = {"teacher": eyes.see_teacher(batch.images), "student": eyes.see_student(batch.images)}
    progress = busiest(eyes.terms)
    loss, _ = eyes.weigh(batch, answers["teacher"], answers["student"], progress)
    for who, sight in answers.items():
        moved = replace(sight, logits=sight.logits * 1.1 + torch.linspace(0, 1, sight.logits.shape[1], device=loss.device))
        other, _ = eyes.weigh(batch, **{**answers, who: moved}, progress=progress)
        if not torch.equal(loss, other) and not _reaches(loss, sight.logits):
            raise WiringError(f"the image loss depends on the {who} and lets no gradient through it; remove the detach")
    if not _flows(loss, batch.images):
        raise WiringError("the image loss gives the images no finite gradient; check the method's image terms")


def busiest(terms: Terms) -> float:
    """The first moment of the run, 0..1, at which the most terms count: a schedule may begin with nothing."""
    moments = [i / 100 for i in range(101)]
    return max(moments, key=lambda when: (sum(at(term.weight, when) != 0 for term in terms.values()), -when))


def _reaches(loss: Tensor, source: Tensor) -> bool:
    return loss.requires_grad and torch.autograd.grad(loss, source, allow_unused=True, retain_graph=True)[0] is not None


def _check_maker(state: State, eyes: Eyes) -> None:
    """One turn of the maker: what it trains must move."""
    if state.maker_optimiser is None:
        return
    trained = trained_by(state.maker_optimiser)
    before = [p.detach().clone() for p in trained]
    turn_of_maker(eyes, busiest(eyes.terms))
    if all(torch.equal(a, b) for a, b in zip(before, trained, strict=True)):
        raise WiringError(
            "a turn of the maker moves none of its weights; its images must carry gradients to them, and its rate be above zero"
        )


def _check_student(state: State) -> None:
    """One student step: all its weights get a finite gradient (a loss of zero everywhere would give none)."""
    images = state.probe.float() / 255
    batch = Batch(images, torch.zeros(len(images), dtype=torch.int64, device=images.device))
    eyes = Eyes(state, state.plan.student)
    student_step(eyes, batch, busiest(eyes.terms))
    named = [*state.student.named_parameters(), *state.modules.named_parameters()]
    for name, parameter in named:
        if parameter.requires_grad and (parameter.grad is None or not bool(parameter.grad.isfinite().all())):
            raise WiringError(f"{name} gets no finite gradient; every weight of the student must count in its output")
    if not any(bool(parameter.grad.any()) for _, parameter in named if parameter.grad is not None):
        raise WiringError("the student's loss gives it no gradient; check the method's student terms")
