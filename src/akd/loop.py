"""The loop. Every method runs through it; it knows plans, not papers.

while there is budget:
    maker:    a turn at seeking images on which the image loss is low; the student looks on, frozen
    bank:     keep what was made
    student:  once the maker is ready, `student_steps` times: draw images, alter them, ask the teacher, imitate it
    report

Of several processes (`akd.parallel`) each does all of this alike; in the student's step each takes a share of the batch.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from akd.errors import Diverged
from akd.eyes import Eyes
from akd.networks.classifier import ModelCard
from akd.networks.taps import Sight
from akd.objectives.logits import most_like
from akd.objectives.terms import Progress, at
from akd.probe import look_at_probe, trouble
from akd.runtime import Runtime
from akd.state import State, all_finite, floats_of
from akd.synthesis.maker import Batch, Given
from akd.synthesis.pictures import pictures

REPORT_EVERY = 50
RENEW_EVERY = 4  # turns between new pictures, once the student learns; before, each turn has some


@dataclass(frozen=True)
class Budget:
    """How long to run: student steps, or seconds of the loop's own time."""

    steps: int | None = None
    seconds: float | None = None

    def progress(self, state: State) -> float:
        if self.steps:
            return min(state.step / self.steps, 1.0)
        return min(state.runtime.group.same(state.seconds) / (self.seconds or 1.0), 1.0)


@dataclass(frozen=True)
class Report:
    """How the run stands after `step` student steps. Losses are means since the report before; agreement is in percent.

    healthy: nothing looks wrong on the probe now.
    """

    step: int
    seconds: float
    progress: float
    losses: dict[str, float]
    agreement: float
    probe_kl: float
    healthy: bool


def judge_images(eyes: Eyes, batch: Batch, progress: Progress) -> tuple[Tensor, dict[str, Tensor]]:
    """The image loss, with its gradient open through the teacher and through the student."""
    state = eyes.state
    # Eval mode: in train mode the student's BatchNorm would drift toward unfinished images.
    state.student.eval()
    jitter = state.plan.jitter
    images = jitter(batch.images, state.teacher) if jitter else batch.images
    teacher = eyes.see_teacher(images)
    student = eyes.see_student(images) if eyes.look_at_student else Sight(images.new_empty(0))
    return eyes.weigh(Batch(images, batch.labels), teacher, student, progress)


def student_step(eyes: Eyes, batch: Batch, progress: float) -> dict[str, Tensor]:
    """One step of the student toward the teacher; returns the terms of its loss."""

    def step(images: Tensor, labels: Tensor, progress: Progress) -> dict[str, Tensor]:
        return imitate(eyes, Batch(images, labels), progress)

    terms = eyes.repeat(step, batch.images, batch.labels, progress)
    eyes.state.step += 1
    eyes.state.update_average()
    return terms


def imitate(eyes: Eyes, batch: Batch, progress: Progress) -> dict[str, Tensor]:
    """The student's step itself. Of several processes each shows a share; losses and gradients are means over all of them."""
    state, group = eyes.state, eyes.state.runtime.group
    images = batch.images
    state.student.eval()
    for view in state.plan.views:
        images = view(images, state.teacher)
    images, labels = group.part(images), group.part(batch.labels)
    with state.apart():
        with torch.no_grad():
            teacher = eyes.see_teacher(images)
        for alter in state.plan.student_views:
            images = alter(images, teacher.logits, state.student)
        state.student.train()
        student = eyes.see_student(images)
        loss, terms = eyes.weigh(Batch(images, labels), teacher, student, progress)
    terms = {**terms, "student": loss.detach()}
    optimiser = state.student_optimiser
    for weights in optimiser.param_groups:
        weights["lr"] = at(state.plan.optimiser.lr, progress)
    optimiser.zero_grad(set_to_none=True)
    loss.backward()
    group.average_([*(p.grad for p in state.trained if p.grad is not None), *terms.values()])
    if state.plan.optimiser.clip:
        torch.nn.utils.clip_grad_norm_(state.trained, state.plan.optimiser.clip)
    optimiser.step()
    return terms


