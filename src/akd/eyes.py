"""How the loop looks at its two networks: with the taps that a table of losses needs."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from akd.errors import ConfigError
from akd.networks.taps import Sight, batch_norms, last_linear, layer_names, never_trained, stage_names, tapped
from akd.objectives.terms import Around, Progress, Seen, Terms, needs_of_student, needs_of_teacher, total, wanted
from akd.replay import Repeat, called
from akd.state import State
from akd.synthesis.maker import Batch

READS = {
    "bn": "trained BatchNorm statistics",
    "stages": "feature maps",
    "layers": "convolutions",
    "feature": "the input of a last linear layer",
}
REMEDY = {**dict.fromkeys(READS, "try --method dfad without ideas"), "bn": "try --set method.bn=0, or --method dfad"}


class Eyes:
    """Both networks, tapped for what a table of losses needs. `repeat` carries out the steps that are taken with them."""

    def __init__(self, state: State, terms: Terms, repeat: Repeat = called):
        self.state, self.terms = state, wanted(terms)
        self.of_teacher, self.of_student = needs_of_teacher(terms), needs_of_student(terms)
        self.look_at_student = any(term.reads_student for term in self.terms.values())
        # What the bank holds changes on the host, where nothing that is replayed sees it.
        self.repeat = called if any(term.replays for term in self.terms.values()) else repeat
        self.stages: dict[nn.Module, tuple[str, ...]] = {}
        for network, needs in ((state.teacher, self.of_teacher), (state.student, self.of_student)):
            self.stages[network] = tuple(stage_names(network, network.card.input_size)) if "stages" in needs else ()
            has = {
                "bn": "bn" in needs and not all(map(never_trained, batch_norms(network))),
                "stages": self.stages[network],
                "layers": layer_names(network),
                "feature": last_linear(network),
            }
            for need, words in READS.items():
                if need in needs and not has[need]:
                    raise ConfigError(f"this run reads {words}, and {network.card.architecture} has none; {REMEDY[need]}")

    def see(self, network: nn.Module, images: Tensor, needs: frozenset[str]) -> Sight:
        with tapped(network, needs, self.stages.get(network, ())) as look, self.state.runtime.autocast():
            sight = look(images)
        sight.logits = sight.logits.float()
        sight.feature = None if sight.feature is None else sight.feature.float()
        sight.stages, sight.layers = [x.float() for x in sight.stages], [x.float() for x in sight.layers]
        return sight

    def see_teacher(self, images: Tensor) -> Sight:
        only_answers = not self.of_teacher and not torch.is_grad_enabled()
        return self.see(self.state.folded if only_answers else self.state.teacher, images, self.of_teacher)

    def see_student(self, images: Tensor) -> Sight:
        return self.see(self.state.student, images, self.of_student)

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
        return bank.draw(count).images if bank is not None and len(bank) else None

    def weigh(self, batch: Batch, teacher: Sight, student: Sight, progress: Progress) -> tuple[Tensor, dict[str, Tensor]]:
        modules = {**dict(self.state.modules.items()), **dict(self.state.critics.items())}
        around = Around(self.see_teacher, self.see_student_at_rest, self.replay, modules)
        with torch.autocast(self.state.runtime.device.type, enabled=False):
            return total(self.terms, Seen(batch.images, batch.labels, teacher, student, around, progress))
