"""Weights from files as people leave them, into a network: nothing in a file is ever run, and every misfit is explained."""

from __future__ import annotations

import pickletools
import re
import warnings
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch
from torch import Tensor, nn

from akd.errors import ModelError, brief, shortened
from akd.networks import zoo

SUFFIXES = (".safetensors", ".pth", ".pt", ".bin", ".ckpt", ".tar", ".npz")
FOLDER_NAMES = ("model.safetensors", "pytorch_model.bin")
SHARD = re.compile(r"(.+)-(\d{1,5})-of-(\d{1,5})(\.\w+)")
WRAPPERS = ("state_dict", "model_state_dict", "model", "net", "module", "teacher", "ema", "state_dict_ema", "model_ema")
PREFIXES = ("module.", "model.", "net.", "_orig_mod.")
ALIASES = (("linear.", "fc."), ("shortcut.", "downsample."))  # names that other public CIFAR nets use
UNPACKED_LIMIT = 1 << 28  # bytes that a file may stand for, whatever its size; above that …
UNPACKED_RATIO = 50  # … at most this multiple of its size
SAVE = "save model.state_dict() or a .safetensors file"


def read_state_dict(path: Path, finite: bool = True) -> dict[str, Tensor]:
    """The tensors of a weights file, of all its shards, or of a folder with either; on the CPU, floats as float32.

    Wrappers (`state_dict`, `model` …) are opened and prefixes (`module.`, `_orig_mod.`, `model.`, `net.`) that all keys
    share taken off. Raises ModelError where there is nothing readable, where it would run code, or, if `finite`, for NaN and
    infinity.
    """
    state: dict[str, Tensor] = {}
    try:
        for file in _files(path):
            for name, tensor in _read(file).items():
                if name in state:
                    raise ModelError(f"{path}: two shards hold {shortened(name)}; keep one set of weights in the folder")
                state[name] = _plain(tensor, name, file, finite)
    except OSError as error:
        raise ModelError(f"cannot read {path}: {error.strerror or brief(error)}; give a readable weights file") from error
    if not state:
        raise ModelError(f"{path} holds no tensors; {SAVE}")
    return strip_prefixes(state)


