"""Which methods fit a teacher; and which method, which student and how many steps to begin with."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

from akd.errors import AkdError, ConfigError
from akd.inspection.soundness import BatchNorms
from akd.methods import METHODS, Method
from akd.methods.untrained import Untrained
from akd.networks.classifier import Classifier
from akd.networks.design import TINY, Candidate, Design, design_student
from akd.networks.measure import parameters
from akd.networks.taps import last_linear, stage_names

WITHOUT = {"bn": 0.0}  # of the default: no term for BatchNorm statistics
BUDGETS = ("10%", "20%", "50%")
STEPS_TINY, STEPS = 3_000, 80_000  # the quickstart's; and 200 rounds of 400, as CMI (2105.08584) and FastDFKD (2112.06253) have


@dataclass(frozen=True)
class Advice:
    """What to begin with, and why. `knobs` are set on the method; `student` is what `budget` gives; `steps` are its."""

    method: str
    knobs: dict[str, float]
    method_why: str
    budget: str
    budget_why: str
    student: Candidate
    steps: int
    steps_why: str

    @property
    def method_options(self) -> str:
        """What tells `akd distill` the method."""
        return " ".join([f"--method {self.method}", *(f"--set method.{name}={value:g}" for name, value in self.knobs.items())])


def misfits(teacher: Classifier, norms: BatchNorms) -> dict[str, str]:
    """What a method needs and the teacher has not, by method; '' where it fits."""
    lacking = _lacking(teacher, norms)
    return {name: _misfit(method, teacher, lacking) for name, method in METHODS.items() if method is not Untrained}


def _lacking(teacher: Classifier, norms: BatchNorms) -> dict[str, str]:
    """What of all that methods read the teacher has not, by need; '' where it has it."""
    stages = parameters(teacher) and stage_names(teacher, teacher.card.input_size)
    return {
        "bn": "" if norms.usable else "trained BatchNorm statistics" if norms.layers else "BatchNorm",
        "stages": "" if stages else "feature maps",
        "feature": "" if last_linear(teacher) is not None else "a last linear layer",
    }


def _misfit(method: Callable[[], Method], teacher: Classifier, lacking: dict[str, str]) -> str:
    try:
        plan = method().plan(teacher.card)
    except AkdError as error:
        return str(error)
    missing = [lacking[need] for need in sorted(plan.reads) if lacking.get(need)]
    return f"needs {' and '.join(missing)}" if missing else ""


def advise(teacher: Classifier, norms: BatchNorms, unfit: dict[str, str]) -> Advice:
    """The first method of the table that fits (one must), a student of a tenth, and as many steps as such work takes.

    Of a teacher without BatchNorm statistics the default is advised all the same, without its term for them.

    Raises ConfigError where no student of half the teacher's size or less can be designed.
    """
    default, method = next(iter(unfit)), next(name for name, reason in unfit.items() if not reason)
    why = "the default; docs/lab.md tells how it came about" if method == default else f"{default} {unfit[default]}"
    knobs: dict[str, float] = {}
    if not norms.usable and not _misfit(partial(METHODS[default], **WITHOUT), teacher, _lacking(teacher, norms)):
        method, knobs, why = default, WITHOUT, f"the default {unfit[default]}; this leaves the term for it out"
    budget, design = _smallest(teacher)
    tiny = max(teacher.card.input_size[1:]) < TINY
    return Advice(
        method=method,
        knobs=knobs,
        method_why=why,
        budget=budget,
        budget_why=design.why,
        student=design.chosen,
        steps=STEPS_TINY if tiny else STEPS,
        steps_why="as in `akd quickstart`" if tiny else "the shortest of the published runs on CIFAR",
    )


def _smallest(teacher: Classifier) -> tuple[str, Design]:
    for budget in BUDGETS[:-1]:
        with suppress(ConfigError):
            return budget, design_student(teacher, budget)
    return BUDGETS[-1], design_student(teacher, BUDGETS[-1])
