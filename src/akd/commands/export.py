"""akd export."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from akd.console import log, out
from akd.options import model_options, told, words

if TYPE_CHECKING:
    from akd.delivery.export import Export

SUMMARY = "write a student as safetensors, ONNX, int8 ONNX and .pt2, each file shown to say what the student says"
EXAMPLES = """\
akd export runs/first
akd export runs/first --format onnx,int8 --softmax --data cifar100/"""


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", help="run folder, model folder, or weights file with --arch")
    model_options(parser)
    parser.add_argument("--out", type=Path, metavar="DIR", help="the folder to write to; default: `export` in the folder MODEL")
    parser.add_argument(
        "--format", type=words, metavar="F,…", help="of safetensors,onnx,int8,pt2; default: all that is installed"
    )
    parser.add_argument(
        "--data", metavar="PATH", help="compare on a test set too: parquet, CIFAR pickles, image folder, .npz …"
    )
    parser.add_argument("--no-normalise", action="store_true", help="the caller normalises the pixels, not the graph")
    parser.add_argument("--softmax", action="store_true", help="the graph ends in probabilities, not in logits")
    parser.add_argument("--push-dir", type=Path, metavar="DIR", help="also make a folder for the Hugging Face hub, with a card")


def call(options: argparse.Namespace) -> dict[str, Any]:
    from akd.api import export
    from akd.delivery.export import Disagreement
    from akd.delivery.formats import FORMATS
    from akd.networks.models import load_model

    try:
        with log.status("writing, reading back, comparing"):
            done = export(
                load_model(options.model, **told(options)),
                options.out,
                formats=options.format,
                data=options.data,
                normalise=not options.no_normalise,
                softmax=options.softmax,
                push_dir=options.push_dir,
                run=options.model,
            )
    except Disagreement as error:
        if not options.json:
            show(error.export)
        raise
    if not options.json:
        show(done)
        left_out = [name for name in FORMATS if name not in {row.format for row in done.rows}]
        if left_out and not options.format:
            out.print(f"left out: {', '.join(left_out)}; to have them: pip install 'akd[onnx]'", markup=False)
        if options.push_dir:
            out.print(f"{options.push_dir} is ready for the hub but for its license: see its README.md", markup=False)
    return {**asdict(done), "push_dir": str(options.push_dir) if options.push_dir else None}


def show(done: Export) -> None:
    from akd.delivery.card import conditions
    from akd.tables import export_table

    out.print(export_table(done))
    takes = "takes pixels in 0..1" if done.normalise else "takes pixels that the caller has normalised"
    notes = [f"A graph {takes} and says {done.says}; `max diff` is the largest difference in them."]
    notes += [f"{kind}: {images}" for kind, images in done.compared.items()]
    notes += [f"int8: calibrated on {done.calibrated_on}"] * bool(done.calibrated_on)
    notes += [f"ms: median for one image; {conditions(done.conditions)}"]
    out.print("\n".join(notes), markup=False, soft_wrap=False)
