"""What each method and each idea pushes, and which way: by quantities that are written out here anew."""

import copy
import itertools
from dataclasses import replace

import pytest
import torch

from akd.eyes import Eyes
from akd.ideas import IDEAS, plan_of
from akd.ideas.robust import Robust
from akd.loop import Budget, judge_images, run_loop
from akd.methods import METHODS
from akd.methods.dfad import DFAD
from akd.methods.plan import shifted
from akd.networks.taps import Sight, last_linear, tapped
from akd.objectives import features
from akd.objectives.logits import most_like
from akd.objectives.terms import Around, Seen, points
from akd.replay import called
from akd.runtime import make_runtime
from akd.state import State
from akd.synthesis.exchange import ExchangeState
from akd.synthesis.maker import Batch, Given
from akd.synthesis.online import Online
from akd.synthesis.pictures import pictures
from akd.synthesis.rounds import Rounds
from tests.conftest import tiny_classifier
from tests.test_contract import fresh_state, small


def probabilities(logits, temperature=1.0):
    exponents = ((logits - logits.amax(1, keepdim=True)) / temperature).exp()
    return exponents / exponents.sum(1, keepdim=True)


def divergence(p, q):
    return float((p * (p / q).log()).sum(1).mean())


def gap(state, images):
    return float((state.teacher(images) - state.student(images)).abs().mean())


def kl(state, images):
    return divergence(probabilities(state.teacher(images)), probabilities(state.student(images)))


def kl_where_they_agree(state, images):
    teacher, student = state.teacher(images), state.student(images)
    same = teacher.argmax(1) == student.argmax(1)
    return divergence(probabilities(teacher[same]), probabilities(student[same])) * float(same.float().mean())


def js_at_three(state, images):
    p, q = (probabilities(network(images), 3.0) for network in (state.teacher, state.student))
    return 0.5 * divergence(p, (p + q) / 2) + 0.5 * divergence(q, (p + q) / 2)


def of_the_asked_class(state, images):
    told = probabilities(state.teacher(images))
    return float(told[torch.arange(len(images)), labels(len(images))].log().mean())


def of_the_likeliest_class(state, images):
    return float(probabilities(state.teacher(images)).amax(1).log().mean())


def entropy_of_classes(state, images):
    mean = probabilities(state.teacher(images)).mean(0)
    return -float((mean * mean.log()).sum())


def strangeness(state, images):
    """Distance from the teacher's BatchNorm statistics."""
    with tapped(state.teacher, frozenset({"bn"})) as see:
        layers = see(images).bn
    pairs = ((layer, x.transpose(0, 1).flatten(1)) for layer, x in layers)
    gaps = ((layer.running_mean - x.mean(1), layer.running_var - x.var(1, correction=0)) for layer, x in pairs)
    return float(sum(g.square().sum().sqrt() for pair in gaps for g in pair))


def relative_strangeness(state, images):
    """The same in the statistics' own units, by what BatchNorm makes of the batch: means of 0 and variances of 1 are normal."""
    with tapped(state.teacher, frozenset({"bn"})) as see:
        layers = see(images).bn
    gaps = []
    for layer, x in layers:
        plain = torch.nn.functional.batch_norm(x, layer.running_mean, layer.running_var).transpose(0, 1).flatten(1)
        gaps += [plain.mean(1).square().mean().sqrt(), (plain.var(1, correction=0) - 1).square().mean().sqrt()]
    return float(sum(gaps) / len(layers))


def activity(state, images):
    with tapped(state.teacher, frozenset({"feature"})) as see:
        return float(see(images).feature.abs().mean())


def roughness(state, images):
    return float(sum(images.diff(dim=dim).square().sum() for dim in (2, 3)))


def spread_over_thirds(state, images):
    means = [probabilities(state.teacher(part)).mean(0) for part in images.tensor_split(3)]
    middle = sum(means) / 3
    return float(sum((p * (p / middle).log()).sum() for p in means) / 3)


def distance_of_stages(state, images):
    sights = []
    eyes = Eyes(state, state.plan.student)
    for network in (state.student, state.teacher):
        with tapped(network, frozenset({"stages"}), eyes.stages[network]) as see:
            sights.append(see(images).stages)
    return float(state.modules["features"](*sights))


