"""Architectures: published sizes and names, the laws of their shapes, and what is said of those that cannot be built."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from akd.errors import ModelError
from akd.networks import zoo
from akd.networks.resnet import PadShortcut

FIXED = sorted(zoo.ARCHITECTURES.keys() - {"resnet", "wrn"})
PUBLISHED = [  # name, classes, parameters as published
    ("resnet34", 100, 21_328_292),
    ("resnet18", 100, 11_220_132),
    ("resnet50", 100, 23_705_252),
    ("resnet18-imagenet", 1000, 11_689_512),
    ("resnet34-imagenet", 1000, 21_797_672),
    ("resnet50-imagenet", 1000, 25_557_032),
    ("resnet56", 100, 861_620),
    ("resnet20-pad", 10, 269_722),
    ("resnet32-pad", 10, 464_154),
    ("resnet44-pad", 10, 658_586),
    ("resnet56-pad", 10, 853_018),
    ("resnet110-pad", 10, 1_727_962),
    ("wrn28-10", 10, 36_479_194),
    ("wrn40-2", 100, 2_255_156),
    ("vgg11", 10, 9_231_114),
    ("mobilenetv2", 1000, 3_504_872),
    ("mobilenetv2", 100, 2_351_972),
    ("lenet5", 10, 61_706),
    ("seed-student-1", 100, 2_800_804),
    ("seed-student-2", 100, 11_737_540),
]
KEYS = {
    "resnet34": ["conv1.weight", "bn1.running_mean", "layer1.0.conv1.weight", "layer2.0.downsample.0.weight",
                 "layer2.0.downsample.1.running_var", "layer4.2.bn2.num_batches_tracked", "fc.weight", "fc.bias"],
    "resnet50": ["layer1.0.downsample.0.weight", "layer1.0.conv3.weight", "layer3.5.bn3.bias"],
    "wrn16-2": ["conv1.weight", "block1.layer.0.bn1.weight", "block1.layer.0.convShortcut.weight",
                "block3.layer.1.conv2.weight", "bn1.bias", "fc.weight"],
    "vgg11": ["features.0.weight", "features.0.bias", "features.1.running_mean", "features.4.weight", "classifier.weight"],
    "mobilenetv2": ["features.0.0.weight", "features.0.1.bias", "features.1.conv.0.0.weight", "features.1.conv.1.weight",
                    "features.1.conv.2.running_var", "features.2.conv.0.1.weight", "features.2.conv.2.weight",
                    "features.17.conv.3.bias", "features.18.0.weight", "classifier.1.weight"],
    "lenet5": ["conv1.weight", "conv2.bias", "conv3.weight", "fc1.weight", "fc2.bias"],
}  # fmt: skip


def on_meta(name: str, classes: int, size: tuple[int, int, int] | None = None, **arguments: object) -> nn.Module:
    with torch.device("meta"):
        return zoo.build(name, classes, size, **arguments)


def parameters(net: nn.Module) -> int:
    return sum(p.numel() for p in net.parameters())


@pytest.mark.parametrize(("name", "classes", "count"), PUBLISHED)
def test_has_the_published_number_of_parameters(name: str, classes: int, count: int) -> None:
    assert parameters(on_meta(name, classes)) == count


@pytest.mark.parametrize("name", KEYS)
def test_uses_the_published_key_names(name: str) -> None:
    assert set(KEYS[name]) <= on_meta(name, 10).state_dict().keys()


@pytest.mark.parametrize("name", FIXED)
def test_gives_logits_for_the_classes_asked_for(name: str) -> None:
    channels, height, width = zoo.ARCHITECTURES[name].input_size
    # 64 pixels show as much of an ImageNet net as 224.
    logits = zoo.build(name, 7).eval()(torch.rand(1, channels, min(height, 64), min(width, 64)))
    assert logits.shape == (1, 7)
    assert logits.isfinite().all()


@pytest.mark.parametrize("name", FIXED)
@pytest.mark.parametrize("channels", [1, 2, 3])
def test_takes_the_channels_asked_for(name: str, channels: int) -> None:
    net = on_meta(name, 7, (channels, *zoo.ARCHITECTURES[name].input_size[1:]))
    assert next(net.parameters()).shape[1] == channels


@pytest.mark.parametrize("name", ["resnet20", "resnet20-pad", "wrn16-1", "vgg8", "lenet5", "digitsnet", "seed-student-1"])
def test_every_parameter_takes_part(name: str) -> None:
    net = zoo.build(name, 4)
    net(torch.rand(2, *zoo.ARCHITECTURES[name].input_size)).square().sum().backward()
    assert [n for n, p in net.named_parameters() if p.grad is None or not p.grad.isfinite().all()] == []


def test_mobilenet_and_bottlenecks_learn_too() -> None:
    bottleneck = zoo.build("resnet", 4, depths=[1, 1], widths=[4, 8], block="bottleneck")
    for net in (zoo.build("mobilenetv2", 4, width=0.25), bottleneck):
        net(torch.rand(2, 3, 32, 32)).square().sum().backward()
        assert all(p.grad is not None for p in net.parameters())


@pytest.mark.parametrize("depth", [20, 32, 44, 56, 110])
def test_a_thin_resnet_has_as_many_layers_as_its_name_says(depth: int) -> None:
    net = on_meta(f"resnet{depth}-pad", 10)
    assert sum(isinstance(m, (nn.Conv2d, nn.Linear)) for m in net.modules()) == depth


@given(n=st.integers(1, 9), width=st.integers(2, 12))
@settings(deadline=None, max_examples=20)
def test_wrn_of_any_depth(n: int, width: int) -> None:
    net = on_meta(f"wrn{6 * n + 4}-{width}", 10)
    # The depth counts the three shortcut convolutions.
    assert sum(isinstance(m, nn.Conv2d) for m in net.modules()) == 6 * n + 4
    assert net.fc.in_features == 64 * width


@given(
    widths=st.lists(st.integers(1, 9), min_size=1, max_size=5),
    size=st.tuples(st.integers(1, 4), st.integers(1, 20), st.integers(1, 20)),
    classes=st.integers(2, 12),
)
@settings(deadline=None, max_examples=40)
def test_digitsnet_scales_and_takes_any_small_image(widths: list[int], size: tuple[int, int, int], classes: int) -> None:
    net = zoo.build("digitsnet", classes, size, widths=widths).eval()
    logits = net(torch.rand(2, *size))
    assert logits.shape == (2, classes)
    assert logits.isfinite().all()


@given(
    depths=st.lists(st.integers(1, 3), min_size=1, max_size=4),
    data=st.data(),
    block=st.sampled_from(["basic", "bottleneck"]),
    stem=st.sampled_from(["cifar", "imagenet"]),
)
@settings(deadline=None, max_examples=30)
def test_resnet_of_any_shape(depths: list[int], data: st.DataObject, block: str, stem: str) -> None:
    widths = data.draw(st.lists(st.integers(1, 8), min_size=len(depths), max_size=len(depths)))
    net = zoo.build("resnet", 5, depths=depths, widths=widths, block=block, stem=stem).eval()
    assert net(torch.rand(2, 3, 32, 32)).shape == (2, 5)
    assert sum(name.startswith("layer") for name, _ in net.named_children()) == len(depths)


@given(before=st.integers(1, 6), more=st.integers(0, 6), stride=st.integers(1, 3))
@settings(deadline=None)
def test_pad_shortcut_keeps_every_stride_th_pixel_and_adds_nothing(before: int, more: int, stride: int) -> None:
    x = torch.rand(2, before, 6, 6)
    out = PadShortcut(before, before + more, stride)(x)
    assert out.shape == (2, before + more, -(-6 // stride), -(-6 // stride))
    assert torch.equal(out[:, more // 2 : more // 2 + before], x[:, :, ::stride, ::stride])
    assert float(out.sum()) == pytest.approx(float(x[:, :, ::stride, ::stride].sum()), rel=1e-5)


def test_lenet_has_the_same_weights_for_28_and_32_pixels() -> None:
    small, large = zoo.build("lenet5", 10, (1, 28, 28)), zoo.build("lenet5", 10, (1, 32, 32))
    large.load_state_dict(small.state_dict())
    image = torch.rand(1, 1, 28, 28)
    assert torch.allclose(small(image), large(nn.functional.pad(image, (2, 2, 2, 2))), atol=1e-6)


def test_building_depends_on_torchs_generator_alone() -> None:
    def built() -> torch.Tensor:
        torch.manual_seed(3)
        return torch.cat([p.flatten() for p in zoo.build("digitsnet", 10).parameters()])

    assert torch.equal(built(), built())


@pytest.mark.parametrize("spelling", ["wrn40-2", "wrn40_2", "wrn-40-2", "WRN_40_2"])
def test_wrn_spellings(spelling: str) -> None:
    assert zoo.canonical(spelling) == "wrn40-2"
    assert parameters(on_meta(spelling, 100)) == 2_255_156


@pytest.mark.parametrize(
    ("name", "arguments", "told"),
    [
        ("resnet65", {}, "did you mean 'resnet56'"),
        ("", {}, "unknown architecture"),
        ("wrn39-2", {}, "6n + 4"),
        ("wrn40-0", {}, "width 1 or more"),
        ("resnet", {}, "needs the arguments depths, widths"),
        ("resnet", {"depths": [2], "widths": [8, 8]}, "do not go together"),
        ("resnet", {"depths": [0], "widths": [8]}, "do not go together"),
        ("resnet", {"depths": [10**9], "widths": [8]}, "do not go together"),
        ("resnet", {"depths": 3, "widths": [8]}, "cannot be built"),
        ("resnet", {"depths": ["x"], "widths": [8]}, "cannot be built"),
        ("resnet", {"depths": [1], "widths": [10**30]}, "cannot be built"),
        ("resnet", {"depths": [1], "widths": [8], "stem": "cifr"}, "did you mean 'cifar'"),
        ("resnet", {"depths": [1, 1], "widths": [8, 4], "shortcut": "pad"}, "let widths grow"),
        ("resnet18", {"depths": [1]}, "no argument 'depths'"),
        ("resnet18", {"shortcutt": "pad"}, "did you mean 'shortcut'"),
        ("mobilenetv2", {"width": 0}, "above 0"),
        ("mobilenetv2", {"width": float("nan")}, "above 0"),
        ("digitsnet", {"widths": []}, "channel counts"),
        ("lenet5", {"widths": [1, 2]}, "cannot be built"),
        ("lenet5", {"input_size": (1, 8, 8)}, "12x12"),
        ("timm:no_such_net", {}, "timm"),
        ("no_such_package:net", {}, "cannot import"),
        ("math:nothing", {}, "has no 'nothing'"),
        ("math:pi", {}, "not a function"),
        ("builtins:dict", {}, "not a torch.nn.Module"),
        ("builtins:int", {"x": 1}, "cannot be built"),
    ],
)
def test_what_cannot_be_built_is_told_in_one_line(name: str, arguments: dict[str, object], told: str) -> None:
    with pytest.raises(ModelError) as caught:
        zoo.build(name, 10, **arguments)
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)


FACTORIES = """
import torch
def plain(num_classes, width=4): return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(12, num_classes))
def fixed(): return torch.nn.Flatten()
def loose(**options): return torch.nn.Linear(1, options["num_classes"])
def failing(num_classes): raise RuntimeError("first line" + chr(10) + "second line")
class Nest:
    net = staticmethod(plain)
