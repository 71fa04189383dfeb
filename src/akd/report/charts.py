"""Curves as static SVG: own small code, since a page that opens offline needs one kind of chart and no library."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from akd.report.record import evenly

WIDTH, HEIGHT = 360, 220
LEFT, RIGHT, TOP, BOTTOM = 46, 12, 10, 40
MOST_POINTS, MOST_POWERS = 240, 6
DOT, LARGEST = 2.6, 11.0  # radii
LOG_FROM = 30.0  # the ratio of largest to smallest from which a logarithmic axis tells more

Point = tuple[float, float | None]


@dataclass(frozen=True)
class Series:
    """A curve: points (x, y) in order of x, y None for a gap; `style` picks colour and dash; `dots` marks the points.

    `weights`, 0..1 a point, makes them dots of such areas instead of a curve.
    """

    label: str
    points: Sequence[Point]
    style: int = 0
    dots: bool = False
    weights: Sequence[float] | None = None


@dataclass(frozen=True)
class Axis:
    """From `low` to `high`, with `ticks` in between."""

    label: str
    low: float
    high: float
    ticks: Sequence[float]
    log: bool = False

    def at(self, value: float) -> float:
        """Where `value` lies, 0 at `low` and 1 at `high`."""
        low, high, value = (math.log(x) if self.log else x for x in (self.low, self.high, value))
        return (value - low) / (high - low)


def axis(label: str, values: Sequence[float], log: bool = False, floor: float | None = None) -> Axis:
    """An axis that holds all finite `values` (and `floor`, where one is given), with round ticks."""
    low, high = min(values, default=0.0), max(values, default=1.0)
    low = low if floor is None else min(low, floor)
    if log and low > 0 and high > LOG_FROM * low:
        first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
        powers = range(first, last + 1, -(-(last - first) // MOST_POWERS))
        return Axis(label, 10.0**first, 10.0**last, [10.0**power for power in powers], True)
    if high - low < 1e-9 * (size := max(abs(high), abs(low), 1e-3)):  # a flat line, in the middle
        size = size if size > 1e-3 else 1.0
        low, high = low - size / 2, high + size / 2
    step = _step(high - low)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return Axis(label, first * step, last * step, [i * step for i in range(first, last + 1)])


def plot(series: Sequence[Series], x: Axis, y: Axis, title: str, css: str = "") -> Markup:
    """The curves on the two axes. A script on the page reads values back off `d` and the data attributes."""
    inside = [_grid(x, y), *(_curve(one, x, y) for one in series)]
    scale = Markup('data-x="{},{},{}" data-y="{},{},{}"').format(x.low, x.high, int(x.log), y.low, y.high, int(y.log))
    scale += Markup(' data-box="{},{},{},{}"').format(LEFT, WIDTH - RIGHT, TOP, HEIGHT - BOTTOM)
    head = Markup('<svg class="plot {}" viewBox="0 0 {} {}" role="img" aria-label="{}" {}>').format(
        css, WIDTH, HEIGHT, title, scale
    )
    return head + Markup("").join(inside) + Markup("</svg>")


def short_number(value: float) -> str:
    """1500 -> '1.5k', 0.000123 -> '0.00012': as little as tells ticks apart."""
    if abs(value) >= 1e12:
        return f"{value:.0e}".replace("e+", "e")
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:.3g}{unit}"
    return f"{value:.3g}" if value == 0 or abs(value) >= 1e-3 else f"{value:.0e}".replace("e-0", "e-")


def _step(span: float) -> float:
    """The round number of which four or five make up `span`."""
    power = 10.0 ** math.floor(math.log10(span / 4))
    return min((m * power for m in (1, 2, 2.5, 5, 10)), key=lambda step: abs(span / step - 4))


def _across(x: Axis, value: float) -> float:
    return LEFT + (WIDTH - LEFT - RIGHT) * x.at(value)


def _down(y: Axis, value: float) -> float:
    return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * y.at(value)


def _grid(x: Axis, y: Axis) -> Markup:
    line = Markup('<path class="grid" d="M{} {:.1f}H{}"/>')
    text = Markup('<text class="tick" x="{:.1f}" y="{:.1f}" text-anchor="{}">{}</text>')
    parts = [line.format(LEFT, _down(y, tick), WIDTH - RIGHT) for tick in y.ticks]
    parts += [text.format(LEFT - 6, _down(y, tick) + 4, "end", short_number(tick)) for tick in y.ticks]
    parts += [text.format(_across(x, tick), HEIGHT - BOTTOM + 16, "middle", short_number(tick)) for tick in x.ticks]
    return Markup("").join([*parts, text.format(WIDTH - RIGHT, HEIGHT - 6, "end", x.label)])


def _curve(series: Series, x: Axis, y: Axis) -> Markup:
    """A path that is lifted at each gap; a point alone is a dot."""
    path, dots, drawing = [], [], False
    kept = evenly(len(series.points), MOST_POINTS)
    for i in kept:
        a, b = series.points[i]
        if b is None:
            drawing = False
            continue
        place = f"{_across(x, a):.1f} {_down(y, b):.1f}"
        path.append(f"{'L' if drawing else 'M'}{place}")
        alone = not drawing and (i + 1 == len(series.points) or series.points[i + 1][1] is None)
        if series.dots or series.weights or alone:
            radius = DOT if series.weights is None else max(1.2, LARGEST * series.weights[i] ** 0.5)
            dots.append(Markup('<circle cx="{}" cy="{}" r="{:.1f}"/>').format(*place.split(), radius))
        drawing = series.weights is None
    group = Markup('<g class="run run-{}{}" data-label="{}"><path d="{}"/>{}</g>')
    kind = "" if series.weights is None else " weighed"
    return group.format(series.style, kind, series.label, " ".join(path), Markup("").join(dots))
