"""What each idea changes, and that nothing else does."""

import itertools
import json
import math
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from akd.cli import main
from akd.config import from_dict, set_dotted, to_dict
from akd.errors import ConfigError
from akd.eyes import Eyes
from akd.ideas import IDEAS, plan_of
from akd.ideas.align import Features
from akd.ideas.boundary import Boundary
from akd.ideas.generators import Generators
from akd.ideas.progressive import Progressive, maximised
from akd.ideas.robust import Robust
from akd.loop import Budget, judge_images, run_loop, student_step
from akd.methods import METHODS
from akd.networks.classifier import Classifier, ModelCard
from akd.networks.models import save_model
from akd.objectives.terms import at
from akd.runfolder import RunFolder
from akd.runtime import make_runtime
from akd.state import State
from akd.synthesis.boundary import toward_boundary
from akd.synthesis.maker import Batch
from akd.teachers import teacher_of
from akd.wiring import check_wiring
from tests.conftest import tiny_classifier
from tests.test_contract import fresh_state, run, small


@given(st.permutations(sorted(IDEAS)))
def test_the_order_of_naming_does_not_matter(order):
    card = tiny_classifier().card
    method = METHODS["akd"]()
    one, two = (plan_of(method, [IDEAS[name]() for name in names], card) for names in (order, sorted(order)))
    assert list(one.student) == list(two.student) and list(one.image) == list(two.image)
    assert len(one.views) == len(two.views) and list(one.modules) == list(two.modules)


@given(st.integers(0, 2**31 - 1), st.floats(0.3, 1.0), st.integers(1, 4))
def test_a_step_at_full_rate_lands_just_beyond_a_linear_boundary(seed, rate, steps):
    torch.manual_seed(seed)
    net = nn.Sequential(nn.Flatten(), nn.Linear(12, 4))
    images = 0.4 + 0.2 * torch.rand(6, 3, 2, 2)
    with torch.no_grad():
        net[1].weight.mul_(3)
        ranked = net(images).sort(1, descending=True)
    own, other = ranked.indices[:, :1], ranked.indices[:, 1:2]
    gap = ranked.values[:, :1] - ranked.values[:, 1:2]
    moved = toward_boundary(images, net, steps, rate)
    after = net(moved)
    left = after.gather(1, own) - after.gather(1, other)
    inside = ((moved > 0) & (moved < 1)).flatten(1).all(1) & (gap[:, 0] < 0.3)
    expected = (gap + 0.01) * (1 - rate) ** steps - 0.01
    stopped = expected.clamp_min(0) if rate == 1 else expected
    close = inside & (stopped[:, 0] > 0)
    assert torch.allclose(left[close], stopped[close], atol=1e-4)
    if rate == 1.0:
        assert torch.allclose(left[inside], torch.full_like(left[inside], -0.01), atol=1e-4)
    assert moved.min() >= 0 and moved.max() <= 1 and not moved.requires_grad


def test_boundary_images_come_closer_to_wavering_on_a_real_net():
    teacher = tiny_classifier()
    images = torch.rand(64, 1, 8, 8)

    def gap(x):
        top = teacher(x).softmax(1).topk(2).values
        return (top[:, 0] - top[:, 1]).mean().item()

    assert gap(toward_boundary(images, teacher, 5, 0.5)) < 0.3 * gap(images)


def test_features_pay_the_maker_for_what_the_student_misses():
    """The image side has the sign of an adversary: its weighted part falls where the distance grows."""
    card = tiny_classifier().card
    plan = plan_of(METHODS["dfad"](), [Features(adversary=0.5)], card)
    assert plan.image["features"].weight == -0.5 and plan.student["features"].weight == 1.0
    state = fresh_state("dfad+features")
    images = (state.probe[:8].float() / 255).requires_grad_()
    eyes = Eyes(state, {"features": plan.image["features"]})
    loss, terms = judge_images(eyes, Batch(images, torch.zeros(8, dtype=torch.int64)), 0.0)
    (slope,) = torch.autograd.grad(loss, images)
    with torch.no_grad():
        stepped = Batch(images - 0.05 * slope / slope.norm(), torch.zeros(8, dtype=torch.int64))
    _, after = judge_images(eyes, stepped, 0.0)
    assert after["features"] > terms["features"]


