"""akd evaluate."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from akd.console import log, out, working
from akd.errors import AkdError, ConfigError
from akd.options import fraction, model_options, told

SUMMARY = "measure a model on a test set"
EXAMPLES = """\
akd evaluate runs/quickstart/student-10pct --data digits
akd evaluate runs/first --data cifar100/ --attack pgd --images 1000"""


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
    parser.add_argument(
        "--attack", choices=["pgd"], help="also measure accuracy under an attack; each network by its own gradient"
    )
    parser.add_argument("--epsilon", type=fraction, metavar="E", help="how far a pixel in 0..1 may move: 8/255 (default), 0.03")
    parser.add_argument("--images", type=int, metavar="N", help="attack only N of the test images, spread over the set")


def call(options: argparse.Namespace) -> dict[str, Any]:
    from akd.evaluation.data import load_test_set
    from akd.evaluation.metrics import evaluate as measure
    from akd.evaluation.robustness import robustness
    from akd.networks.models import load_model
    from akd.runtime import make_runtime
    from akd.tables import attack_conditions, attack_table, evaluation_table

    if options.attack is None and (options.epsilon is not None or options.images is not None):
        raise ConfigError("--epsilon and --images tell of an attack; give --attack pgd too")
    if options.images is not None and options.images < 1:
        raise ConfigError(f"--images {options.images} must be 1 or more")
    with working("loading") as tell:
        model = load_model(options.model, **told(options))
        teacher = _teacher(options)
        device = make_runtime(options.device).device
        test_set = load_test_set(options.data, model.card)
        result = asdict(measure(model, test_set, teacher, device=device, look=partial(tell, "asking")))
        if options.attack:
            epsilon = 8 / 255 if options.epsilon is None else options.epsilon
            networks = {"model": model, **({"teacher": teacher} if teacher else {})}
            result["attack"] = {
                name: asdict(
                    robustness(
                        network, test_set, epsilon, options.images, device=device, look=partial(tell, f"attacking the {name}")
                    )
                )
                for name, network in networks.items()
            }
    absent = sum(value is None for value in result["per_class"].values())
    if result["doubt"]:
        log.print(f"{test_set.name}: {result['doubt']}", markup=False)
    if absent:
        log.print(f"the test set has no image of {absent} of the {len(result['per_class'])} classes: is it the right one?")
    if not options.json:
        out.print(evaluation_table(f"{options.model} on {options.data}", result))
        weak = sorted((v, k) for k, v in result["per_class"].items() if v is not None and v < result["top1"])[:5]
        if weak:
            out.print("weakest classes: " + ", ".join(f"{name} {value:.1f} %" for value, name in weak), markup=False)
        if options.attack:
            out.print("", attack_table(result["attack"]), sep="\n")
            out.print(attack_conditions(result["attack"]["model"], result["n"]), soft_wrap=False)
    return result


def _teacher(options: argparse.Namespace) -> Any:
    """The teacher to agree with: the one named, told as the run was where it is the run's; or else the run's own."""
    from akd.networks.models import load_model
    from akd.runfolder import RunFolder
    from akd.teachers import teacher_of

    folder = RunFolder(Path(options.model))
    if not (folder / "config.yaml").exists():
        return load_model(options.teacher) if options.teacher else None
    try:
        if options.teacher and options.teacher != folder.config().teacher.source:
            return load_model(options.teacher)
        return teacher_of(folder)
    except AkdError as error:
        if options.teacher:
            raise
        log.print(f"agreement is left out: {error}", markup=False)
        return None
