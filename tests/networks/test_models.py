"""Models from wherever a user names them: real ones reach their accuracy, folders come back, and mistakes are told."""

from __future__ import annotations

import importlib
import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import safetensors.torch
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from torch import Tensor, nn

from akd.errors import AkdError, ModelError
from akd.networks import zoo
from akd.networks.classifier import Classifier, ModelCard
from akd.networks.models import architecture_only, load_model, save_model

RGB: dict[str, Any] = {"mean": (0.5, 0.4, 0.3), "std": (0.2, 0.3, 0.4)}
DIGITS = ModelCard("digitsnet", 3, (0.3,), (0.4,), (1, 8, 8), {"widths": [4, 8]}, ("a", "b", "c"))


def made(card: ModelCard = DIGITS, seed: int = 0) -> Classifier:
    torch.manual_seed(seed)
    return Classifier(zoo.build(card.architecture, card.num_classes, card.input_size, **card.arguments), card).freeze()


def refused(source: object, **options: Any) -> str:
    """The one line that `source` is refused with."""
    with pytest.raises(ModelError) as caught:
        load_model(str(source), **options)
    text = str(caught.value)
    assert "\n" not in text
    assert len(text) < 700
    return text


def same_function(one: Classifier, other: Classifier) -> bool:
    images = torch.rand(3, *one.card.input_size)
    return torch.equal(one(images), other(images))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    save_model(made(), tmp_path / "model")
    return tmp_path / "model"


@pytest.fixture
def resnet20(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    torch.save(zoo.build("resnet20", 5).state_dict(), tmp_path / "r.pth")
    return tmp_path / "r.pth"


# Real teachers


def real_teacher(weights: Path) -> Classifier:
    card = json.loads((weights / "cifar100-resnet56" / "card.json").read_text())
    file = weights / "cifar100-resnet56" / card["file"]
    return load_model(str(file), arch="resnet56", mean=card["mean"], std=card["std"])


def accuracy(model: Classifier, data: Path, count: int) -> float:
    """Percent right of the first `count` test images."""
    table = pq.read_table(next((data / "cifar100").glob("test-*.parquet"))).slice(0, count)
    pixels = [np.array(Image.open(io.BytesIO(image["bytes"]))) for image in table["img"].to_pylist()]
    images = torch.from_numpy(np.stack(pixels)).permute(0, 3, 1, 2) / 255
    labels = torch.tensor(table["fine_label"].to_pylist())
    with torch.no_grad():
        said = torch.cat([model(part).argmax(1) for part in images.split(200)])
    return 100 * float((said == labels).float().mean())


def test_the_real_resnet56_knows_real_images(weights_dir: Path, data_dir: Path) -> None:
    teacher = real_teacher(weights_dir)
    assert teacher.card.num_classes == 100
    assert sum(p.numel() for p in teacher.parameters()) == 861_620
    assert accuracy(teacher, data_dir, 200) > 65


@pytest.mark.slow
def test_the_real_resnet56_reaches_its_published_figure(weights_dir: Path, data_dir: Path) -> None:
    assert accuracy(real_teacher(weights_dir), data_dir, 10_000) == pytest.approx(72.63, abs=0.1)


# Model folders and run folders


def test_a_model_folder_gives_the_model_back_frozen(folder: Path) -> None:
    model = load_model(str(folder))
    assert model.card == DIGITS
    assert same_function(model, made())
    assert not model.training
    assert not any(p.requires_grad for p in model.parameters())
    assert sorted(p.name for p in folder.iterdir()) == ["config.json", "model.safetensors"]


def test_a_folder_is_the_same_whatever_the_net_was_wrapped_in(tmp_path: Path) -> None:
    model = made()
    wrapped = made()
    wrapped.net.features = torch.compile(wrapped.net.features)
    wrapped.net = torch.nn.DataParallel(torch.compile(wrapped.net.to(memory_format=torch.channels_last)))
    for name, saved in (("plain", model), ("wrapped", wrapped)):
        save_model(saved, tmp_path / name)
    assert (tmp_path / "plain/model.safetensors").read_bytes() == (tmp_path / "wrapped/model.safetensors").read_bytes()


def test_saving_again_replaces_the_model(folder: Path) -> None:
    save_model(made(seed=1), folder)
    assert same_function(load_model(str(folder)), made(seed=1))
    assert len(list(folder.iterdir())) == 2


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(AkdError, match="another folder"):
        save_model(made(), tmp_path / "file" / "model")


def test_a_run_folder_is_its_student(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("seed: 0\n")
    assert "no student yet" in refused(tmp_path)
    save_model(made(), tmp_path / "last-good")
    (tmp_path / "diverged.json").write_text("{}")
    assert f"last good student is in {tmp_path / 'last-good'}" in refused(tmp_path)
    save_model(made(), tmp_path / "student")
    assert same_function(load_model(str(tmp_path)), made())


def test_loading_draws_no_random_numbers(folder: Path, resnet20: Path) -> None:
    before = torch.get_rng_state()
    load_model(str(folder))
    load_model(str(resnet20), arch="resnet20", **RGB)
    assert torch.equal(torch.get_rng_state(), before)


AGREEING: dict[str, Any] = {
    "arch": "DigitsNet", "num_classes": 3, "mean": [0.3], "std": (0.4,), "input_size": [1, 8, 8],
    "label_names": ["a", "b", "c"], "arguments": {"widths": (4, 8)},
}  # fmt: skip


def test_options_that_agree_with_the_config_are_taken(folder: Path) -> None:
    assert load_model(str(folder), **AGREEING).card == DIGITS


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("arch", "lenet5"), ("num_classes", 4), ("mean", [0.2]), ("std", [0.3]), ("input_size", [1, 9, 9]),
        ("label_names", ["a", "b", "d"]), ("arguments", {"widths": [4, 9]}),
    ],
)  # fmt: skip
def test_options_that_contradict_the_config_are_refused(folder: Path, option: str, value: object) -> None:
    assert f"leave --{option.replace('_', '-').replace('label-names', 'labels')} out" in refused(folder, **{option: value})


