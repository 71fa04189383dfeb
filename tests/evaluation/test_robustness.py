"""Accuracy under attack: against a linear classifier, whose robust accuracy follows from its margins, and on real digits."""

import json

import pytest
import torch
from torch import nn

from akd.cli import main
from akd.evaluation import TestSet, robustness
from akd.networks.classifier import Classifier, ModelCard
from akd.networks.models import save_model
from tests.conftest import tiny_classifier


def linear(weight: torch.Tensor, mean: float = 0.3, std: float = 0.4) -> Classifier:
    """Two classes by the sign of <weight, normalised image>."""
    layer = nn.Linear(weight.numel(), 2, bias=False)
    layer.weight.data = torch.stack([-weight, weight])
    return Classifier(nn.Sequential(nn.Flatten(), layer), ModelCard("linear", 2, (mean,), (std,), (1, 4, 4)))


@pytest.mark.parametrize("epsilon", [0.0, 4 / 255, 8 / 255, 0.5])
def test_a_linear_classifier_is_left_with_the_images_whose_margin_is_wider(epsilon):
    torch.manual_seed(0)
    weight = torch.randn(16)
    test_set = TestSet(torch.randint(0, 256, (300, 1, 4, 4), dtype=torch.uint8), torch.randint(0, 2, (300,)), None, "drawn")
    model = linear(weight)
    found = robustness(model, test_set, epsilon, batch_size=64)
    pixels = test_set.images.flatten(1).double() / 255
    side = 2.0 * test_set.labels - 1
    # The worst image in the box, in closed form: each pixel at the end that the weight's sign points to.
    worst = (pixels - epsilon * side[:, None] * weight.sign()).clamp(0, 1)

    def right(x):
        return 100 * (((x - 0.3) / 0.4) @ weight.double() * side > 0).double().mean().item()

    assert found.clean == pytest.approx(right(pixels))
    assert found.robust == pytest.approx(right(worst))
    assert found.robust == found.clean if epsilon == 0 else found.robust < found.clean
    assert (found.images, found.steps, found.step_size) == (300, 10, epsilon / 4)


def test_the_model_and_random_numbers_are_left_alone_and_few_images_are_spread():
    model = tiny_classifier(classes=4).train().requires_grad_(True)
    images = torch.randint(0, 256, (90, 1, 8, 8), dtype=torch.uint8)
    sorted_set = TestSet(images, torch.arange(90) // 30, None, "sorted by class")
    before, state = {k: v.clone() for k, v in model.state_dict().items()}, torch.get_rng_state()
    found = robustness(model, sorted_set, images=9)
    again = robustness(model, sorted_set, images=9)
    assert found == again and found.images == 9 and robustness(model, sorted_set, images=10**6).images == 90
    assert torch.equal(state, torch.get_rng_state())
    assert model.training and all(p.grad is None and p.requires_grad for p in model.parameters())
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    only = TestSet(images[torch.linspace(0, 89, 9).round().long()], torch.arange(9) // 3, None, "the nine")
    assert robustness(model, only) == found


@pytest.fixture
def here(tmp_path, monkeypatch):
    import numpy as np

    save_model(tiny_classifier(), tmp_path / "teacher")
    rng = np.random.default_rng(0)
    np.savez(tmp_path / "set.npz", images=rng.integers(0, 255, (40, 8, 8), dtype=np.uint8), labels=np.arange(40) % 4)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_on_the_command_line(here, capsys):
    argv = ["evaluate", "teacher", "--data", "set.npz", "--teacher", "teacher", "--attack", "pgd"]
    assert main([*argv, "--epsilon", "16/255", "--images", "20", "--json"]) == 0
    attack = json.loads(capsys.readouterr().out)["attack"]
    assert attack["model"] == attack["teacher"] and attack["model"]["images"] == 20
    assert attack["model"]["epsilon"] == pytest.approx(16 / 255) and attack["model"]["robust"] <= attack["model"]["clean"]
    assert main(argv) == 0
    words = " ".join(capsys.readouterr().out.split())
    assert "40 of 40 test images:" in words and "at most 8/255" in words and "steps of 2/255" in words
    for wrong in (["--epsilon", "8/0"], ["--epsilon", "2"], ["--epsilon", "few"], ["--images", "0"]):
        assert main([*argv, *wrong]) == 2
    assert main(["evaluate", "teacher", "--data", "set.npz", "--images", "5"]) == 2
    assert all(line.startswith("akd: ") for line in capsys.readouterr().err.splitlines())
