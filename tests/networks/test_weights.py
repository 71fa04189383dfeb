"""Weights files as people leave them, and as attackers do: the tensors come back, or one line does."""

from __future__ import annotations

import argparse
import collections
import io
import json
import os
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from akd.errors import ModelError
from akd.networks import zoo
from akd.networks.weights import fitting, infer_num_classes, load_strict, read_state_dict, strip_prefixes

State = dict[str, Tensor]


def some_state(name: str = "digitsnet", classes: int = 10, **arguments: object) -> State:
    torch.manual_seed(0)
    return dict(zoo.build(name, classes, **arguments).state_dict())


STATE = some_state(widths=[4, 8])


def save_npz(state: State, file: Path, save: Callable[..., None] = np.savez) -> None:
    save(file, **{name: tensor.numpy() for name, tensor in state.items()})


WRITERS: dict[str, Callable[[State, Path], object]] = {
    "w.safetensors": safetensors.torch.save_file,
    "w.pth": torch.save,
    "w.pt": torch.save,
    "w.bin": torch.save,
    "w.ckpt": torch.save,
    "w.pth.tar": torch.save,
    "old.pth": lambda state, file: torch.save(state, file, _use_new_zipfile_serialization=False),
    "w.npz": save_npz,
    "packed.npz": lambda state, file: save_npz(state, file, np.savez_compressed),
}


def assert_same(found: State, wanted: State) -> None:
    assert found.keys() == wanted.keys()
    assert all(torch.equal(found[name], wanted[name]) for name in wanted)


def refused(path: Path) -> str:
    """The one line that `path` is refused with."""
    with pytest.raises(ModelError) as caught:
        read_state_dict(path)
    text = str(caught.value)
    assert "\n" not in text
    assert len(text) < 600
    return text


@pytest.mark.parametrize("name", WRITERS)
def test_every_format_gives_the_tensors_back(name: str, tmp_path: Path) -> None:
    WRITERS[name](STATE, tmp_path / name)
    assert_same(read_state_dict(tmp_path / name), STATE)


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("weights")


WRAPS = st.lists(st.sampled_from(["state_dict", "model_state_dict", "model", "net", "module", "teacher", "ema"]), max_size=3)
PREFIXES = st.lists(st.sampled_from(["module.", "_orig_mod.", "model.", "net."]), max_size=4)


@given(wraps=WRAPS, prefixes=PREFIXES, beside=st.booleans())
@example(wraps=["state_dict"], prefixes=["module.", "_orig_mod.", "module."], beside=True)
def test_wrappers_are_opened_and_prefixes_taken_off(scratch: Path, wraps: list[str], prefixes: list[str], beside: bool) -> None:
    saved: Any = collections.OrderedDict(("".join(prefixes) + name, tensor) for name, tensor in STATE.items())
    for wrap in wraps:
        saved = {"epoch": 3, "optimizer": {"state": {}}, "best": torch.ones(()), wrap: saved} if beside else {wrap: saved}
    torch.save(saved, scratch / "wrapped.pth")
    assert_same(read_state_dict(scratch / "wrapped.pth"), STATE)


@given(prefixes=PREFIXES)
def test_stripping_twice_is_stripping_once(prefixes: list[str]) -> None:
    once = strip_prefixes({"".join(prefixes) + name: tensor for name, tensor in STATE.items()})
    assert once.keys() == STATE.keys() == strip_prefixes(once).keys()


def test_a_prefix_that_not_all_share_stays() -> None:
    state = {"model.a": torch.ones(1), "head": torch.ones(1)}
    assert strip_prefixes(state).keys() == state.keys()


def test_torchs_averaged_model_is_understood(tmp_path: Path) -> None:
    net = zoo.build("digitsnet", 10, widths=[4, 8])
    torch.save(torch.optim.swa_utils.AveragedModel(net).state_dict(), tmp_path / "ema.pt")
    assert_same(read_state_dict(tmp_path / "ema.pt"), dict(net.state_dict()))