def rewrite(folder: Path, **changes: Any) -> None:
    config = json.loads((folder / "config.json").read_text()) | changes
    kept = {key: value for key, value in config.items() if value is not ...}
    (folder / "config.json").write_text(json.dumps(kept))


@pytest.mark.parametrize(
    "changes",
    [
        {"num_classes": 7},
        {"input_size": [3, 9, 9], "mean": [0.5] * 3, "std": [0.5] * 3},
        {"std": [-1.0]},
    ],
)
def test_what_a_wrong_config_tells_is_to_be_corrected_there(folder: Path, changes: dict[str, Any]) -> None:
    rewrite(folder, **changes)
    words = refused(folder)
    assert f"{folder / 'config.json'}: correct it there" in words and "None" not in words


def test_what_a_config_does_not_tell_is_not_to_be_corrected_there(folder: Path) -> None:
    rewrite(folder, mean=...)
    assert "give --mean" in refused(folder) and "correct it" not in refused(folder)
    rewrite(folder, architecture="somebody.else:net")
    assert "give --arch somebody.else:net" in refused(folder) and "correct it" not in refused(folder)
    rewrite(folder, architecture="digitsnett")
    assert "did you mean 'digitsnet'" in refused(folder)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"architecture": 3}, "architecture must be a name"),
        ({"architecture": "digitnet"}, "did you mean 'digitsnet'"),
        ({"architecture": ...}, "give --arch"),
        ({"architecture": "x" * 10_000}, "architecture must be"),
        ({"num_classes": "3"}, "num_classes must be a positive whole number"),
        ({"num_classes": True}, "num_classes must be"),
        ({"num_classes": 3.0}, "num_classes must be"),
        ({"num_classes": -3}, "num_classes must be"),
        ({"num_classes": 10**30}, "num_classes must be"),
        ({"num_classes": 4}, "fc.weight [3, 8] for [4, 8]"),
        ({"num_classes": 4, "label_names": None}, "give --num-classes 3"),
        ({"num_classes": 2**31 - 1, "label_names": None}, "give --num-classes 3"),
        ({"mean": [127.5]}, "divide those for 0..255 by 255"),
        ({"mean": ["0.3"]}, "mean must be numbers for pixels in 0..1"),
        ({"mean": 0.3}, "mean must be"),
        ({"mean": [0.3, 0.3, 0.3]}, "give --mean and --std"),
        ({"mean": ...}, "give --mean and --std"),
        ({"mean": [10**400]}, "mean must be"),
        ({"std": [0]}, "must be positive"),
        ({"std": [float("nan")]}, "std must be"),
        ({"std": [1e-40]}, "NaN or infinite logits"),
        ({"std": ...}, "give --mean and --std"),
        ({"input_size": [8, 8]}, "input_size must be"),
        ({"input_size": [1, 8, 10**9]}, "input_size must be"),
        ({"input_size": [3, 8, 8]}, "features.0.weight [4, 1, 3, 3] for [4, 3, 3, 3]"),
        ({"input_size": "1,8,8"}, "input_size must be"),
        ({"label_names": ["a", "b"]}, "2 label names for 3"),
        ({"label_names": "abc"}, "label_names must be"),
        ({"label_names": [1, 2, 3]}, "label_names must be"),
        ({"arguments": [1]}, "arguments must be"),
        ({"arguments": {"num_classes": 3}}, "arguments must be"),
        ({"arguments": {"width": [4]}}, "did you mean 'widths'"),
        ({"arguments": {"widths": [4, 9]}}, "do not fit digitsnet"),
        ({"arguments": {"widths": [4, 10**12]}}, "do not fit digitsnet"),
        ({"arguments": {"widths": "wide"}}, "cannot be built"),
        ({"arguments": {}}, "do not fit digitsnet"),
    ],
)
def test_a_config_with_an_error_is_told_in_one_line(folder: Path, changes: dict[str, Any], told: str) -> None:
    rewrite(folder, **changes)
    text = refused(folder)
    assert told in text