def next_batch(state: State) -> Batch:
    """What the student sees next: pictures from formulas, images replayed from the bank, images fresh from the maker."""
    plan = state.plan
    drawn = round(plan.pictures * plan.batch_size)
    replayed = round((1 - plan.fresh) * (plan.batch_size - drawn)) if state.bank is not None else 0
    fresh = plan.batch_size - drawn - replayed
    with state.runtime.autocast():
        parts = [plan.maker.draw(state.maker, state.draw_pictures, fresh)] if fresh else []
    if state.bank is not None and replayed:
        parts.append(state.bank.draw(replayed))
    if drawn:
        parts.append(state.draw_pictures(drawn))
    return Batch(torch.cat([part.images for part in parts]), torch.cat([part.labels for part in parts]))


def turn_of_maker(eyes: Eyes, progress: float) -> None:
    """Step 1 of the algorithm: the maker seeks images that teacher and student should both see."""
    state, plan = eyes.state, eyes.state.plan

    def judge(batch: Batch, progress: Progress) -> tuple[Tensor, dict[str, Tensor]]:
        return judge_images(eyes, batch, progress)

    due = state.step % (RENEW_EVERY * plan.student_steps) == 0
    if state.pictures is not None and (due or not len(state.pictures)):
        more = pictures_for(state.folded, plan.batch_size, state.student.card, state.runtime)
        state.pictures.add(more.images, more.labels)
    with state.runtime.autocast():
        given = Given(judge, state.draw_pictures, plan.batch_size, progress, eyes.repeat)
        made = plan.maker.turn(state.maker, state.maker_optimiser, given)
    if made.keep and state.bank is not None:
        state.bank.add(made.keep.images, made.keep.labels)
    state.left = plan.student_steps if made.ready else 0
    state.note({f"image/{name}": value for name, value in made.terms.items()})


@torch.no_grad()
def pictures_for(teacher: nn.Module, count: int, card: ModelCard, runtime: Runtime) -> Batch:
    """New pictures from formulas, each with the class that the teacher finds it most like."""
    images = pictures(count, card, runtime.device)
    with runtime.autocast():
        said = teacher(images)
    return Batch(images, most_like(said.float()))


def run_loop(state: State, budget: Budget) -> Iterator[Report | None]:
    """Distil until the budget is spent. Yields after every turn and every student step: a report now and then, else None.

    The caller may save or stop whenever it is handed something. Raises Diverged where the run goes wrong.
    """
    image_eyes, student_eyes = (Eyes(state, terms, state.runtime.repeat()) for terms in (state.plan.image, state.plan.student))
    while (progress := budget.progress(state)) < 1.0 or state.step == 0:
        began = time.monotonic()
        with state.rng.here():
            stepping = state.left > 0
            if not stepping:
                turn_of_maker(image_eyes, progress)
            else:
                state.note(student_step(student_eyes, next_batch(state), progress))
                state.left -= 1
        state.seconds += time.monotonic() - began
        if stepping and state.step % REPORT_EVERY == 0:
            yield from reported(state, budget)
        else:
            yield None
    if "student" in state.window:
        yield from reported(state, budget)


def reported(state: State, budget: Budget) -> Iterator[Report]:
    """Take stock: the window's mean losses, and how the student does on the probe. Raises Diverged after a bad report."""
    began = time.monotonic()
    sums = torch.stack([value / count for value, count in state.window.values()]).tolist()  # one wait for the device
    losses = dict(zip(state.window, sums, strict=True))
    probed = look_at_probe(state)
    wrong = trouble(state, probed)
    broken = [name for name, value in {**losses, "probe_kl": probed.kl}.items() if not math.isfinite(value)]
    if broken:
        rates = {"generator_lr" if name.startswith("image/") else "student_lr" for name in broken}
        remedy = " or ".join(sorted(rates, reverse=True))  # each drags the other along
        wrong = f"diverged at step {state.step}: {broken[0]} is not a number; try a lower {remedy}"
    if not wrong and not all_finite(floats_of(state.student)):
        wrong = f"diverged at step {state.step}: the student's weights are no numbers any more; try a lower student_lr"
    # Rounding may differ from one GPU to the next; whether the run goes on must not.
    probed, wrong = state.runtime.group.same((probed, wrong))
    state.window = {}
    state.seconds += time.monotonic() - began
    yield Report(
        step=state.step,
        seconds=state.seconds,
        progress=budget.progress(state),
        losses=losses,
        agreement=probed.agreement,
        probe_kl=probed.kl,
        healthy=not wrong and state.bad_probes == 0,
    )
    if wrong:
        raise Diverged(wrong)
