"""akd dream."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from akd.console import out, working

SUMMARY = "publish a run's synthetic images with the teacher's logits, as parquet in the Hugging Face layout"
EXAMPLES = """\
akd dream runs/first --out set.parquet --images 5000"""


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", type=Path, help="run folder")
    parser.add_argument(
        "--out", type=Path, required=True, metavar="FILE", help="e.g. set.parquet; its card README.md goes beside it"
    )
    parser.add_argument("--images", type=int, default=10_000, metavar="N", help="how many (default: 10000)")
    parser.add_argument("--seed", type=int, default=0, help="which of them, where there are more")
    parser.add_argument("--teacher", metavar="SOURCE", help="where the run's teacher is now, if it is not where it was")
    parser.add_argument("--device", default="auto")


def call(options: argparse.Namespace) -> dict[str, Any]:
    from akd.api import dream

    with working("asking the teacher") as tell:
        done = dream(
            options.run,
            options.out,
            images=options.images,
            seed=options.seed,
            teacher=options.teacher,
            device=options.device,
            look=tell,
        )
    if not options.json:
        counts, sources = done["classes"].values(), done["sources"]
        out.print(
            f"{done['images']:,} images, {done['bytes'] / 1e6:.1f} MB: {done['out']}; what they are: {done['card']}\n"
            f"{sources['bank']:,} from the run's bank, {sources['maker']:,} drawn from its maker\n"
            f"{len(counts)} classes as the teacher sees them, from {min(counts):,} to {max(counts):,} images each",
            markup=False,
        )
    return done
