import pytest
import torch

from akd.networks.taps import batch_norms, stage_names, tapped
from akd.networks.zoo import build
from akd.objectives.features import attention, attention_distance, paired


def maps(*shapes):
    return [torch.randn(2, *shape) for shape in shapes]


def test_stages_are_paired_by_resolution_whatever_their_number():
    student, teacher = maps((4, 16, 16), (8, 8, 8)), maps((16, 32, 32), (32, 16, 16), (64, 8, 8))
    assert [(s.shape[1], t.shape[1]) for s, t in paired(student, teacher)] == [(4, 32), (8, 64)]
    ((s, t),) = paired(maps((4, 14, 14)), maps((8, 8, 8)))
    assert s.shape[-2:] == t.shape[-2:] == (8, 8)
    assert paired([], teacher) == []


def test_attention_ignores_channels_and_scale():
    x = torch.randn(3, 5, 4, 4)
    assert attention(x).norm(dim=1) == pytest.approx(1)
    assert torch.allclose(attention(x), attention(3 * x[:, torch.randperm(5)]), atol=1e-6)
    assert attention_distance([x], [2 * x]).item() == pytest.approx(0, abs=1e-10)


@pytest.mark.parametrize(
    ("arch", "names"),
    [("resnet20", ["layer1", "layer2", "layer3"]), ("resnet18", ["layer1", "layer2", "layer3", "layer4"])],
)
def test_stages_are_found_by_running_the_network_once(arch, names):
    net = build(arch, 10, (3, 32, 32)).train()
    assert stage_names(net, (3, 32, 32)) == names
    assert net.training and not any(m._forward_hooks for m in net.modules())


def test_taps_return_what_was_seen_and_leave_nothing():
    net = build("resnet20", 10, (3, 32, 32)).eval()
    x = torch.rand(2, 3, 32, 32)
    with tapped(net, frozenset({"bn", "feature", "stages"}), ("layer1", "layer3")) as see:
        one, two = see(x), see(x.flip(0))
    assert torch.equal(one.logits, net(x)) and torch.equal(net.fc(one.feature), one.logits)
    assert len(one.bn) == len(batch_norms(net)) and [s.shape[1] for s in one.stages] == [16, 64]
    assert torch.equal(one.logits, two.logits.flip(0))
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in net.modules())
    with pytest.raises(RuntimeError), tapped(net, frozenset({"bn"})) as see:
        see(torch.rand(2, 7, 32, 32))
    assert not any(m._forward_pre_hooks for m in net.modules())
