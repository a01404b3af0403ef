"""Themes: the colours, corners and letters of a page, as the ecosystem's CSS variables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from enfold.errors import nearest
from enfold.gradio.errors import GradioError

__all__ = [
    "Base",
    "Citrus",
    "Color",
    "Default",
    "Font",
    "Glass",
    "GoogleFont",
    "LocalFont",
    "Monochrome",
    "Ocean",
    "Origin",
    "Soft",
    "ThemeClass",
    "resolve",
]

# A hue by three shades: light ground, the colour itself, the colour on dark.
HUES = {
    "indigo": ("#eef2ff", "#4f46e5", "#818cf8"),
    "blue": ("#eff6ff", "#2563eb", "#60a5fa"),
    "teal": ("#f0fdfa", "#0f766e", "#2dd4bf"),
    "emerald": ("#ecfdf5", "#047857", "#34d399"),
    "orange": ("#fff7ed", "#c2410c", "#fb923c"),
    "rose": ("#fff1f2", "#be123c", "#fb7185"),
    "violet": ("#f5f3ff", "#7c3aed", "#a78bfa"),
    "slate": ("#f1f5f9", "#334155", "#94a3b8"),
    "red": ("#fef2f2", "#b91c1c", "#f87171"),
    "amber": ("#fffbeb", "#b45309", "#fbbf24"),
    "yellow": ("#fefce8", "#a16207", "#facc15"),
    "lime": ("#f7fee7", "#4d7c0f", "#a3e635"),
    "green": ("#f0fdf4", "#15803d", "#4ade80"),
    "cyan": ("#ecfeff", "#0e7490", "#22d3ee"),
    "sky": ("#f0f9ff", "#0369a1", "#38bdf8"),
    "purple": ("#faf5ff", "#7e22ce", "#c084fc"),
    "fuchsia": ("#fdf4ff", "#a21caf", "#e879f9"),
    "pink": ("#fdf2f8", "#be185d", "#f472b6"),
    "gray": ("#f9fafb", "#374151", "#9ca3af"),
    "zinc": ("#fafafa", "#3f3f46", "#a1a1aa"),
    "stone": ("#fafaf9", "#44403c", "#a8a29e"),
    "neutral": ("#f5f5f5", "#262626", "#d4d4d4"),
}


# Names of the ecosystem's sizes: corners, and letters.
RADII = {"none": "0px", "sm": "4px", "md": "8px", "lg": "14px", "xxl": "24px"}
TEXTS = {"sm": "13.5px", "md": "15px", "lg": "17px"}
GAPS = {"sm": "10px", "md": "16px", "lg": "22px"}


@dataclass(frozen=True)
class Color:
    """A hue of one's own: its shades from the lightest (``c50``) to the darkest (``c950``)."""

    c50: str
    c100: str
    c200: str
    c300: str
    c400: str
    c500: str
    c600: str
    c700: str
    c800: str
    c900: str
    c950: str
    name: str | None = None


class Font(str):
    """The name of a font that the visitor's machine may have."""


class GoogleFont(Font):
    """The name of a font; it is used where the visitor's machine has it, and never fetched from anywhere."""

    def __new__(cls, name: str, weights: Any = None) -> GoogleFont:
        return super().__new__(cls, name)


class LocalFont(GoogleFont):
    """The name of a font; see :class:`GoogleFont`."""


def _hue(given: str | Color) -> tuple[str, str, str]:
    if isinstance(given, Color):
        return given.c50, given.c600, given.c400
    if given not in HUES:
        raise GradioError(f"unknown hue {given!r}{nearest(given, HUES)}; known: {', '.join(HUES)}")
    return HUES[given]


def _fonts(given: str | Sequence[str]) -> str:
    names = [given] if isinstance(given, str) else given
    return ", ".join(f'"{name}"' if " " in name else str(name) for name in names)


