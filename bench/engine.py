"""Steps per second of akd's loop against the literal loop of the same method, on the same networks, in one run.

    python bench/engine.py --arch resnet56 --student resnet20 --batch 128 --turns 4

Rounds alternate between the two, so that a drift of the machine's speed meets both. Appends one line to
results/engine.jsonl, with the conditions; the README's table is made from those lines.
"""

from __future__ import annotations

import argparse
import copy
import statistics
import time
from collections.abc import Callable

import torch
from literal import literal_dfad
from record import append

from akd.loop import Budget, run_loop
from akd.methods.dfad import DFAD
from akd.networks import zoo
from akd.networks.classifier import Classifier, ModelCard
from akd.runfolder import environment
from akd.runtime import make_runtime, set_threads
from akd.state import State
from akd.synthesis.generators import Generator


def classifier(arch: str, classes: int, size: tuple[int, int, int]) -> Classifier:
    card = ModelCard(arch, classes, (0.5,) * size[0], (0.25,) * size[0], size)
    return Classifier(zoo.build(arch, classes, size), card)


def timed(call: Callable[[], None], device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    began = time.perf_counter()
    call()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - began


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--arch", default="resnet56")
    p.add_argument("--student", default="resnet20")
    p.add_argument("--classes", type=int, default=100)
    p.add_argument("--batch", type=int, default=128)
    p.add_argument("--turns", type=int, default=4, help="turns a round: one generator step and five student steps each")
    p.add_argument("--rounds", type=int, default=5)
    p.add_argument("--device", default="auto")
    p.add_argument("--precision", default="auto")
    p.add_argument("--threads", type=int)
    a = p.parse_args()
    set_threads(a.threads)
    runtime = make_runtime(a.device, a.precision)
    size = (3, 32, 32)
    torch.manual_seed(0)
    teacher, student = classifier(a.arch, a.classes, size).freeze(), classifier(a.student, a.classes, size)
    teacher.to(runtime.device), student.to(runtime.device)
    plain = copy.deepcopy(student), Generator(size, 256).to(runtime.device)
    plan = DFAD(batch_size=a.batch).plan(student.card)
    state = State(plan, runtime.place(copy.deepcopy(teacher)), student, runtime, 0)

    def engine() -> None:
        for _ in run_loop(state, Budget(steps=state.step + 5 * a.turns)):
            pass

    def literal() -> None:
        literal_dfad(teacher, *plain, 256, a.batch, a.turns)

    seconds: dict[str, list[float]] = {"engine": [], "literal": []}
    for round_ in range(a.rounds + 1):
        for name, call in (("engine", engine), ("literal", literal)):
            took = timed(call, runtime.device)
            if round_:  # the first warms up
                seconds[name].append(took)
    rate = {name: 5 * a.turns / statistics.median(took) for name, took in seconds.items()}
    line = {
        "benchmark": "engine",
        "method": "dfad",
        "teacher": a.arch,
        "student": a.student,
        "batch": a.batch,
        "engine_steps_per_second": round(rate["engine"], 3),
        "literal_steps_per_second": round(rate["literal"], 3),
        "ratio": round(rate["engine"] / rate["literal"], 3),
    }
    append("engine", line, environment(runtime))


if __name__ == "__main__":
    main()
