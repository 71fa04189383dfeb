"""Models on disk and elsewhere: from whatever a user names to a frozen classifier, and back into a folder."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import Tensor, nn

from akd.errors import AkdError, ModelError, brief, did_you_mean, shortened
from akd.files import hardly_begun, lacking, near, one_line, write_bytes, write_text
from akd.networks import hub, zoo
from akd.networks.classifier import Classifier, ModelCard, probabilities
from akd.networks.fields import Fields, agree, checked, correctable, read_config
from akd.networks.weights import fitting, infer_num_classes, load_strict, read_state_dict, strip_prefixes

FORMS = "a weights file with --arch, a model or run folder, package.module:factory, hf-hub:owner/repo[@rev] or timm:NAME"
NORMALISATION = "give --mean and --std, one value for each channel, for pixels in 0..1"


def save_model(model: Classifier, folder: Path) -> None:
    """Write `folder`: model.safetensors (on the CPU, contiguous, without wrappers' prefixes) and config.json, each whole
    or not at all. Raises AkdError where it cannot be written."""
    with one_line(folder):
        folder.mkdir(parents=True, exist_ok=True)
    write_bytes(folder / "model.safetensors", packed(model.net.state_dict()))
    write_text(folder / "config.json", model.card.to_json())


def packed(state: Mapping[str, Tensor]) -> bytes:
    """A network's state as a safetensors file: on the CPU, contiguous, without wrappers' prefixes."""
    # Cloned, because safetensors refuses tensors that share memory.
    plain = {name: t.detach().cpu().contiguous().clone() for name, t in strip_prefixes(state).items()}
    return safetensors.torch.save(plain, {"format": "pt"})


def load_model(
    source: str,
    *,
    arch: str | None = None,
    arguments: Mapping[str, Any] | None = None,
    num_classes: int | None = None,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    input_size: Sequence[int] | None = None,
    label_names: Sequence[str] | None = None,
    weights: str | None = None,
    finite: bool = True,
) -> Classifier:
    """The frozen classifier at `source`, in eval mode on the CPU, tried on one grey image: [B, C, H, W] in 0..1 -> [B, K].

    source: a model folder (config.json, model.safetensors), a run folder, a weights file or shards with `arch`,
    "package.module:factory" or "timm:NAME" with or without `weights`, "hf-hub:owner/repo[@rev]".
    arch, arguments: as for `zoo.build`. num_classes is read off the weights where nothing tells it. mean, std: per channel,
    for pixels in 0..1, never guessed. What a folder's config.json tells cannot be told otherwise. A user's own factory
    is run only where the caller names it, never because a config does. finite: NaN and infinity, in weights and in the answer
    to the grey image, are refused. Raises ModelError, in one line.
    """
    given = {"architecture": arch, "arguments": arguments, "num_classes": num_classes, "mean": mean, "std": std}
    told = checked({**given, "input_size": input_size, "label_names": label_names}, "the options")
    path = Path(os.path.expanduser(source))
    if zoo.is_foreign(source) and not os.path.exists(path):
        agree(told, {"architecture": source}, source)
        if weights is None:
            return _made(source, told, finite)
        return _from_file(Path(os.path.expanduser(weights)), {**told, "architecture": source}, {}, source, finite)
    if weights is not None:
        raise ModelError(f"--weights goes with package.module:factory or timm:NAME, and {source} has its own; leave it out")
    if source.startswith("hf-hub:"):
        folder = hub.fetch(source.removeprefix("hf-hub:"))
        return _from_file(folder, told, read_config(folder), source, finite)
    path = _located(source, path)
    config = read_config(path)
    agree(told, config, source)
    with correctable(config, path):
        return _from_file(path, told, config, source, finite)


def architecture_only(arch: str, num_classes: int | None, input_size: Sequence[int] | None = None) -> Classifier:
    """An untrained net under a card that takes pixels as they are: to measure and design by, not to use."""
    fields = checked({"architecture": arch, "num_classes": num_classes, "input_size": input_size}, "the options")
    if num_classes is None:
        raise ModelError(f"how many classes is {arch} to tell apart? give --num-classes")
    size = _size(fields, arch)
    fields |= {"input_size": size, "mean": (0.0,) * size[0], "std": (1.0,) * size[0]}
    return _classifier(zoo.build(arch, num_classes, size), fields, arch)


def _from_file(path: Path, told: Fields, config: Fields, source: str, finite: bool) -> Classifier:
    """The weights at `path` in the architecture that the caller (`told`) or else the file's `config` names."""
    fields = {**config, **told}
    if "architecture" not in fields:
        hint = "".join(f" {name}, which fits it" for name in fitting(read_state_dict(path))[:1])
        raise ModelError(f"{source} does not tell its architecture; give --arch{hint}")
    name = fields["architecture"]
    if zoo.FACTORY.fullmatch(name) and not name.startswith("timm:") and "architecture" not in told:
        raise ModelError(f"{source} was made by code that is not akd's; to allow that it is run, give --arch {name}")
    size, state = _size(fields, source), read_state_dict(path, finite)
    fields["num_classes"] = _classes(fields, state, source)
    # A config of timm's names timm's architecture, which may be ours as well: ours has the CIFAR stem.
    from_timm = "architecture" not in told and "arguments" not in config and not zoo.is_foreign(name)
    names = [name] * (zoo.find(name) is not None or not from_timm) + [f"timm:{name}"] * from_timm
    refusals = []
    for name in names:
        try:
            # Without memory until it is known to fit: no absurd config makes this machine allocate.
            with torch.device("meta") if zoo.find(name) else contextlib.nullcontext():
                built = zoo.build(name, fields["num_classes"], size, **fields.get("arguments", {}))
            net, card = _opened(built, told, source)
            load_strict(net, state, name)
            return _classifier(net, {**fields, "architecture": name, "input_size": size, **card}, source, finite)
        except ModelError as error:
            refusals.append(error)
    if len(names) == 1 and from_timm:
        hint = did_you_mean(name, zoo.ARCHITECTURES)
        raise ModelError(f"{source}: its config.json names an architecture that is not akd's{hint}, and {refusals[0]}")
    raise refusals[0]


def _made(source: str, told: Fields, finite: bool) -> Classifier:
    """What a factory returns with its weights in it."""
    arguments = told.get("arguments", {})
    if source.startswith("timm:"):
        net, config = hub.pretrained(source.removeprefix("timm:"), arguments)
        config = checked(config, source)
        agree(told, config, source)
    else:
        net, config = _opened(zoo.build(source, told.get("num_classes"), told.get("input_size"), **arguments), told, source)
    fields = {**told, "architecture": source, **config}
    fields |= {"num_classes": _classes(fields, net.state_dict(), source), "input_size": _size(fields, source)}
    return _classifier(net, fields, source, finite)


def _opened(net: nn.Module, told: Fields, source: str) -> tuple[nn.Module, Fields]:
    """The net in a Classifier that a factory returned, and the fields of its card, which nothing told may contradict."""
    if not isinstance(net, Classifier):
        return net, {}
    config = checked(asdict(net.card), source)
    agree({name: value for name, value in told.items() if name not in ("architecture", "arguments")}, config, source)
    return net.net, config


def _classifier(net: nn.Module, fields: Fields, source: str, finite: bool = True) -> Classifier:
    """Net and card together, frozen, and proven on one grey image."""
    if not {"mean", "std"} <= fields.keys():
        raise ModelError(f"the normalisation of {source} is unknown; {NORMALISATION}")
    card = ModelCard(**fields)
    model = Classifier(net.to("cpu", torch.float32), card).freeze()
    shape = "x".join(map(str, card.input_size))
    try:
        with torch.no_grad():
            logits = model(torch.full((2, *card.input_size), 0.5))
    except AkdError:
        raise
    except Exception as error:  # whatever a user's own network does
        raise ModelError(f"{source} takes no images of {shape} ({brief(error)}); give --input-size C,H,W") from error
    found = list(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
    if not isinstance(logits, Tensor):
        raise ModelError(f"{source} gives a {found} for images; akd needs the logits alone: return them as a tensor")
    if found != [2, card.num_classes]:
        raise ModelError(f"{source} gives {found} for two images, not [2, {card.num_classes}] logits; check --num-classes")
    if finite and probabilities(logits):
        raise ModelError(f"{source} gives probabilities; akd needs logits: leave its last softmax out")
    if finite and not logits.isfinite().all():
        raise ModelError(f"{source} gives NaN or infinite logits on a grey image; check its weights and --std")
    return model


def _classes(fields: Fields, state: Mapping[str, Tensor], source: str) -> int:
    classes: int | None = fields.get("num_classes", infer_num_classes(state))
    if classes is None:
        raise ModelError(f"the number of classes of {source} is unknown; give --num-classes")
    return classes


def _size(fields: Fields, source: str) -> tuple[int, int, int]:
    size: tuple[int, int, int] | None = fields.get("input_size")
    if size is None and zoo.is_foreign(fields["architecture"]):
        raise ModelError(f"the size of {source}'s images is unknown; give --input-size, e.g. 3,32,32")
    return size or zoo.require(fields["architecture"]).input_size


def _located(source: str, path: Path) -> Path:
    """The file or folder that holds the weights; in a run folder, that of its student."""
    if not source or not os.path.exists(path):
        raise ModelError(f"there is no {shortened(repr(source))}{_near(source, path)} (a model is {FORMS})")
    if not os.path.isdir(path) or os.path.exists(path / "config.json"):
        return path
    if os.path.exists(path / "student" / "config.json"):
        return path / "student"
    if os.path.exists(path / "config.yaml") or hardly_begun(path):
        raise ModelError(lacking(path, "student"))
    return path


def _near(source: str, path: Path) -> str:
    if zoo.find(source):
        return f": that is an architecture; give its weights file with --arch {source}"
    if hint := near(path):
        return hint
    prefix, colon, rest = source.partition(":")
    return did_you_mean(f"{prefix}:{rest}", (f"{form}:{rest}" for form in ("hf-hub", "timm"))) if colon else ""