def halved(tensor: Tensor) -> Tensor:
    return tensor.half() if tensor.is_floating_point() else tensor


@given(count=st.integers(1, 5), data=st.data())
def test_shards_are_merged_whichever_is_named(scratch: Path, count: int, data: st.DataObject) -> None:
    folder = scratch / f"shards-{count}"
    folder.mkdir(exist_ok=True)
    owner = [data.draw(st.integers(1, count)) for _ in STATE]
    for k in range(1, count + 1):
        part = {name: halved(STATE[name]) for name, o in zip(STATE, owner, strict=True) if o == k}
        save_npz(part, folder / f"weights-{k}-of-{count}.npz")
    halves = {name: halved(t).float() if t.is_floating_point() else t for name, t in STATE.items()}
    named = folder / f"weights-{data.draw(st.integers(1, count))}-of-{count}.npz"
    for path in (folder, named):
        assert_same(dict(sorted(read_state_dict(path).items())), dict(sorted(halves.items())))


def test_zero_padded_safetensors_shards(tmp_path: Path) -> None:
    names = list(STATE)
    for k, part in enumerate((names[:3], names[3:]), 1):
        safetensors.torch.save_file({n: STATE[n] for n in part}, tmp_path / f"model-{k:05}-of-00002.safetensors")
    assert_same(read_state_dict(tmp_path), STATE)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_floats_come_as_float32(dtype: torch.dtype, tmp_path: Path) -> None:
    state = {"w": torch.ones(2, 2, dtype=dtype), "n": torch.ones((), dtype=torch.int32)}
    safetensors.torch.save_file(state, tmp_path / "w.safetensors")
    read = read_state_dict(tmp_path / "w.safetensors")
    assert (read["w"].dtype, read["n"].dtype) == (torch.float32, torch.int32)


def test_the_real_resnet56_is_read_and_recognised(weights_dir: Path) -> None:
    state = read_state_dict(next((weights_dir / "cifar100-resnet56").glob("*.pt")))
    net = zoo.build("resnet56", 100)
    assert state.keys() == net.state_dict().keys()
    load_strict(net, state, "resnet56")
    assert_same(dict(net.state_dict()), state)
    assert infer_num_classes(state) == 100
    assert fitting(state) == ["resnet56"]


# Files that must be refused


class Creates:
    """Unpickling it creates a file: what code in a weights file looks like."""

    def __init__(self, file: Path):
        self.file = str(file)

    def __reduce__(self) -> Any:
        return os.mkdir, (self.file,)


