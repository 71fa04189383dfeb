"""Readers of parquet, image folders and .npz: files on disk -> labels, class names, and a way to get the images."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from akd.errors import DataError
from akd.networks.classifier import ModelCard

Integers = NDArray[np.int64]
Pixels = NDArray[np.uint8]
Names = tuple[str, ...] | None
Labels = tuple[Integers, Names]

# Named, because Pillow hands some others (EPS) to outside programs.
FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF")
GREY, COLOUR = ("1", "L", "LA"), ("P", "RGB", "RGBA", "CMYK", "YCbCr")
SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp")
TEST_SPLITS = ("test", "val", "valid", "validation")
PARQUET_IMAGES, PARQUET_LABELS = ("img", "image"), ("fine_label", "label", "labels", "coarse_label")
NPZ_IMAGES, NPZ_LABELS = ("images", "x", "data", "x_test", "test_images"), ("labels", "y", "y_test", "test_labels")


@dataclass(frozen=True)
class Raw:
    """What a reader found: labels int64 [N], names by label, and `images` -> uint8 [N, C, H, W].

    Images are decoded only when asked for, so that labels which do not fit are told at once.
    """

    labels: Integers
    label_names: Names
    images: Callable[[], Pixels]


@contextmanager
def refusing(where: str) -> Iterator[None]:
    """Turns whatever a decoder raises over a broken file into one line; there is no list of what they raise."""
    try:
        yield
    except DataError:
        raise
    except UnidentifiedImageError as error:  # which tells where in memory it lay
        raise DataError(
            f"{where} cannot be read (it is no {', '.join(FORMATS[:-1])} or {FORMATS[-1]} image); fetch it anew"
        ) from error
    except Exception as error:
        if "allow_pickle" in str(error):
            raise DataError(f"{where} holds Python objects, which are never loaded; save it as plain arrays") from error
        reason = " ".join(str(error).split())[:120] or type(error).__name__
        raise DataError(f"{where} cannot be read ({reason}); it may be truncated or damaged: fetch it anew") from error


def choose_labels(candidates: Mapping[str, Labels], card: ModelCard, where: str) -> Labels:
    """The first labels whose classes the model has: as many names, or, without names, no label beyond its classes.

    One candidate is taken as it is: what does not fit about it is told later, with more to say.
    """
    told = []
    for key, (labels, names) in candidates.items():
        count = len(names) if names else int(labels.max(initial=-1)) + 1
        fits = count == card.num_classes if names else count <= card.num_classes
        if fits or len(candidates) == 1:
            return labels, names
        told.append(f"{key} has {count}")
    raise DataError(f"{where}: {', '.join(told)} classes, the model {card.num_classes}; take the data set it was made for")


def read_parquet(path: Path, card: ModelCard) -> Raw:
    """Hugging Face's layout: encoded images in `img` or `image`, labels beside them, class names in the metadata."""
    files = [path] if path.is_file() else sorted(path.glob("test*.parquet"))
    if not files:
        others = sorted(file.name for file in path.glob("*.parquet"))
        raise DataError(f"{path} has no test-*.parquet, only {others[0]}; name one file and it is read as it is")
    schema = pq.read_schema(files[0])
    column = next((name for name in PARQUET_IMAGES if name in schema.names), None)
    keys = [name for name in PARQUET_LABELS if name in schema.names]
    if column is None or not keys:
        raise DataError(
            f"{files[0].name} has the columns {', '.join(schema.names)}; rename them: images are looked for in "
            f"{' or '.join(PARQUET_IMAGES)}, labels in {' or '.join(PARQUET_LABELS)}"
        )
    # Not read_table: it makes columns out of folder names such as label=3.
    table = pa.concat_tables([pq.ParquetFile(file).read(columns=[column, *keys]) for file in files])
    names = _names_in(schema)
    candidates = {key: (_label_column(table[key], key, files[0].name), names.get(key)) for key in keys}
    labels, label_names = choose_labels(candidates, card, files[0].name)
    sources = _image_column(table[column], column, files[0].name)
    return Raw(labels, label_names, lambda: decode(sources, len(labels), card))


def _names_in(schema: Any) -> dict[str, tuple[str, ...]]:
    """Class names by column from the metadata key `huggingface`; none where it is missing or is something else."""
    try:
        features = json.loads(schema.metadata[b"huggingface"])["info"]["features"]
        names = {key: value.get("names") for key, value in features.items()}
    except (KeyError, TypeError, ValueError, AttributeError):
        return {}
    return {key: tuple(map(str, known)) for key, known in names.items() if known and isinstance(known, list)}


def _label_column(column: Any, key: str, where: str) -> Integers:
    if not pa.types.is_integer(column.type) or column.null_count:
        raise DataError(f"{where}: column {key} is not whole numbers throughout; write the labels as int64")
    labels: Integers = column.to_numpy().astype(np.int64)
    return labels


def _image_column(column: Any, key: str, where: str) -> Iterator[tuple[str, bytes]]:
    if pa.types.is_struct(column.type):
        column = pc.struct_field(column, "bytes")
    if not (pa.types.is_binary(column.type) or pa.types.is_large_binary(column.type)):
        raise DataError(f"{where}: column {key} holds {column.type}, no encoded images; write PNG, WebP or JPEG bytes")
    for i, value in enumerate(column):
        if not value.is_valid:
            raise DataError(f"{where}: image {i} has no bytes, at most a path; write the images into the file")
        yield f"{where}: image {i}", value.as_py()


