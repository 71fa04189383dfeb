"""Folding BatchNorm away changes no answer, and what cannot be folded is left alone."""

import copy

import pytest
import torch
from torch import nn

from akd.networks import zoo
from akd.networks.classifier import Classifier, ModelCard
from akd.networks.ensemble import Ensemble
from akd.networks.folded import folded
from tests.conftest import tiny_classifier


def settled(arch):
    """A network of the zoo whose BatchNorm layers have seen something."""
    torch.manual_seed(0)
    size = (3, 32, 32)
    network = Classifier(zoo.build(arch, 10, size), ModelCard(arch, 10, (0.5,) * 3, (0.25,) * 3, size))
    with torch.no_grad():
        network.train()(torch.rand(16, *size))
    return network.freeze()


def norms_of(network):
    return sum(isinstance(module, nn.BatchNorm2d) for module in network.modules())


@pytest.mark.parametrize("arch", ["resnet20", "vgg11", "wrn16-1", "mobilenetv2"])
def test_the_same_answers_without_batch_norm(arch):
    network, images = settled(arch), torch.rand(4, 3, 32, 32)
    before = copy.deepcopy(network.state_dict())
    made = folded(network)
    # A pre-activation net normalises also before its convolutions, where nothing can be folded.
    assert norms_of(made) == 0 or (arch == "wrn16-1" and norms_of(made) < norms_of(network))
    assert not any(p.requires_grad for p in made.parameters())
    assert torch.allclose(made(images), network(images), rtol=1e-3, atol=1e-4)
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())


def test_an_ensemble_folds_member_by_member():
    network = Ensemble([tiny_classifier(), tiny_classifier(1)], [None, None]).freeze()
    made, images = folded(network), torch.rand(4, 1, 8, 8)
    assert norms_of(made) == 0 and torch.allclose(made(images), network(images), atol=1e-4)


class Branching(nn.Module):
    """Its way depends on what it sees, so that no trace tells what it does."""

    def __init__(self, net):
        super().__init__()
        self.net = net

    def forward(self, x):
        return self.net(x) if x.mean() > 0.3 else -self.net(x)


class Twice(nn.Module):
    """One convolution called before either of two BatchNorms: it can be folded into neither."""

    def __init__(self):
        super().__init__()
        self.conv, self.one, self.two = nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.BatchNorm2d(4)
        self.fc = nn.Linear(4, 4)

    def forward(self, x):
        return self.fc((self.one(self.conv(x)) - self.two(2 * self.conv(x))).mean((2, 3)))


def test_what_cannot_be_folded_is_left_alone():
    teacher = tiny_classifier()
    branching = Classifier(Branching(teacher.net), teacher.card).freeze()
    assert folded(branching) is branching
    training = tiny_classifier().train()
    assert folded(training) is training


def test_a_convolution_that_is_called_twice_is_kept():
    network = Classifier(Twice(), tiny_classifier().card).freeze()
    images = torch.rand(3, 1, 8, 8)
    made = folded(network)
    assert norms_of(made) == 2 and torch.allclose(made(images), network(images), atol=1e-6)


def test_weights_kept_in_the_type_of_autocast_give_the_same_answers_bit_for_bit():
    network, images = settled("resnet20"), torch.rand(4, 3, 32, 32)
    plain, kept = folded(network), folded(network, torch.bfloat16)
    assert {module.weight.dtype for module in kept.modules() if isinstance(module, (nn.Conv2d, nn.Linear))} == {torch.bfloat16}
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(kept(images), plain(images))
