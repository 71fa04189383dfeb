"""How alike two networks see inside: feature maps, class activation maps, contrast. Losses return a scalar []."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from akd.errors import ConfigError
from akd.networks.classifier import Classifier
from akd.networks.taps import Sight, last_linear, stage_names, tapped, undisturbed


def paired(student: list[Tensor], teacher: list[Tensor]) -> list[tuple[Tensor, Tensor]]:
    """Feature maps [B, C, H, W] of equal resolution, (student's, teacher's), from fine to coarse.

    Where no resolution is shared, the coarsest of each, the larger one averaged down to the smaller.
    """
    by_size = {t.shape[-2:]: t for t in teacher}
    pairs = [(s, by_size[s.shape[-2:]]) for s in student if s.shape[-2:] in by_size]
    if pairs or not (student and teacher):
        return pairs
    s, t = student[-1], teacher[-1]
    size = (min(s.shape[-2], t.shape[-2]), min(s.shape[-1], t.shape[-1]))
    return [(F.adaptive_avg_pool2d(s, size), F.adaptive_avg_pool2d(t, size))]


def attention(feature: Tensor) -> Tensor:
    """[B, C, H, W] -> [B, H*W]: mean squared activation over channels, of length one (Zagoruyko & Komodakis, 1612.03928)."""
    return F.normalize(feature.float().square().mean(1).flatten(1))


def attention_distance(student: list[Tensor], teacher: list[Tensor]) -> Tensor:
    """Mean squared difference of the attention maps, summed over stages (ZSKT, eq. 2)."""
    return torch.stack([(attention(s) - attention(t)).square().mean() for s, t in paired(student, teacher)]).sum()


def distance(student: Tensor, teacher: Tensor) -> Tensor:
    """Squared distance of two feature maps [B, C, H, W], each image's scaled to length one; mean over the batch, 0 to 4.

    Scaled, so that maps whose size says nothing count alike at every depth.
    """
    return (F.normalize(student.flatten(1)) - F.normalize(teacher.flatten(1))).square().sum(1).mean()


class Adapters(nn.Module):
    """Student maps through learned 1x1 convolutions against teacher maps of like depth (FitNets, Romero et al., 1412.6550).

    Each of the student's maps is paired with the teacher's at the same share of the depth, so the networks may differ in
    depth, number of stages, width and resolution (the larger map is averaged down). maps: "stages" or "layers".
    """

    def __init__(self, teacher: Classifier, student: Classifier, maps: str):
        super().__init__()
        sizes = [[x.shape[1] for x in _maps_of(network, maps)] for network in (student, teacher)]
        for found, network in zip(sizes, (student, teacher), strict=True):
            if not found:
                raise ConfigError(f"{network.card.architecture} has no {maps} to align; leave features and layers out")
        self.pairs = like_depth(*map(len, sizes))
        self.convolutions = nn.ModuleList(nn.Conv2d(sizes[0][s], sizes[1][t], 1) for s, t in self.pairs)

    def forward(self, student: list[Tensor], teacher: list[Tensor]) -> Tensor:
        """Mean over the pairs of their distance []."""
        distances = []
        for adapt, (i, j) in zip(self.convolutions, self.pairs, strict=True):
            s, t = student[i], teacher[j]
            size = (min(s.shape[-2], t.shape[-2]), min(s.shape[-1], t.shape[-1]))
            distances.append(distance(adapt(F.adaptive_avg_pool2d(s, size)), F.adaptive_avg_pool2d(t, size)))
        return torch.stack(distances).mean()


def like_depth(student: int, teacher: int) -> list[tuple[int, int]]:
    """For each of `student` maps the one of `teacher` maps at the same share of the depth; the last meets the last."""
    return [(i, -(-(i + 1) * teacher // student) - 1) for i in range(student)]


def _maps_of(network: Classifier, maps: str) -> list[Tensor]:
    names = stage_names(network, network.card.input_size) if maps == "stages" else []
    example = torch.zeros(1, *network.card.input_size, device=network.mean.device)
    with undisturbed(network), tapped(network, frozenset({maps}), names) as see:
        found: list[Tensor] = getattr(see(example), maps)
    return found


def class_map(sight: Sight, classes: Tensor) -> Tensor:
    """Where a network sees the class [B]: [B, H, W], its classifier's weights over its last feature map (CAM, 1512.04150).

    The map itself, its mean square over channels, where the classifier does not read pooled channels or tells other classes.
    """
    last, linear = sight.stages[-1], sight.classifier
    if linear is None or (linear.in_features, linear.out_features) != (last.shape[1], sight.logits.shape[1]):
        return last.square().mean(1)
    return torch.einsum("bchw,bc->bhw", last, linear.weight[classes].to(last.dtype))


def map_distance(student: Tensor, teacher: Tensor) -> Tensor:
    """Mean squared distance of two maps [B, H, W], each scaled to length one, the larger averaged down."""
    size = (min(student.shape[-2], teacher.shape[-2]), min(student.shape[-1], teacher.shape[-1]))
    return distance(F.adaptive_avg_pool2d(student, size), F.adaptive_avg_pool2d(teacher, size))


class Projection(nn.Module):
    """Features [B, D] of the teacher -> [B, 128] of length one: the head in which CMI contrasts images."""

    def __init__(self, teacher: Classifier, width: int = 128):
        super().__init__()
        linear = last_linear(teacher)
        entering = linear.in_features if linear else 1
        self.layers = nn.Sequential(nn.Linear(entering, width), nn.ReLU(), nn.Linear(width, width))

    def forward(self, feature: Tensor) -> Tensor:
        return F.normalize(self.layers(feature))


def contrast(one: Tensor, two: Tensor, others: Tensor | None, temperature: float) -> Tensor:
    """-log of the share that an image's other view has among all others, by cosine / temperature, in nats (CMI, eq. 5).

    one, two: [B, D] of length one, the two views of each image; others: [N, D] of length one, images to be unlike, or None.
    """
    against = torch.cat([two] if others is None else [two, others])
    return F.cross_entropy(one @ against.T / temperature, torch.arange(len(one), device=one.device))


def turned(images: Tensor) -> tuple[Tensor, Tensor]:
    """Each image turned by quarters at random, [B, C, H, W], and by how many [B]; by halves where they are not square.

    Telling them needs no labels (Gidaris et al., 1803.07728).
    """
    square = images.shape[-2] == images.shape[-1]
    turns = torch.randint(4 if square else 2, (len(images),), device=images.device)
    step = 1 if square else 2
    options = torch.stack([images.rot90(step * k, (-2, -1)) for k in range(4 if square else 2)])
    return options[turns, torch.arange(len(images), device=images.device)], turns
