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
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from akd.errors import ConfigError, Diverged
from akd.networks.taps import Sight, batch_norms, last_linear, layer_names, stage_names, tapped
from akd.objectives import logits
from akd.objectives.terms import Around, Seen, Terms, at, needs_of, total, wanted
from akd.state import State, all_finite, floats_of
from akd.synthesis.maker import Batch
from akd.synthesis.pictures import pictures

REPORT_EVERY = 50
COLLAPSE_SHARE, COLLAPSE_PROBES = 0.5, 4
READS = {
    "bn": "BatchNorm statistics",
    "stages": "feature maps",
    "layers": "convolutions",
    "feature": "the input of a last linear layer",
}
REMEDY = {**dict.fromkeys(READS, "try --method dfad without ideas"), "bn": "try --set method.bn=0, or --method dfad"}
GRACE = 100  # steps in which a fresh student may do anything


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

    healthy: nothing looks wrong on the probe now. images: the last images the student was shown [B, C, H, W] in 0..1, with
    what the teacher said of them [B].
    """

    step: int
    seconds: float
    progress: float
    losses: dict[str, float]
    agreement: float
    probe_kl: float
    healthy: bool
    images: Tensor = field(repr=False)
    said: Tensor = field(repr=False)


class Eyes:
    """Both networks, tapped for what a table of losses needs."""

    def __init__(self, state: State, terms: Terms):
        self.state, self.terms, self.needs = state, wanted(terms), needs_of(terms)
        self.look_at_student = any(term.reads_student for term in self.terms.values())
        self.stages: dict[nn.Module, tuple[str, ...]] = {}
        for network in (state.teacher, state.student):
            self.stages[network] = tuple(stage_names(network, network.card.input_size)) if "stages" in self.needs else ()
            has = {
                "bn": network is state.student or batch_norms(network),
                "stages": self.stages[network],
                "layers": layer_names(network),
                "feature": last_linear(network),
            }
            for need, words in READS.items():
                if need in self.needs and not has[need]:
                    raise ConfigError(f"this run reads {words}, and {network.card.architecture} has none; {REMEDY[need]}")

    def see(self, network: nn.Module, images: Tensor, needs: frozenset[str]) -> Sight:
        with tapped(network, needs, self.stages.get(network, ())) as look, self.state.runtime.autocast():
            sight = look(images)
        sight.logits = sight.logits.float()
        sight.feature = None if sight.feature is None else sight.feature.float()
        sight.stages, sight.layers = [x.float() for x in sight.stages], [x.float() for x in sight.layers]
        return sight

    def see_teacher(self, images: Tensor) -> Sight:
        only_answers = not self.needs and not torch.is_grad_enabled()
        return self.see(self.state.folded if only_answers else self.state.teacher, images, self.needs)

    def see_student(self, images: Tensor) -> Sight:
        return self.see(self.state.student, images, self.needs - {"bn"})

    def see_student_at_rest(self, images: Tensor) -> Sight:
        """In eval mode, so that whatever images a term makes up leave the student's BatchNorm statistics alone."""
        student, training = self.state.student, self.state.student.training
        try:
            student.eval()
            return self.see_student(images)
        finally:
            student.train(training)

    def replay(self, count: int) -> Tensor | None:
        bank = self.state.bank
        return bank.draw(count)[0] if bank is not None and len(bank) else None

    def weigh(self, batch: Batch, teacher: Sight, student: Sight, progress: float) -> tuple[Tensor, dict[str, Tensor]]:
        modules = {**dict(self.state.modules.items()), **dict(self.state.critics.items())}
        around = Around(self.see_teacher, self.see_student_at_rest, self.replay, modules)
        with torch.autocast(self.state.runtime.device.type, enabled=False):
            return total(self.terms, Seen(batch.images, batch.labels, teacher, student, around, progress))


def judge_images(eyes: Eyes, batch: Batch, progress: float) -> tuple[Tensor, dict[str, Tensor]]:
    """The image loss, with its gradient open through the teacher and through the student."""
    state = eyes.state
    # Eval mode: in train mode the student's BatchNorm would drift toward unfinished images.
    state.student.eval()
    jitter = state.plan.jitter
    images = jitter(batch.images, state.teacher, state.student) if jitter else batch.images
    teacher = eyes.see_teacher(images)
    student = eyes.see_student(images) if eyes.look_at_student else Sight(images.new_empty(0))
    return eyes.weigh(Batch(images, batch.labels), teacher, student, progress)


def student_step(eyes: Eyes, batch: Batch, progress: float) -> tuple[dict[str, Tensor], Batch]:
    """One step of the student toward the teacher; returns the terms and the images as shown, with the teacher's word.

    Of several processes each shows a share; losses and gradients are means over all of them.
    """
    state, group = eyes.state, eyes.state.runtime.group
    images = batch.images
    state.student.eval()
    for view in state.plan.views:
        images = view(images, state.teacher, state.student)
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
    state.step += 1
    state.update_average()
    return terms, Batch(images, teacher.logits.argmax(1))


