"""A picture of the losses, as an SVG file that needs no other program to be made or seen."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

__all__ = ["loss_plot"]

_WIDTH, _HEIGHT, _LEFT, _TOP, _RIGHT, _BOTTOM = 720, 400, 64, 40, 16, 44
_COLOURS = ("#2b6cb0", "#c05621", "#2f855a", "#6b46c1", "#97266d")

Curve = list[tuple[float, float]]


def loss_plot(log_history: Sequence[dict[str, float]], title: str = "loss") -> str | None:
    """Return the curves of every value named ``loss`` or ``…_loss`` over the steps, or None where there is none.

    Args:
        log_history: logs as :class:`TrainerState` keeps them, each with its ``step``.
        title: what to write above.

    Example:
        >>> loss_plot([{"loss": 1.0, "step": 1}, {"loss": 0.5, "step": 2}])[:4]
        '<svg'
    """
    curves: dict[str, Curve] = {}
    for log in log_history:
        for name, value in log.items():
            if (name == "loss" or name.endswith("_loss")) and name != "train_loss" and math.isfinite(value):
                curves.setdefault(name, []).append((log["step"], value))
    if not curves:
        return None
    points = [point for curve in curves.values() for point in curve]
    steps, values = _ticks([x for x, _ in points]), _ticks([y for _, y in points])

    def place(x: float, y: float) -> tuple[float, float]:
        across = (x - steps[0]) / (steps[-1] - steps[0])
        down = (values[-1] - y) / (values[-1] - values[0])
        return _LEFT + across * (_WIDTH - _LEFT - _RIGHT), _TOP + down * (_HEIGHT - _TOP - _BOTTOM)

    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" '
        f'aria-label="{escape(title)}" font-family="sans-serif" font-size="12" fill="#444">',
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="white"/>',
        f'<text x="{_LEFT}" y="22" font-size="14">{escape(title)}</text>',
    ]
    for value in values:
        x, y = place(steps[0], value)
        lines.append(f'<path d="M{x:.1f} {y:.1f}H{_WIDTH - _RIGHT}" stroke="#ddd"/>')
        lines.append(f'<text x="{x - 8:.1f}" y="{y + 4:.1f}" text-anchor="end">{value:.4g}</text>')
    for step in steps:
        x, y = place(step, values[0])
        lines.append(f'<text x="{x:.1f}" y="{y + 18:.1f}" text-anchor="middle">{step:.4g}</text>')
    lines.append(f'<text x="{_WIDTH - _RIGHT}" y="{_HEIGHT - 8}" text-anchor="end">step</text>')
    for index, (name, curve) in enumerate(curves.items()):
        colour = _COLOURS[index % len(_COLOURS)]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in (place(*point) for point in sorted(curve)))
        lines.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="1.8"/>')
        for x, y in [place(*point) for point in curve] if len(curve) <= 40 else []:
            lines.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2.5" fill="{colour}"/>')
        x = _WIDTH - _RIGHT - 110 * (len(curves) - index)
        lines.append(f'<rect x="{x}" y="13" width="12" height="10" fill="{colour}"/>')
        lines.append(f'<text x="{x + 17}" y="22">{escape(name)}</text>')
    return "\n".join([*lines, "</svg>"]) + "\n"


def _ticks(values: Sequence[float], wanted: int = 5) -> list[float]:
    """Return round numbers, evenly spaced, that span the values."""
    low, high = min(values), max(values)
    if high <= low:
        low, high = low - 0.5, high + 0.5
    rough = (high - low) / wanted
    power = 10.0 ** math.floor(math.log10(rough))
    width = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough)
    first, last = math.floor(low / width), math.ceil(high / width)
    return [round(index * width, 12) for index in range(first, last + 1)]