class UsersNet(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x


HOSTILE: dict[str, tuple[Callable[[Any, Path], object], str]] = {
    "torch zip": (lambda thing, file: torch.save({"w": torch.ones(1), "x": thing}, file), "mkdir"),
    "torch legacy": (lambda thing, file: torch.save({"x": thing}, file, _use_new_zipfile_serialization=False), "mkdir"),
    "pickle": (lambda thing, file: file.write_bytes(pickle.dumps({"w": thing})), "mkdir"),
    "old pickle": (lambda thing, file: file.write_bytes(pickle.dumps(thing, protocol=0)), "mkdir"),
    "whole module": (lambda thing, file: torch.save(UsersNet(), file), "UsersNet"),
    "namespace": (lambda thing, file: torch.save({"w": torch.ones(1), "a": argparse.Namespace()}, file), "Namespace"),
    "numpy scalar": (lambda thing, file: torch.save({"w": torch.ones(1), "acc": np.float64(1)}, file), "numpy"),
    "script": (lambda thing, file: torch.jit.trace(UsersNet(), torch.ones(1)).save(str(file)), "TorchScript"),
}


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::torch.jit.TracerWarning")
@pytest.mark.parametrize("kind", HOSTILE)
@pytest.mark.parametrize("suffix", [".pth", ".pt", ".bin", ".ckpt"])
def test_code_in_a_file_is_named_and_never_run(kind: str, suffix: str, tmp_path: Path) -> None:
    write, name = HOSTILE[kind]
    write(Creates(tmp_path / "made"), tmp_path / f"hostile{suffix}")
    text = refused(tmp_path / f"hostile{suffix}")
    assert name in text
    assert "state_dict()" in text
    assert not (tmp_path / "made").exists()


def test_the_hostile_pickle_is_a_real_one(tmp_path: Path) -> None:
    pickle.loads(pickle.dumps(Creates(tmp_path / "made")))
    assert (tmp_path / "made").exists()


def test_objects_in_npz_are_never_unpickled(tmp_path: Path) -> None:
    np.savez(tmp_path / "w.npz", w=np.array([Creates(tmp_path / "made")], dtype=object))
    assert "pickled" in refused(tmp_path / "w.npz")
    assert not (tmp_path / "made").exists()


@given(name=st.sampled_from(sorted(WRITERS)), share=st.floats(0, 1, exclude_max=True))
@settings(max_examples=60)
@example(name="packed.npz", share=0.0005)
@example(name="old.pth", share=0.0625)
def test_a_truncated_file_is_told_as_one(scratch: Path, name: str, share: float) -> None:
    WRITERS[name](STATE, scratch / name)
    whole = (scratch / name).read_bytes()
    (scratch / name).write_bytes(whole[: int(share * len(whole))])
    assert "again" in refused(scratch / name)


@given(name=st.sampled_from(sorted(WRITERS)), share=st.floats(0, 1, exclude_max=True), byte=st.integers(0, 255))
@settings(max_examples=100)
def test_a_flipped_byte_never_breaks_the_reader(scratch: Path, name: str, share: float, byte: int) -> None:
    WRITERS[name](STATE, scratch / name)
    content = bytearray((scratch / name).read_bytes())
    # Most of what matters lies in the first and last hundreds of bytes.
    at = int(share * 600) - 300
    content[at] = byte
    (scratch / name).write_bytes(content)
    try:
        read_state_dict(scratch / name)
    except ModelError as error:
        assert "\n" not in str(error)  # either outcome is right


@given(content=st.binary(max_size=300), suffix=st.sampled_from([".safetensors", ".pth", ".npz"]))
@settings(max_examples=60)
def test_noise_is_no_weights(scratch: Path, content: bytes, suffix: str) -> None:
    (scratch / f"noise{suffix}").write_bytes(content)
    refused(scratch / f"noise{suffix}")


def with_header(header: bytes, length: int | None = None) -> bytes:
    return (len(header) if length is None else length).to_bytes(8, "little") + header + bytes(16)


@pytest.mark.parametrize(
    "content",
    [
        with_header(b"{}", 2**63),
        with_header(b"{}", 10**9),
        with_header(b"{"),
        with_header(b"[" * 5000),
        with_header(b'{"w":{"dtype":"F32","shape":[1000000000000],"data_offsets":[0,16]}}'),
        with_header(b'{"w":{"dtype":"F32","shape":[4],"data_offsets":[0,99999]}}'),
        with_header(b'{"w":{"dtype":"F32","shape":[4],"data_offsets":[16,0]}}'),
        with_header(b'{"w":{"dtype":"F31","shape":[4],"data_offsets":[0,16]}}'),
        with_header(b'{"w":{"dtype":"F32","shape":[18446744073709551615,2],"data_offsets":[0,16]}}'),
        with_header(json.dumps({"w": {"dtype": "F32", "shape": [-4], "data_offsets": [0, 16]}}).encode()),
    ],
)
def test_hostile_safetensors_headers(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "w.safetensors").write_bytes(content)
    refused(tmp_path / "w.safetensors")


def test_a_zip_bomb_is_not_unpacked(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "w.npz", "w", zipfile.ZIP_DEFLATED) as archive, archive.open("w.npy", "w") as entry:
        header = io.BytesIO()
        np.lib.format.write_array_header_1_0(header, {"descr": "<f4", "fortran_order": False, "shape": (75 << 20,)})
        entry.write(header.getvalue())
        for _ in range(300):
            entry.write(bytes(1 << 20))
    (tmp_path / "w.pth").write_bytes((tmp_path / "w.npz").read_bytes())
    assert "unpack" in refused(tmp_path / "w.npz")
    assert "unpack" in refused(tmp_path / "w.pth")


def recursive() -> dict[str, Any]:
    loop: dict[str, Any] = {}
    loop["model"] = loop
    return loop


@pytest.mark.parametrize(
    ("thing", "told"),
    [
        ({"w": torch.ones(1).expand(1 << 40)}, "claims"),
        ({"w": torch.ones(2, 2).to_sparse()}, "dense"),
        ({"w": torch.ones(2, device="meta")}, "dense"),
        ({"w": torch.ones(2, dtype=torch.complex64)}, "dense"),
        ({"bad.weight": torch.tensor([1.0, float("nan")])}, "bad.weight holds NaN"),
        ({"bad.weight": torch.tensor([1.0, float("-inf")])}, "bad.weight holds NaN or inf"),
        ({"line\nbreak" * 50: torch.tensor([float("nan")])}, "NaN"),
        ({}, "no state dict"),
        ({"model": {}}, "no state dict"),
        ({"epoch": 3, "lr": 0.1}, "epoch, lr"),
        ({"state_dict": {"epoch": 3}}, "epoch"),
        ({0: torch.ones(1)}, "no state dict"),
        (torch.ones(3), "Tensor"),
        ([torch.ones(3)], "list"),
        (3, "int"),
        (recursive(), "model"),
    ],
)
def test_what_is_no_state_dict(thing: object, told: str, tmp_path: Path) -> None:
    torch.save(thing, tmp_path / "w.pth")
    assert told in refused(tmp_path / "w.pth")


def test_float64_beyond_float32_is_infinite(tmp_path: Path) -> None:
    safetensors.torch.save_file({"w": torch.tensor([1e300], dtype=torch.float64)}, tmp_path / "w.safetensors")
    assert "infinite" in refused(tmp_path / "w.safetensors")


def test_paths_that_lead_nowhere(tmp_path: Path) -> None:
    assert "no file" in refused(tmp_path / "missing.pth")
    assert "holds no weights" in refused(tmp_path)
    (tmp_path / "empty.pth").touch()
    assert "is empty" in refused(tmp_path / "empty.pth")
    (tmp_path / "notes.txt").write_text("x")
    assert "by its name" in refused(tmp_path / "notes.txt")
    os.mkfifo(tmp_path / "pipe.pth")
    assert "not a regular file" in refused(tmp_path / "pipe.pth")
    torch.save(STATE, tmp_path / "other.pth")
    assert "empty.pth, other.pth" in refused(tmp_path)
    np.save(tmp_path / "bare.npy", np.ones(3))
    (tmp_path / "bare.npy").rename(tmp_path / "bare.npz")
    assert "bare array" in refused(tmp_path / "bare.npz")
    np.savez(tmp_path / "words.npz", w=np.array(["a"]))
    assert "array of numbers" in refused(tmp_path / "words.npz")
    np.savez(tmp_path / "none.npz")
    assert "holds no tensors" in refused(tmp_path / "none.npz")


def test_shards_that_are_not_whole(tmp_path: Path) -> None:
    save_npz({"a": torch.ones(1)}, tmp_path / "w-1-of-3.npz")
    save_npz({"a": torch.ones(1)}, tmp_path / "w-3-of-3.npz")
    assert "w-2-of-3.npz" in refused(tmp_path)
    save_npz({"b": torch.ones(1)}, tmp_path / "w-2-of-3.npz")
    assert "two shards hold a" in refused(tmp_path)
    save_npz({"b": torch.ones(1)}, tmp_path / "v-7-of-3.npz")
    assert "not whole" in refused(tmp_path / "v-7-of-3.npz")


# Into a network


@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_load_strict_copies_every_tensor(device: str) -> None:
    with torch.device(device):
        net = zoo.build("digitsnet", 10, widths=[4, 8])
    load_strict(net, STATE, "digitsnet")
    assert_same(dict(net.state_dict()), STATE)
    STATE_COPY = {name: tensor.clone() for name, tensor in STATE.items()}  # noqa: N806
    with torch.no_grad():
        next(net.parameters()).add_(1)
    assert_same(STATE, STATE_COPY)
    assert all(p.requires_grad for p in net.parameters())


def test_load_strict_knows_prefixes_counters_and_other_names() -> None:
    net = zoo.build("resnet20", 10)
    state = {n: t for n, t in some_state("resnet20").items() if not n.endswith("num_batches_tracked")}
    renamed = {"module." + n.replace("fc.", "linear.").replace("downsample.", "shortcut."): t for n, t in state.items()}
    load_strict(net, renamed, "resnet20")
    assert all(torch.equal(net.state_dict()[n], t) for n, t in state.items())
    outer = nn.Sequential(collections.OrderedDict(model=net))
    load_strict(outer, state, "outer")
    assert all(torch.equal(outer.state_dict()["model." + n], t) for n, t in state.items())


def without(state: State, part: str) -> State:
    return {name: tensor for name, tensor in state.items() if part not in name}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "state", "told"),
    [
        ("resnet20", some_state("resnet20", 7), "(fc.weight [7, 64] for [10, 64], fc.bias [7] for [10]); give --num-classes 7"),
        ("resnet20", some_state("resnet20", 10) | {"conv1.weight": torch.ones(16, 1, 3, 3)}, "give --input-size 1,H,W"),
        ("resnet20", without(some_state("resnet20"), "downsample"), "10 missing (layer2.0.downsample.0.weight"),
        ("resnet20", without(some_state("resnet20"), "downsample"), "try --arch resnet20-pad"),
        ("resnet20-pad", some_state("resnet20"), "try --arch resnet20"),
        ("resnet18", some_state("resnet18-imagenet"), "try --arch resnet18-imagenet"),
        ("resnet20", some_state("wrn16-1"), "try --arch wrn16-1"),
        ("resnet20", {"what": torch.ones(1)}, "1 unexpected (what); check --arch"),
    ],
)  # fmt: skip
def test_a_misfit_is_one_line_with_the_remedy(name: str, state: State, told: str) -> None:
    net = zoo.build(name, 10)
    before = {n: t.clone() for n, t in net.state_dict().items()}
    with pytest.raises(ModelError) as caught:
        load_strict(net, state, name)
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 500
    assert_same(dict(net.state_dict()), before)