def next_batch(state: State) -> Batch:
    """What the student sees next: pictures from formulas, images replayed from the bank, images fresh from the maker."""
    plan = state.plan
    drawn = round(plan.pictures * plan.batch_size)
    replayed = round((1 - plan.fresh) * (plan.batch_size - drawn)) if state.bank is not None else 0
    fresh = plan.batch_size - drawn - replayed
    with state.runtime.autocast():
        parts = [plan.maker.draw(state.maker, fresh)] if fresh else []
    if state.bank is not None and replayed:
        parts.append(Batch(*state.bank.draw(replayed)))
    if state.pictures is not None and drawn:
        parts.append(Batch(*state.pictures.draw(drawn)))
    return Batch(torch.cat([part.images for part in parts]), torch.cat([part.labels for part in parts]))


@torch.no_grad()
def look_at_probe(state: State) -> tuple[float, float, str]:
    """Agreement in percent, and KL in nats, of the student handed over now with the teacher on the frozen probe.

    And what is wrong, '' where nothing is: that is asked of the student that trains, whose average would tell it late.
    """
    images = state.probe.float() / 255
    said, answer = state.said_of_probe(), state.result.eval()(images).float()
    live = state.student.eval()(images).float() if state.average is not None else answer
    agreement, now = logits.agreement(answer, said).item(), logits.agreement(live, said).item()
    return agreement, logits.kl(answer, said).item(), trouble(state, now, _varied(said) and not _varied(live))


def _varied(answers: Tensor) -> bool:
    return len(answers.argmax(1).unique()) > 1


def trouble(state: State, agreement: float, constant: bool) -> str:
    """What has gone wrong for good, in a line: agreement with the teacher lost, or one class for every image."""
    chance = state.best_agreement / 100
    noise = 300 * math.sqrt(chance * (1 - chance) / len(state.probe))  # three standard errors, in percent
    lost = agreement < COLLAPSE_SHARE * state.best_agreement and agreement < state.best_agreement - noise
    state.bad_probes = state.bad_probes + 1 if (lost or constant) and state.step > GRACE else 0
    state.best_agreement = max(state.best_agreement, agreement)
    if state.bad_probes < COLLAPSE_PROBES:
        return ""
    how = "it sees one class everywhere" if constant else f"agreement fell from {state.best_agreement:.1f} to {agreement:.1f} %"
    return f"the student collapsed by step {state.step} ({how}, on the probe); try another method or a lower student_lr"


def turn_of_maker(eyes: Eyes, progress: float) -> None:
    """Step 1 of the algorithm: the maker seeks images that teacher and student should both see."""
    state, plan = eyes.state, eyes.state.plan

    def judge(batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        return judge_images(eyes, batch, progress)

    with state.runtime.autocast():
        made = plan.maker.turn(state.maker, state.maker_optimiser, judge, plan.batch_size, progress)
    if made.keep and state.bank is not None:
        state.bank.add(made.keep.images, made.keep.labels)
    if state.pictures is not None:
        more = pictures(plan.batch_size, state.student.card, state.runtime.device)
        state.pictures.add(more, torch.zeros(len(more), dtype=torch.int64, device=more.device))
    state.left = plan.student_steps if made.ready else 0
    state.note({f"image/{name}": value for name, value in made.terms.items()})


def run_loop(state: State, budget: Budget) -> Iterator[Report | None]:
    """Distil until the budget is spent. Yields after every turn and every student step: a report now and then, else None.

    The caller may save or stop whenever it is handed something. Raises Diverged where the run goes wrong.
    """
    image_eyes, student_eyes = Eyes(state, state.plan.image), Eyes(state, state.plan.student)
    shown = Batch(state.probe.float() / 255, state.probe.new_zeros(len(state.probe)))
    while (progress := budget.progress(state)) < 1.0 or state.step == 0:
        began = time.monotonic()
        with state.rng.here():
            if stepping := state.left > 0:
                terms, shown = student_step(student_eyes, next_batch(state), progress)
                state.left -= 1
                state.note(terms)
            else:
                turn_of_maker(image_eyes, progress)
        state.seconds += time.monotonic() - began
        if stepping and state.step % REPORT_EVERY == 0:
            yield from reported(state, budget, shown)
        else:
            yield None
    if "student" in state.window:
        yield from reported(state, budget, shown)


def reported(state: State, budget: Budget, shown: Batch) -> Iterator[Report]:
    """Take stock: the window's mean losses, and how the student does on the probe. Raises Diverged after a bad report."""
    began = time.monotonic()
    sums = torch.stack([value / count for value, count in state.window.values()]).tolist()  # one wait for the device
    losses = dict(zip(state.window, sums, strict=True))
    agreement, probe_kl, wrong = look_at_probe(state)
    broken = [name for name, value in {**losses, "probe_kl": probe_kl}.items() if not math.isfinite(value)]
    if broken:
        remedy = "generator_lr" if broken[0].startswith("image/") else "student_lr"
        wrong = f"diverged at step {state.step}: {broken[0]} is not a number; try a lower {remedy}"
    if not wrong and not all_finite(floats_of(state.student)):
        wrong = f"diverged at step {state.step}: the student's weights are no numbers any more; try a lower student_lr"
    # Rounding may differ from one GPU to the next; whether the run goes on must not.
    agreement, probe_kl, wrong = state.runtime.group.same((agreement, probe_kl, wrong))
    state.window = {}
    state.seconds += time.monotonic() - began
    yield Report(
        step=state.step,
        seconds=state.seconds,
        progress=budget.progress(state),
        losses=losses,
        agreement=agreement,
        probe_kl=probe_kl,
        healthy=not wrong and state.bad_probes == 0,
        images=shown.images,
        said=shown.labels,
    )
    if wrong:
        raise Diverged(wrong)