NO_OBJECTS = [b"", b"{", b"[]", b"null", b"3", b"\xff\xfe", b"[" * 100_000, b'{"a": ' + b"9" * 9999 + b"}"]


@pytest.mark.parametrize("content", NO_OBJECTS)
def test_a_config_that_is_no_json_object(folder: Path, content: bytes) -> None:
    (folder / "config.json").write_bytes(content)
    assert "config.json" in refused(folder)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=4,
)


@given(changes=st.dictionaries(st.sampled_from(sorted(json.loads(DIGITS.to_json()))), JSON, min_size=1, max_size=3))
def test_any_config_gives_a_model_or_one_line(tmp_path_factory: pytest.TempPathFactory, changes: dict[str, Any]) -> None:
    folder = tmp_path_factory.mktemp("m")
    save_model(made(), folder)
    rewrite(folder, **changes)
    try:
        assert load_model(str(folder)).card.num_classes == 3
    except ModelError as error:
        assert "\n" not in str(error)


def test_damage_to_a_model_folder_is_told(folder: Path) -> None:
    weights = folder / "model.safetensors"
    whole = weights.read_bytes()
    weights.write_bytes(whole[:-7])
    assert "truncated" in refused(folder)
    state = safetensors.torch.load(whole)
    safetensors.torch.save_file(state | {"fc.bias": torch.full((3,), float("nan"))}, weights)
    assert "fc.bias holds NaN" in refused(folder)
    safetensors.torch.save_file({name: t for name, t in state.items() if name != "fc.bias"}, weights)
    assert "1 missing (fc.bias)" in refused(folder)
    weights.unlink()
    assert "holds no weights" in refused(folder)


