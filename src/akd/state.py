"""All that must survive a kill, in one place: networks, optimisers, bank, probe, random numbers, counters."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from akd.methods.plan import Plan, StudentOptimiser
from akd.networks.classifier import Classifier
from akd.networks.folded import folded
from akd.objectives.terms import at
from akd.runtime import Rng, Runtime
from akd.synthesis.bank import Bank, eight_bit
from akd.synthesis.maker import Batch
from akd.synthesis.pictures import pictures

PROBE_IMAGES = 256
PICTURES = 10_000
CRITIC_LR = 1e-3
COUNTERS = ("step", "left", "seconds", "best_agreement", "bad_probes")


def student_optimiser(spec: StudentOptimiser, parameters: list[nn.Parameter]) -> torch.optim.Optimizer:
    if spec.kind == "adam":
        return torch.optim.Adam(parameters, lr=at(spec.lr, 0.0), weight_decay=spec.weight_decay, fused=True)
    optimiser = torch.optim.SGD(
        parameters,
        at(spec.lr, 0.0),
        momentum=spec.momentum,
        weight_decay=spec.weight_decay,
        nesterov=spec.nesterov,
        fused=True,
    )
    # From the start, as zeros: a fused step takes no mixture of weights that have moved before and weights that have not.
    for parameter in parameters:
        optimiser.state[parameter]["momentum_buffer"] = torch.zeros_like(parameter)
    return optimiser


def floats_of(network: nn.Module | None) -> list[Tensor]:
    """Parameters and floating-point buffers, as they lie in the network."""
    state = network.state_dict().values() if network is not None else ()
    return [value for value in state if isinstance(value, Tensor) and value.is_floating_point()]


def all_finite(tensors: list[Tensor]) -> bool:
    """No NaN and no infinity in any; waits for the device once."""
    return not tensors or bool(torch.stack([tensor.isfinite().all() for tensor in tensors]).all())


class State:
    """A run as it stands. `state_dict` and `load_state_dict` carry it over a kill, bit for bit."""

    def __init__(self, plan: Plan, teacher: Classifier, student: Classifier, runtime: Runtime, seed: int):
        self.plan, self.runtime, self.teacher = plan, runtime, teacher
        self.folded = folded(teacher, runtime.dtype if runtime.dtype != torch.float32 else None)
        self.rng = Rng(seed, runtime.device)
        self.step, self.left, self.seconds = 0, 0, 0.0
        self.best_agreement, self.bad_probes = 0.0, 0
        self.window: dict[str, tuple[Tensor, int]] = {}
        self.student: Classifier = runtime.place(student)
        with self.rng.here():
            self.maker = runtime.place(plan.maker.build(student.card))
            self.probe = eight_bit(pictures(PROBE_IMAGES, student.card))
        # What ideas add draws from a copy of the stream: the same run without them meets the same numbers.
        so_far = self.rng.state
        with self.rng.here():
            self.modules = nn.ModuleDict({name: build(teacher, student) for name, build in plan.modules.items()})
            self.critics = nn.ModuleDict({name: build(teacher, student) for name, build in plan.critics.items()})
            self.modules, self.critics = self.modules.to(runtime.device), self.critics.to(runtime.device)
        self.rng.state = so_far
        self.probe = self.probe.to(runtime.device)
        self._said: Tensor | None = None
        self.average = copy.deepcopy(self.student).requires_grad_(False) if plan.average else None
        # As they lie in the networks, once: nothing puts other storage under them while a run goes.
        self._averaged = floats_of(self.average), floats_of(self.student)
        needed = plan.pictures or plan.maker.restyles
        self.pictures = Bank(PICTURES, student.card.input_size).to(runtime.device) if needed else None
        self.bank = Bank(plan.bank, student.card.input_size).to(runtime.device) if plan.bank else None
        self.trained = [*self.student.parameters(), *self.modules.parameters()]
        self.student_optimiser = student_optimiser(plan.optimiser, self.trained)
        self.maker_optimiser = plan.maker.optimiser(self.maker)
        if self.maker_optimiser is not None and plan.critics:
            self.maker_optimiser.add_param_group({"params": list(self.critics.parameters()), "lr": CRITIC_LR})
        self._let_capture()

    def _let_capture(self) -> None:
        """Adam asks to be told beforehand that its steps will be replayed."""
        for optimiser in (self.student_optimiser, self.maker_optimiser):
            for group in optimiser.param_groups if optimiser else ():
                if "capturable" in group:
                    group["capturable"] = self.runtime.graphs

    @contextmanager
    def apart(self) -> Iterator[None]:
        """Inside, this process works on its own share of a batch: what it draws is its own, and BatchNorm sees all shares."""
        group = self.runtime.group
        if group.size == 1:
            yield
            return
        with self.rng.apart(self.step, group.rank), group.whole_batch_norm():
            yield

    @property
    def result(self) -> Classifier:
        """The student as it would be handed over now: its average where one is kept."""
        return self.average if self.average is not None else self.student

    @torch.no_grad()
    def said_of_probe(self) -> Tensor:
        """The teacher's logits for the probe [P, K], asked for once: neither ever changes."""
        if self._said is None:
            self._said = self.teacher(self.probe.float() / 255).float()
        return self._said

    def draw_pictures(self, count: int) -> Batch:
        """Pictures from formulas, each with the class that it is most like."""
        assert self.pictures is not None
        return self.pictures.draw(count)

    def _parts(self) -> dict[str, Any]:
        parts = {
            "student": self.student,
            "average": self.average,
            "maker": self.maker,
            "modules": self.modules,
            "critics": self.critics,
            "bank": self.bank,
            "pictures": self.pictures,
            "student_optimiser": self.student_optimiser,
            "maker_optimiser": self.maker_optimiser,
        }
        return {name: part for name, part in parts.items() if part is not None}

    def state_dict(self) -> dict[str, Any]:
        counters = {name: getattr(self, name) for name in COUNTERS}
        parts = {name: part.state_dict() for name, part in self._parts().items()}
        return {"parts": parts, "counters": counters, "rng": self.rng.state, "probe": self.probe, "window": self.window}

    def load_state_dict(self, saved: dict[str, Any]) -> None:
        for name, part in self._parts().items():
            part.load_state_dict(saved["parts"][name])
        self._let_capture()
        for name, value in saved["counters"].items():
            setattr(self, name, value)
        self.rng.state = [state.cpu() for state in saved["rng"]]
        self.probe, self._said = saved["probe"].to(self.runtime.device), None
        device = self.runtime.device
        self.window = {name: (value.to(device), count) for name, (value, count) in saved["window"].items()}

    def finite(self) -> bool:
        """No loss since the last report, no weight and no statistic is NaN or infinite (this waits for the device)."""
        networks = (self.student, self.average, self.maker, self.modules, self.critics)
        losses = [value for value, _ in self.window.values()]
        return all_finite([*losses, *(tensor for network in networks for tensor in floats_of(network))])

    def note(self, terms: dict[str, Tensor]) -> None:
        """Add to the sums since the last report; nothing is read back from the device here."""
        for name, value in terms.items():
            so_far, count = self.window.get(name, (0.0, 0))
            self.window[name] = (so_far + value.float(), count + 1)

    @torch.no_grad()
    def update_average(self) -> None:
        """average <- decay * average + (1 - decay) * student, parameters and BatchNorm statistics alike.

        decay = (1 - 1/t)^(gamma + 1) at step t: the memory is a fixed share of the steps made so far, whatever the run's
        length, and the random first weights are forgotten at once (Karras et al., 2312.02696, eq. 1).
        """
        if self.average is None:
            return
        share = 1 - (1 - 1 / self.step) ** (self.plan.average + 1)
        mine, new = self._averaged
        torch._foreach_lerp_(mine, new, share)
