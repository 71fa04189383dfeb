"""Several processes on one run, as torchrun starts them. Each holds the whole run and draws the same random numbers, so they
agree without a word on which images are made; only the student's batch is divided among them, and its gradients are averaged.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode

from akd.errors import AkdError, ConfigError, brief
from akd.place import place

T = TypeVar("T")
PATIENCE = 300.0  # seconds without a word after which another process is given up; one that ends is noticed at once


@dataclass(frozen=True)
class Group:
    """The processes of a run; alone, every method gives back what it was given. All of them call the same methods in turn."""

    rank: int = 0
    size: int = 1

    @property
    def first(self) -> bool:
        """The one process that writes and prints."""
        return self.rank == 0

    def part(self, batch: Tensor) -> Tensor:
        """This process's share of a batch [B, ...]: every `size`-th row, so that each share holds every kind of image."""
        return batch[self.rank :: self.size] if self.size > 1 else batch

    def average_(self, tensors: Sequence[Tensor]) -> None:
        """Each tensor becomes its mean over the processes, in place; all of them in one message."""
        if self.size > 1:
            flat = torch.cat([tensor.flatten() for tensor in tensors])
            _told(dist.all_reduce, flat)
            parts = (flat / self.size).split([tensor.numel() for tensor in tensors])
            for tensor, mean in zip(tensors, parts, strict=True):
                tensor.copy_(mean.view_as(tensor))

    def same(self, value: T) -> T:
        """The first process's `value`, in every process."""
        box = [value]
        if self.size > 1:
            _told(dist.broadcast_object_list, box)
        return box[0]

    def most(self, *numbers: int) -> list[int]:
        """The largest of each number over the processes."""
        if self.size == 1:
            return list(numbers)
        highest = torch.tensor(numbers)
        _told(dist.all_reduce, highest, dist.ReduceOp.MAX)
        return highest.tolist()

    def all(self, value: T) -> list[T]:
        """Every process's `value`, in the order of their ranks."""
        values: list[Any] = [value] * self.size
        if self.size > 1:
            _told(dist.all_gather_object, values, value)
        return values

    def whole_batch_norm(self) -> AbstractContextManager[Any]:
        """Inside, BatchNorm in train mode takes its statistics over all processes' shares, whatever module asks for it."""
        return _WholeBatchNorm(self) if self.size > 1 else nullcontext()


@contextmanager
def joined(device: torch.device) -> Iterator[Group]:
    """This process among the others of its run; alone where it was started alone. AkdError where they cannot meet."""
    here = place()
    if here.size == 1:
        yield Group()
        return
    if device.type not in ("cpu", "cuda"):
        raise ConfigError(f"several processes work on CPUs or on CUDA GPUs, not on {device.type}; use --device cpu")
    if device.type == "cuda":
        torch.cuda.set_device(device)
    backend = "cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo"
    try:
        dist.init_process_group(backend, timeout=timedelta(seconds=PATIENCE))
    except (RuntimeError, ValueError) as error:
        raise AkdError(
            f"the {here.size} processes of this run cannot meet ({brief(error, 80)}); start them by torchrun"
        ) from error
    try:
        yield Group(here.rank, here.size)
    finally:
        dist.destroy_process_group()


def _told(talk: Callable[..., Any], *given: Any) -> None:
    """`talk(*given)`, and one line where another process does not answer."""
    try:
        talk(*given)
    except RuntimeError as error:
        raise AkdError(
            "another process of this run ended or does not answer; see its own words, then start the same command to go on"
        ) from error


class _Gathered(torch.autograd.Function):
    """[...] -> [size, ...]: what all processes have; the gradient is the sum of all theirs."""

    @staticmethod
    def forward(ctx: Any, mine: Tensor, group: Group) -> Tensor:
        ctx.rank = group.rank
        parts = [torch.empty_like(mine) for _ in range(group.size)]
        _told(dist.all_gather, parts, mine)
        return torch.stack(parts)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        total = gradients[0].clone(memory_format=torch.contiguous_format)
        _told(dist.all_reduce, total)
        return total[ctx.rank], None


def batch_norm(
    group: Group,
    x: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """`F.batch_norm` of the batch whose equal shares [B, C, ...] the processes hold: all statistics are of the whole batch.

    Own, since nn.SyncBatchNorm takes no CPU tensors. Means of the shares' means and variances are exact for equal shares, and
    unlike means of squares they lose no digits where the mean is large.
    """
    if not training:
        return F.batch_norm(x, running_mean, running_var, weight, bias, False, momentum, eps)
    others, shape = [d for d in range(x.ndim) if d != 1], [1, -1] + [1] * (x.ndim - 2)
    wide = x.float()
    means, variances = _Gathered.apply(torch.stack(torch.var_mean(wide, others, correction=0)[::-1]), group).unbind(1)
    mean, var = means.mean(0), variances.mean(0) + means.var(0, correction=0)
    count = group.size * x.numel() // x.shape[1]
    with torch.no_grad():
        if running_mean is not None and running_var is not None:
            running_mean.lerp_(mean.to(running_mean.dtype), momentum)
            running_var.lerp_((var * count / (count - 1)).to(running_var.dtype), momentum)
    scale = (var + eps).rsqrt() if weight is None else (var + eps).rsqrt() * weight
    y = (wide - mean.view(shape)) * scale.view(shape)
    return (y if bias is None else y + bias.view(shape)).to(x.dtype)


class _WholeBatchNorm(TorchFunctionMode):
    def __init__(self, group: Group):
        super().__init__()
        self.group = group

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is F.batch_norm:
            return batch_norm(self.group, *args, **(kwargs or {}))
        return func(*args, **(kwargs or {}))