def test_a_config_cannot_make_akd_run_code(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rewrite(folder, architecture="os:mkdir", arguments={"path": str(tmp_path / "made")})
    assert "give --arch os:mkdir" in refused(folder)
    assert not (tmp_path / "made").exists()
    (tmp_path / "users_nets.py").write_text("from akd.networks.lenet import DigitsNet as net\n")
    monkeypatch.chdir(tmp_path)
    rewrite(folder, architecture="users_nets:net", arguments={"widths": [4, 8]})
    assert same_function(load_model(str(folder), arch="users_nets:net"), made())


# Files, shards, factories


def test_a_file_takes_its_classes_from_its_weights(resnet20: Path) -> None:
    model = load_model(str(resnet20), arch="resnet20", label_names=list("abcde"), **RGB)
    assert model.card == ModelCard("resnet20", 5, RGB["mean"], RGB["std"], (3, 32, 32), {}, tuple("abcde"))


def test_normalisation_is_inside_and_as_told(resnet20: Path) -> None:
    model = load_model(str(resnet20), arch="resnet20", **RGB)
    image = torch.rand(1, 3, 32, 32)
    mean, std = (torch.tensor(RGB[name]).view(1, 3, 1, 1) for name in ("mean", "std"))
    assert torch.allclose(model(image), model.net((image - mean) / std))


def test_shards_in_a_folder(resnet20: Path, tmp_path: Path) -> None:
    state = list(torch.load(resnet20).items())
    (tmp_path / "shards").mkdir()
    for k in range(3):
        np.savez(tmp_path / "shards" / f"weights-{k + 1}-of-3.npz", **{n: t.numpy() for n, t in state[k::3]})
    model = load_model(str(tmp_path / "shards"), arch="resnet20", **RGB)
    assert same_function(model, load_model(str(resnet20), arch="resnet20", **RGB))


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({}, "give --arch resnet20, which fits it"),
        ({"arch": "resnet20"}, "give --mean and --std"),
        ({"arch": "resnet20", "mean": RGB["mean"]}, "give --mean and --std"),
        ({"arch": "resnet20", "mean": (0.5,), "std": (0.5,)}, "one value for each of 3 channels"),
        ({"arch": "resnet20", **RGB, "num_classes": 10}, "give --num-classes 5"),
        ({"arch": "resnet20", **RGB, "num_classes": 1}, "num-classes"),
        ({"arch": "resnet20-pad", **RGB}, "try --arch resnet20"),
        ({"arch": "resnet-20", **RGB}, "did you mean 'resnet20'"),
        ({"arch": "resnet20", **RGB, "arguments": {"depth": 1}}, "has no argument 'depth'"),
        ({"arch": "resnet20", **RGB, "label_names": ["a"]}, "1 label names for 5"),
        ({"arch": "resnet20", **RGB, "input_size": (3, 0, 32)}, "input_size must be"),
        ({"arch": "resnet20", **RGB, "weights": "other.pth"}, "leave it out"),
        ({"arch": "no_such_module:net", **RGB, "input_size": (3, 8, 8)}, "cannot import"),
    ],
)
def test_a_file_and_what_is_lacking_to_it(resnet20: Path, options: dict[str, Any], told: str) -> None:
    assert told in refused(resnet20, **options)


FACTORIES = """
import torch
from akd.networks.classifier import Classifier, ModelCard
from akd.networks.lenet import DigitsNet
def net(num_classes=4): return DigitsNet(num_classes, 1, (4,))
def ready():
    return Classifier(DigitsNet(4, 1, (4,)), ModelCard("digitsnet", 4, (0.1,), (0.2,), (1, 8, 8), {"widths": [4]}))
class Odd(torch.nn.Module):
    def __init__(self, answer):
        super().__init__()
        self.answer, self.fc = answer, torch.nn.Linear(2, 4)
    def forward(self, images):
        if self.answer == "error": raise ValueError("no" + chr(10) + "way")
        answers = {"dict": {"logits": images}, "few": images.mean((1, 2, 3)), "nan": torch.nan * torch.ones(2, 4),
            "sure": torch.full((len(images), 4), 0.25)}
        return answers[self.answer]
"""
GREY: dict[str, Any] = {"mean": (0.5,), "std": (0.5,), "input_size": (1, 8, 8)}


@pytest.fixture
def nets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "nets_of_a_user.py").write_text(FACTORIES)
    monkeypatch.chdir(tmp_path)
    return "nets_of_a_user"


def test_a_factory_with_weights_in_it_and_with_a_file(nets: str, tmp_path: Path) -> None:
    found = load_model(f"{nets}:net", **GREY)
    assert found.card == ModelCard(f"{nets}:net", 4, (0.5,), (0.5,), (1, 8, 8))
    assert not found.training
    torch.save({"state_dict": {f"module.{n}": t for n, t in found.net.state_dict().items()}}, tmp_path / "w.pth")
    for again in (
        load_model(f"{nets}:net", weights=str(tmp_path / "w.pth"), **GREY),
        load_model(str(tmp_path / "w.pth"), arch=f"{nets}:net", **GREY),
    ):
        assert again.card == found.card
        assert same_function(again, found)