def test_makers_are_not_misled_by_adapters_that_nothing_trains_yet():
    plan = plan_of(METHODS["dfad"](), [Features(weight=((0.0, 0.0), (1.0, 2.0)), adversary=0.5)], tiny_classifier().card)
    assert [at(plan.image["features"].weight, when) for when in (0.0, 0.5, 1.0)] == pytest.approx([0.0, -0.5, -1.0])


@pytest.mark.parametrize(
    "idea", [Robust(share=0), Robust(epsilon=0), Boundary(share=0), Boundary(rate=0), Generators(count=1)], ids=repr
)
def test_an_idea_that_would_change_nothing_costs_nothing(idea):
    card = tiny_classifier().card
    plain, plan = METHODS["dfad"]().plan(card), plan_of(METHODS["dfad"](), [idea], card)
    assert (list(plan.image), plan.views, plan.student_views) == (list(plain.image), plain.views, plain.student_views)


def test_adapters_learn_and_are_no_part_of_the_result():
    state = fresh_state("akd+features")
    before = [p.clone() for p in state.modules.parameters()]
    run(state, 6)
    assert before and all(not torch.equal(a, b) for a, b in zip(before, state.modules.parameters(), strict=True))
    assert state.result.state_dict().keys() == fresh_state("akd").result.state_dict().keys()


def test_critics_learn_with_the_maker_alone():
    state = fresh_state("cmi")
    before = [p.clone() for p in state.critics.parameters()]
    turns = itertools.takewhile(lambda _: state.step == 0, run_loop(state, Budget(steps=1)))
    assert list(turns)
    assert all(not torch.equal(a, b) for a, b in zip(before, state.critics.parameters(), strict=True))


def test_generators_share_a_batch_and_their_diversity_is_measured():
    state = fresh_state("dfad+generators")
    assert len(state.maker.generators) == 3
    batch = state.plan.maker.draw(state.maker, state.draw_pictures, 16)
    assert batch.images.shape == (16, 1, 8, 8) and len(batch.labels) == 16
    (report,) = run(state, 6)
    assert 0 <= report.losses["image/apart"] <= 1.0987
    with pytest.raises(ConfigError, match="dfad"):
        plan_of(METHODS["fast"](), [Generators()], tiny_classifier().card)


def test_progressive_scales_what_is_maximised_and_nothing_else():
    card = tiny_classifier().card
    plain = METHODS["akd"]().plan(card)
    plan = plan_of(METHODS["akd"](), [Progressive()], card)
    grown = [name for name in plan.image if plan.image[name].weight != plain.image[name].weight]
    assert grown == ["adversary"] and maximised(plain.image["adversary"].weight)
    for when, factor in ((0.0, 0.1), (0.3, 1.0), (0.9, 1.0)):
        expected = factor * at(plain.image["adversary"].weight, when)
        assert at(plan.image["adversary"].weight, when) == pytest.approx(expected, rel=2e-2)
    for when in (0.0, 0.25, 0.6):  # a share, and the rest
        soft = at(plan.student["soft"].weight, when)
        assert soft == pytest.approx(max(0, 1 - 2 * when)) and at(plan.student["imitate"].weight, when) == pytest.approx(
            1 - soft
        )


