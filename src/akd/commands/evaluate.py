"""akd evaluate."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from pathlib import Path
from typing import Any

from akd.console import log, out
from akd.errors import AkdError
from akd.options import model_options, told

SUMMARY = "measure a model on a test set"


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", help="model folder, run folder, or weights file with --arch")
    model_options(parser)
    parser.add_argument("--data", required=True, metavar="PATH", help="parquet, CIFAR pickles, image folder, .npz, or 'digits'")
    parser.add_argument(
        "--teacher",
        metavar="SOURCE",
        help="to measure agreement with; default: the run's own",
    )
    parser.add_argument("--device", default="auto")


def call(options: argparse.Namespace) -> dict[str, Any]:
    from akd.evaluation.data import load_test_set
    from akd.evaluation.metrics import evaluate as measure
    from akd.networks.models import load_model
    from akd.runtime import make_runtime
    from akd.tables import evaluation_table

    model = load_model(options.model, **told(options))
    teacher = teacher_of(options)
    device = make_runtime(options.device).device
    result = asdict(measure(model, load_test_set(options.data, model.card), teacher, device=device))
    if not options.json:
        out.print(evaluation_table(f"{options.model} on {options.data}", result))
        worst = sorted((v, k) for k, v in result["per_class"].items() if v is not None)[:5]
        out.print("weakest classes: " + ", ".join(f"{name} {value:.1f} %" for value, name in worst), markup=False)
    return result


def teacher_of(options: argparse.Namespace) -> Any:
    """The teacher to agree with: the one named, told as the run was where it is the run's; or else the run's own."""
    from akd.networks.ensemble import load_named
    from akd.networks.models import load_model
    from akd.runfolder import teacher_of_run

    source = teacher_of_run(Path(options.model))
    if options.teacher and (source is None or options.teacher != source.get("source")):
        return load_model(options.teacher)
    if source is None:
        return None
    try:
        return load_named(source)
    except AkdError as error:
        if options.teacher:
            raise
        log.print(f"the run's teacher cannot be loaded, so agreement is left out ({error})", markup=False)
        return None