UP, DOWN = 1, -1
SOUGHT = {
    ("akd", "bn"): (relative_strangeness, DOWN),
    ("akd", "one_hot"): (of_the_asked_class, UP),
    ("akd", "balance"): (entropy_of_classes, UP),
    ("akd", "adversary"): (gap, UP),
    ("dfad", "discrepancy"): (gap, UP),
    ("dafl", "one_hot"): (of_the_likeliest_class, UP),
    ("dafl", "activation"): (activity, UP),
    ("dafl", "balance"): (entropy_of_classes, UP),
    ("zskt", "divergence"): (kl, UP),
    ("dfq", "adversary"): (gap, UP),
    ("dfq", "bn"): (strangeness, DOWN),
    ("dfq", "one_hot"): (of_the_likeliest_class, UP),
    ("dfq", "balance"): (entropy_of_classes, UP),
    ("deepinversion", "one_hot"): (of_the_asked_class, UP),
    ("deepinversion", "bn"): (strangeness, DOWN),
    ("deepinversion", "variation"): (roughness, DOWN),
    ("deepinversion", "competition"): (js_at_three, UP),
    **{(name, "bn"): (strangeness, DOWN) for name in ("cmi", "fast", "nayer", "spaceship")},
    **{(name, "one_hot"): (of_the_asked_class, UP) for name in ("cmi", "fast", "nayer", "spaceship")},
    **{(name, "adversary"): (kl_where_they_agree, UP) for name in ("cmi", "fast", "nayer")},
    ("dfad+generators", "apart"): (spread_over_thirds, UP),
    ("dfad+features", "features"): (distance_of_stages, UP),
}


def labels(count):
    return torch.arange(count) % 4


@torch.no_grad()
def state_of(variant):
    """A batch is judged as it is; both networks see several classes, now and then the same one."""
    torch.manual_seed(0)
    teacher = tiny_classifier()
    state = fresh_state(variant, teacher)
    shown = pictures(256, teacher.card)
    for network in (teacher, state.student):
        last_linear(network).bias -= network.eval()(shown).mean(0)
    state.plan = replace(state.plan, jitter=None)
    return state


def stepped(state, name, images, size=0.005):
    """The images after a step down the weighted term alone."""
    eyes = Eyes(state, {name: state.plan.image[name]})
    images = images.clone().requires_grad_()
    loss, _ = judge_images(eyes, Batch(images, labels(len(images))), 0.0)
    (slope,) = torch.autograd.grad(loss, images)
    assert slope.norm() > 0
    return (images - size * slope / slope.norm()).detach()


@pytest.mark.parametrize(("variant", "name"), SOUGHT, ids=lambda given: given)
@torch.no_grad()
def test_a_step_down_an_image_term_moves_what_it_is_for_the_way_it_should(variant, name):
    quantity, way = SOUGHT[variant, name]
    state = state_of(variant)
    images = state.probe[:24].float() / 255
    with torch.enable_grad():
        moved = stepped(state, name, images)
    assert way * (quantity(state, moved) - quantity(state, images)) > 0


def test_every_image_term_of_every_method_is_held_by_a_direction():
    card = tiny_classifier().card
    terms = {(name, term) for name in METHODS for term in plan_of(small(METHODS[name]), [], card).image}
    assert terms - {("cmi", "contrast")} <= set(SOUGHT)  # CMI's: below
    for idea in IDEAS:
        with_it, without = (plan_of(DFAD(), ideas, card).image for ideas in ([IDEAS[idea]()], []))
        weighed = {term for term in set(with_it) - set(without) if any(value for _, value in points(with_it[term].weight))}
        assert {(f"dfad+{idea}", term) for term in weighed} <= set(SOUGHT)


def test_cmi_makes_images_that_are_known_again_among_all():
    state, size = state_of("cmi"), 0.005
    images, view, project = state.probe[:16].float() / 255, shifted(state.student.card), state.critics["contrast"]

    @torch.no_grad()
    def known_again(x):
        with state.rng.apart(1), tapped(state.teacher, frozenset({"feature"})) as see:
            one, two = (project(see(seen).feature) for seen in (x, view(x, None)))
        return float(probabilities(one @ two.T / 0.1).diagonal().log().mean())

    with state.rng.apart(1):
        moved = stepped(state, "contrast", images, size)
    assert known_again(moved) > known_again(images)


@torch.no_grad()
def test_the_attack_on_the_student_raises_its_divergence():
    state = state_of("dfad+robust")
    images, told = state.probe[:32].float() / 255, state.teacher(state.probe[:32].float() / 255)
    (attack,) = plan_of(DFAD(), [Robust(share=1.0, epsilon=0.1)], state.student.card).student_views
    attacked = attack(images, told, state.student)
    before, after = (divergence(probabilities(told), probabilities(state.student(x))) for x in (images, attacked))
    assert after > 1.1 * before