def test_schedules_are_data():
    run = from_dict(
        {
            "teacher": "t",
            "budget": "10%",
            "steps": 5,
            "method": {"name": "akd", "temperature": [[0, 20], [1, 4]]},
            "ideas": {"progressive": {"soft": [[0, 1], [1, 0]], "adversary": 1}},
        }
    )
    assert run.method.temperature == ((0.0, 20.0), (1.0, 4.0)) and run.ideas[0].adversary == 1.0
    assert from_dict(to_dict(run)) == run


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"ideas": "featurs"}, "did you mean 'features'"),
        ({"ideas": {"features": {"wait": 1}}}, "unknown option ideas.features.wait"),
        ({"ideas": 3}, "must be names"),
        ({"ideas": {"features": False}}, "must be a mapping"),
        ({"ideas": {"robust": {"epsilon": 8}}}, "must be from 0 to 1"),
        ({"ideas": {"average": {"exponent": 0}}}, "must be from 1"),
        ({"ideas": [Boundary(), Boundary()]}, "named twice"),
        ({"teacher": {"members": ["a", "b"], "combine": "vote"}}, "mean or confidence"),
        ({"method": {"name": "akd", "temperature": [[0.5, 20], [0.1, 4]]}}, "earliest first"),
        ({"method": {"name": "akd", "temperature": [[0, 20], [2, 4]]}}, "from 0 to 1"),
        ({"method": {"name": "akd", "temperature": [[0, 20, 1]]}}, "must have 2 values"),
        ({"method": {"name": "akd", "temperature": []}}, "earliest first"),
        ({"method": {"name": "akd", "temperature": [[0, 0]]}}, "must be from 0.001"),
        ({"teacher": {"members": ["a"]}}, "two teachers or more"),
        ({"teacher": ["a", {"source": "b", "arhc": "x"}]}, "did you mean 'teacher.members.arch'"),
    ],
)
def test_what_does_not_fit_is_named(given, words):
    with pytest.raises(ConfigError) as caught:
        from_dict({"teacher": "t", "budget": "10%", "steps": 5, **given})
    assert words in str(caught.value) and "\n" not in str(caught.value)


class Tokens(nn.Module):
    """A vision transformer in little: patches, one encoder layer, a linear head; LayerNorm only."""

    def __init__(self):
        super().__init__()
        self.patches = nn.Conv2d(1, 16, 2, 2)
        self.encoder = nn.TransformerEncoderLayer(16, 2, 32, dropout=0.0, batch_first=True)
        self.head = nn.Linear(16, 4)

    def forward(self, x):
        return self.head(self.encoder(self.patches(x).flatten(2).transpose(1, 2)).mean(1))


def grouped():
    body = [nn.Conv2d(1, 8, 3, padding=1), nn.GroupNorm(2, 8), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(8, 8, 3), nn.ReLU()]
    return nn.Sequential(*body, nn.Flatten(), nn.Linear(8 * 2 * 2, 4))


@pytest.mark.parametrize("net", [Tokens, grouped])
@pytest.mark.parametrize("name", ["dfad", "dafl", "zskt"])
def test_methods_that_need_no_batch_norm_run_on_teachers_without(name, net):
    torch.manual_seed(0)
    teacher = Classifier(net(), ModelCard("own", 4, (0.3,), (0.4,), (1, 8, 8))).freeze()
    student = tiny_classifier(seed=1, widths=(4, 6)).train().requires_grad_()
    plan = plan_of(small(METHODS[name]), [], teacher.card)
    state = State(plan, teacher, student, make_runtime("cpu"), 0)
    assert "bn" not in plan.reads
    check_wiring(state)
    (report,) = run(state, 8)
    assert all(map(math.isfinite, report.losses.values()))


