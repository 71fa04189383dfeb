"""The formats that other runtimes take: how each is written, and how its own runtime reads it back."""

from __future__ import annotations

import json
import logging
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import asdict, dataclass
from functools import cached_property
from importlib import import_module
from io import BytesIO, StringIO
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from akd import __version__
from akd.errors import ConfigError, brief, did_you_mean
from akd.files import write_bytes
from akd.networks import zoo
from akd.networks.classifier import Classifier
from akd.networks.models import load_model, save_model

Answer = Callable[[Tensor], Tensor]
"""Images [B, C, H, W] as the file wants them -> what it says of them [B, K]."""


class Graph(nn.Module):
    """What a file computes: pixels in 0..1 go in, or with `normalise` off pixels that the caller has normalised; logits
    come out, or with `softmax` probabilities."""

    def __init__(self, student: Classifier, normalise: bool = True, softmax: bool = False):
        super().__init__()
        self.student, self.normalise, self.softmax = student, normalise, softmax

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.student(images) if self.normalise else self.student.net(images)
        return logits.softmax(1) if self.softmax else logits

    def wanted(self, images: Tensor) -> Tensor:
        """Images in 0..1 as `forward` wants them."""
        return images if self.normalise else (images - self.student.mean) / self.student.std

    @property
    def says(self) -> str:
        return "probabilities" if self.softmax else "logits"

    def facts(self) -> dict[str, str]:
        """What a file tells of itself, each value as JSON: the model's card, what goes in and what comes out."""
        takes = "pixels in 0..1" if self.normalise else "(pixels in 0..1 - mean) / std"
        told = {**asdict(self.student.card), "input": takes, "output": self.says, "akd": __version__}
        return {name: json.dumps(value) for name, value in told.items()}

    @cached_property
    def program(self) -> torch.export.ExportedProgram:
        """The traced graph, for any number of images."""
        two = self.wanted(torch.full((2, *self.student.card.input_size), 0.5))  # of one image, the one would be burnt in
        return torch.export.export(self, (two,), dynamic_shapes={"images": {0: torch.export.Dim("batch")}})


@dataclass(frozen=True)
class Format:
    """`write` puts `files`, the first of which is read back, into a folder, with images [N, C, H, W] to calibrate on."""

    files: tuple[str, ...]
    write: Callable[[Graph, Path, Tensor], None]
    read: Callable[[Graph, Path], Answer]
    needs: tuple[str, ...] = ()
    exact: bool = True


def write_safetensors(graph: Graph, folder: Path, _images: Tensor) -> None:
    save_model(graph.student, folder)


def read_safetensors(graph: Graph, file: Path) -> Answer:
    # Its code is in this process already: naming it runs nothing that has not been run.
    foreign = zoo.is_foreign(graph.student.card.architecture)
    student = load_model(str(file.parent), arch=graph.student.card.architecture if foreign else None)
    return Graph(student, graph.normalise, graph.softmax)


def write_pt2(graph: Graph, folder: Path, _images: Tensor) -> None:
    content = BytesIO()  # not straight into the file: on a full disk torch's writer ends the process
    torch.export.save(graph.program, content, extra_files={"card.json": json.dumps(graph.facts())})
    write_bytes(folder / "model.pt2", content.getvalue())


def read_pt2(_graph: Graph, file: Path) -> Answer:
    module: Answer = torch.export.load(file).module()
    return module


def write_onnx(graph: Graph, folder: Path, _images: Tensor) -> None:
    file = folder / "model.onnx"
    program: Any = torch.onnx.export(
        graph.program,
        dynamo=True,
        verbose=False,
        external_data=False,
        input_names=["images"],
        output_names=[graph.says],
    )
    program.save(str(file))
    _tell(file, graph)


def write_int8(graph: Graph, folder: Path, images: Tensor) -> None:
    """Weights and activations in 8 bit between explicit scales (QDQ), calibrated on what the graph makes of `images`."""
    from onnxruntime import quantization
    from onnxruntime.quantization.shape_inference import quant_pre_process

    file, float_file, folded = folder / "model.int8.onnx", folder / "model.onnx", folder / "folded.onnx"
    if not float_file.exists():
        write_onnx(graph, folder, images)
    # BatchNorm into the convolutions first: quantised on its own it would cost accuracy and time.
    quant_pre_process(str(float_file), str(folded), skip_symbolic_shape=True)
    batches = ({"images": graph.wanted(batch).numpy()} for batch in images.split(BATCH))

    class Reader(quantization.CalibrationDataReader):  # type: ignore[misc]
        def get_next(self) -> dict[str, Any] | None:
            return next(batches, None)

    quantization.quantize_static(
        str(folded),
        str(file),
        Reader(),
        quant_format=quantization.QuantFormat.QDQ,
        per_channel=True,
        activation_type=quantization.QuantType.QUInt8,  # signed ones took three times as long (resnet56 on an AMD EPYC)
        weight_type=quantization.QuantType.QInt8,
    )
    _tell(file, graph)


def read_onnx(graph: Graph, file: Path) -> Answer:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
    return lambda images: torch.from_numpy(session.run([graph.says], {"images": images.numpy()})[0])


def _tell(file: Path, graph: Graph) -> None:
    import onnx

    model = onnx.load(str(file))
    onnx.helper.set_model_props(model, graph.facts())
    for value in (*model.graph.input, *model.graph.output, *model.graph.value_info):
        for size in value.type.tensor_type.shape.dim:
            if size.dim_param:  # the one that is not fixed; its exporter calls it s34 or so
                size.dim_param = "batch"
    onnx.checker.check_model(model)
    onnx.save(model, str(file))


BATCH = 32
ONNX = ("onnx", "onnxscript", "onnxruntime")
FORMATS = {
    "safetensors": Format(("model.safetensors", "config.json"), write_safetensors, read_safetensors),
    "onnx": Format(("model.onnx",), write_onnx, read_onnx, ONNX),
    "int8": Format(("model.int8.onnx",), write_int8, read_onnx, ONNX, exact=False),
    "pt2": Format(("model.pt2",), write_pt2, read_pt2),
}


def chosen(names: Sequence[str] | None) -> list[str]:
    """The formats of these names, in the table's order; None: all that the installed packages allow.

    ConfigError for one that is unknown, or whose packages are not here.
    """
    if names is None:
        return [name for name in FORMATS if not _lacking(name)]
    for name in names:
        if name not in FORMATS:
            raise ConfigError(f"unknown format {name!r}{did_you_mean(name, FORMATS)} (there are {', '.join(FORMATS)})")
        if lacking := _lacking(name):
            raise ConfigError(f"format {name} needs what does not import here ({lacking}); pip install 'akd[onnx]'")
    if not names:
        raise ConfigError(f"no format is named; give some of {','.join(FORMATS)}")
    return [name for name in FORMATS if name in names]


def _lacking(name: str) -> str:
    """Why this format cannot be written here; '' where it can."""
    for package in FORMATS[name].needs:
        try:
            import_module(package)
        except Exception as error:  # not there, or built for something else
            return brief(error, 80)
    return ""


@contextmanager
def quiet() -> Iterator[None]:
    """Without the exporters' own words: they warn of operators that no student has, and print the graphs they fail on."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), redirect_stderr(StringIO()), redirect_stdout(StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
