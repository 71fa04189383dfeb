"""Where and how the arithmetic is done: device, precision, threads."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
import torch
from torch import nn

from akd.errors import ConfigError
from akd.parallel import Group
from akd.place import place
from akd.replay import CudaGraphs, Repeat, Replayed, called, graphs_wanted

M = TypeVar("M", bound=nn.Module)
MOST_THREADS = 4096


@dataclass(frozen=True)
class Runtime:
    """`device` and the type of the forward pass: float32, or bfloat16 under autocast (losses stay in float32); `group`, the
    processes that share the work; `graphs`, whether steps are replayed as CUDA graphs."""

    device: torch.device
    dtype: torch.dtype = torch.float32
    group: Group = field(default_factory=Group)
    graphs: bool = False

    def repeat(self) -> Repeat:
        """What carries out a step that is always the same, in the fastest way there is here."""
        return Replayed(CudaGraphs(self.device)) if self.graphs else called

    def autocast(self) -> AbstractContextManager[Any]:
        if self.dtype == torch.float32:
            return nullcontext()
        # No cache: a maker takes several optimiser steps inside one region, and cached casts would hide them from it.
        return torch.autocast(self.device.type, self.dtype, cache_enabled=False)

    def place(self, module: M) -> M:
        """The module on this device, in the memory format its convolutions run fastest in."""
        module.to(self.device)
        module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        return module


WORTH_BF16 = 16  # pixels a side: below, conversions cost a CPU more than its bfloat16 units save


def make_runtime(device: str = "auto", precision: str = "auto", side: int = 32, group: Group | None = None) -> Runtime:
    """`auto`: a GPU where there is one; bfloat16 where the hardware computes in it and images are `side` >= 16 pixels.

    Of several processes on a machine each has a GPU of its own.
    """
    here = place()
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    if here.local_size > 1 and device.startswith("cuda"):
        if device != "cuda" or torch.cuda.device_count() < here.local_size:
            raise ConfigError(
                f"{here.local_size} processes need a GPU each, and --device {device} gives {torch.cuda.device_count()} here; "
                "start as many as there are GPUs, with --device cuda"
            )
        device = f"cuda:{here.local_rank}"
    try:
        if torch.device(device).type not in ("cpu", "cuda"):
            raise RuntimeError("not a device that akd computes on")
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise ConfigError(f"device {device!r} is not to be had here; use --device cpu") from error
    chosen = torch.device(device)
    if precision == "auto":
        gpu = chosen.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
        native = gpu or (chosen.type == "cpu" and side >= WORTH_BF16 and _cpu_has_bf16())
        precision = "bf16" if native else "fp32"
    types = {"fp32": torch.float32, "bf16": torch.bfloat16}
    if precision not in types:
        raise ConfigError(f"unknown precision {precision!r}; use fp32, bf16 or auto")
    group = group or Group()
    return Runtime(chosen, types[precision], group, graphs=graphs_wanted(chosen) and group.size == 1)


def cpu_capabilities() -> dict[str, Any]:
    """What torch knows of this processor; older versions know nothing."""
    ask = getattr(torch.cpu, "get_capabilities", None)
    return ask() if ask else {}


def _cpu_has_bf16() -> bool:
    return any(cpu_capabilities().get(name, False) for name in ("avx512_bf16", "amx_bf16"))


def set_threads(count: int | None) -> int:
    """Use `count` CPU threads (None: torch's own choice); returns what is in force."""
    if count is not None:
        if not 1 <= count <= MOST_THREADS:
            raise ConfigError(f"--threads {count} must be from 1 to {MOST_THREADS}; try --threads {os.cpu_count()}")
        torch.set_num_threads(count)
    return torch.get_num_threads()


@contextmanager
def threads(count: int | None) -> Iterator[None]:
    """Inside, `count` CPU threads (None: as many as there are); afterwards the caller's again."""
    before = torch.get_num_threads()
    set_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def same_shapes() -> Iterator[None]:
    """Inside, cuDNN tries its algorithms for each convolution it meets and keeps the fastest: shapes will come again."""
    before = torch.backends.cudnn.benchmark
    torch.backends.cudnn.benchmark = True
    try:
        yield
    finally:
        torch.backends.cudnn.benchmark = before


CPU = torch.device("cpu")


class Rng:
    """Random numbers of one's own: whatever the caller draws in between leaves them alone, and they survive a kill."""

    def __init__(self, seed: int, device: torch.device = CPU):
        self.seed, self.device = seed, device
        with self._kept():
            self._seed(seed)
            self.state = self._read()

    def _seed(self, seed: int) -> None:
        torch.default_generator.manual_seed(seed)  # torch.manual_seed would reach every GPU of the machine
        if self.device.type == "cuda":
            with torch.cuda.device(self.device):
                torch.cuda.manual_seed(seed)

    def _read(self) -> list[torch.Tensor]:
        states = [torch.get_rng_state()]
        return [*states, torch.cuda.get_rng_state(self.device)] if self.device.type == "cuda" else states

    def _write(self, states: list[torch.Tensor]) -> None:
        torch.set_rng_state(states[0].cpu())
        if self.device.type == "cuda" and len(states) > 1:
            torch.cuda.set_rng_state(states[1].cpu(), self.device)

    @contextmanager
    def _kept(self) -> Iterator[None]:
        before = self._read()
        try:
            yield
        finally:
            self._write(before)

    @contextmanager
    def here(self) -> Iterator[None]:
        """Inside, random numbers are one's own; outside, the caller's go on as if nothing had happened."""
        with self._kept():
            self._write(self.state)
            yield
            self.state = self._read()

    @contextmanager
    def apart(self, *path: int) -> Iterator[None]:
        """Inside, random numbers that only the seed and `path` decide; outside, as if none of them had been drawn."""
        with self._kept():
            self._seed(int(np.random.SeedSequence((self.seed, *path)).generate_state(1, np.uint64)[0]))
            yield
