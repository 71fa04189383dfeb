"""Images and what a teacher says of them, written as the parquet that Hugging Face's `datasets` and `readers` read."""

from __future__ import annotations

import json
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image
from torch import Tensor

from akd.errors import ConfigError
from akd.files import one_line, place, staging
from akd.networks.classifier import distinct

ROWS = 1000


def write_parquet(file: Path, images: Tensor, labels: Tensor, logits: Tensor, label_names: Sequence[str]) -> None:
    """Write images uint8 [N, C, H, W] as PNG in `img`, labels int64 [N] in `label`, logits float32 [N, K] in `logits`.

    The layout of uoft-cs/cifar100: `img` is a struct of bytes and path, the names of the classes are in the schema's metadata
    key `huggingface`. `file` is whole or not there. Raises ConfigError for images that are neither grey nor RGB.
    """
    if images.shape[1] not in (1, 3):
        raise ConfigError(f"image files have 1 or 3 channels, these {images.shape[1]}; take the tensors of the checkpoint")
    features = {
        "img": {"_type": "Image"},
        "label": {"names": distinct(label_names), "_type": "ClassLabel"},
        "logits": {"feature": {"dtype": "float32", "_type": "Value"}, "_type": "Sequence"},
    }
    fields = [
        ("img", pa.struct([("bytes", pa.binary()), ("path", pa.string())])),
        ("label", pa.int64()),
        ("logits", pa.list_(pa.float32())),
    ]
    schema = pa.schema(fields, metadata={"huggingface": json.dumps({"info": {"features": features}})})
    with one_line(file), staging(file.parent) as stage:
        with pq.ParquetWriter(stage / file.name, schema) as writer:
            for start in range(0, len(images), ROWS):
                part = slice(start, start + ROWS)
                columns = {
                    "img": _encoded(images[part], start),
                    "label": labels[part].tolist(),
                    "logits": logits[part].tolist(),
                }
                writer.write_table(pa.table(columns, schema))
        place(stage / file.name, file)


def _encoded(images: Tensor, first: int) -> list[dict[str, Any]]:
    rows = []
    for i, image in enumerate(images.permute(0, 2, 3, 1).numpy(), first):
        content = BytesIO()
        Image.fromarray(image[:, :, 0] if image.shape[2] == 1 else image).save(content, "PNG")
        rows.append({"bytes": content.getvalue(), "path": f"{i:06d}.png"})
    return rows
