"""What the first BatchNorm tells of the normalisation: against nets whose training is known."""

import copy

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from akd.evaluation.digits import digits_split
from akd.inspection.normalisation import (
    IMAGENET,
    FirstLayer,
    _unit_pictures,
    check_normalisation,
    first_layer,
    judge,
)
from akd.networks import zoo
from akd.networks.classifier import Classifier, ModelCard
from akd.networks.models import load_model

OWN = (0.507, 0.4865, 0.4409), (0.2673, 0.2564, 0.2761)
NONE, HALF, PIXELS, BYTES = (0.0, 1.0), (0.5, 0.5), (0.0, 1 / 255), (127.5, 63.75)


def net(
    colours: int = 3, kernel: int = 3, stride: int = 1, padding: int = 1, bias: bool = False, bn: bool = True
) -> Classifier:
    first = nn.Conv2d(colours, 12, kernel, stride, padding, bias=bias)
    after = [nn.BatchNorm2d(12)] if bn else []
    body = nn.Sequential(first, *after, nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(12, 4))
    return Classifier(body, ModelCard("any", 4, (0.0,) * colours, (1.0,) * colours, (colours, 12, 12)))


def known(found: FirstLayer | str) -> FirstLayer:
    assert isinstance(found, FirstLayer), found
    return found


@settings(max_examples=20)
@given(
    colours=st.integers(1, 4),
    kernel=st.sampled_from([1, 3, 5]),
    stride=st.integers(1, 3),
    padding=st.integers(0, 2),
    bias=st.booleans(),
    scale=st.floats(0.1, 100),
    seed=st.integers(0, 99),
)
def test_what_the_net_was_fed_is_read_off_its_statistics(colours, kernel, stride, padding, bias, scale, seed):
    """The law behind it, exact: statistics of known inputs give back their mean, colour by colour, and their deviation."""
    torch.manual_seed(seed)
    model = net(colours, kernel, stride, padding, bias)
    flat = scale * torch.randn(colours)
    layer = model.net[1]
    layer.momentum = None  # the plain average over all batches
    with torch.no_grad():
        model.train()(flat.view(1, -1, 1, 1).expand(2, -1, 12, 12))
        mean = layer.running_mean.clone()
        layer.reset_running_stats()
        model(scale * _unit_pictures(model))
        layer.running_mean.copy_(mean)
    fed_mean, fed_std = known(first_layer(model.eval())).fed()
    assert torch.allclose(fed_mean, flat.double(), atol=1e-3 * scale, rtol=1e-3)
    assert fed_std == pytest.approx(scale, rel=1e-2)  # BatchNorm's variance of few values against ours: n - 1 for n


def test_a_published_teacher_fits_its_own_normalisation_and_contradicts_wrong_ones(weights_dir):
    file = weights_dir / "cifar100-resnet56" / "cifar100_resnet56-f2eff4c8.pt"
    teacher = load_model(str(file), arch="resnet56", mean=OWN[0], std=OWN[1])
    first = known(first_layer(teacher))
    expected = {"fits": [OWN, IMAGENET], "doubtful": [HALF], "impossible": [NONE, PIXELS, BYTES]}
    for verdict, normalisations in expected.items():
        for mean, std in normalisations:
            told = (mean, std) if isinstance(mean, tuple) else ((mean,) * 3, (std,) * 3)
            assert judge(first, *told)[0] == verdict, told
    found = check_normalisation(teacher)
    # It was trained with black borders of 4 pixels around 32: an average of 13.4 % of each picture (20/9 rows of 32, twice).
    black = 1 - (1 - 20 / 9 / 32) ** 2
    for pixel, mean, deviation, std in zip(found.pixel_mean, OWN[0], found.pixel_std, OWN[1], strict=True):
        assert pixel == pytest.approx((1 - black) * mean, abs=0.03)
        assert deviation == pytest.approx(((1 - black) * (std**2 + black * mean**2)) ** 0.5, rel=0.15)
    assert found.would_fit == ("ImageNet's mean and std", "the mean and std of its own images")


def trained(mean: float, std: float) -> Classifier:
    digits = digits_split()
    images, labels = digits.train_images.float() / 255, digits.train_labels
    torch.manual_seed(0)
    model = Classifier(
        zoo.build("digitsnet", 10, (1, 8, 8), widths=[16, 32]), ModelCard("digitsnet", 10, (mean,), (std,), (1, 8, 8))
    )
    optimiser = torch.optim.Adam(model.parameters(), lr=3e-3)
    for pick in torch.randint(len(labels), (120, 64)):
        loss = F.cross_entropy(model.train()(images[pick]), labels[pick])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return model.freeze()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["own", "none", "half", "pixels"])
def test_digits_teachers_tell_their_pixels(name):
    digits = digits_split()
    all_of_them = {"own": (digits.mean[0], digits.std[0]), "none": NONE, "half": HALF, "pixels": PIXELS}
    mean, std = all_of_them[name]
    found = check_normalisation(trained(mean, std))
    assert found.verdict == "fits"
    assert found.pixel_mean[0] == pytest.approx(digits.mean[0], abs=0.05)
    assert found.pixel_std[0] == pytest.approx(digits.std[0], rel=0.15)
    first = known(first_layer(trained(mean, std)))
    for wrong in {"none", "pixels"} - {name}:
        assert judge(first, (all_of_them[wrong][0],), (all_of_them[wrong][1],))[0] == "impossible"
    assert judge(first, (BYTES[0],), (BYTES[1],))[0] == "impossible"


def test_statistics_of_other_weights_are_noticed(weights_dir):
    file = weights_dir / "cifar100-resnet56" / "cifar100_resnet56-f2eff4c8.pt"
    teacher = load_model(str(file), arch="resnet56", mean=OWN[0], std=OWN[1])
    teacher.net.bn1.running_mean.copy_(teacher.net.bn1.running_mean.flip(0))
    teacher.net.bn1.running_var.copy_(teacher.net.bn1.running_var.flip(0))
    found = check_normalisation(teacher)
    assert found.verdict == "doubtful" and "not those of the weights" in found.why


def test_where_nothing_can_be_told_that_is_said():
    assert "no BatchNorm" in check_normalisation(net(bn=False)).why
    assert "never trained" in check_normalisation(net()).why
    curved = net()
    curved.net = nn.Sequential(nn.ReLU(), nn.Conv2d(3, 3, 1), nn.ReLU(), *curved.net)
    curved.net[4].running_mean.fill_(1)
    assert "not linear" in check_normalisation(curved).why
    flat = Classifier(
        nn.Sequential(nn.Flatten(), nn.Linear(64, 20), nn.BatchNorm1d(20)), ModelCard("x", 20, (0.0,), (1.0,), (1, 8, 8))
    )
    flat.net[2].running_mean.fill_(1)
    assert "positions" in check_normalisation(flat.eval()).why
    assert all(check_normalisation(model).verdict == "unknown" for model in (net(bn=False), curved, flat))


def test_nothing_is_left_on_the_teacher():
    model = trained(*NONE)
    before, state = copy.deepcopy(model.state_dict()), torch.get_rng_state()
    check_normalisation(model)
    assert all(torch.equal(a, b) for a, b in zip(before.values(), model.state_dict().values(), strict=True))
    assert torch.equal(state, torch.get_rng_state())
    assert not any(module._forward_pre_hooks for module in model.modules())
