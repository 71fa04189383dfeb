"""A folder to put on the Hugging Face hub: weights, config, and a card with what was measured."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from akd.delivery.card import LICENSE, conditions, front_matter, published_history
from akd.delivery.export import Export
from akd.errors import ConfigError
from akd.files import write_text
from akd.networks.classifier import Classifier
from akd.networks.measure import macs, parameters
from akd.networks.models import save_model
from akd.runfolder import RunFolder


def check_free(folder: Path) -> None:
    """ConfigError where `folder` has a card already, into which its user may have written the license, or another model."""
    for name in ("README.md", "model.safetensors", "config.json"):
        if (folder / name).exists():
            raise ConfigError(f"{folder} has a {name} of its own; move it, or choose another --push-dir")


def write_hub_folder(folder: Path, student: Classifier, export: Export, run: Path | None) -> None:
    """Write `folder`: model.safetensors and config.json, which `Classifier.from_pretrained` reads back, and README.md.

    What is measured comes from `export`, how the student was made from the run folder `run`, where it is one.
    """
    check_free(folder)
    save_model(student, folder)
    write_text(folder / "README.md", model_card(folder.absolute().name, student, export, run))


def model_card(name: str, student: Classifier, export: Export, run: Path | None) -> str:
    """Markdown with the hub's head; evaluation metadata only where a test set was measured."""
    card, test = student.card, export.rows[0].matches.get("test")
    head: dict[str, Any] = {"library_name": "akd", "pipeline_tag": "image-classification"}
    head["tags"] = ["image-classification", "knowledge-distillation", "data-free", "akd"]
    results = "It has not been measured on a test set.\n"
    if test is not None and test.accuracy is not None:
        head["model-index"] = [{"name": name, "results": [_result(export.compared["test"].source, test.accuracy)]}]
        results = f"Accuracy {test.accuracy:.2f} % on {export.compared['test']} ({conditions(export.conditions)}).\n"
    channels, height, width = card.input_size
    story = published_history(RunFolder(run)) if run is not None and (run / "config.yaml").exists() else ""
    named = " and the names of the classes" if card.label_names else ""
    how = ", made from its teacher by data-free distillation" if story else ""
    return f"""{front_matter(**head)}
# {name}

A classifier of {card.num_classes} classes ({card.architecture}, {parameters(student):,} parameters,
{macs(student, card.input_size):,} multiply-adds an image){how}.

```python
import akd  # OWNER/{name} once it is on the hub, or the path of this folder

model = akd.Classifier.from_pretrained("OWNER/{name}")
logits = model(images)  # [B, {channels}, {height}, {width}], pixels in 0..1; it normalises them itself
```

`config.json` tells the architecture, the normalisation (mean {_list(card.mean)}, std {_list(card.std)}){named};
`model.safetensors` holds the weights.

## Results

{results}
{_table(story)}{LICENSE}"""


def _result(name: str, accuracy: float) -> dict[str, Any]:
    """One entry of the hub's model-index; its accuracies are shares of 1."""
    about = {"name": name, "type": re.sub(r"[^\w.-]+", "-", name).strip("-"), "split": "test"}
    metric = {"type": "accuracy", "name": "Accuracy", "value": round(accuracy / 100, 6)}
    return {"task": {"type": "image-classification", "name": "Image Classification"}, "dataset": about, "metrics": [metric]}


def _table(rows: str) -> str:
    return f"## How it was made\n\n| | |\n|---|---|\n{rows}\n" if rows else ""


def _list(values: tuple[float, ...]) -> str:
    return ", ".join(f"{value:.4g}" for value in values)