def test_the_student_learns_by_how_much_images_were_turned():
    """The loss of the head is the cross-entropy against the turns that were drawn, recomputed here for each."""
    state = fresh_state("dfad+selfsup")
    head, size = state.modules["turned"], 8
    images = torch.rand(size, 1, 8, 8)
    given = []

    def student(x):
        given.append(x)
        with tapped(state.student.eval(), frozenset({"feature"})) as see:
            return see(x)

    around = Around(student, student, lambda count: None, {"turned": head})
    nothing = Sight(torch.zeros(size, 4))
    loss = state.plan.student["turned"].loss(Seen(images, labels(size), nothing, nothing, around))
    (seen,) = given
    options = [images.rot90(k, (-2, -1)) for k in range(4)]
    turns = [next(k for k in range(4) if torch.equal(options[k][i], seen[i])) for i in range(size)]
    assert len(set(turns)) > 1
    told = probabilities(head(student(seen).feature).detach())
    assert loss.item() == pytest.approx(-float(told[torch.arange(size), turns].log().mean()), rel=1e-4)


def test_imitation_is_softened_by_the_temperature_of_the_method():
    state = state_of("akd")
    images = state.probe[:16].float() / 255
    _, terms = judge_images(Eyes(state, state.plan.student), Batch(images, labels(16)), 0.0)
    with torch.no_grad():
        soft = (probabilities(network(images), 4.0) for network in (state.teacher, state.student))
        assert terms["imitate"].item() == pytest.approx(16 * divergence(*soft), rel=1e-3)


def test_attention_distance_by_hand():
    student, teacher = torch.rand(2, 3, 2, 2), torch.rand(2, 5, 2, 2)
    maps = []
    for x in (student, teacher):
        flat = (x**2).sum(1).flatten(1)
        maps.append(flat / (flat**2).sum(1, keepdim=True).sqrt())
    expected = float(((maps[0] - maps[1]) ** 2).sum()) / 8
    assert float(features.attention_distance([student], [teacher])) == pytest.approx(expected, rel=1e-4)


def test_a_class_map_is_of_the_class_that_the_teacher_sees():
    state = state_of("spaceship")
    images = state.probe[:8].float() / 255
    eyes = Eyes(state, {"activation_map": state.plan.student["activation_map"]})
    with torch.no_grad():
        teacher, student = eyes.see_teacher(images), eyes.see_student(images)
    told = teacher.logits.argmax(1)
    assert len(set(told.tolist())) > 1
    maps = []
    for sight in (student, teacher):
        by_hand = torch.stack(
            [(sight.stages[-1][i] * sight.classifier.weight[told[i]][:, None, None]).sum(0) for i in range(8)]
        )
        maps.append(by_hand.flatten(1) / by_hand.flatten(1).norm(dim=1, keepdim=True))
    loss = state.plan.student["activation_map"].loss(Seen(images, labels(8), teacher, student, None))
    assert loss.item() == pytest.approx(((maps[0] - maps[1]) ** 2).sum(1).mean().item(), rel=1e-4)