def test_a_factory_that_returns_a_classifier_tells_all(nets: str, tmp_path: Path) -> None:
    found = load_model(f"{nets}:ready")
    assert (found.card.mean, found.card.architecture) == ((0.1,), "digitsnet")
    save_model(found, tmp_path / "again")
    assert same_function(load_model(str(tmp_path / "again")), found)
    again = load_model(f"{nets}:ready", weights=str(tmp_path / "again" / "model.safetensors"), input_size=(1, 8, 8))
    assert same_function(again, found)
    assert "leave --mean out" in refused(f"{nets}:ready", mean=(0.3,))


@pytest.mark.parametrize(
    ("name", "options", "told"),
    [
        ("net", {}, "give --input-size"),
        ("net", {"input_size": (1, 8, 8)}, "give --mean and --std"),
        ("net", {**GREY, "arch": "resnet18"}, "leave --arch out"),
        ("net", {**GREY, "weights": "missing.pth"}, "no file"),
        ("net", {**GREY, "arguments": {"n": 1}}, "unexpected keyword"),
        ("net", {**GREY, "mean": (0.1,) * 3, "std": (0.1,) * 3, "input_size": (3, 8, 8)}, "takes no images of 3x8x8"),
        ("Odd", {**GREY, "arguments": {"answer": "error"}}, "ValueError: no way"),
        ("Odd", {**GREY, "arguments": {"answer": "sure"}}, "leave its last softmax out"),
        ("Odd", {**GREY, "arguments": {"answer": "dict"}}, "gives a dict for images; akd needs the logits alone"),
        ("Odd", {**GREY, "arguments": {"answer": "few"}}, "gives [2] for two images, not [2, 4]"),
        ("Odd", {**GREY, "arguments": {"answer": "nan"}}, "NaN or infinite logits"),
    ],
)
def test_what_a_factory_lacks_is_told(nets: str, name: str, options: dict[str, Any], told: str) -> None:
    assert told in refused(f"{nets}:{name}", **options)


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("", "there is no ''"),
        ("missing.pth", "there is no 'missing.pth'"),
        ("~nobody-here/x.pth", "there is no"),
        ("a\0b", "there is no"),
        ("x" * 9999, "there is no"),
        ("resnet34", "give its weights file with --arch resnet34"),
        ("hub:owner/repo", "did you mean 'hf-hub:owner/repo'"),
        ("tim:resnet-18", "did you mean 'timm:resnet-18'"),
        ("hf-hub:nonsense", "not of the form"),
        ("hf-hub:owner/repo@", "not of the form"),
        ("hf-hub:../../x", "hf-hub:../../x"),
        ("no.module:net", "cannot import"),
        ("/dev/null", "not a regular file"),
    ],
)
def test_a_source_that_leads_nowhere(source: str, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert told in refused(source)


def test_a_near_miss_of_a_file_is_offered(resnet20: Path) -> None:
    near = resnet20.with_name("r.pt")
    assert f"did you mean '{near}h'" in refused(near)


def test_architecture_only_is_for_measuring() -> None:
    model = architecture_only("wrn40_2", 100)
    assert (model.card.architecture, model.card.input_size, model.card.mean) == ("wrn40-2", (3, 32, 32), (0.0, 0.0, 0.0))
    assert architecture_only("digitsnet", 10, (3, 16, 16)).card.input_size == (3, 16, 16)
    with pytest.raises(ModelError, match="--num-classes"):
        architecture_only("resnet34", None)
    with pytest.raises(ModelError, match="resnet34"):
        architecture_only("resnet-34", 10)


# The hub and timm, where they are installed


HUB = """
import sys
from akd.errors import ModelError
from akd.networks.models import load_model
for source in sys.argv[1:]:
    try:
        print(load_model(source).card.architecture)
    except ModelError as error:
        print(error)
"""


@pytest.mark.slow
def test_the_hubs_cache_is_read_and_a_miss_names_the_command(tmp_path: Path) -> None:
    pytest.importorskip("huggingface_hub", reason="the hub extra is not installed")
    cached, revision = tmp_path / "models--owner--repo", "a" * 40
    snapshot = cached / "snapshots" / revision
    snapshot.mkdir(parents=True)
    (cached / "refs").mkdir()
    (cached / "refs" / "main").write_text(revision)
    torch.save(zoo.build("resnet20", 10).state_dict(), snapshot / "pytorch_model.bin")
    nested = {"mean": RGB["mean"], "std": RGB["std"], "input_size": [3, 32, 32], "num_classes": 1000}
    config = {"architecture": "resnet20", "num_classes": 10, "pretrained_cfg": nested}
    (snapshot / "config.json").write_text(json.dumps(config))
    sources = ["hf-hub:owner/repo", f"hf-hub:owner/repo@{revision}", "hf-hub:owner/repo@v2", "hf-hub:owner/other"]
    environment = {**os.environ, "HF_HUB_CACHE": str(tmp_path), "HF_HUB_OFFLINE": "1"}
    said = subprocess.run([sys.executable, "-c", HUB, *sources], env=environment, capture_output=True, text=True, check=True)
    lines = said.stdout.splitlines()
    assert lines[:2] == ["resnet20", "resnet20"]
    assert lines[2].endswith("hf download owner/repo --revision v2")
    assert lines[3].endswith("hf download owner/other")


def test_without_the_extras_the_remedy_is_told() -> None:
    for module, source, extra in (("huggingface_hub", "hf-hub:owner/repo", "akd[hub]"), ("timm", "timm:resnet18", "akd[timm]")):
        try:
            importlib.import_module(module)
        except Exception:  # not installed, or of another torch
            assert extra in refused(source)


@pytest.fixture(scope="module")
def timm() -> Iterator[Any]:
    """timm, also beside a CPU torch, on which torchvision misses two operators that nothing here calls."""
    library = torch.library.Library("torchvision", "FRAGMENT")
    for name in ("nms", "qnms"):
        if not hasattr(torch.ops.torchvision, name):
            library.define(f"{name}(Tensor boxes, Tensor scores, float threshold) -> Tensor")
    try:
        yield importlib.import_module("timm")
    except Exception as error:
        pytest.skip(f"timm does not import here: {error}")


def test_timms_networks_load_from_files_and_folders(timm: Any, tmp_path: Path) -> None:
    net: nn.Module = timm.create_model("resnet10t", num_classes=10)
    torch.save(net.state_dict(), tmp_path / "pytorch_model.bin")
    config = {"architecture": "resnet10t", "num_classes": 10, "input_size": [3, 64, 64]}
    (tmp_path / "config.json").write_text(json.dumps(config))
    options = {**RGB, "input_size": (3, 64, 64)}
    models = [
        load_model("timm:resnet10t", weights=str(tmp_path / "pytorch_model.bin"), **options),
        load_model(str(tmp_path / "pytorch_model.bin"), arch="timm:resnet10t", **options),
        load_model(str(tmp_path), **options),
    ]
    assert {model.card.architecture for model in models} == {"timm:resnet10t"}
    assert same_function(models[0], models[1])
    assert same_function(models[0], models[2])


def test_timms_resnet34_with_a_cifar_stem_is_ours(timm: Any, tmp_path: Path) -> None:
    """The published ResNet-34 for CIFAR-100 is timm's, with the stem replaced: its file has these names."""
    net: Any = timm.create_model("resnet34", num_classes=100).eval()
    net.conv1, net.maxpool = nn.Conv2d(3, 64, 3, 1, 1, bias=False), nn.Identity()
    torch.save(net.state_dict(), tmp_path / "pytorch_model.bin")
    nested = {**RGB, "input_size": [3, 32, 32], "num_classes": 100}
    config = {"architecture": "resnet34", "num_classes": 100, "pretrained_cfg": nested}
    (tmp_path / "config.json").write_text(json.dumps(config))
    model = load_model(str(tmp_path))
    assert model.card.architecture == "resnet34"
    x: Tensor = torch.rand(2, 3, 32, 32)
    assert torch.allclose(model.net(x), net(x), atol=1e-5)
