"""Weights from files as people leave them, into a network: nothing in a file is ever run, and every misfit is explained."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch
from torch import Tensor, nn

from akd.errors import ModelError
from akd.networks import zoo

PICKLED = (".pth", ".pt", ".bin", ".ckpt", ".tar")
SUFFIXES = (".safetensors", *PICKLED, ".npz")
FOLDER_NAMES = ("model.safetensors", "pytorch_model.bin")
SHARD = re.compile(r"(.+)-0*(\d+)-of-0*(\d+)(\.\w+)")
WRAPPERS = ("state_dict", "model_state_dict", "model", "net", "module", "teacher", "ema", "state_dict_ema", "model_ema")
PREFIXES = ("module.", "_orig_mod.", "model.", "net.")
ALIASES = (("linear.", "fc."), ("shortcut.", "downsample."))  # the names of other public CIFAR nets
ZIP_LIMIT = 1 << 28  # bytes to which an archive may grow when unpacked, whatever its size
ZIP_RATIO = 50  # and as a multiple of its size


def read_state_dict(path: Path) -> dict[str, Tensor]:
    """The tensors of a weights file, of all its shards, or of a folder with either; on the CPU, floats as float32.

    Wrappers (`state_dict`, `model` …) are opened and prefixes (`module.`, `_orig_mod.`, `model.`, `net.`) that all keys
    share taken off. Raises ModelError where there is nothing readable, where it would run code, or for NaN and infinity.
    """
    state: dict[str, Tensor] = {}
    for file in _files(path):
        for name, tensor in _read(file).items():
            if name in state:
                raise ModelError(f"{path}: two shards hold {_short(name)}; keep one set of weights in the folder")
            state[name] = _plain(tensor, name, file)
    if not state:
        raise ModelError(f"{path} holds no tensors; save model.state_dict() or a .safetensors file")
    return strip_prefixes(state)


def strip_prefixes(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """`state` without the wrappers' prefixes that all of its keys share, however often and in whatever order."""
    kept = {name: tensor for name, tensor in state.items() if name != "n_averaged"}  # of torch's AveragedModel
    length = len(_shared_prefix(kept))
    return {name[length:]: tensor for name, tensor in kept.items()}


def infer_num_classes(state: Mapping[str, Tensor]) -> int | None:
    """Rows of the last two-dimensional weight, in the order of `state`; None where there is none."""
    rows = [t.shape[0] for name, t in state.items() if name.endswith("weight") and t.ndim == 2]
    return rows[-1] if rows else None


def load_strict(net: nn.Module, state: Mapping[str, Tensor], architecture: str) -> None:
    """Copy `state` into `net`, every tensor of it and nothing else; a net on the meta device is made real by it.

    Prefixes of the net's own names are allowed for, `num_batches_tracked` may be absent, and a few names of other public
    nets are known (`linear` for `fc`, `shortcut` for `downsample`). Raises ModelError, one line that tells what differs.
    """
    own = net.state_dict()
    fitted = _named_as(own, state)
    missing = [name for name in own if name not in fitted]
    unexpected = [name for name in fitted if name not in own]
    misshapen = [name for name in own if name in fitted and own[name].shape != fitted[name].shape]
    if missing or unexpected or misshapen:
        shapes = [f"{_short(n)} {list(fitted[n].shape)} for {list(own[n].shape)}" for n in misshapen[:3]]
        parts = [_listed(missing, "missing"), _listed(unexpected, "unexpected"), _listed(misshapen, "of another shape", shapes)]
        raise ModelError(
            f"the weights do not fit {architecture}: {'; '.join(filter(None, parts))}; {_remedy(state, architecture)}"
        )
    if any(tensor.is_meta for tensor in own.values()):
        net.to_empty(device="cpu")
    net.load_state_dict(fitted)


def fitting(state: Mapping[str, Tensor]) -> list[str]:
    """Names of the built-in architectures whose tensors have the names and shapes of `state`."""
    classes = infer_num_classes(state)
    channels = _in_channels(state)
    found = []
    for name, known in zoo.ARCHITECTURES.items():
        try:
            with torch.device("meta"):
                own = zoo.build(name, classes or 2, (channels, *known.input_size[1:])).state_dict()
        except ModelError:  # it needs arguments
            continue
        fitted = _named_as(own, state)
        if {n: t.shape for n, t in fitted.items()} == {n: t.shape for n, t in own.items()}:
            found.append(name)
    return found


def _files(path: Path) -> list[Path]:
    """The files that hold the weights at `path`: one, or all shards of one set."""
    if path.is_dir():
        usual = [path / name for name in FOLDER_NAMES if (path / name).is_file()]
        inside = usual[:1] or sorted(f for f in path.iterdir() if f.suffix in SUFFIXES and f.is_file())
        if not inside:
            raise ModelError(f"{path} holds no weights; it needs model.safetensors or another of {', '.join(SUFFIXES)}")
        if len(inside) > 1 and not all(SHARD.fullmatch(f.name) for f in inside):
            raise ModelError(f"{path} holds {len(inside)} weights files ({_names(f.name for f in inside)}); name the one to use")
        path = inside[0]
    if not path.is_file():
        raise ModelError(f"there is no file {path}" if not path.exists() else f"{path} is not a regular file; give weights")
    if path.suffix.lower() not in SUFFIXES:
        raise ModelError(f"{path} is of no known kind; weights end in {', '.join(SUFFIXES)}")
    shard = SHARD.fullmatch(path.name)
    if shard is None:
        return [path]
    count = int(shard[3])
    siblings = [f for f in path.parent.iterdir() if (s := SHARD.fullmatch(f.name)) and (s[1], s[3], s[4]) == (shard[1], *shard[3:])]
    return siblings
