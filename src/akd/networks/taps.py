"""Looking inside a network while it runs: what it saw comes back as a value, and nothing is left on the network."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

BATCH_NORM = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)


@dataclass
class Sight:
    """What a network said of a batch, and what was asked of its inside.

    logits: [B, K]; feature: [B, D], the input of the last linear layer, `classifier` ("feature");
    stages: feature maps [B, C, H, W], the last one at each resolution ("stages");
    layers: what each convolution gives [B, C, H, W], from first to last ("layers");
    bn: each BatchNorm layer that keeps statistics, with its input ("bn").
    """

    logits: Tensor
    feature: Tensor | None = None
    classifier: nn.Linear | None = None
    stages: list[Tensor] = field(default_factory=list)
    layers: list[Tensor] = field(default_factory=list)
    bn: list[tuple[nn.Module, Tensor]] = field(default_factory=list)


@contextmanager
def undisturbed(net: nn.Module) -> Iterator[None]:
    """Eval mode without gradients; every module's own mode and the CPU's random state are as before afterwards."""
    modes = [(module, module.training) for module in net.modules()]
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        try:
            for module, _ in modes:
                module.training = False
            yield
        finally:
            for module, mode in modes:
                module.training = mode


def batch_norms(network: nn.Module) -> list[nn.Module]:
    """The BatchNorm layers that carry statistics of the data the network was trained on."""
    return [m for m in network.modules() if isinstance(m, BATCH_NORM) and m.running_mean is not None]


def never_trained(layer: nn.Module) -> bool:
    """Whether a layer of `batch_norms` still has the statistics that it was made with: mean 0 and variance 1."""
    return not bool(layer.get_buffer("running_mean").any()) and bool((layer.get_buffer("running_var") == 1).all())


def inside(network: nn.Module) -> nn.Module:
    """Where feature maps and features are read: the network itself, or the member of an ensemble that stands for it."""
    found = getattr(network, "inside", network)
    return found if isinstance(found, nn.Module) else network


def last_linear(network: nn.Module) -> nn.Linear | None:
    """The classifier's last linear layer, in the order of definition; None where there is none."""
    linears = [m for m in inside(network).modules() if isinstance(m, nn.Linear)]
    return linears[-1] if linears else None


def layer_names(network: nn.Module) -> list[str]:
    """The convolutions, in the order of definition."""
    return [name for name, module in inside(network).named_modules() if isinstance(module, nn.Conv2d)]


def stage_names(network: nn.Module, input_size: tuple[int, int, int]) -> list[str]:
    """The modules that give the last feature map at each resolution, from fine to coarse; found by running it once.

    What lies inside a block that strides is no stage, though it may come last at its resolution: the block adds to it.
    """
    network = inside(network)
    outputs: list[tuple[str, torch.Size]] = []

    def note(name: str) -> Callable[..., None]:
        def hook(_module: nn.Module, _inputs: Any, output: Any) -> None:
            if isinstance(output, Tensor) and output.ndim == 4 and output.shape[-1] * output.shape[-2] > 1:
                outputs.append((name, output.shape[-2:]))

        return hook

    handles = [module.register_forward_hook(note(name)) for name, module in network.named_modules() if name]
    anchor = next(network.parameters())
    try:
        with undisturbed(network):
            network(torch.full((1, *input_size), 0.5, device=anchor.device))
    finally:
        for handle in handles:
            handle.remove()
    last = {shape: name for name, shape in outputs}
    whole = {shape: name for name, shape in outputs if not _within_a_stride(network, name, shape, outputs)}
    return list({**last, **whole}.values())


def _within_a_stride(network: nn.Module, name: str, shape: torch.Size, outputs: list[tuple[str, torch.Size]]) -> bool:
    """Whether a module around `name` leads from this resolution to just one other; a plain sequence does so openly."""
    parts = name.split(".")
    for block in (".".join(parts[:i]) for i in range(1, len(parts))):
        seen = [size for other, size in outputs if f"{other}.".startswith(f"{block}.")]
        if not isinstance(network.get_submodule(block), nn.Sequential) and len({*seen}) == 2 and seen[-1] != shape:
            return True
    return False


@contextmanager
def tapped(
    network: nn.Module,
    needs: frozenset[str] = frozenset(),
    stages: Sequence[str] = (),
) -> Iterator[Callable[[Tensor], Sight]]:
    """`with tapped(net, {"bn"}) as see: seen = see(images)`; `stages` are module names from `stage_names`."""
    caught: dict[str, Any] = {}
    handles = []
    linear = last_linear(network) if "feature" in needs else None
    maps = {"stages": stages if "stages" in needs else (), "layers": layer_names(network) if "layers" in needs else ()}
    if "bn" in needs:
        for module in batch_norms(network):
            handles.append(module.register_forward_pre_hook(lambda m, x: caught["bn"].append((m, x[0]))))
    if linear is not None:
        handles.append(linear.register_forward_pre_hook(lambda _, x: caught.update(feature=x[0])))
    for kind, names in maps.items():
        for module in map(inside(network).get_submodule, names):
            handles.append(module.register_forward_hook(lambda _, __, y, kind=kind: caught[kind].append(y)))

    def see(images: Tensor) -> Sight:
        caught.update(bn=[], stages=[], layers=[], feature=None)
        return Sight(network(images), classifier=linear, **caught)

    try:
        yield see
    finally:
        for handle in handles:
            handle.remove()
