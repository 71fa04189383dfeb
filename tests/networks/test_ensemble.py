import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from akd.errors import ModelError
from akd.networks.classifier import Classifier, ModelCard
from akd.networks.ensemble import Ensemble, load_named
from akd.networks.models import save_model
from akd.networks.taps import batch_norms, stage_names, tapped
from tests.conftest import tiny_classifier


class Fixed(nn.Module):
    """Says the same of every image."""

    def __init__(self, logits):
        super().__init__()
        self.logits = nn.Parameter(torch.tensor(logits))

    def forward(self, x):
        return self.logits.expand(len(x), -1)


def fixed(*logits, names=None):
    return Classifier(Fixed(logits), ModelCard("fixed", len(logits), (0.0,), (1.0,), (1, 8, 8), label_names=names))


IMAGES = torch.rand(5, 1, 8, 8)


@given(st.lists(st.lists(st.floats(-9, 9), min_size=3, max_size=3), min_size=2, max_size=4))
def test_the_mean_is_the_mean_of_the_members_predictions(rows):
    members = [fixed(*row) for row in rows]
    said = Ensemble(members, [None] * len(rows))(IMAGES).exp()
    expected = torch.stack([torch.tensor(row).softmax(0) for row in rows]).mean(0)
    assert torch.allclose(said, expected.expand(5, -1), atol=1e-5)


def test_confidence_follows_the_one_who_is_sure_and_shares_where_nobody_is():
    sure, unsure, clueless = fixed(20.0, 0.0, 0.0), fixed(0.0, 0.1, 0.0), fixed(0.0, 0.0, 0.0)
    said = Ensemble([sure, unsure], [None, None], "confidence")(IMAGES).exp()[0]
    assert said[0] > 0.999
    assert Ensemble([sure, unsure], [None, None])(IMAGES).exp()[0][0] < 0.7
    said = Ensemble([clueless, clueless], [None, None], "confidence")(IMAGES).exp()[0]
    assert said.tolist() == pytest.approx([1 / 3] * 3, abs=1e-5)


def test_specialists_over_disjoint_classes_cover_them_all():
    cats, dogs = fixed(5.0, 0.0, names=("tabby", "lynx")), fixed(0.0, 0.0, 0.0, names=("pug", "wolf", "fox"))
    both = Ensemble([cats, dogs], [(3, 0), (1, 2, 4)], "confidence")
    assert both.card.num_classes == 5 and both.card.label_names == ("lynx", "pug", "wolf", "tabby", "fox")
    said = both(IMAGES).exp()
    assert torch.allclose(said.sum(1), torch.ones(5), atol=1e-5)
    assert said.argmax(1).tolist() == [3] * 5 and said[0, 3] > 0.9


def test_gradients_reach_the_images_and_every_members_statistics_count():
    members = [tiny_classifier(), tiny_classifier(seed=5, widths=(4, 6))]
    for combine in ("mean", "confidence"):
        both = Ensemble(members, [None, None], combine).freeze()
        images = IMAGES.clone().requires_grad_()
        both(images).square().sum().backward()
        assert bool(images.grad.isfinite().all()) and bool(images.grad.any())
    assert len(batch_norms(both)) == sum(len(batch_norms(m)) for m in members)


def test_each_member_keeps_its_own_normalisation():
    one = tiny_classifier()
    other = Classifier(one.net, ModelCard("digitsnet", 4, (0.1,), (0.9,), (1, 8, 8), one.card.arguments)).freeze()
    expected = (one(IMAGES).softmax(1) + other(IMAGES).softmax(1)) / 2
    assert torch.allclose(Ensemble([one, other], [None, None])(IMAGES).exp(), expected, atol=1e-6)


@pytest.mark.parametrize(
    ("classes", "words"),
    [
        ([None, (0, 1)], "give `classes`"),
        ([(0, 1, 2), (2, 3, 5)], "no teacher knows class 4"),
        ([(0, 0, 1), (2, 3, 4)], "give `classes`"),
        ([(-1, 0, 1), (2, 3, 4)], "give `classes`"),
    ],
)
def test_classes_that_do_not_fit_are_refused(classes, words):
    with pytest.raises(ModelError, match=words):
        Ensemble([fixed(0.0, 1.0, 2.0), fixed(0.0, 1.0, 2.0)], classes)


def test_other_refusals():
    large = Classifier(Fixed([0.0, 1.0]), ModelCard("fixed", 2, (0.0,), (1.0,), (1, 9, 9)))
    with pytest.raises(ModelError, match="one size"):
        Ensemble([fixed(0.0, 1.0), large], [None, None])
    with pytest.raises(ModelError, match="mean or confidence"):
        Ensemble([fixed(0.0, 1.0), fixed(0.0, 1.0)], [None, None], "vote")


def test_teachers_that_name_a_class_differently_are_not_averaged():
    one, two = fixed(0.0, 1.0), fixed(0.0, 1.0)
    one.card, two.card = replace(one.card, label_names=("cat", "dog")), replace(two.card, label_names=("oak", "elm"))
    with pytest.raises(ModelError, match="class 0 is 'cat' to one teacher and 'oak' to another; give `classes`"):
        Ensemble([one, two], [None, None])
    assert Ensemble([one, two], [None, (2, 3)]).card.label_names == ("cat", "dog", "oak", "elm")
    assert Ensemble([one, fixed(0.0, 1.0)], [None, None]).card.label_names == ("cat", "dog")


def test_an_ensemble_is_loaded_as_a_run_names_it(tmp_path):
    members = [tiny_classifier(), tiny_classifier(seed=5, widths=(4, 6))]
    for i, member in enumerate(members):
        save_model(member, tmp_path / str(i))
    named = {"members": [{"source": str(tmp_path / "0")}, {"source": str(tmp_path / "1"), "classes": None}], "combine": "mean"}
    said = load_named(named)(IMAGES)
    assert torch.allclose(said, Ensemble(members, [None, None])(IMAGES))
    assert math.isclose(said.exp().sum(1)[0].item(), 1, rel_tol=1e-5)


def test_teachers_of_unlike_classes_must_say_which():
    with pytest.raises(ModelError, match="give `classes`"):
        Ensemble([fixed(0.0, 1.0, 2.0), fixed(0.0, 1.0)], [None, None])
    mixed = Ensemble([fixed(0.0, 1.0, 2.0), fixed(9.0, 0.0)], [None, (3, 4)], "confidence")
    assert mixed(IMAGES).argmax(1).tolist() == [3] * 5


def test_whoever_looks_inside_sees_the_last_member_alone():
    one, two = tiny_classifier(), tiny_classifier(seed=5, widths=(4, 6))
    both, needs = Ensemble([one, two], [None, None]).freeze(), frozenset({"stages", "layers", "feature"})
    assert stage_names(both, (1, 8, 8)) == stage_names(two, (1, 8, 8))
    sights = []
    for network in (both, two):
        with tapped(network, needs, stage_names(network, (1, 8, 8))) as see:
            sights.append(see(IMAGES))
    mine, theirs = sights
    assert mine.classifier is theirs.classifier and torch.equal(mine.feature, theirs.feature)
    for a, b in ((mine.stages, theirs.stages), (mine.layers, theirs.layers)):
        assert len(a) == len(b) > 0 and all(torch.equal(x, y) for x, y in zip(a, b, strict=True))
