"""Does the normalisation told fit the weights? Asked of the first BatchNorm's statistics, without an image.

Where a linear layer with shared weights (a convolution, or several) or nothing lies between the input and the first BatchNorm,
that layer's statistics tell what the net was fed in training. Its running mean is the convolution of the mean input, zero
padding included: one equation a channel for the mean of each colour. Its running variance, against that of formula pictures
of deviation 1 sent the same way, tells the deviation. With the normalisation told undone, that gives the mean and deviation
that the pixels must have had. Pixels lie in 0..1, which a wrong normalisation tends to contradict.

What it cannot tell: two normalisations that both give possible pixels (CIFAR's own from ImageNet's). What was found on nets
whose training is known stands with the constants below; tests/inspection/test_normalisation.py asks again.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from akd.networks.classifier import Classifier
from akd.networks.taps import batch_norms
from akd.runtime import Rng
from akd.synthesis.pictures import clouds, dead_leaves

PICTURES = 128
LINEAR = 1e-3  # of the answer's size: float32 keeps linear ways within 1e-6, one ReLU misses by a tenth
LIVE = 1e-4  # of the largest variance: below, a channel's weights are as good as nought and its statistics stale

# Found on 61 nets (a published CIFAR-100 ResNet-56; digits, MNIST and CIFAR-100 nets with stems of 3x3 and of 7x7, stride 2,
# trained here with each of five normalisations, with and without black borders): means of pixels within 0.03 of the truth,
# borders counted in; deviations from 6 % too low to 15 % too high; misfit of means 0.003 to 0.061, of variances 0.11 to 0.35.
# With the statistics of channels exchanged (15 nets): 0.03 to 0.72 and 0.57 to 1.18. The right normalisation was never called
# impossible, and doubtful only where ImageNet's numbers had been used for grey digits.
MEAN_MISFIT, VARIANCE_MISFIT = 0.15, 0.5
OUTSIDE = 0.1  # how far an estimated mean may leave 0..1
CERTAIN = 0.02, 0.75  # deviations: five grey levels, and half as much again as the most that 0..1 allows
FLAT = 0.08  # deviation of pixels; collections of photographs, scans and digits have 0.11 to 0.4
OWN_MEAN, OWN_STD = 0.5, (0.6, 1.5)  # what normalising by the images' own numbers leaves: 0 and 1 but for augmentation
OWN = "the mean and std of its own images"

Numbers = tuple[float, ...]
USUAL = (
    ("mean 0, std 1 (pixels of 0..1 as they are)", 0.0, 1.0),
    ("mean 0.5, std 0.5", 0.5, 0.5),
    ("mean 0, std 0.00392 (pixels of 0..255)", 0.0, 1 / 255),
)
IMAGENET = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class Normalisation:
    """`verdict`: "fits", "doubtful", "impossible", or "unknown" where nothing can be told; `why` in one clause.

    fed_mean (by colour), fed_std: of the net's input in training, normalised. pixel_mean, pixel_std: what pixels in 0..1 that
    makes of them, by colour, if the normalisation told is right. would_fit: usual ones that nothing speaks against.
    """

    verdict: str
    why: str
    fed_mean: Numbers = ()
    fed_std: float | None = None
    pixel_mean: Numbers = ()
    pixel_std: Numbers = ()
    would_fit: tuple[str, ...] = ()


@dataclass(frozen=True)
class FirstLayer:
    """The linear way from an input of C colours to the n live channels of the first BatchNorm, and that layer's statistics.

    offset: the answer to nought [n]; colours: what one unit of a colour everywhere adds, mean over positions [n, C];
    unit: variance for pictures of deviation 1 [n]; mean, var: the running statistics [n].
    """

    offset: Tensor
    colours: Tensor
    unit: Tensor
    mean: Tensor
    var: Tensor

    def fed(self) -> tuple[Tensor, float]:
        """Mean by colour [C] and deviation of the input in training, by least squares over the channels."""
        mean = torch.linalg.lstsq(self.colours, (self.mean - self.offset)[:, None]).solution[:, 0]
        return mean, ((self.unit @ self.var) / (self.unit @ self.unit)).sqrt().item()

    def misfit(self) -> tuple[float, float]:
        """How far the statistics are from those of any such input: means, in deviations of a channel, and log-deviations."""
        mean, std = self.fed()
        off = self.mean - self.offset - self.colours @ mean
        return (off.square().sum() / self.var.sum()).sqrt().item(), (self.var / self.unit / std**2).log().std().item()


def check_normalisation(teacher: Classifier) -> Normalisation:
    """What the first BatchNorm says of the mean and std on the teacher's card."""
    if not batch_norms(teacher):
        return Normalisation("unknown", "there is no BatchNorm that remembers what the net was fed in training")
    first = first_layer(teacher)
    if isinstance(first, str):
        return Normalisation("unknown", first)
    card = teacher.card
    verdict, why = judge(first, card.mean, card.std)
    fed_mean, fed_std = first.fed()
    others = {name: told for name, told in usual(len(card.mean)).items() if not _same(told, (card.mean, card.std))}
    fits = [name for name, told in others.items() if judge(first, *told)[0] == "fits"]
    return Normalisation(
        verdict=verdict,
        why=why,
        fed_mean=tuple(fed_mean.tolist()),
        fed_std=fed_std,
        pixel_mean=tuple((_doubles(card.mean) + _doubles(card.std) * fed_mean).tolist()),
        pixel_std=tuple((_doubles(card.std) * fed_std).tolist()),
        would_fit=(*fits, OWN) if _own(fed_mean, fed_std) else tuple(fits),
    )


