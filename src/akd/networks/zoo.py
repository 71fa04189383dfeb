"""Every architecture by name: built in, from timm, or a user's own factory. Adding one is a line in the table."""

from __future__ import annotations

import importlib
import inspect
import os
import re
import sys
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

from torch import nn

from akd.errors import AkdError, ModelError, brief, did_you_mean, shortened
from akd.networks.lenet import DigitsNet, LeNet5
from akd.networks.mobilenet import MobileNetV2
from akd.networks.resnet import ResNet
from akd.networks.seed import seed_student_1, seed_student_2
from akd.networks.vgg import VGG
from akd.networks.wrn import WideResNet

Factory = Callable[..., nn.Module]
Size = tuple[int, int, int]


class Architecture(NamedTuple):
    """`factory` takes num_classes, in_channels or input_size, and free arguments; `input_size` is what it is made for."""

    factory: Factory
    input_size: Size = (3, 32, 32)


def _thin(blocks: int, shortcut: str = "projection") -> Architecture:
    return Architecture(partial(ResNet, (blocks,) * 3, (16, 32, 64), shortcut=shortcut))


WIDE = (64, 128, 256, 512)
DIGITS, IMAGENET = (1, 28, 28), (3, 224, 224)
ARCHITECTURES: dict[str, Architecture] = {
    "resnet": Architecture(ResNet),
    "resnet18": Architecture(partial(ResNet, (2, 2, 2, 2), WIDE)),
    "resnet34": Architecture(partial(ResNet, (3, 4, 6, 3), WIDE)),
    "resnet50": Architecture(partial(ResNet, (3, 4, 6, 3), WIDE, block="bottleneck")),
    "resnet18-imagenet": Architecture(partial(ResNet, (2, 2, 2, 2), WIDE, stem="imagenet"), IMAGENET),
    "resnet34-imagenet": Architecture(partial(ResNet, (3, 4, 6, 3), WIDE, stem="imagenet"), IMAGENET),
    "resnet50-imagenet": Architecture(partial(ResNet, (3, 4, 6, 3), WIDE, block="bottleneck", stem="imagenet"), IMAGENET),
    "resnet20": _thin(3),
    "resnet32": _thin(5),
    "resnet44": _thin(7),
    "resnet56": _thin(9),
    "resnet110": _thin(18),
    "resnet20-pad": _thin(3, "pad"),
    "resnet32-pad": _thin(5, "pad"),
    "resnet44-pad": _thin(7, "pad"),
    "resnet56-pad": _thin(9, "pad"),
    "resnet110-pad": _thin(18, "pad"),
    "wrn": Architecture(WideResNet),
    "wrn16-1": Architecture(partial(WideResNet, 16, 1)),
    "wrn16-2": Architecture(partial(WideResNet, 16, 2)),
    "wrn40-1": Architecture(partial(WideResNet, 40, 1)),
    "wrn40-2": Architecture(partial(WideResNet, 40, 2)),
    "vgg8": Architecture(partial(VGG, (1, 1, 1, 1, 1))),
    "vgg11": Architecture(partial(VGG, (1, 1, 2, 2, 2))),
    "vgg13": Architecture(partial(VGG, (2, 2, 2, 2, 2))),
    "mobilenetv2": Architecture(MobileNetV2),
    "lenet5": Architecture(LeNet5, DIGITS),
    "lenet5-half": Architecture(partial(LeNet5, widths=(3, 8, 60, 42)), DIGITS),
    "digitsnet": Architecture(DigitsNet, (1, 8, 8)),
    "seed-student-1": Architecture(seed_student_1),
    "seed-student-2": Architecture(seed_student_2),
}
FACTORY = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_][\w.]*")


def is_foreign(name: str) -> bool:
    """True for "package.module:factory" and "timm:NAME": code that is not akd's."""
    return FACTORY.fullmatch(name) is not None or name.startswith("timm:")


def canonical(name: str) -> str:
    """One spelling for each architecture: "WRN_40_2" and "wrn-40-2" are "wrn40-2"; foreign names stay as they are."""
    return name if is_foreign(name) else re.sub(r"^wrn-(?=\d)", "wrn", name.strip().lower().replace("_", "-"))


def find(name: str) -> Architecture | None:
    """The built-in architecture of that name, any WRN-d-k among them; None for unknown and foreign names."""
    name = canonical(name)
    wide = re.fullmatch(r"wrn(\d{1,4})-(\d{1,3})", name, re.A)
    return ARCHITECTURES.get(name) or (Architecture(partial(WideResNet, int(wide[1]), int(wide[2]))) if wide else None)


