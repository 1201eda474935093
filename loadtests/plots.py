"""Plots as SVG text: lines over the seconds of a run, and a histogram of latency."""

import math
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import Final

from loadtests.histogram import Histogram

WIDTH, HEIGHT, LEFT, BELOW = 900, 150, 60, 20
COLOURS: Final = ("#06c", "#c60", "#393", "#939")
BARS_PER_DECADE: Final = 10
Points = Sequence[tuple[float, float]]
"""Seconds of any clock, and values."""


def lines(title: str, series: Mapping[str, Points], marks: Mapping[float, str]) -> str:
    """Plot values over time.

    Args:
        title: with the unit.
        series: points by name, in their order.
        marks: what happened when, in seconds of the same clock.
    """
    times = [at for points in series.values() for at, _ in points]
    if not times:
        return ""
    begin, end = min(times), max(*times, min(times) + 1)
    top = max((value for points in series.values() for _, value in points), default=0) or 1

    def place(at: float, value: float) -> str:
        return f"{LEFT + (WIDTH - LEFT) * (at - begin) / (end - begin):.1f},{HEIGHT * (1 - value / top):.1f}"

    def drawn() -> Iterator[str]:
        for colour, points in zip(COLOURS, series.values(), strict=False):
            dots = " ".join(place(at, value) for at, value in points)
            yield f'<polyline points="{dots}" stroke="{colour}"/>'
        for at, what in marks.items():
            x = place(min(max(at, begin), end), 0).partition(",")[0]
            yield f'<line class="mark" x1="{x}" y1="0" x2="{x}" y2="{HEIGHT}"/>'
            yield f'<text x="{x}" y="12" class="mark">{escape(what)}</text>'
        yield _axes(f"{top:.4g}", "0 s", f"{end - begin:.0f} s")

    names = " ".join(
        f'<span style="color:{colour}">{escape(name)}</span>' for colour, name in zip(COLOURS, series, strict=False)
    )
    return _figure(f"{escape(title)}: {names}", title, "".join(drawn()))


def histogram(title: str, latency: Histogram) -> str:
    """Plot how often each latency (recorded in microseconds) was measured, on a logarithmic scale."""
    counts: dict[int, int] = {}
    for item in latency.whole.get_recorded_iterator():
        decade = math.floor(math.log10(max(1, item.value_iterated_to)) * BARS_PER_DECADE)
        counts[decade] = counts.get(decade, 0) + item.count_added_in_this_iter_step
    if not counts:
        return ""
    first, last, top = min(counts), max(counts), max(counts.values())
    width = (WIDTH - LEFT) / (last - first + 1)
    bars = "".join(
        f'<rect x="{LEFT + (number - first) * width:.1f}" y="{HEIGHT * (1 - count / top):.1f}"'
        f' width="{max(1.0, width - 1):.1f}" height="{HEIGHT * count / top:.1f}"/>'
        for number, count in counts.items()
    )
    return _figure(escape(title), title, bars + _axes(str(top), _milliseconds(first), _milliseconds(last + 1)))


def _milliseconds(number: int) -> str:
    return f"{float(f'{10 ** (number / BARS_PER_DECADE) / 1000:.3g}'):g} ms"


def _axes(top: str, left: str, right: str) -> str:
    return (
        f'<path d="M{LEFT} 0V{HEIGHT}H{WIDTH}"/><text x="0" y="12">{top}</text>'
        f'<text x="{LEFT}" y="{HEIGHT + 15}">{left}</text>'
        f'<text x="{WIDTH}" y="{HEIGHT + 15}" text-anchor="end">{right}</text>'
    )


def _figure(caption: str, title: str, picture: str) -> str:
    box = f'<svg viewBox="0 0 {WIDTH} {HEIGHT + BELOW}" role="img"><title>{escape(title)}</title>{picture}</svg>'
    return f"<figure><figcaption>{caption}</figcaption>{box}</figure>"
