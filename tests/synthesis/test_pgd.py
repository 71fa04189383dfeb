import torch
from hypothesis import given
from hypothesis import strategies as st

from akd.objectives.logits import kl
from akd.synthesis.pgd import pgd
from tests.conftest import tiny_classifier


@given(st.floats(0, 0.5), st.integers(0, 5), st.floats(0, 1))
def test_an_attack_stays_within_epsilon_and_within_pixels(epsilon, steps, step_size):
    images = torch.rand(3, 2, 4, 4)
    attacked = pgd(images, lambda x: x.square().sum(), epsilon, steps, step_size)
    assert (attacked - images).abs().max() <= epsilon + 1e-6
    assert attacked.min() >= 0 and attacked.max() <= 1 and not attacked.requires_grad
    if epsilon == 0:
        assert torch.equal(attacked, images)


def test_on_a_linear_loss_it_reaches_the_optimum():
    torch.manual_seed(0)
    direction, images = torch.randn(2, 4, 4), torch.rand(3, 2, 4, 4)
    attacked = pgd(images, lambda x: (x * direction).sum(), 0.1, 20, 0.025)
    best = (images + 0.1 * direction.sign()).clamp(0, 1)
    assert torch.allclose(attacked, best, atol=1e-6)


def test_a_network_is_fooled_and_left_as_it_was():
    net = tiny_classifier()
    net.train(False)
    images = torch.rand(64, 1, 8, 8)
    said = net(images)
    before = [t.clone() for t in net.state_dict().values()]
    with torch.no_grad():  # evaluation runs without gradients; the attack brings its own
        attacked = pgd(images, lambda x: kl(net(x), said), 0.1, 10, 0.025)
    assert kl(net(attacked), said) > 5 * kl(net((images + 0.1 * (2 * torch.rand_like(images) - 1)).clamp(0, 1)), said)
    assert all(torch.equal(a, b) for a, b in zip(before, net.state_dict().values(), strict=True))
    assert all(p.grad is None for p in net.parameters())
