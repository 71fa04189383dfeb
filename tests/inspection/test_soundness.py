"""Teachers that are whole, broken and odd: what is said of them, and that looking changes nothing."""

import copy

import pytest
import torch
from torch import nn

import akd
from akd.inspection import cost, inspect_teacher
from akd.inspection.advice import misfits
from akd.inspection.cost import measure_steps
from akd.inspection.soundness import ask, broken_weights, look_at_batch_norms
from akd.methods import METHODS
from akd.methods.default import Default
from akd.networks.classifier import Classifier, ModelCard
from akd.networks.design import build_student, design_student
from akd.runtime import make_runtime
from tests.conftest import tiny_classifier


class Through(nn.Module):
    """The net behind a change of its input or output."""

    def __init__(self, net, before=lambda x: x, after=lambda y: y):
        super().__init__()
        self.net, self.before, self.after = net, before, after

    def forward(self, images):
        return self.after(self.net(self.before(images)))


def teacher(**changes) -> Classifier:
    model = tiny_classifier()
    model.net = Through(model.net, **changes)
    return model


def test_a_sound_teacher():
    model = tiny_classifier()
    norms = look_at_batch_norms(model)
    assert (norms.layers, norms.channels, norms.first, norms.last) == (2, 24, "features.1", "features.4")
    assert norms.usable and not (norms.broken or norms.never_trained or norms.forgetful or norms.constant)
    assert not broken_weights(model) and not ask(model).trouble
    assert not any(misfits(model, norms).values())


def test_broken_weights_and_statistics_are_named():
    model = tiny_classifier()
    model.net.fc.weight.data[0, 0] = float("nan")
    model.net.features[1].running_var[2] = float("inf")
    model.net.features[4].running_var[0] = -1
    assert set(broken_weights(model)) == {"fc.weight", "features.1.running_var"}
    norms = look_at_batch_norms(model)
    assert norms.broken == ("features.1", "features.4") and not norms.usable
    assert "no number" in ask(model).trouble
    found = inspect_teacher(model)
    assert "NaN or infinity in features.1.running_var, fc.weight" in found.refusals[0]
    assert any("below zero in features.4" in refusal for refusal in found.refusals)
    assert found.advice is None and found.cost is None


def test_dead_channels_are_counted():
    model = tiny_classifier()
    first, second = model.net.features[1], model.net.features[4]
    first.running_var[:3] = 1e-30
    second.weight.data[:5] = 0
    assert look_at_batch_norms(model).constant == 8


def test_statistics_that_were_never_taken():
    model = tiny_classifier()
    model.net.features[1].reset_running_stats()
    assert look_at_batch_norms(model).never_trained == ("features.1",)
    assert look_at_batch_norms(model).usable
    model.net.features[4].reset_running_stats()
    assert not look_at_batch_norms(model).usable
    reasons = misfits(model, look_at_batch_norms(model))
    assert set(METHODS) - set(reasons) == {"untrained"}  # a baseline is no method to recommend
    for name, method in ((name, METHODS[name]) for name in reasons):
        assert bool(reasons[name]) == ("bn" in method().plan(model.card).reads)
        assert not reasons[name] or "trained BatchNorm statistics" in reasons[name]
    model.net.features[1] = nn.BatchNorm2d(8, track_running_stats=False)
    assert look_at_batch_norms(model).forgetful == ("features.1",)


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"after": lambda y: y.detach()}, "no gradient"),
        ({"before": torch.round}, "zero everywhere"),
        ({"after": lambda y: y * 0 + 3}, "same whatever"),
        ({"after": lambda y: y / 0}, "no number"),
        ({"after": lambda y: y.softmax(1)}, "leave its last softmax out"),
        ({"before": lambda x: x.sqrt()}, "no number"),
    ],
)
def test_an_answer_that_cannot_be_imitated(changes, word):
    model = teacher(**changes)
    assert word in ask(model).trouble
    assert any(word in refusal for refusal in inspect_teacher(model).refusals)


class Patches(nn.Module):
    """Attention over patches without BatchNorm and without maps of more than one pixel."""

    def __init__(self):
        super().__init__()
        self.embed = nn.Linear(16, 32)
        self.body = nn.TransformerEncoderLayer(32, 2, 32, 0.0, batch_first=True)
        self.last = nn.Linear(32, 4)

    def forward(self, images):
        patches = images.unfold(2, 4, 4).unfold(3, 4, 4).reshape(len(images), -1, 16)
        return self.last(self.body(self.embed(patches)).mean(1))


def test_methods_that_need_what_is_not_there_say_so():
    model = Classifier(Patches(), ModelCard("patches", 4, (0.3,), (0.4,), (1, 8, 8))).freeze()
    reasons = misfits(model, look_at_batch_norms(model))
    assert reasons["dfad"] == reasons["dafl"] == "" and reasons["akd"] == "needs BatchNorm"
    assert reasons["zskt"] == "needs feature maps"
    model.net.last = nn.Identity()
    model.net.embed = nn.Identity()
    plain = Classifier(Through(nn.Flatten()), model.card)
    assert misfits(plain, look_at_batch_norms(plain))["dafl"] == "needs a last linear layer"


def test_a_teacher_without_batch_norm_is_advised_the_default_without_its_term(monkeypatch):
    monkeypatch.setattr(cost, "PATIENCE", 0.0)
    monkeypatch.setattr(cost, "MEASURED", 0.0)
    layers = [nn.Conv2d(1, 16, 3, padding=1), nn.GroupNorm(2, 16), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(256, 4)]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = Classifier(nn.Sequential(*layers), ModelCard("own", 4, (0.3,), (0.4,), (1, 8, 8))).freeze()
        for p in model.parameters():
            nn.init.normal_(p, std=0.5)
    found = inspect_teacher(model, "cpu")
    assert found.advice and (found.advice.method, found.advice.knobs) == (Default.name, {"bn": 0.0})
    assert found.methods[Default.name] == "needs BatchNorm" and found.cost and not found.refusals


@pytest.mark.slow
def test_looking_changes_nothing_and_says_what_a_step_costs():
    model = tiny_classifier().train()
    model.requires_grad_(True)
    before, state = copy.deepcopy(model.state_dict()), torch.get_rng_state()
    found = akd.inspect_teacher(model, "cpu")
    assert not found.refusals and found.advice and found.cost
    assert found.advice.method == Default.name and found.params == sum(p.numel() for p in model.parameters())
    assert found.cost.batch == found.cost.method_batch == Default().batch_size
    assert found.cost.seconds_per_step > 0 and found.cost.peak_bytes > 1e6 and found.cost.steps >= Default().student_steps
    assert all(torch.equal(a, b) for a, b in zip(before.values(), model.state_dict().values(), strict=True))
    assert model.training and all(p.requires_grad and p.grad is None for p in model.parameters())
    assert torch.equal(state, torch.get_rng_state())


@pytest.mark.parametrize("student_steps", [3, Default().student_steps])
def test_what_would_take_too_long_is_scaled_up_from_fewer_images(monkeypatch, student_steps):
    monkeypatch.setattr(cost, "PATIENCE", 0.0)
    monkeypatch.setattr(cost, "MEASURED", 0.0)
    model, method = tiny_classifier(), Default(student_steps=student_steps)
    student = build_student(design_student(model, "50%").chosen, model.card)
    found = measure_steps(method, model, student, make_runtime("cpu"))
    assert (found.batch, found.method_batch, found.steps) == (cost.LEAST, 128, method.student_steps)
