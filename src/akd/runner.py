"""A run from its record to its folder: load, design, distil under the wall, save as it goes, hand over the student."""

from __future__ import annotations

import copy
import json
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from akd.config import Run, to_dict
from akd.delivery.card import run_card
from akd.errors import AkdError, ConfigError, Diverged, ModelError, Stopped, brief, shortened
from akd.files import write_json, write_text
from akd.guards import interrupts, memory_told
from akd.ideas import plan_of
from akd.loop import REPORT_EVERY, Budget, Report, run_loop
from akd.networks import zoo
from akd.networks.classifier import Classifier
from akd.networks.design import build_student, design_student
from akd.networks.measure import macs, parameters
from akd.networks.models import load_model, save_model
from akd.notebook import Notebook
from akd.parallel import Group, joined
from akd.probe import Probed, look_at_probe
from akd.runfolder import RunFolder, environment
from akd.runtime import Rng, make_runtime, same_shapes, threads
from akd.state import State
from akd.teachers import digest, load_teacher
from akd.wall import Wall, WallError, reached, standing
from akd.wiring import check_wiring

CHECKPOINT_EVERY = 30.0
_one_at_a_time = threading.RLock()  # torch's random numbers belong to the process


@dataclass(frozen=True)
class Outcome:
    """What a run left: the student, and `result.json` as values. `folder` is where all of it lies."""

    student: Classifier
    folder: Path
    result: dict[str, Any]


def make_student(run: Run, teacher: Classifier) -> Classifier:
    """The student that the run names or budgets, freshly initialised from the run's seed."""
    card = teacher.card
    chosen = design_student(teacher, run.budget).chosen if run.budget is not None else None
    with Rng(run.seed).here():
        if chosen:
            student = build_student(chosen, card)
        else:
            named = replace(card, architecture=str(run.student), arguments={})
            built = zoo.build(named.architecture, card.num_classes, card.input_size)
            student = Classifier(built.net if isinstance(built, Classifier) else built, named)
    try:
        with torch.no_grad():
            shape = tuple(student.eval()(torch.zeros(2, *card.input_size)).shape)
    except Exception as error:
        raise ConfigError(
            f"student {student.card.architecture} takes no such images ({brief(error, 80)}); choose another"
        ) from error
    if shape != (2, card.num_classes):
        raise ConfigError(
            f"student {student.card.architecture} gives logits {shape}, not (2, {card.num_classes}); choose another"
        )
    return student


def execute(
    run: Run,
    out: Path,
    *,
    teacher: Classifier | None = None,
    resume: bool = False,
    checkpoint_every: float = CHECKPOINT_EVERY,
    watch: Callable[[Report], None] = lambda report: None,
    say: Callable[[str], None] = lambda line: None,
) -> Outcome:
    """Carry out `run` in the folder `out`, or go on where it was interrupted; `watch` is called with every report.

    `teacher` stands in for the one that the run names, where it is in memory already.
    Raises Stopped after SIGTERM or SIGUSR1 and KeyboardInterrupt after Ctrl-C, the state saved; Diverged where the run
    went wrong, the last good student kept in `last-good/`; ConfigError where `out` holds something else.
    Started by torchrun, each process calls this; the first one writes, watches and says.
    """
    folder = RunFolder(out)
    device = make_runtime(run.device, run.precision).device  # fails at the door, before anything is loaded
    with (
        _one_at_a_time,
        threads(run.threads),
        memory_told(),
        joined(device) as group,
        _claimed(folder, run, resume, group) as interrupted,
        threads(folder.threads() if interrupted else None),
        standing(Wall(out)) as wall,
        interrupts() as asked,
        same_shapes(),  # from the first convolution on: what cuDNN chose for one it does not choose again
    ):
        teacher = load_teacher(run) if teacher is None else copy.deepcopy(teacher).freeze()
        wall.teacher_is_loaded()
        runtime = make_runtime(run.device, run.precision, min(teacher.card.input_size[1:]), group)
        teacher = runtime.place(teacher)
        student = make_student(run, teacher)
        if (ratio := parameters(student) / parameters(teacher)) >= 1:
            say(f"the student has {100 * ratio:.0f} % of its teacher's parameters; --budget 10% designs a smaller one")
        plan = plan_of(run.method, run.ideas, teacher.card)
        check_divides(plan.batch_size, group)
        state = State(plan, teacher, student, runtime, run.seed)
        if not interrupted:
            check_wiring(state)
        if group.first:
            folder.write_config(run)
            folder.write_environment(runtime, digest(teacher))
        if done := _finished(run, folder):
            say(f"{out} is finished already; its result stands")
            return done
        if interrupted:
            _restore(state, folder)
            say(f"going on from step {state.step} in {out}")
        check_alike(run, state)
        if group.first:
            folder.rewind(state.step)
        budget = Budget(run.steps, run.time)
        _distil(state, budget, Notebook(folder, state, wall, checkpoint_every, watch), asked)
        outcome = _hand_over(run, folder, state)
        if outcome.result["warning"]:
            say(outcome.result["warning"])
        return outcome