def test_a_signal_that_needs_no_teacher_reads_nothing_of_it():
    """A teacher without a linear layer, which most terms on features could not do with; its answers come from the fast copy."""
    net = nn.Sequential(nn.Conv2d(1, 8, 3), nn.ReLU(), nn.Conv2d(8, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    teacher = Classifier(net, ModelCard("own", 4, (0.3,), (0.4,), (1, 8, 8))).freeze()
    state = fresh_state("dfad+selfsup", teacher)
    check_wiring(state)
    (report,) = run(state, 8)
    assert math.isfinite(report.losses["turned"]) and not Eyes(state, state.plan.student).of_teacher
    with pytest.raises(ConfigError, match="last linear layer"):
        Eyes(state, METHODS["dafl"]().plan(teacher.card).image)


def test_the_teacher_is_asked_before_the_attack_and_the_student_after():
    state = fresh_state("dfad+robust")
    asked, shown = [], []
    handles = [
        state.folded.register_forward_pre_hook(lambda _, x: asked.append(x[0].detach())),
        state.student.register_forward_pre_hook(lambda m, x: shown.append(x[0].detach()) if m.training else None),
    ]
    batch = Batch(torch.rand(16, 1, 8, 8), torch.zeros(16, dtype=torch.int64))
    student_step(Eyes(state, state.plan.student), batch, 0.0)
    for handle in handles:
        handle.remove()
    assert torch.equal(asked[0], batch.images) and len(asked) == len(shown) == 1
    moved = (shown[0] - batch.images).abs().flatten(1).amax(1)
    assert int((moved > 0.01).sum()) == 8 == int((moved > 0).sum()) and moved.max() <= 8 / 255 + 1e-6


def test_an_ensemble_is_distilled_from_the_command_line(tmp_path, capsys):
    for i in range(2):
        save_model(tiny_classifier(seed=i), tmp_path / str(i))
    out = tmp_path / "run"
    teachers = [word for i in range(2) for word in ("--teacher", str(tmp_path / str(i)))]
    argv = ["distill", *teachers, "--budget", "50%", "--method", "dfad", "--set", "method.batch_size=8", "--with", "average"]
    assert main([*argv, "--steps", "3", "--device", "cpu", "--out", str(out)]) == 0
    assert "digitsnet+digitsnet" not in capsys.readouterr().err
    assert teacher_of(RunFolder(out)).card.architecture == "digitsnet+digitsnet"
    assert main([*argv, "--steps", "3", "--device", "cpu", "--out", str(out), "--arch", "digitsnet"]) == 2
    assert "--config" in capsys.readouterr().err
    opened = json.loads((out / "data_free.json").read_text())["opened"]
    assert {Path(p).parent.name for p in opened["teacher"]} == {"0", "1"}


@pytest.mark.parametrize("variant", ["akd+features", "akd+layers", "akd+selfsup"])
def test_a_weight_may_rise_from_nothing_or_be_nothing(variant):
    name = variant.partition("+")[2]
    for weight in (((0.0, 0.0), (0.5, 1.0)), 0.0):
        card = tiny_classifier().card
        plan = plan_of(small(METHODS["akd"]), [IDEAS[name](weight=weight)], card)
        state = State(plan, tiny_classifier(), tiny_classifier(seed=1).requires_grad_(), make_runtime("cpu"), 0)
        check_wiring(state)
        assert bool(state.modules) == (weight != 0.0)


def test_ideas_keep_their_order_and_their_knobs_in_a_run():
    ideas = [IDEAS[name]() for name in reversed(IDEAS)]
    run = from_dict({"teacher": "t", "budget": "10%", "steps": 5, "ideas": ideas})
    assert [idea.name for idea in run.ideas] == list(IDEAS) and from_dict(to_dict(run)) == run
    values = {"ideas": ["features"]}
    set_dotted(values, "ideas.features.weight=2")
    assert values == {"ideas": {"features": {"weight": 2}}}


def test_an_idea_leaves_the_first_numbers_of_a_run_alone():
    plain, more = fresh_state("akd"), fresh_state("akd+features+selfsup")
    assert torch.equal(plain.probe, more.probe)
    assert all(torch.equal(a, b) for a, b in zip(plain.rng.state, more.rng.state, strict=True))


def test_no_two_images_of_a_nayer_round_are_alike():
    state = fresh_state("nayer")
    run(state, 3)
    images = state.bank.images[: len(state.bank)]
    assert len(images.flatten(1).unique(dim=0)) == len(images) == 16