def read_image_folder(root: Path, card: ModelCard) -> Raw:
    """ROOT/CLASS/*.png (jpg, jpeg, webp, bmp): classes in the sorted order of their names, as torchvision counts."""
    classes = tuple(sorted(child.name for child in root.iterdir() if child.is_dir() and child.name[0] != "."))
    files = [
        (label, file)
        for label, name in enumerate(classes)
        for file in sorted((root / name).iterdir())
        if file.suffix.lower() in SUFFIXES and file.name[0] != "."
    ]
    if not files:
        splits = [root / name for name in TEST_SPLITS if name in classes]
        remedy = f"is it {splits[0]} you mean?" if splits else "name the folder that the class folders lie in"
        raise DataError(f"{root} has no images as CLASS/*.png in it; {remedy}")
    numbers = all(name.isdecimal() for name in classes) and sorted(classes, key=int) != list(classes)
    if numbers and set(classes) != set(card.label_names or ()):
        raise DataError(
            f"the folders of {root.name} are numbers that sort otherwise as text (10 before 2): their order is open; "
            "pad them with zeros (02, 10)"
        )
    labels = np.array([label for label, _ in files], np.int64)
    for _, file in files:
        if not file.is_file():  # a pipe would be waited for
            raise DataError(f"{file.parent.name}/{file.name} is no file that can be read; take it out of the folder")
    sources = ((f"{file.parent.name}/{file.name}", file.read_bytes()) for _, file in files)
    return Raw(labels, classes, lambda: decode(sources, len(files), card, resize=True))


def decode(files: Iterable[tuple[str, bytes]], count: int, card: ModelCard, resize: bool = False) -> Pixels:
    """(name, PNG, JPEG, WebP … bytes) -> uint8 [count, C, H, W] of the model's `input_size`.

    Grey images among coloured ones become R = G = B. A model for colour refuses a set that is grey throughout, and a
    model for grey refuses colour: how either is to be turned into the other is for the user to say.
    """
    channels, height, width = card.input_size
    if channels not in (1, 3):
        raise DataError(f"image files have 1 or 3 channels, the model takes {channels}; give the test set as .npz")
    images = np.empty((count, channels, height, width), np.uint8)
    any_colour = False
    for i, (name, content) in enumerate(files):
        with refusing(name):
            rgb, colour = _pixels(name, content, (width, height), resize)
        if channels == 1 and colour and (rgb != rgb[..., :1]).any():
            raise DataError(f"{name} is in colour, the model takes 1 channel; turn the images grey first")
        any_colour |= colour
        images[i] = rgb.transpose(2, 0, 1)[:channels]
    if channels == 3 and not any_colour:
        raise DataError("all images are grey, the model takes 3 channels; write them as RGB if it was trained so")
    return images


def _pixels(name: str, content: bytes, size: tuple[int, int], resize: bool) -> tuple[Pixels, bool]:
    """uint8 [H, W, 3] of one encoded image, and whether the file says that it is in colour."""
    with Image.open(BytesIO(content), formats=FORMATS) as image:
        if image.mode not in GREY + COLOUR:
            raise DataError(f"{name} has pixels of mode {image.mode}; write the images with 8 bits per channel")
        # Before decoding, so that a picture of a billion pixels costs nothing.
        if image.size != size and not resize:
            raise DataError(
                f"{name} is {image.height}×{image.width}, the model takes {size[1]}×{size[0]}; take a test set of that "
                "size, or write it as an image folder: only those are resized"
            )
        rgb = image.convert("RGB")
        # Pillow's bilinear filter widens with the scale, so it does not alias; at the same size it changes nothing.
        return np.asarray(rgb.resize(size, Image.Resampling.BILINEAR)), image.mode in COLOUR


def read_npz(path: Path, card: ModelCard) -> Raw:
    """Arrays `images` (or x, data, x_test, test_images) and `labels` (or y, y_test, test_labels) of an .npz.

    Images: [N, C, H, W], [N, H, W, C], or [N, H, W] for one channel; uint8, or real numbers in 0..1, which are rounded
    to the nearest of 256 levels.
    """
    if not zipfile.is_zipfile(path):  # numpy would take it for a pickle, and say how to load one unsafely
        raise DataError(f"{path.name} cannot be read (cut short, or no .npz at all); fetch it anew")
    with refusing(path.name), np.load(path, allow_pickle=False) as arrays:
        keys = [next((key for key in known if key in arrays), None) for known in (NPZ_IMAGES, NPZ_LABELS)]
        if None in keys:
            raise DataError(f"{path.name} holds the arrays {', '.join(arrays)}; rename them to images and labels")
        images, labels = (arrays[key] for key in keys)
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.ndim != 1 or labels.dtype.kind not in "iu" or images.shape[:1] != labels.shape:
        raise DataError(
            f"{path.name}: images {list(images.shape)} and {labels.dtype} labels {list(labels.shape)} do not agree; "
            "give one whole number per image"
        )
    return Raw(labels.astype(np.int64), None, lambda: _channels_first(_eight_bit(images, path.name), card, path.name))


def _eight_bit(images: NDArray[Any], where: str) -> Pixels:
    if images.dtype == np.uint8:
        return images
    if images.dtype.kind != "f" or not ((images >= 0) & (images <= 1)).all():
        raise DataError(f"{where}: these {images.dtype} images are no pixels in 0..1; save uint8, not normalised")
    levels: Pixels = np.rint(images * 255).astype(np.uint8)
    return levels


def _channels_first(images: Pixels, card: ModelCard, where: str) -> Pixels:
    channels, height, width = card.input_size
    shape = images.shape[1:]
    if shape == (channels, height, width):
        return images
    if shape == (height, width, channels):
        return np.ascontiguousarray(images.transpose(0, 3, 1, 2))
    if (1, *shape) == card.input_size:
        return images[:, None]
    raise DataError(
        f"{where}: images {list(images.shape)} do not fit the model's {channels}×{height}×{width}; "
        "resize them as the model's training images were"
    )