@pytest.mark.parametrize("name", ["resnet20", "wrn16-1", "vgg8", "mobilenetv2", "lenet5", "digitsnet"])
@pytest.mark.parametrize("classes", [2, 33])
def test_num_classes_is_read_off_the_weights(name: str, classes: int) -> None:
    state = some_state(name, classes)
    assert infer_num_classes(state) == classes
    assert infer_num_classes(dict(sorted(state.items()))) == classes
    assert infer_num_classes({}) is None


@pytest.mark.parametrize("dtype", [torch.int8, torch.uint8, torch.int64, torch.bool])
@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
def test_whole_numbers_are_no_weights(dtype: torch.dtype, suffix: str, tmp_path: Path) -> None:
    quantised = {**STATE, "features.3.weight": (STATE["features.3.weight"] * 100).to(dtype)}
    file = tmp_path / f"quantised{suffix}"
    (safetensors.torch.save_file if suffix == ".safetensors" else torch.save)(quantised, file)
    net = zoo.build("digitsnet", 10, widths=[4, 8])
    with pytest.raises(ModelError, match=r"features\.3\.weight holds \w+ where digitsnet has floats; save .* unquantised"):
        load_strict(net, read_state_dict(file), "digitsnet")
    # Counters are whole numbers, whatever the file made of them.
    load_strict(net, {**STATE, "features.1.num_batches_tracked": torch.tensor(7.0)}, "digitsnet")
    assert net.state_dict()["features.1.num_batches_tracked"] == 7