"""


@pytest.fixture
def factories(tmp_path, monkeypatch):
    (tmp_path / "factories_of_a_user.py").write_text(FACTORIES)
    (tmp_path / "module_that_exits.py").write_text("raise SystemExit(3)")
    (tmp_path / "module_with_error.py").write_text("this is no python")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", [p for p in __import__("sys").path if p])


def test_a_factory_in_the_current_folder_gets_the_classes_if_it_takes_them(factories: None) -> None:
    assert zoo.build("factories_of_a_user:plain", 6)[1].out_features == 6
    assert zoo.build("factories_of_a_user:Nest.net", 5, width=3)[1].out_features == 5
    assert zoo.build("factories_of_a_user:loose", 4).out_features == 4
    assert isinstance(zoo.build("factories_of_a_user:fixed", 6), nn.Flatten)


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("factories_of_a_user:failing", "first line second line"),
        ("factories_of_a_user:plane", "did you mean 'plain'"),
        ("module_that_exits:net", "cannot import"),
        ("module_with_error:net", "SyntaxError"),
    ],
)
def test_a_factory_that_fails_is_told_in_one_line(factories: None, name: str, told: str) -> None:
    with pytest.raises(ModelError, match=told) as caught:
        zoo.build(name, 10)
    assert "\n" not in str(caught.value)