def first_layer(teacher: Classifier) -> FirstLayer | str:
    """The way to the first BatchNorm; or why nothing can be told of it."""
    size = teacher.card.input_size
    noughts, a, b = torch.zeros(1, *size), *torch.randn(2, 1, *size, generator=torch.Generator().manual_seed(0))
    colours = torch.eye(size[0])[:, :, None, None].expand(-1, -1, *size[1:])
    reached = _to_first_batch_norm(teacher, torch.cat([noughts, a, b, a + b, colours]))
    shown = _to_first_batch_norm(teacher, _unit_pictures(teacher))
    if reached is None or shown is None:
        return "no BatchNorm is reached from the input"
    layer, answers = reached
    mean, var = (layer.get_buffer(name).double().cpu() for name in ("running_mean", "running_var"))
    if not all(bool(tensor.isfinite().all()) for tensor in (answers, mean, var)) or not bool(mean.any()):
        return "the first BatchNorm or what is before it is broken or was never trained"
    if (answers[1] + answers[2] - answers[0] - answers[3]).abs().max() > LINEAR * answers.abs().max():
        return "the way from the input to the first BatchNorm is not linear"
    offset, unit = answers[0].mean(1), shown[1].transpose(0, 1).flatten(1).var(1)
    live = (unit > LIVE * unit.max()) & (var > 0)
    if answers.shape[2] == 1 or int(live.sum()) < size[0] + 2:
        return "the first BatchNorm has too few channels or positions to tell"
    from_colours = answers[4:].mean(2).T - offset[:, None]
    return FirstLayer(*(tensor[live] for tensor in (offset, from_colours, unit, mean, var)))


def usual(colours: int) -> dict[str, tuple[Numbers, Numbers]]:
    """Normalisations (mean, std) that people use whatever the images, by name."""
    known = {name: ((mean,) * colours, (std,) * colours) for name, mean, std in USUAL}
    return {**known, "ImageNet's mean and std": IMAGENET} if colours == 3 else known


def judge(first: FirstLayer, told_mean: Numbers, told_std: Numbers) -> tuple[str, str]:
    """The verdict on a normalisation and its reason; the first contradiction counts."""
    (off_mean, off_var), (fed_mean, fed_std) = first.misfit(), first.fed()
    if off_mean > MEAN_MISFIT or off_var > VARIANCE_MISFIT:
        return "doubtful", "the first BatchNorm's statistics are not those of the weights before it"
    mean, std = _doubles(told_mean), _doubles(told_std)
    pixels, deviation = mean + std * fed_mean, std * fed_std
    if bool(((pixels < -OUTSIDE) | (pixels > 1 + OUTSIDE)).any()):
        return "impossible", f"it would mean pixels of mean {listed(pixels)}, and pixels lie in 0..1"
    inside = pixels.clamp(0.01, 0.99)
    if bool((deviation > (inside * (1 - inside)).sqrt()).any()):
        more = f"it would mean pixels of deviation {listed(deviation)}, more than black and white alone have"
        return "impossible" if bool((deviation > CERTAIN[1]).any()) else "doubtful", more
    if bool((deviation < FLAT).all()):
        less = f"it would mean pixels of deviation {listed(deviation)}, next to no contrast"
        return "impossible" if bool((deviation < CERTAIN[0]).all()) else "doubtful", less
    common = any(_same(known, (told_mean, told_std)) for known in usual(len(mean)).values())
    if not common and not _own(fed_mean, fed_std):
        return "doubtful", (
            f"the net was fed a mean of {listed(fed_mean)} and a deviation of {fed_std:.2f}, and normalising by the images' "
            "own mean and std gives about 0 and 1"
        )
    return "fits", f"it was then trained on pixels of mean {listed(pixels)} and deviation {listed(deviation)}"


def listed(values: Tensor) -> str:
    return " ".join(f"{value:.2f}" if abs(value) >= 0.1 else f"{value:.2g}" for value in values.tolist())


def _same(one: tuple[Numbers, Numbers], other: tuple[Numbers, Numbers]) -> bool:
    """To within the digits that people leave out."""
    return all(torch.allclose(_doubles(a), _doubles(b), atol=0.01, rtol=0.02) for a, b in zip(one, other, strict=True))


def _own(fed_mean: Tensor, fed_std: float) -> bool:
    return bool((fed_mean.abs() <= OWN_MEAN).all()) and OWN_STD[0] <= fed_std <= OWN_STD[1]


def _doubles(values: Numbers) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def _unit_pictures(teacher: Classifier) -> Tensor:
    """Formula pictures [PICTURES, C, H, W] with mean 0 and deviation 1 in every colour."""
    with Rng(0).here():
        drawn = torch.cat([dead_leaves(PICTURES * 3 // 4, teacher.card), clouds(PICTURES // 4, teacher.card)])
    over = (0, 2, 3)
    return (drawn - drawn.mean(over, keepdim=True)) / drawn.std(over, keepdim=True)


class _Reached(Exception):
    """Carries the first BatchNorm and its input out of the network."""


@torch.no_grad()
def _to_first_batch_norm(teacher: Classifier, inputs: Tensor) -> tuple[nn.Module, Tensor] | None:
    """The first BatchNorm that normalised `inputs` [B, C, H, W] come to, and its input [B, n, positions] in float64."""

    def stop(layer: nn.Module, args: tuple[Tensor, ...]) -> None:
        raise _Reached(layer, args[0])

    handles = [layer.register_forward_pre_hook(stop) for layer in batch_norms(teacher)]
    try:
        teacher.net(inputs.to(teacher.mean))
    except _Reached as reached:
        layer, answers = reached.args
        return layer, answers.double().cpu().reshape(*answers.shape[:2], -1)
    finally:
        for handle in handles:
            handle.remove()
    return None
