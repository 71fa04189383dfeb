"""akd: data-free adversarial knowledge distillation.

>>> import akd
>>> teacher = akd.load_teacher("teacher/")
>>> result = akd.distill("teacher/", budget="10%", time="10m", out="runs/first")
>>> print(akd.evaluate(result.student, "digits", teacher))
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from akd.api import distill, dream, evaluate, export, load_teacher
    from akd.errors import AkdError
    from akd.inspection import inspect_teacher
    from akd.networks.classifier import Classifier, ModelCard
    from akd.networks.design import design_student
    from akd.networks.models import save_model

_WHERE = {
    "distill": "akd.api",
    "load_teacher": "akd.api",
    "design_student": "akd.networks.design",
    "evaluate": "akd.api",
    "export": "akd.api",
    "dream": "akd.api",
    "inspect_teacher": "akd.inspection",
    "save_model": "akd.networks.models",
    "AkdError": "akd.errors",
    "Classifier": "akd.networks.classifier",
    "ModelCard": "akd.networks.classifier",
}
__all__ = [
    "AkdError",
    "Classifier",
    "ModelCard",
    "design_student",
    "distill",
    "dream",
    "evaluate",
    "export",
    "inspect_teacher",
    "load_teacher",
    "save_model",
]


def __getattr__(name: str) -> Any:
    # Loaded when asked for: `import akd` stays light, and what distils never sees the package that reads data.
    from importlib import import_module

    if name not in _WHERE:
        raise AttributeError(f"module 'akd' has no attribute {name!r}")
    return getattr(import_module(_WHERE[name]), name)
