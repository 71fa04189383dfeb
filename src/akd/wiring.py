"""A self-test before the first step: every gradient that the method needs is there, and nothing else is touched."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from akd.errors import AkdError
from akd.loop import Eyes, judge_images, student_step
from akd.state import State
from akd.synthesis.maker import Batch

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
                    f"remove no_grad, detach or rounding from the {who}'s forward pass"
                )
        loss, _ = judge_images(eyes, Batch(images, labels), 0.0)
        if eyes.terms and not _flows(loss, images):
            raise WiringError("the image loss gives the images no finite gradient; check the method's image terms")
        _check_student(state)
    same = all(torch.equal(a, b) for a, b in zip(teacher_before, _snapshot(state.teacher), strict=True))
    if not same or state.teacher.training:
        raise WiringError("the teacher changed while it was only looked at; it must keep its buffers in eval mode")
    state.load_state_dict(saved)


def _check_student(state: State) -> None:
    """One student step: all its weights get a finite gradient (a loss of zero everywhere would give none)."""
    images = state.probe.float() / 255
    batch = Batch(images, torch.zeros(len(images), dtype=torch.int64, device=images.device))
    student_step(Eyes(state, state.plan.student), batch, 0.0)
    names = [n for n, p in state.student.named_parameters() if p.requires_grad and p.grad is None]
    if names:
        raise WiringError(f"the student's {names[0]} gets no gradient; every weight of the student must count in its output")
    if not any(bool(p.grad.any()) for p in state.student.parameters() if p.grad is not None):
        raise WiringError("the student's loss gives it no gradient; check the method's student terms")