def strip_prefixes(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """`state` without the wrappers' prefixes that all of its keys share, however often and in whatever order."""
    # torch.compile can wrap any part of a net; n_averaged is of torch's AveragedModel.
    kept = {name.replace("_orig_mod.", ""): tensor for name, tensor in state.items() if name != "n_averaged"}
    length = len(_shared_prefix(kept))
    return {name[length:]: tensor for name, tensor in kept.items()}


def infer_num_classes(state: Mapping[str, Tensor]) -> int | None:
    """Rows of the last two-dimensional weight, in the order of `state`; None where there is none."""
    rows = [tensor.shape[0] for name, tensor in state.items() if name.endswith("weight") and tensor.ndim == 2]
    return rows[-1] if rows else None


def load_strict(net: nn.Module, state: Mapping[str, Tensor], architecture: str) -> None:
    """Copy `state` into `net`, every tensor of it and nothing else; a net on the meta device becomes real by it.

    Prefixes of the net's own names are allowed for, `num_batches_tracked` may be absent, and a few names of other public
    nets are known (`linear` for `fc`, `shortcut` for `downsample`). Whole numbers are no weights: nobody knows their scale.
    Raises ModelError, one line that tells what differs.
    """
    own = net.state_dict()
    fitted = _named_as(own, state)
    missing = [name for name in own if name not in fitted]
    unexpected = [name for name in fitted if name not in own]
    misshapen = [name for name in own if name in fitted and own[name].shape != fitted[name].shape]
    if missing or unexpected or misshapen:
        shapes = [f"{shortened(name)} {list(fitted[name].shape)} for {list(own[name].shape)}" for name in misshapen]
        told = [("missing", missing), ("unexpected", unexpected), ("of another shape", shapes)]
        counts = "; ".join(f"{len(names)} {what} ({_listed(names)})" for what, names in told if names)
        near = 0 < len(misshapen) <= 3 and not missing and not unexpected
        remedy = (near and _other_sizes(own, state)) or _other_architecture(state)
        raise ModelError(f"the weights do not fit {architecture}: {counts}; {remedy}")
    for name, tensor in own.items():
        if tensor.is_floating_point() and not fitted[name].is_floating_point():
            kind = str(fitted[name].dtype).removeprefix("torch.")
            raise ModelError(f"{shortened(name)} holds {kind} where {architecture} has floats; {SAVE} of the unquantised model")
    # Copied, because a file's tensors may be windows into it.
    copied = {name: fitted[name].to(tensor.dtype, copy=True) for name, tensor in own.items()}
    net.load_state_dict(copied, assign=any(tensor.is_meta for tensor in own.values()))


def fitting(state: Mapping[str, Tensor]) -> list[str]:
    """Names of the built-in architectures that have tensors of just the names and shapes of `state`."""
    classes, found = infer_num_classes(state) or 2, []
    for name, known in zoo.ARCHITECTURES.items():
        try:
            with torch.device("meta"):
                own = zoo.build(name, classes, (_in_channels(state), *known.input_size[1:])).state_dict()
        except ModelError:  # it is one to be given its sizes
            continue
        if _shapes(_named_as(own, state)) == _shapes(own):
            found.append(name)
    return found


def _files(path: Path) -> list[Path]:
    """The files that hold the weights at `path`: one, or all shards of one set."""
    if path.is_dir():
        usual = [path / name for name in FOLDER_NAMES if (path / name).is_file()]
        inside = usual[:1] or sorted(file for file in path.iterdir() if file.suffix in SUFFIXES and file.is_file())
        if not inside:
            raise ModelError(f"{path} holds no weights; give a folder with model.safetensors, or a weights file")
        if len(inside) > 1 and not all(SHARD.fullmatch(file.name) for file in inside):
            raise ModelError(f"{path} holds several weights ({_listed([file.name for file in inside])}); name one of the files")
        path = inside[0]
    if not path.is_file():
        raise ModelError(f"{path} is not a regular file; give a weights file" if path.exists() else f"there is no file {path}")
    if path.suffix not in SUFFIXES:
        raise ModelError(f"{path} is no weights file by its name; give one of {', '.join(SUFFIXES)}")
    part = SHARD.fullmatch(path.name)
    if not part:
        return [path]
    base, number, count, suffix = part.groups()
    shards = [path.with_name(f"{base}-{n:0{len(number)}}-of-{count}{suffix}") for n in range(1, int(count) + 1)]
    lacking = [file.name for file in shards if not file.is_file()]
    if lacking or path not in shards:
        raise ModelError(f"{path}: its set of {int(count)} shards is not whole (missing: {_listed(lacking)}); copy all of them")
    return shards


def _read(file: Path) -> Mapping[str, Tensor]:
    with open(file, "rb") as opened:
        if not opened.read(1):
            raise ModelError(f"{file} is empty; copy or save it again")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what is wrong is said once, by us
        try:
            _refuse_bomb(file)
            if file.suffix == ".safetensors":
                return safetensors.torch.load_file(file)
            if file.suffix == ".npz":
                return _arrays(file)
            return _unwrapped(torch.load(file, map_location="cpu", weights_only=True), file)
        except ModelError:
            raise
        except Exception as error:  # hostile bytes break readers in every way there is
            raise ModelError(_refusal(file, error)) from error


def _refuse_bomb(file: Path) -> None:
    if zipfile.is_zipfile(file):
        with zipfile.ZipFile(file) as archive:
            packed, unpacked = file.stat().st_size, sum(entry.file_size for entry in archive.infolist())
        if unpacked > max(UNPACKED_LIMIT, UNPACKED_RATIO * packed):
            raise ModelError(f"{file} would unpack {packed:,} bytes to {unpacked:,}, which no weights do; {SAVE}")


def _arrays(file: Path) -> dict[str, Tensor]:
    with open(file, "rb") as opened:
        if opened.read(6) != b"\x93NUMPY" and not zipfile.is_zipfile(file):
            raise ModelError(f"{file} is cut short or no .npz at all; copy or save it again")
    loaded = np.load(file, allow_pickle=False)
    if not isinstance(loaded, np.lib.npyio.NpzFile):
        raise ModelError(f"{file} is a bare array, not an .npz of named ones; {SAVE}")
    with loaded:
        arrays = dict(loaded)
    for name, array in arrays.items():
        if array.dtype.kind not in "fiub":
            raise ModelError(f"{file}: {shortened(name)} is no array of numbers but of {array.dtype}; {SAVE}")
    # Converted into this machine's byte order, which is all that torch takes.
    return {name: torch.from_numpy(a.astype("f4" if a.dtype.kind == "f" else "i8")) for name, a in arrays.items()}


def _unwrapped(loaded: Any, file: Path) -> dict[str, Tensor]:
    for _ in WRAPPERS:  # a bound: a pickled dict can hold itself
        inner = [loaded[key] for key in WRAPPERS if isinstance(loaded.get(key), Mapping)] if isinstance(loaded, Mapping) else []
        if not inner:
            break
        loaded = inner[0]
    entries = loaded if isinstance(loaded, Mapping) else {}
    tensors = {key: value for key, value in entries.items() if isinstance(key, str) and isinstance(value, Tensor)}
    if not tensors:
        what = f"a dict of {_listed(entries)}" if entries else f"a {type(loaded).__name__}"
        raise ModelError(f"{file} holds no state dict but {what}; {SAVE}")
    return tensors


def _plain(tensor: Tensor, name: str, file: Path, finite: bool) -> Tensor:
    """Dense, real, float32 where it is of floats; ModelError for all that no network holds."""
    where = f"{file}: {shortened(name)}"
    if tensor.layout is not torch.strided or tensor.is_quantized or tensor.is_meta or tensor.is_complex():
        raise ModelError(f"{where} is not a dense tensor of real numbers; {SAVE} of the unquantised model")
    # Strides of zero let a few bytes stand for terabytes.
    if tensor.nbytes > max(UNPACKED_LIMIT, tensor.untyped_storage().nbytes()):
        raise ModelError(f"{where} claims {tensor.nbytes:,} bytes, which the file does not hold; {SAVE}")
    tensor = tensor.detach()
    if not tensor.is_floating_point():
        return tensor
    tensor = tensor.float()
    if finite and not tensor.isfinite().all():
        raise ModelError(f"{where} holds NaN or infinite weights; give a checkpoint from before training diverged")
    return tensor


def _refusal(file: Path, error: Exception) -> str:
    text = str(error)
    named = re.search(r"GLOBAL ([\w.]+)", text)
    if named and file.read_bytes()[:-1].endswith(named[1].rpartition(".")[2].encode()):
        named = None  # the file ends within a name (whose last letter the unpickler takes for the line's end): it is cut
    code = named[1] if named else next(iter(_globals(file)), "TorchScript" if "TorchScript" in text else "")
    if code and file.suffix not in (".npz", ".safetensors"):
        return f"{file} holds code or whole objects ({code[:80]}), which are never run or rebuilt; {SAVE}"
    if "allow_pickle" in text:
        return f"{file} holds pickled objects, which are never loaded; {SAVE}"
    reason = shortened(text.rpartition("WeightsUnpickler error:")[2])
    kind = type(error).__name__
    return f"{file} cannot be read as weights: truncated, or of another kind ({kind}: {reason}); copy it again, or {SAVE}"


def _globals(file: Path) -> list[str]:
    """What a bare pickle would import, read off without unpickling; nothing where it is not whole."""
    found: list[str] = []
    strings: list[str] = []
    try:
        with open(file, "rb") as opened:
            for operation, value, _ in pickletools.genops(opened):
                if operation.name == "GLOBAL":
                    found.append(str(value).replace(" ", "."))
                elif operation.name == "STACK_GLOBAL":
                    found.append(".".join(strings[-2:]))
                elif isinstance(value, str):
                    strings.append(value)
    except Exception:  # not a pickle, or not a whole one
        return []
    return found


def _named_as(own: Mapping[str, Tensor], state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """`state` under the names that `own` uses, as far as prefixes and aliases explain the difference."""
    prefix = _shared_prefix(own)
    plain = {prefix + name: tensor for name, tensor in strip_prefixes(state).items()}
    fitted: dict[str, Tensor] = {}
    for name, tensor in plain.items():
        others = [name.replace(old, new) for old, new in ALIASES if name not in own]
        fitted[next((other for other in others if other in own and other not in plain), name)] = tensor
    counters = {name: torch.zeros((), dtype=torch.long) for name in own if name.endswith("num_batches_tracked")}
    return {**counters, **fitted}


def _shared_prefix(names: Iterable[str]) -> str:
    names, prefix = list(names), ""
    while names:
        longer = [prefix + p for p in PREFIXES if all(n.startswith(prefix + p) and len(n) > len(prefix + p) for n in names)]
        if not longer:
            break
        prefix = longer[0]
    return prefix


def _other_sizes(own: Mapping[str, Tensor], state: Mapping[str, Tensor]) -> str:
    classes, channels = infer_num_classes(state), _in_channels(state)
    wanted = [f"--num-classes {classes}"] if classes not in (None, infer_num_classes(own)) else []
    wanted += [f"--input-size {channels},H,W"] if channels != _in_channels(own) else []
    return f"give {' and '.join(wanted)}" if wanted else ""


def _other_architecture(state: Mapping[str, Tensor]) -> str:
    names = fitting(state)
    return f"they fit {_listed(names)}: try --arch {names[0]}" if names else "check --arch, its arguments and --num-classes"


def _in_channels(state: Mapping[str, Tensor]) -> int:
    """A guess at the images' channels, for remedies: files need not keep the order of layers, and depthwise filters have 1."""
    inputs = {tensor.shape[1] for tensor in state.values() if tensor.ndim == 4}
    return next((channels for channels in (3, 1, 4, 2) if channels in inputs), 3)


def _shapes(state: Mapping[str, Tensor]) -> dict[str, torch.Size]:
    return {name: tensor.shape for name, tensor in state.items()}


def _listed(names: Iterable[object]) -> str:
    names = list(names)
    return ", ".join(shortened(name) for name in names[:3]) + (" …" if len(names) > 3 else "")