@contextmanager
def _claimed(folder: RunFolder, run: Run, resume: bool, group: Group) -> Iterator[bool]:
    """The first process holds the folder for all; whether there is a checkpoint to go on from."""
    with folder.claimed(run, resume) if group.first else nullcontext(False) as interrupted:
        yield group.same(interrupted)


def check_divides(batch_size: int, group: Group) -> None:
    """ConfigError where the processes cannot have equal shares of a batch."""
    if rest := batch_size % group.size:
        fitting = batch_size - rest or group.size
        raise ConfigError(
            f"a batch of {batch_size} does not divide among {group.size} processes; try --set method.batch_size={fitting}"
        )


def check_alike(run: Run, state: State) -> None:
    """Processes that began unlike (another file on a machine, another version) would drift apart without a word."""
    group = state.runtime.group
    if group.size > 1:
        mine = to_dict(run), digest(state.teacher), digest(state.student), state.step, torch.__version__
        if group.same(mine) != mine:
            raise AkdError(
                f"process {group.rank} has other options, weights or versions than process 0; start all alike, "
                "and give --out on a file system that all machines share"
            )


def _finished(run: Run, folder: RunFolder) -> Outcome | None:
    """What the folder holds where the run is whole; None where it is not, or its student cannot be read any more."""
    if not (result := folder.result()):
        return None
    try:
        return Outcome(load_model(str(folder.path), arch=run.student), folder.path, result)
    except ModelError:
        return None


def _restore(state: State, folder: RunFolder) -> None:
    try:
        state.load_state_dict(folder.load_checkpoint())
    except (KeyError, TypeError, ValueError, RuntimeError, AttributeError) as error:
        raise AkdError(
            f"{folder / 'checkpoint.pt'} does not fit this run ({brief(error, 80)}); choose another --out"
        ) from error


def _distil(state: State, budget: Budget, notebook: Notebook, asked: list[int]) -> None:
    """The loop to its end, or to the signal that was `asked` for."""
    try:
        for report in run_loop(state, budget):
            if report:
                notebook.note(report)
            signum, due = state.runtime.group.most(asked[0] if asked else 0, int(notebook.late))
            if signum or due:
                notebook.save()
            if signum:
                _stop(signum, notebook)
    except WallError:
        notebook.keep_record()
        raise
    except Diverged as error:
        kept = notebook.give_up(str(error))
        raise Diverged(f"{error}; the last good student, of step {notebook.good_step}, is in {kept}") from error
    notebook.save()


def _stop(signum: int, notebook: Notebook) -> None:
    if signum == signal.SIGINT:
        raise KeyboardInterrupt
    step, saved, path = notebook.state.step, notebook.saved, notebook.folder.path
    kept = f"saved in {path}" if saved == step else f"step {saved}, when all was well, is what {path} keeps"
    raise Stopped(f"stopped at step {step}, {kept}; start the same command again to go on")


def _warnings(run: Run, state: State, probed: Probed, record: dict[str, Any]) -> Iterator[str]:
    """What whoever takes the student should know before anything else."""
    if beyond := reached(record):
        more = f" and {len(beyond) - 1} more" * (len(beyond) > 1)
        yield f"while it distilled, {shortened(beyond[0], 200)}{more} was reached for, not only the teacher; see data_free.json"
    if run.time and state.step < REPORT_EVERY:
        yield f"the time was up after {state.step} student steps, most of it went into images; give it a longer --time"
    elif state.bad_probes:  # too few bad reports to end the run, too many to say nothing
        yield (
            f"the student did worse than before on the probe when the run ended (agreement was up to "
            f"{state.best_agreement:.1f} %); try a lower student_lr, or measure it before you use it"
        )
    elif probed.chance == 100:
        yield "the teacher names one class for every picture of the probe, which so tells nothing; measure the student"
    elif probed.agreement <= probed.chance:
        yield (
            f"the student agrees with the teacher on {probed.agreement:.1f} % of the probe, and naming one class everywhere "
            f"would on {probed.chance:.1f} %; give it more steps, or a higher student_lr"
        )


def _hand_over(run: Run, folder: RunFolder, state: State) -> Outcome:
    """Write the student, the card and, last of all, `result.json`: its presence says that the run is whole."""
    group = state.runtime.group
    probed = group.same(look_at_probe(state))
    record = json.loads((folder / "data_free.json").read_text()) if group.first else {}
    student = state.result.cpu().float().eval()
    params, teacher_params = parameters(student), parameters(state.teacher)
    result = {
        "steps": state.step,
        "seconds": round(state.seconds, 2),
        "params": params,
        "teacher_params": teacher_params,
        "ratio": params / teacher_params,
        "macs": macs(student, student.card.input_size),
        "architecture": student.card.architecture,
        "probe_agreement": probed.agreement,
        "warning": "; ".join(_warnings(run, state, probed, record)) or None,
        "method": run.method.name,
        "seed": run.seed,
    }
    if group.first:
        save_model(student, folder / "student")
        write_text(folder / "README.md", run_card(run, result, environment(state.runtime), record))
        write_json(folder / "result.json", result)
    group.same(None)  # nobody leaves before it is written
    return Outcome(student, folder.path, result)
