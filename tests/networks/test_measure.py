"""Costs against hand-computed values, and the law that measuring leaves no trace."""

import copy
import math
from collections.abc import Callable

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from akd.errors import ModelError
from akd.networks.measure import latency, macs, parameters


class Attentive(nn.Module):
    """Patches of 4x4, one encoder layer, a linear head."""

    def __init__(self, wide: int = 32) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, wide, 4, 4)
        self.encoder = nn.TransformerEncoderLayer(wide, 4, 2 * wide, batch_first=True)
        self.head = nn.Linear(wide, 10)

    def forward(self, images: Tensor) -> Tensor:
        tokens = self.patches(images).flatten(2).transpose(1, 2)
        return self.head(self.encoder(tokens).mean(1))


class Looking(Attentive):
    """Decides by a value, which a count without data cannot."""

    def forward(self, images: Tensor) -> Tensor:
        return super().forward(images if images.mean().item() > 0 else -images)


class Caching(nn.Module):
    """Keeps a tensor of its first call, draws noise, and has a BatchNorm that would count a batch in train mode."""

    def __init__(self) -> None:
        super().__init__()
        self.bn = nn.BatchNorm2d(3)
        self.head = nn.Sequential(nn.Flatten(), nn.Dropout(0.5), nn.Linear(48, 2))
        self.ramp: Tensor | None = None

    def forward(self, images: Tensor) -> Tensor:
        if self.ramp is None:
            self.ramp = torch.arange(4.0, device=images.device)
        return self.head(self.bn(images) * self.ramp + torch.randn_like(images))


@given(
    groups=st.sampled_from([1, 2]),
    cin=st.integers(1, 4),
    cout=st.integers(1, 6),
    kernel=st.sampled_from([1, 3, 5]),
    stride=st.integers(1, 3),
    side=st.integers(5, 17),
)
def test_convolution_and_linear_by_hand(groups, cin, cout, kernel, stride, side):
    conv = nn.Conv2d(groups * cin, groups * cout, kernel, stride, padding=kernel // 2, groups=groups)
    out = (side - 1) // stride + 1
    linear = nn.Linear(groups * cout * out**2, 7)
    net = nn.Sequential(conv, nn.BatchNorm2d(groups * cout), nn.ReLU(), nn.Flatten(), linear)
    kernels, matrix = groups * cin * cout * kernel**2, groups * cout * out**2 * 7
    assert macs(net, (groups * cin, side, side)) == kernels * out**2 + matrix
    assert parameters(net) == kernels + matrix + groups * cout + 2 * groups * cout + 7


def test_linear_layers_alone():
    assert macs(nn.Sequential(nn.Flatten(), nn.Linear(64, 32), nn.Linear(32, 10)), (1, 8, 8)) == 64 * 32 + 32 * 10


@pytest.mark.parametrize("make", [Attentive, Looking])
@pytest.mark.parametrize("frozen", [False, True])
def test_attention_counts_with_and_without_data(make: Callable[[], nn.Module], frozen: bool):
    tokens, wide = 64, 32
    patches, projections, attention = tokens * 16 * 3 * wide, 4 * tokens * wide * wide, 2 * tokens * tokens * wide
    net = make().requires_grad_(not frozen)
    assert macs(net, (3, 32, 32)) == patches + projections + attention + 4 * tokens * wide * wide + wide * 10
    assert torch.backends.mha.get_fastpath_enabled()


def test_parameters_are_counted_once_frozen_or_not_and_buffers_never():
    shared = nn.Linear(8, 8)
    net = nn.Sequential(shared, shared, nn.BatchNorm1d(8)).requires_grad_(False)
    assert parameters(net) == 8 * 8 + 8 + 2 * 8


@pytest.mark.parametrize("measure", [macs, latency])
def test_measuring_leaves_no_trace(measure):
    net = Caching()
    net.train()
    net.head.eval()
    modes, state, rng = [m.training for m in net.modules()], copy.deepcopy(net.state_dict()), torch.get_rng_state()
    measure(net, (3, 4, 4))
    assert [m.training for m in net.modules()] == modes
    assert torch.equal(torch.get_rng_state(), rng)
    assert all(torch.equal(value, state[key]) for key, value in net.state_dict().items())
    assert net(torch.zeros(2, 3, 4, 4)).isfinite().all()
    assert not net.bn._forward_hooks


def test_an_image_that_does_not_fit_is_told_in_one_line():
    net = Attentive().train()
    with pytest.raises(ModelError, match=r"takes no image of 1,32,32 .*--input-size") as told:
        macs(net, (1, 32, 32))
    assert "\n" not in str(told.value)
    assert net.encoder.training
    assert torch.backends.mha.get_fastpath_enabled()


def test_latency_is_a_positive_number_of_milliseconds_in_the_networks_own_precision():
    assert 0 < latency(nn.Conv2d(3, 4, 3), (3, 16, 16), batch=4, repeats=3) < math.inf
    assert 0 < latency(nn.Conv2d(3, 4, 3).double(), (3, 16, 16), repeats=1) < math.inf
