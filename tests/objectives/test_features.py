import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from akd.networks.classifier import Classifier, ModelCard
from akd.networks.taps import Sight, batch_norms, layer_names, stage_names, tapped
from akd.networks.zoo import build
from akd.objectives.features import (
    Adapters,
    attention,
    attention_distance,
    class_map,
    contrast,
    distance,
    like_depth,
    map_distance,
    paired,
    turned,
)
from akd.objectives.logits import spread


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
    [
        ("resnet20", ["layer1", "layer2", "layer3"]),
        ("resnet18", ["layer1", "layer2", "layer3", "layer4"]),
        ("resnet50", ["layer1", "layer2", "layer3", "layer4"]),
        ("wrn16-1", ["block1", "block2", "relu"]),
        ("mobilenetv2", ["features.3", "features.6", "features.13", "features"]),
        ("vgg8", ["features.2", "features.6", "features.10", "features.14", "features.18"]),
    ],
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


@given(st.integers(1, 40), st.integers(1, 40))
def test_like_depth_pairs_every_map_in_order_and_last_with_last(student, teacher):
    pairs = like_depth(student, teacher)
    theirs = [j for _, j in pairs]
    assert [i for i, _ in pairs] == list(range(student)) and theirs == sorted(theirs)
    assert theirs[-1] == teacher - 1 and all(0 <= j < teacher for j in theirs)
    assert all(abs((i + 1) / student - (j + 1) / teacher) < 1 / teacher + 1e-9 for i, j in pairs)


def test_distance_ignores_scale_and_is_two_minus_twice_the_cosine():
    a, b = torch.randn(3, 4, 5, 5), torch.randn(3, 4, 5, 5)
    assert distance(a, 7 * a).item() == pytest.approx(0, abs=1e-6)
    assert distance(a, -a).item() == pytest.approx(4, abs=1e-5)
    cosines = torch.nn.functional.cosine_similarity(a.flatten(1), b.flatten(1))
    assert distance(a, b).item() == pytest.approx((2 - 2 * cosines).mean().item(), abs=1e-5)


@pytest.mark.parametrize("maps", ["stages", "layers"])
@pytest.mark.parametrize(("of_teacher", "of_student"), [("resnet18", "resnet20"), ("resnet20", "vgg8"), ("lenet5", "lenet5")])
def test_adapters_join_networks_of_other_depth_stages_and_size(maps, of_teacher, of_student):
    size = (1, 28, 28) if of_teacher == "lenet5" else (3, 32, 32)
    card = ModelCard("x", 10, (0.5,) * size[0], (0.2,) * size[0], size)
    teacher, student = (Classifier(build(name, 10, size), card) for name in (of_teacher, of_student))
    adapters, images = Adapters(teacher, student.train(), maps), torch.rand(2, *size)
    assert student.training
    seen = []
    for network in (student, teacher):
        with tapped(network, frozenset({maps}), stage_names(network, size)) as see:
            seen.append(getattr(see(images), maps))
    loss = adapters(*seen)
    loss.backward()
    assert 0 < loss.item() < 4 and all(bool(p.grad.abs().sum() > 0) for p in adapters.parameters())
    if maps == "layers":
        assert len(adapters.pairs) == len(layer_names(student))


@pytest.mark.parametrize("arch", ["resnet20", "wrn16-1"])
def test_a_class_map_pools_to_the_class_logit(arch):
    net = build(arch, 10, (3, 32, 32)).eval()
    with tapped(net, frozenset({"stages", "feature"}), stage_names(net, (3, 32, 32))) as see:
        sight = see(torch.rand(4, 3, 32, 32))
    classes = torch.tensor([1, 3, 3, 9])
    expected = sight.logits.gather(1, classes[:, None])[:, 0] - net.fc.bias[classes]
    assert torch.allclose(class_map(sight, classes).mean((1, 2)), expected, atol=1e-5)
    plain = Sight(sight.logits, stages=sight.stages)
    assert torch.allclose(class_map(plain, classes), sight.stages[-1].square().mean(1))


def test_map_distance_compares_maps_of_unlike_size():
    small = torch.rand(2, 4, 4)
    assert map_distance(small, small.repeat_interleave(2, 1).repeat_interleave(2, 2)).item() == pytest.approx(0, abs=1e-6)


def test_contrast_by_hand_and_at_its_ends():
    one = torch.nn.functional.normalize(torch.randn(5, 8), dim=1)
    others = torch.nn.functional.normalize(torch.randn(7, 8), dim=1)
    by_hand = []
    for i in range(5):
        scores = [math.exp(float(one[i] @ other) / 0.2) for other in [*one, *others]]
        by_hand.append(-math.log(scores[i] / sum(scores)))
    assert contrast(one, one, others, 0.2).item() == pytest.approx(sum(by_hand) / 5, rel=1e-4)
    same = one[:1].expand(5, 8)
    assert contrast(same, same, None, 0.2).item() == pytest.approx(math.log(5), rel=1e-5)  # nothing can be told apart
    apart = torch.eye(5)
    assert contrast(apart, apart, None, 0.01).item() == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize(("height", "width", "kinds"), [(6, 6, 4), (4, 6, 2)])
def test_turned_images_are_turned_by_what_is_told(height, width, kinds):
    torch.manual_seed(0)
    images = torch.rand(40, 2, height, width)
    new, turns = turned(images)
    assert new.shape == images.shape and set(turns.tolist()) == set(range(kinds))
    for image, moved, k in zip(images, new, turns.tolist(), strict=True):
        assert torch.equal(image.rot90(k * 4 // kinds, (-2, -1)), moved)


def test_spread_is_zero_for_like_parts_and_log_parts_for_disjoint_classes():
    same = torch.randn(1, 6).expand(12, 6)
    assert spread(same, 3).item() == pytest.approx(0, abs=1e-6)
    apart = 100 * torch.eye(3).repeat_interleave(4, 0)
    assert spread(apart, 3).item() == pytest.approx(math.log(3), rel=1e-4)
    # Each part spread over all classes in the same way, though each image is sure: nothing is covered by one part alone.
    assert spread(100 * torch.eye(3).repeat(4, 1), 2).item() == pytest.approx(0, abs=1e-6)
