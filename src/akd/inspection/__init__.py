"""Looking a teacher over before time is spent on it: is it whole, told rightly, what fits it, and what will it cost."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from akd.errors import ConfigError
from akd.inspection.advice import Advice, advise, misfits
from akd.inspection.cost import Cost, measure_steps
from akd.inspection.normalisation import Normalisation, check_normalisation
from akd.inspection.soundness import Answers, BatchNorms, ask, broken_weights, look_at_batch_norms
from akd.methods import METHODS
from akd.networks.classifier import Classifier, ModelCard
from akd.networks.design import build_student
from akd.networks.measure import macs, parameters
from akd.runfolder import environment
from akd.runtime import Rng, Runtime, make_runtime
from akd.wiring import WiringError

__all__ = ["Advice", "Answers", "BatchNorms", "Cost", "Inspection", "Normalisation", "inspect_teacher"]


@dataclass(frozen=True)
class Inspection:
    """What was found. `refusals`: why the teacher cannot be distilled as told, () where it can; `warnings`: what wants a look.

    macs: multiply-adds of one image. broken_weights: tensors that hold NaN or infinity. methods: why each does not fit, ''
    where it does. advice, cost: None where the teacher cannot be distilled. conditions: device, precision, versions.
    """

    card: ModelCard
    params: int
    macs: int
    broken_weights: tuple[str, ...]
    batch_norms: BatchNorms
    answers: Answers
    normalisation: Normalisation
    methods: dict[str, str]
    advice: Advice | None
    cost: Cost | None
    refusals: tuple[str, ...]
    warnings: tuple[str, ...]
    conditions: dict[str, Any]


def inspect_teacher(teacher: Classifier, device: str = "auto", say: Callable[[str], None] = lambda doing: None) -> Inspection:
    """Look `teacher` over without data, and time real steps of the method that fits it best, for some seconds on `device`.

    A teacher loaded with `load_model(..., finite=False)` may hold NaN. Nothing is raised for what is wrong with a teacher:
    it is in `refusals` and `warnings`, each a line with a remedy. `say` is told what is being done.
    ConfigError for a device that is not here.
    """
    runtime = make_runtime(device, side=min(teacher.card.input_size[1:]))
    teacher = runtime.place(copy.deepcopy(teacher).freeze())
    say("looking at its weights, BatchNorm and answers")
    broken, norms, answers = broken_weights(teacher), look_at_batch_norms(teacher), ask(teacher)
    say("trying its normalisation")
    told = check_normalisation(teacher)
    unfit = misfits(teacher, norms)
    refusals = _refusals(broken, norms, answers, told, unfit)
    warnings = _warnings(norms, answers, told)
    advice, cost = None, None
    if not refusals:
        try:
            say("designing a student")
            advice = advise(teacher, norms, unfit)
            cost = _measured(advice, teacher, runtime, say)
        except ConfigError as error:
            warnings = (*warnings, f"no student of half its size or less can be designed ({error}); name one with --student")
        except WiringError as error:
            dead = f"{norms.constant} of {norms.channels} BatchNorm channels are dead: " if norms.mostly_dead else ""
            refusals = (f"{dead}{error}",)
    if refusals:
        unfit = {name: reason or "the teacher cannot be distilled" for name, reason in unfit.items()}
    return Inspection(
        card=teacher.card,
        params=parameters(teacher),
        macs=macs(teacher, teacher.card.input_size),
        broken_weights=broken,
        batch_norms=norms,
        answers=answers,
        normalisation=told,
        methods=unfit,
        advice=advice,
        cost=cost,
        refusals=refusals,
        warnings=warnings,
        conditions=environment(runtime),
    )


def _measured(advice: Advice, teacher: Classifier, runtime: Runtime, say: Callable[[str], None]) -> Cost:
    with Rng(0).here():
        student = build_student(advice.student, teacher.card)
    return measure_steps(METHODS[advice.method](**advice.knobs), teacher, student, runtime, say)


def _refusals(
    broken: Sequence[str], norms: BatchNorms, answers: Answers, told: Normalisation, unfit: dict[str, str]
) -> tuple[str, ...]:
    found = []
    if broken:
        found.append(f"NaN or infinity in {_named(broken)}; take a checkpoint from before training diverged")
    if spoilt := [name for name in norms.broken if not any(tensor.startswith(name) for tensor in broken)]:
        found.append(f"BatchNorm variances below zero in {_named(spoilt)}; save the teacher again from where it was trained")
    if answers.trouble and not broken:
        found.append(f"{answers.trouble}; only a net that answers an image, with a gradient, can be distilled")
    if told.verdict == "impossible":
        found.append(f"not trained with the normalisation told: {told.why}; {_remedy(told)}")
    if all(unfit.values()):
        found.append("no method fits it: see the reasons above")
    return tuple(found)


def _warnings(norms: BatchNorms, answers: Answers, told: Normalisation) -> tuple[str, ...]:
    found = []
    if told.verdict == "doubtful":
        found.append(f"was it trained with the normalisation told? {told.why}; {_remedy(told)}")
    if norms.never_trained:
        found.append(
            f"the statistics of {len(norms.never_trained)} of {norms.layers} BatchNorm layers are as they were before "
            "training; take a whole checkpoint"
        )
    if norms.forgetful:
        found.append(f"{_named(norms.forgetful)} keep no statistics: an answer depends on the other images of its batch")
    if norms.mostly_dead:
        found.append(f"{norms.constant} of {norms.channels} BatchNorm channels are dead; was it pruned or badly trained?")
    if answers.classes == 1 and not answers.trouble:
        found.append(f"one class for all of {answers.images} formula pictures and noises; is it whole, and told rightly?")
    return tuple(found)


def _remedy(told: Normalisation) -> str:
    fitting = ", or ".join(told.would_fit)
    return "give --mean and --std as it was trained with" + (f" (these would fit: {fitting})" if fitting else "")


def _named(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
