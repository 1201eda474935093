"""A history as a picture: accepted logins, the slowest answer, and when what was done to the target."""

import html
import math
from collections.abc import Sequence

from conformance.history import History

BIN = 0.25
"""Seconds in one column."""
WIDTH, HEIGHT, MARGIN = 900, 120, 30


def timeline(history: History) -> str:
    """An SVG of the logins of one history."""
    logins = history.calls("create")
    if not logins:
        return ""
    last = max(op.end for op in logins)
    bins = math.ceil(last / BIN) + 1
    accepted, slowest = [0] * bins, [0.0] * bins
    for op in logins:
        column = int(op.end / BIN)
        accepted[column] += 1
        slowest[column] = max(slowest[column], op.end - op.start)
    scale = WIDTH / bins
    most, worst = max(accepted), max(slowest)
    bars = "".join(
        f'<rect x="{n * scale:.1f}" y="{HEIGHT - count / most * HEIGHT:.1f}" width="{scale * 0.8:.1f}" '
        f'height="{count / most * HEIGHT:.1f}"/>'
        for n, count in enumerate(accepted)
        if count
    )
    points = " ".join(
        f"{(n + 0.5) * scale:.1f},{HEIGHT - each / worst * HEIGHT:.1f}" for n, each in enumerate(slowest) if each
    )
    return (
        f'<svg viewBox="0 -{MARGIN} {WIDTH} {HEIGHT + 2 * MARGIN}" role="img">'
        f'<g class="bars">{bars}</g><polyline class="slow" points="{points}"/>{_marks(history, scale)}'
        f'<text x="0" y="{HEIGHT + 20}">0 s; bars: logins accepted, at most {most / BIN:.0f}/s; '
        f"line: slowest answer, at most {worst:.2f} s</text>"
        f'<text x="{WIDTH}" y="{HEIGHT + 20}" text-anchor="end">{last:.1f} s</text></svg>'
    )


def _marks(history: History, scale: float) -> str:
    marks: Sequence[str] = [
        f'<line x1="{x:.1f}" x2="{x:.1f}" y1="-4" y2="{HEIGHT}"/>'
        f'<text x="{x + 2:.1f}" y="-{6 + 11 * (number % 2)}">{html.escape(moment.name)}</text>'
        for number, moment in enumerate(history.faults)
        for x in [moment.at / BIN * scale]
    ]
    return f'<g class="faults">{"".join(marks)}</g>'