def test_new_pictures_are_asked_for_the_class_that_each_is_most_like():
    """Each turn until the student learns, then every fourth; what is kept is rounded, so that a class may change."""
    torch.manual_seed(0)
    teacher = tiny_classifier()
    plan = METHODS["akd"](batch_size=64, student_steps=2).plan(teacher.card)
    state, written = State(plan, teacher, copy.deepcopy(tiny_classifier(seed=1)).requires_grad_(), make_runtime("cpu"), 0), []
    for _ in run_loop(state, Budget(steps=18)):
        written.append((state.step, state.pictures.written // 64))
    last = dict(written)
    assert [last[step] for step in (1, 6, 8, 9, 10, 15, 16, 17, 18)] == [20, 20, 21, 21, 21, 21, 22, 22, 22]
    for images, labels in zip(state.pictures.images.split(64)[:20], state.pictures.labels.split(64)[:20], strict=True):
        near = most_like(teacher(images.float() / 255))
        assert (near == labels).float().mean() > 0.9 and len(labels.unique()) == 4


def test_a_restyler_is_judged_by_the_classes_of_its_pictures():
    maker, card, judged = Online(restyles=True, latent=8, width=8), tiny_classifier().card, []
    module, start = maker.build(card), Batch(torch.rand(8, *card.input_size), torch.arange(8) % 4)

    def judge(batch, _progress):
        judged.append(batch.labels)
        return (batch.images - 0.9).square().mean(), {}

    made = maker.turn(module, maker.optimiser(module), Given(judge, lambda _: start, 8, 0.0, called))
    assert torch.equal(judged[0], start.labels) and torch.equal(made.keep.labels, start.labels)


def no_pictures(_count):
    raise AssertionError("starts from noise")


def rounds_of(maker, count, seed=0):
    """The module after each of `count` rounds, what it handed over, and the (loss, images) that its judge met in it."""
    torch.manual_seed(seed)
    module = maker.build(tiny_classifier().card)
    optimiser, told = maker.optimiser(module), []

    def judge(batch, _progress):
        loss = (batch.images - 0.9).square().mean() * (1 + len(told) % 3)  # now better, now worse
        told.append((loss.item(), batch.images.detach().clone()))
        return loss, {}

    given = Given(judge, no_pictures, 8, 0.0, called)
    for _ in range(count):
        told.clear()
        while (made := maker.turn(module, optimiser, given)).keep is None:
            pass
        yield module, made, list(told)


def test_the_best_batch_of_a_round_is_handed_over():
    for _, made, met in rounds_of(Rounds(images=8, steps=11, lr=0.01, chunk=5), 3):
        losses = [loss for loss, _ in met]
        best = losses.index(min(losses))
        assert len(losses) == 11 and 0 < best < 10
        assert torch.equal(made.keep.images, met[best][1])


@pytest.mark.parametrize("follow", [0.0, 0.25, 1.0])
def test_the_start_follows_a_round_by_the_share_that_is_told(follow):
    maker = Rounds(images=8, steps=6, lr=0.01, follow=follow)
    torch.manual_seed(0)
    first = copy.deepcopy(maker.build(tiny_classifier().card).start)
    ((module, _, _),) = rounds_of(maker, 1)
    for before, after, end in zip(*(net.parameters() for net in (first, module.start, module.generator)), strict=True):
        assert torch.allclose(after, before + follow * (end - before), atol=1e-6)


@pytest.mark.parametrize(("renew", "anew"), [(0, [False] * 3), (1, [True] * 3), (2, [False, True, False])])
def test_a_generator_is_drawn_anew_when_it_is_told(renew, anew):
    seen, start = [], None
    for module, _, _ in rounds_of(Rounds(images=8, steps=1, lr=0.0, renew=renew), 4):
        weight = module.start.to_image.weight.clone()
        seen += [] if start is None else [not torch.equal(weight, start)]
        start = weight
    assert seen == anew


@pytest.mark.parametrize("name", ["cmi", "nayer", "fast"])
def test_the_methods_of_rounds_renew_and_follow_as_their_papers_do(name):
    maker = METHODS[name]().plan(tiny_classifier().card).maker
    told = {"cmi": (1, 0.0, 1), "nayer": (20, 1.0, 1), "fast": (0, 0.5, 20)}
    assert (maker.renew, maker.follow, maker.first) == told[name]


def test_nobody_learns_while_the_maker_warms_up():
    state = fresh_state("fast")
    warm = state.plan.maker.first
    turns = itertools.takewhile(lambda _: state.step == 0, run_loop(state, Budget(steps=1)))
    assert warm == 2 and list(turns) and state.maker.rounds == warm


def test_noisy_layers_differ_from_round_to_round():
    state = fresh_state("nayer")
    weights = []
    for _ in run_loop(state, Budget(steps=9)):
        if state.maker.done == 0 and state.left == state.plan.student_steps:  # a round has just ended
            weights.append(state.maker.label_layer.noisy[0].weight.clone())
    assert len(weights) == 3 and (weights[0] - weights[1]).abs().mean() > 0.5


def test_channels_are_exchanged_by_the_share_that_is_told():
    torch.manual_seed(0)
    module = ExchangeState(4, tiny_classifier().card, 8, 4)
    module.maps.copy_(torch.arange(1.0, 5.0).view(4, 1, 1, 1).expand_as(module.maps))
    module.rounds, late = 1, []
    module.generator.late = lambda maps: late.append(maps) or torch.zeros(len(maps), 1, 8, 8)
    for share in (0.0, 0.5, 1.0):
        module.exchanged(400, share)
        mixed = float((late[-1].amax((1, 2, 3)) != late[-1].amin((1, 2, 3))).float().mean())
        assert mixed == pytest.approx(0.75 * share, abs=0.1)  # a quarter are exchanged with an equal
    foreign = late[-1] != late[-1][:, :1]
    assert float(foreign.float().mean()) == pytest.approx(0.75 * 0.5, abs=0.08)
