import numpy as np
import pytest
import torch
from torch import nn

from akd.objectives import images as I

DEVICES = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]


def test_bn_mismatch_vanishes_on_the_batch_the_statistics_came_from():
    layer = nn.BatchNorm2d(3, momentum=1.0)
    x = torch.randn(16, 3, 5, 5)
    layer(x)
    layer.running_var *= (x[:, 0].numel() - 1) / x[:, 0].numel()  # torch keeps the unbiased variance
    assert I.bn_mismatch([(layer, x)]).item() == pytest.approx(0, abs=1e-4)


def test_bn_mismatch_is_the_sum_of_both_distances_over_layers():
    rng = np.random.default_rng(0)
    layers, oracle = [], 0.0
    for channels in (2, 5):
        layer, x = nn.BatchNorm2d(channels), rng.normal(1, 2, (7, channels, 4, 4))
        oracle += np.linalg.norm(x.mean((0, 2, 3)) - 0) + np.linalg.norm(x.var((0, 2, 3)) - 1)
        layers.append((layer, torch.tensor(x)))
    assert I.bn_mismatch(layers).item() == pytest.approx(oracle, rel=1e-5)


def layers_and_inputs(scale=1.0):
    """Convolutions with the BatchNorm behind each; `scale` is taken into the convolution and into what BatchNorm remembers."""
    torch.manual_seed(0)
    layers, x = [], torch.randn(16, 3, 6, 6)
    for channels in (5, 7):
        conv, norm = nn.Conv2d(x.shape[1], channels, 3, bias=False), nn.BatchNorm2d(channels, eps=0.0).eval()
        norm.running_mean, norm.running_var = torch.randn(channels), torch.rand(channels) + 0.5
        with torch.no_grad():
            conv.weight *= scale
            norm.running_mean *= scale
            norm.running_var *= scale**2
        y = conv(x)
        layers.append((norm, y))
        x = norm(y).relu()
    return layers, x


def test_the_relative_mismatch_by_hand():
    layers, _ = layers_and_inputs()
    expected = 0.0
    for norm, x in layers:
        flat = x.transpose(0, 1).flatten(1)
        unit = norm.running_var + norm.running_var.mean() / 100
        shift = (flat.mean(1) - norm.running_mean) / unit.sqrt()
        spread = (flat.var(1, correction=0) - norm.running_var) / unit
        expected += (shift.square().mean().sqrt() + spread.square().mean().sqrt()).item() / len(layers)
    assert I.relative_bn_mismatch(layers).item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("scale", [0.01, 100.0])
def test_the_relative_mismatch_is_that_of_the_function(scale):
    """A teacher whose convolutions are scaled, and its statistics with them, says the same of every image."""
    (layers, x), (scaled, same) = layers_and_inputs(), layers_and_inputs(scale)
    assert torch.allclose(x, same, atol=1e-4)
    assert I.relative_bn_mismatch(scaled).item() == pytest.approx(I.relative_bn_mismatch(layers).item(), rel=1e-4)
    plain, larger = I.bn_mismatch(layers).item(), I.bn_mismatch(scaled).item()
    assert larger > 50 * plain or larger < plain / 20  # which the published form does not
    deeper = I.relative_bn_mismatch(layers + layers).item()
    assert deeper == pytest.approx(I.relative_bn_mismatch(layers).item(), rel=1e-6)


def test_a_dead_channel_does_not_outvote_the_others():
    norm, x = nn.BatchNorm2d(8).eval(), torch.randn(64, 8, 4, 4)
    alive = I.relative_bn_mismatch([(norm, x)]).item()
    norm.running_var[0] = 0.0
    assert I.relative_bn_mismatch([(norm, x)]).item() < alive + 50


def test_the_relative_mismatch_has_its_gradient():
    norm = nn.BatchNorm2d(3).double().eval()
    norm.running_mean, norm.running_var = torch.randn(3).double(), torch.rand(3).double() + 0.5
    x = torch.randn(4, 3, 2, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda y: I.relative_bn_mismatch([(norm, y)]), x)


def test_total_variation_of_a_ramp_is_its_slope_times_the_root_of_the_pairs():
    ramp = (0.1 * torch.arange(8.0)).view(1, 1, 1, 8).expand(2, 3, 8, 8)
    across, diagonal = 2 * 3 * 8 * 7, 2 * 3 * 7 * 7  # pairs of pixels that differ by 0.1; those below each other do not
    assert I.total_variation(ramp).item() == pytest.approx(0.1 * (across**0.5 + 2 * diagonal**0.5), rel=1e-4)
    plain = torch.full((2, 3, 8, 8), 0.7, requires_grad=True)
    loss = I.total_variation(plain)
    loss.backward()
    assert loss.item() == pytest.approx(0, abs=1e-5) and bool(plain.grad.isfinite().all())


def test_activation_is_the_mean_magnitude():
    x = torch.randn(5, 7)
    assert I.activation(x).item() == pytest.approx(np.abs(x.numpy()).mean(), rel=1e-6)


@pytest.mark.parametrize("shape", [(6, 3), (4, 3, 5), (2, 3, 4, 4)])
def test_moments_and_their_gradient_are_right(shape):
    x = torch.randn(shape, dtype=torch.float64, requires_grad=True)
    over = [0, *range(2, len(shape))]
    mean, var = I.batch_moments(x)
    assert torch.allclose(mean, x.mean(over)) and torch.allclose(var, x.var(over, unbiased=False))
    assert torch.autograd.gradcheck(I.batch_moments, (x,))


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last], ids=str)
def test_a_variance_far_smaller_than_the_mean_is_not_cancelled_away(layout, device):
    x = (torch.randn(64, 4, 8, 8) + 1000).to(device, memory_format=layout)
    mean, var = I.batch_moments(x)
    assert mean.dtype == var.dtype == torch.float32
    assert torch.allclose(mean.double(), x.double().mean((0, 2, 3)), rtol=1e-5)
    assert torch.allclose(var.double(), x.double().var((0, 2, 3), correction=0), rtol=1e-2)


@pytest.mark.parametrize("shape", [(64, 4), (64, 4, 8, 8)])
def test_moments_of_bfloat16_are_taken_in_float32(shape):
    x = (torch.randn(shape) + 3).bfloat16().requires_grad_()
    wide = x.detach().float().requires_grad_()
    mean, var = I.batch_moments(x)
    oracle = wide.mean([0, *range(2, wide.ndim)]), wide.var([0, *range(2, wide.ndim)], unbiased=False)
    assert mean.dtype == var.dtype == torch.float32
    assert torch.allclose(mean, oracle[0], rtol=1e-4) and torch.allclose(var, oracle[1], rtol=1e-3)
    (slope,) = torch.autograd.grad((mean.sin() + var.cos()).sum(), x)
    (asked,) = torch.autograd.grad((oracle[0].sin() + oracle[1].cos()).sum(), wide)
    assert torch.allclose(slope.float(), asked, rtol=1e-2, atol=1e-2 * float(asked.abs().max()))
