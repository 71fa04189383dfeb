"""torchvision's CIFAR folders. They are pickles, so they are read by an unpickler that can build only numbers."""

from __future__ import annotations

import pickle
import re
from io import BytesIO
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from akd.errors import DataError
from akd.evaluation.readers import Raw, choose_labels, refusing
from akd.networks.classifier import ModelCard

TEN, HUNDRED = ("cifar-10-batches-py", "test_batch", "batches.meta"), ("cifar-100-python", "test", "meta")
LABELS = {"fine_labels": "fine_label_names", "labels": "label_names", "coarse_labels": "coarse_label_names"}


def cifar_folder(path: Path, card: ModelCard) -> tuple[Path, Path] | None:
    """The test file and the file of names in `path` or in the CIFAR folder below it, if there is one.

    Where both data sets lie side by side, a model of ten classes gets CIFAR-10.
    """
    for name, test, meta in (TEN, HUNDRED) if card.num_classes == 10 else (HUNDRED, TEN):
        for folder in (path, path / name):
            if (folder / test).is_file() and (folder / meta).is_file():
                return folder / test, folder / meta
            if folder.name == name and (folder / test).is_file():
                raise DataError(f"{folder} lacks {meta}, which names the classes; fetch the folder anew")
    return None


def read_cifar(files: tuple[Path, Path], card: ModelCard) -> Raw:
    """CIFAR-10, or CIFAR-100 with fine or coarse labels, whichever the model has the classes for."""
    test, meta = (_unpickle(file) for file in files)
    where = "/".join(files[0].parts[-2:])
    candidates = {
        key: (_integers(test[key]), tuple(_text(label) for label in meta[names]) if names in meta else None)
        for key, names in LABELS.items()
        if key in test
    }
    if not candidates:
        raise DataError(f"{where} has none of {', '.join(LABELS)}; fetch the folder anew")
    labels, label_names = choose_labels(candidates, card, where)
    images = test.get("data")
    if not isinstance(images, _Array) or images.value.dtype != np.uint8 or images.value.shape != (len(labels), 3072):
        raise DataError(f"{where} holds no pixels of {len(labels)} CIFAR images; fetch the folder anew")
    return Raw(labels, label_names, lambda: images.value.reshape(-1, 3, 32, 32).copy())


class _Array:
    """Stands in for numpy.ndarray in a pickle: numpy's own way to restore one trusts what the file tells it."""

    value: NDArray[Any] = np.empty(0)

    def __init__(self, *_: object) -> None:
        pass

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _, shape, dtype, fortran, content = state
        self.value = _numbers(dtype, content).reshape(shape, order="F" if fortran else "C")


class _Buffered(_Array):
    """The same array as pickle protocol 5 writes it."""

    def __init__(self, content: bytes, dtype: _Dtype, shape: tuple[int, ...], order: str) -> None:
        self.__setstate__((1, shape, dtype, order == "F", content))


class _Dtype:
    """Stands in for numpy.dtype: whole and real numbers, nothing that holds an object."""

    order = "|"

    def __init__(self, code: str, *_: object) -> None:
        self.code = code

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.order = state[1]

    def plain(self) -> np.dtype[Any]:
        if not re.fullmatch(r"[iuf][1248]", self.code) or self.order not in ("<", ">", "|", "="):
            raise ValueError(f"an array of type {self.code!r}")
        return np.dtype(self.order + self.code)


def _numbers(dtype: _Dtype, content: bytes | str) -> NDArray[Any]:
    # Python 2's strings arrive as latin-1 text.
    raw = content.encode("latin1") if isinstance(content, str) else content
    return np.frombuffer(raw, dtype.plain())


def _scalar(dtype: _Dtype, content: bytes | str) -> Any:
    return _numbers(dtype, content)[0].item()


_NUMPY = {
    "multiarray.scalar": _scalar,
    "multiarray._reconstruct": _Array,
    "numeric._frombuffer": _Buffered,
}
# `str.encode` knows text encodings only, which is all that older protocols need to write bytes.
ALLOWED: dict[str, Any] = {
    "numpy.ndarray": _Array,
    "numpy.dtype": _Dtype,
    "_codecs.encode": str.encode,
    "__builtin__.bytes": lambda: b"",  # called with a number, the original would take as much memory
    **{f"numpy.{core}.{name}": stand_in for core in ("core", "_core") for name, stand_in in _NUMPY.items()},
}


class _Unpickler(pickle._Unpickler):
    """The one written in Python: the one in C lets a file of twenty bytes ask for 64 GiB of memo."""

    def find_class(self, module: str, name: str) -> Any:
        if f"{module}.{name}" not in ALLOWED:
            raise pickle.UnpicklingError(f"nothing of it was run: it asks for {f'{module}.{name}'!r}")
        return ALLOWED[f"{module}.{name}"]

    def load_bytearray8(self: Any) -> None:
        """Protocol 5's arrays; unlike the original it takes no memory for bytes that are not there."""
        size = int.from_bytes(self.read(8), "little")
        self.append(bytearray(self.read(size)))

    dispatch: ClassVar[dict[int, Any]] = {**pickle._Unpickler.dispatch, pickle.BYTEARRAY8[0]: load_bytearray8}


def _unpickle(file: Path) -> dict[str, Any]:
    """The dictionary in a CIFAR file, with text keys whichever Python wrote it."""
    where = "/".join(file.parts[-2:])
    with refusing(where):
        content = _Unpickler(BytesIO(file.read_bytes()), encoding="latin1").load()
        if isinstance(content, dict):
            return {_text(key): value for key, value in content.items()}
    raise DataError(f"{where} is no CIFAR file; fetch the folder anew")


def _integers(labels: object) -> NDArray[np.int64]:
    if isinstance(labels, _Array) and labels.value.ndim == 1 and labels.value.dtype.kind in "iu":
        return labels.value.astype(np.int64)
    if isinstance(labels, list) and all(isinstance(label, int) for label in labels):
        return np.array(labels, np.int64)
    raise DataError("the labels in the CIFAR file are no list of whole numbers; fetch the folder anew")


def _text(word: object) -> str:
    if isinstance(word, bytes | str):
        return word.decode("latin1") if isinstance(word, bytes) else word
    raise DataError("a name in the CIFAR file is no text; fetch the folder anew")
