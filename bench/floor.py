"""The least time that a piece of work can take on this machine, and what it took in time and memory.

The model of counting: every convolution and every matrix product, forward and backward, does its floating-point operations
(torch.utils.flop_counter) and reads its operands from memory and writes its results once, in the types they have; everything
between is taken to cost nothing. The floor is the sum, over those, of the longer of operations at the measured rate of a
large matrix product (or convolution) in that precision, and bytes at the measured bandwidth of a large copy (read + written).
"""

from __future__ import annotations

import ctypes
import gc
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry


class Work(NamedTuple):
    flops: float
    bytes: float


class Counted(TorchDispatchMode):
    """`with Counted() as counted: ...; counted.work`: one entry for each convolution or matrix product."""

    def __init__(self) -> None:
        super().__init__()
        self.work: list[Work] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        count = flop_registry.get(func._overloadpacket)
        if count is not None:
            tensors = [x for x in tree_leaves((args, kwargs, out)) if isinstance(x, Tensor)]
            self.work.append(Work(count(*args, **(kwargs or {}), out_val=out), sum(x.nbytes for x in tensors)))
        return out


def floor(work: list[Work], matrix_rate: float, bandwidth: float) -> float:
    """Seconds, for rates in operations and bytes per second."""
    return sum(max(w.flops / matrix_rate, w.bytes / bandwidth) for w in work)


def timed(call: Callable[[], Any], device: torch.device) -> float:
    """Seconds of the wall clock, the device's own work included."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    began = time.perf_counter()
    call()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - began


def _median(call: Callable[[], Any], device: torch.device, times: int = 7) -> float:
    return statistics.median([timed(call, device) for _ in range(times + 2)][2:])


def matrix_rate(device: torch.device, dtype: torch.dtype, side: int | None = None) -> float:
    """Operations per second of a square matrix product or of a 3x3 convolution, the faster of the two.

    Of both, since on some processors the library for the one reaches half of what the library for the other does. Float32 on
    a GPU in TF32 where its convolutions use that.
    """
    n = side or (8192 if device.type == "cuda" else 2048)
    channels = n // 16
    a, b = (torch.randn(n, n, device=device).to(dtype) for _ in range(2))
    images, weight = torch.randn(64, channels, 32, 32, device=device).to(dtype), torch.randn(channels, channels, 3, 3).to(a)
    images, weight = (x.contiguous(memory_format=torch.channels_last) for x in (images, weight))
    before = torch.backends.cuda.matmul.allow_tf32
    try:
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32
        product = 2 * n**3 / _median(lambda: a @ b, device)
    finally:
        torch.backends.cuda.matmul.allow_tf32 = before
    return max(product, 18 * images.numel() * channels / _median(lambda: F.conv2d(images, weight, padding=1), device))


def bandwidth(device: torch.device, count: int | None = None) -> float:
    """Bytes per second, read and written, of a copy."""
    source = torch.ones(count or (1 << 30 if device.type == "cuda" else 1 << 28), dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    return 2 * source.numel() / _median(lambda: target.copy_(source), device)


def peak_memory(call: Callable[[], Any], device: torch.device) -> tuple[int | None, str]:
    """Bytes that a call held at most beyond what was held before, and what says so; None where nothing does."""
    gc.collect()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        call()
        torch.cuda.synchronize(device)
        return torch.cuda.max_memory_allocated(device) - before, "max_memory_allocated and the graphs' own"
    if sys.platform != "linux":
        call()
        return None, ""
    ctypes.CDLL(None).malloc_trim(0)  # what is free goes back, so that using it again counts
    with open("/proc/self/clear_refs", "w") as file:
        file.write("5")  # the high-water mark starts anew
    before = _resident("VmRSS")
    call()
    return max(0, _resident("VmHWM") - before), "highest resident memory"


def graph_memory(device: torch.device) -> int:
    """Bytes that captured graphs work on; they lie there between replays, so no replay is seen to take them."""
    if device.type != "cuda":
        return 0
    return sum(segment["total_size"] for segment in torch.cuda.memory_snapshot() if tuple(segment["segment_pool_id"]) != (0, 0))


def _resident(field: str) -> int:
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) * 1024 for line in file if line.startswith(field))
