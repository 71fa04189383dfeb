"""What a network costs: parameters, multiply-accumulates, milliseconds on this CPU. Measuring leaves no trace in it."""

from __future__ import annotations

import copy
import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from akd.errors import ModelError, brief
from akd.networks.taps import undisturbed

LATENCY_SECONDS = 0.3


def parameters(net: nn.Module) -> int:
    """Number of scalars in the parameters, frozen ones too, shared ones once; buffers are not counted."""
    return sum(p.numel() for p in net.parameters())


def macs(net: nn.Module, input_size: tuple[int, ...]) -> int:
    """Multiply-accumulates of one forward pass of one image of `input_size` (C, H, W), in eval mode.

    Convolutions, matrix products and attention count, half of torch's floating-point operations; elementwise work
    (normalisation, activations, pooling) does not. Raises ModelError where the network does not take such an image.
    """
    fused = torch.backends.mha.get_fastpath_enabled()
    try:
        # The counter does not see into fused attention, so it is done in the open.
        torch.backends.mha.set_fastpath_enabled(False)
        with undisturbed(net), sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
            net(_images(net, 1, input_size))
    except Exception as error:  # Foreign code fails in many ways.
        shape = ",".join(map(str, input_size))
        told = f"the network takes no image of {shape} ({brief(error)}); give its size, e.g. --input-size 3,32,32"
        raise ModelError(told) from error
    finally:
        torch.backends.mha.set_fastpath_enabled(fused)
    return int(counter.get_total_flops()) // 2


def latency(net: nn.Module, input_size: tuple[int, ...], batch: int = 1, repeats: int = 100) -> float:
    """Median milliseconds of a forward pass of `batch` images of `input_size` (C, H, W) on the CPU, in eval mode.

    Uses torch's current number of threads; timed as `median_ms` does.
    """
    if any(p.device.type != "cpu" for p in net.parameters()):
        net = copy.deepcopy(net).cpu()
    with undisturbed(net):
        images = _images(net, batch, input_size)
        return median_ms(lambda: net(images), repeats)


def median_ms(call: Callable[[], object], repeats: int = 100) -> float:
    """Median milliseconds of `call`. One call warms up and one is always timed; none starts after 0.3 s."""
    end = time.perf_counter() + LATENCY_SECONDS
    seconds: list[float] = []
    call()
    while not seconds or (len(seconds) < repeats and time.perf_counter() < end):
        start = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - start)
    return 1000 * statistics.median(seconds)


def _images(net: nn.Module, batch: int, input_size: tuple[int, ...]) -> Tensor:
    """Grey images [batch, C, H, W] of the network's own number type, where the network is."""
    like = next((p for p in net.parameters() if p.is_floating_point()), torch.empty(0))
    return torch.full((batch, *input_size), 0.5, dtype=like.dtype, device=like.device)
