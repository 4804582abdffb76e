"""One palette for HTML, SVG and PNG: CSS variables on pages, literal colours in previews.

Contrast against the page, light / dark: ink 16.5 / 14.8, muted 6.1 / 8.1, first 7.4 / 8.1,
second 5.0 / 8.6, alert 8.2 / 8.2 (WCAG AA asks 4.5 of text). `faint` is 3.1 / 4.9 and is for lines
only. The two leg colours stay at least 84 apart (CIE76) under deuteranopia, protanopia and
tritanopia; `alert` is never the only carrier of a meaning.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Literal

Mode = Literal["css", "light", "dark"]
Tokens = Mapping[str, str]

LIGHT: Final[Tokens] = {
    "bg": "#fdfcf9",
    "ink": "#1a1d21",
    "muted": "#5a6169",
    "faint": "#8b9097",
    "rule": "#d8d4ca",
    "grid": "#ebe8e1",
    "wash": "#f4f1ea",
    "first": "#0f5499",
    "second": "#b0520a",
    "alert": "#990f3d",
    "band": "#7d848c",
    "low": "#b0520a",
    "high": "#0f5499",
}
DARK: Final[Tokens] = {
    "bg": "#14171b",
    "ink": "#ece9e3",
    "muted": "#a9afb7",
    "faint": "#7f868e",
    "rule": "#3a4047",
    "grid": "#262b31",
    "wash": "#1c2025",
    "first": "#74b3f4",
    "second": "#f2a24e",
    "alert": "#ff8cab",
    "band": "#8d949c",
    "low": "#f2a24e",
    "high": "#74b3f4",
}
_CSS: Final[Tokens] = {name: f"var(--{name})" for name in LIGHT}

SANS: Final = (
    "Inter, system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', 'Liberation Sans', "
    "Arial, sans-serif"
)
SERIF: Final = (
    "Charter, 'Bitstream Charter', 'Iowan Old Style', 'Palatino Linotype', Georgia, "
    "'Source Serif 4', 'Liberation Serif', serif"
)


def tokens(mode: Mode) -> Tokens:
    """Colours by name, as CSS variables or as literal colours of one mode."""
    return {"css": _CSS, "light": LIGHT, "dark": DARK}[mode]


def css_variables() -> str:
    """The palette as style rules; paper is always light because dark rules match screens only."""
    light, dark = _declarations(LIGHT), _declarations(DARK)
    return (
        f":root{{color-scheme:light;{light}--sans:{SANS};--serif:{SERIF}}}"
        "@media screen and (prefers-color-scheme:dark){:root:not([data-theme=light])"
        f"{{color-scheme:dark;{dark}}}}}"
        f"@media screen{{:root[data-theme=dark]{{color-scheme:dark;{dark}}}}}"
    )


def vega_config(mode: Mode) -> dict[str, Any]:
    """Vega-Lite configuration of the house style: hairlines, no frames, small muted labels."""
    colour, font = tokens(mode), SANS.replace("'", "")
    return {
        "background": None,
        "padding": 0,
        "font": font,
        "view": {"stroke": None},
        "aria": False,
        "concat": {"spacing": 18},
        "text": {"font": font, "fontSize": 11.5, "color": colour["ink"]},
        "line": {"strokeWidth": 1.4, "strokeJoin": "round"},
        "axis": {
            "labelColor": colour["muted"],
            "labelFont": font,
            "labelFontSize": 11,
            "labelPadding": 6,
            "labelFlush": False,
            "titleColor": colour["muted"],
            "titleFont": font,
            "titleFontSize": 11,
            "titleFontWeight": "normal",
            "domain": False,
            "ticks": False,
            "gridColor": colour["grid"],
            "gridWidth": 1,
        },
        "axisX": {
            "grid": False,
            "domain": True,
            "domainColor": colour["rule"],
            "ticks": True,
            "tickColor": colour["rule"],
            "tickSize": 4,
            "labelPadding": 4,
        },
        "axisY": {"grid": True, "tickCount": 4},
        "title": {
            "anchor": "start",
            "frame": "bounds",
            "font": font,
            "fontSize": 12.5,
            "fontWeight": 600,
            "color": colour["ink"],
            "subtitleColor": colour["muted"],
            "subtitleFont": font,
            "subtitleFontSize": 11.5,
            "subtitlePadding": 3,
            "offset": 8,
        },
    }


def _declarations(colours: Tokens) -> str:
    return "".join(f"--{name}:{value};" for name, value in colours.items())