def require(name: str) -> Architecture:
    """`find`, or ModelError with what is near and how to see all."""
    known = find(name)
    if known is None:
        hint = did_you_mean(canonical(name), ARCHITECTURES)
        said = shortened(repr(name))
        raise ModelError(f"unknown architecture {said}{hint} (akd design --list shows all, or give package.module:factory)")
    return known


def build(architecture: str, num_classes: int | None, input_size: Size | None = None, **arguments: Any) -> nn.Module:
    """A fresh network: images [B, *input_size] -> logits [B, num_classes].

    architecture: a name of the table, WRN-d-k, "timm:NAME" or "package.module:factory"; the current folder is importable.
    input_size: (channels, height, width), else what the architecture is made for. arguments: the factory's own.
    A user's factory gets num_classes where it takes it; only there may it be None. Raises ModelError, always one line.
    """
    offered: dict[str, Any] = {"num_classes": num_classes}
    if not is_foreign(architecture):
        known = require(architecture)
        size = input_size or known.input_size
        factory = known.factory
        offered |= {"in_channels": size[0], "input_size": size}
        _check_names(architecture, factory, offered, arguments)
    elif architecture.startswith("timm:"):
        if any(name.startswith(("pretrained", "checkpoint")) for name in arguments):
            raise ModelError(f"{architecture}: weights are no argument; give them as a file with --weights")
        factory = timm_factory(architecture.removeprefix("timm:"))
        offered |= {"in_chans": (input_size or (3, 0, 0))[0]}
    else:
        factory = _imported(architecture)
    taken = {name: value for name, value in offered.items() if value is not None and _takes(factory, name)}
    try:
        net = factory(**{**taken, **arguments})
    except AkdError:
        raise
    except Exception as error:
        told = f" with {shortened(arguments)}" if arguments else ""
        raise ModelError(f"{architecture} cannot be built{told}: {brief(error)}; check its arguments") from error
    if not isinstance(net, nn.Module):
        raise ModelError(f"{architecture} returns a {type(net).__name__}, not a torch.nn.Module; name a factory of a network")
    return net


def timm_factory(name: str) -> Factory:
    """timm's constructor for `name`, without its weights; ModelError where timm or the name is missing."""
    try:
        import timm
    except Exception as error:  # a timm that does not fit this torch fails in many ways
        raise ModelError(f"timm:{name} needs a timm that imports ({brief(error)}); pip install 'akd[timm]'") from error
    if not timm.is_model(name):
        raise ModelError(f"timm has no model {name!r}{did_you_mean(name, timm.list_models())}")
    return partial(timm.create_model, name, pretrained=False)


def _imported(name: str) -> Factory:
    module_name, _, path = name.partition(":")
    if not {"", os.getcwd()} & set(sys.path):
        sys.path.insert(0, os.getcwd())
    try:
        found: Any = importlib.import_module(module_name)
    except AkdError:
        raise
    except (Exception, SystemExit) as error:
        raise ModelError(f"cannot import {module_name} for {name} ({brief(error)}); run where it can be imported") from error
    for part in path.split("."):
        if not hasattr(found, part):
            raise ModelError(
                f"{module_name} has no {path!r}{did_you_mean(part, dir(found))} (name a function that returns a net)"
            )
        found = getattr(found, part)
    if not callable(found):
        raise ModelError(f"{name} is a {type(found).__name__}, not a function; name one that returns a network")
    return found


def _takes(factory: Factory, name: str) -> bool:
    try:
        parameters: Mapping[str, inspect.Parameter] = inspect.signature(factory).parameters
    except (ValueError, TypeError):  # built in C: it does not tell
        return False
    return name in parameters or any(p.kind is p.VAR_KEYWORD for p in parameters.values())


def _check_names(architecture: str, factory: Factory, offered: Mapping[str, Any], arguments: Mapping[str, Any]) -> None:
    """ModelError for an argument that a built-in architecture does not have, or lacks."""
    parameters = inspect.signature(factory).parameters
    free = [name for name in parameters if name not in offered]
    for name in arguments:
        if name not in parameters:
            what = f"it takes {', '.join(free)}" if free else "it takes none"
            raise ModelError(f"{architecture} has no argument {name!r}{did_you_mean(name, free)} ({what})")
    lacking = [name for name in free if parameters[name].default is inspect.Parameter.empty and name not in arguments]
    if lacking:
        raise ModelError(f"{architecture} needs the arguments {', '.join(lacking)}")