class Base:
    """A theme; every CSS variable of the page can be set by name.

    Args:
        primary_hue: one of ``HUES``, or a :class:`Color`: the colour of what acts.
        secondary_hue, neutral_hue: accepted; the other colours follow from the ground.
        spacing_size, radius_size, text_size: "sm", "md" or "lg" ("none" and "xxl" for corners as well).
        radius: of corners, any CSS length.
        font, font_mono: names of fonts, the first that the visitor's machine has is used; none is ever downloaded.

    Example:
        >>> Base(primary_hue="teal").set(block_radius="2px").css().count("block-radius")
        1
    """

    name = "base"

    def __init__(
        self,
        *,
        primary_hue: str | Color = "indigo",
        secondary_hue: str | Color | None = None,
        neutral_hue: str | Color | None = None,
        spacing_size: str | None = None,
        radius_size: str | None = None,
        text_size: str | None = None,
        radius: str | None = None,
        font: str | Sequence[str] | None = None,
        font_mono: str | Sequence[str] | None = None,
        **variables: str,
    ) -> None:
        soft, strong, dark = _hue(primary_hue)
        self.light = {"color_accent": strong, "color_accent_soft": soft}
        self.dark = {"color_accent": dark, "color_accent_soft": f"color-mix(in srgb, {dark} 18%, transparent)"}
        self.dark["button_primary_background_fill"] = strong
        self.light["button_primary_background_fill"] = strong
        corner = RADII.get(radius_size, radius_size) if radius_size else radius
        if corner:
            self.light |= {"block_radius": corner, "input_radius": corner, "button_large_radius": corner}
        if spacing_size:
            self.light["layout_gap"] = GAPS.get(spacing_size, spacing_size)
        if text_size:
            self.light["text_md"] = TEXTS.get(text_size, text_size)
        if font:
            self.light["font"] = _fonts(font)
        if font_mono:
            self.light["font_mono"] = _fonts(font_mono)
        self.set(**variables)

    def set(self, **variables: str) -> Base:
        """Set CSS variables, ``_`` for ``-``; names ending in ``_dark`` hold on dark pages. Returns the theme."""
        for name, value in variables.items():
            if any(character in str(value) for character in "{}<;"):
                raise GradioError(f"{name}: {value!r} is not the value of a CSS variable")
            (self.dark if name.endswith("_dark") else self.light)[name.removesuffix("_dark")] = str(value)
        return self

    def css(self) -> str:
        """The theme as a style sheet."""

        def rule(selector: str, variables: dict[str, str]) -> str:
            body = "".join(f"--{name.replace('_', '-')}:{value};" for name, value in variables.items())
            return f"{selector}{{{body}}}"

        return rule(":root", self.light) + rule(".dark", self.dark)


class Default(Base):
    """The theme of a page that names none."""

    name = "default"


class Soft(Base):
    """Rounder, in violet."""

    name = "soft"

    def __init__(self, *, primary_hue: str | Color = "violet", radius: str | None = "16px", **variables: Any) -> None:
        super().__init__(primary_hue=primary_hue, radius=radius, **variables)


class Monochrome(Base):
    """Black and white, with sharp corners."""

    name = "monochrome"

    def __init__(self, *, primary_hue: str | Color = "neutral", radius: str | None = "0px", **variables: Any) -> None:
        super().__init__(primary_hue=primary_hue, radius=radius, **variables)


class Glass(Base):
    """Calm, with translucent frames."""

    name = "glass"

    def __init__(self, *, primary_hue: str | Color = "slate", radius: str | None = "10px", **variables: Any) -> None:
        super().__init__(primary_hue=primary_hue, radius=radius, **variables)
        self.light.setdefault(
            "block_background_fill", "linear-gradient(rgb(255 255 255 / 85%), rgb(248 250 252 / 60%))"
        )
        self.dark.setdefault("block_background_fill", "linear-gradient(rgb(30 41 59 / 85%), rgb(15 23 42 / 60%))")


class Citrus(Base):
    """Warm, in orange."""

    name = "citrus"

    def __init__(self, *, primary_hue: str | Color = "orange", radius: str | None = "10px", **variables: Any) -> None:
        super().__init__(primary_hue=primary_hue, radius=radius, **variables)


class Origin(Base):
    """Plain, in orange, with small corners: the look of version 4."""

    name = "origin"

    def __init__(self, *, primary_hue: str | Color = "orange", radius: str | None = "8px", **variables: Any) -> None:
        super().__init__(primary_hue=primary_hue, radius=radius, **variables)


class Ocean(Base):
    """Blue-green."""

    name = "ocean"

    def __init__(self, *, primary_hue: str | Color = "teal", radius: str | None = "12px", **variables: Any) -> None:
        super().__init__(primary_hue=primary_hue, radius=radius, **variables)


_ALL = (Base, Default, Soft, Monochrome, Glass, Citrus, Origin, Ocean)
ThemeClass = Base


def resolve(theme: Any) -> Base:
    """A theme from itself or from its name, with or without an owner before it.

    Raises:
        GradioError: there is no such theme here.
    """
    if isinstance(theme, Base):
        return theme
    known: dict[str, type[Base]] = {kind.name: kind for kind in _ALL}
    name = str(theme).rpartition("/")[2].lower()
    if name not in known:
        raise GradioError(f"unknown theme {theme!r}{nearest(name, known)}; known: {', '.join(known)}")
    return known[name]()
