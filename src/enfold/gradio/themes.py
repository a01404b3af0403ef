"""Themes: the colours, corners and letters of a page, as the ecosystem's CSS variables."""

from __future__ import annotations

from typing import Any

from enfold.errors import nearest
from enfold.gradio.errors import GradioError

__all__ = ["Base", "Default", "Monochrome", "Ocean", "Soft", "resolve"]

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
    "neutral": ("#f5f5f5", "#262626", "#d4d4d4"),
}


class Base:
    """A theme; every CSS variable of the page can be set by name.

    Args:
        primary_hue: one of ``HUES``: the colour of what acts.
        radius: of corners, any CSS length.
        font: names of fonts, the first that the visitor's machine has is used; none is ever downloaded.

    Example:
        >>> Base(primary_hue="teal").set(block_radius="2px").css().count("block-radius")
        1
    """

    name = "base"

    def __init__(
        self,
        *,
        primary_hue: str = "indigo",
        radius: str | None = None,
        font: str | list[str] | None = None,
        **variables: str,
    ) -> None:
        if primary_hue not in HUES:
            raise GradioError(f"unknown hue {primary_hue!r}{nearest(primary_hue, HUES)}; known: {', '.join(HUES)}")
        soft, strong, dark = HUES[primary_hue]
        self.light = {"color_accent": strong, "color_accent_soft": soft}
        self.dark = {"color_accent": dark, "color_accent_soft": f"color-mix(in srgb, {dark} 18%, transparent)"}
        self.dark["button_primary_background_fill"] = strong
        self.light["button_primary_background_fill"] = strong
        if radius:
            self.light |= {"block_radius": radius, "input_radius": radius, "button_large_radius": radius}
        if font:
            names = [font] if isinstance(font, str) else font
            self.light["font"] = ", ".join(f'"{name}"' if " " in name else name for name in names)
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

    def __init__(self, *, primary_hue: str = "violet", radius: str | None = "16px", **variables: Any) -> None:
        super().__init__(primary_hue=primary_hue, radius=radius, **variables)


class Monochrome(Base):
    """Black and white, with sharp corners."""

    name = "monochrome"

    def __init__(self, *, primary_hue: str = "neutral", radius: str | None = "0px", **variables: Any) -> None:
        super().__init__(primary_hue=primary_hue, radius=radius, **variables)


class Ocean(Base):
    """Blue-green."""

    name = "ocean"

    def __init__(self, *, primary_hue: str = "teal", radius: str | None = "12px", **variables: Any) -> None:
        super().__init__(primary_hue=primary_hue, radius=radius, **variables)


def resolve(theme: Any) -> Base:
    """A theme from itself or from its name, with or without an owner before it.

    Raises:
        GradioError: there is no such theme here.
    """
    if isinstance(theme, Base):
        return theme
    known: dict[str, type[Base]] = {kind.name: kind for kind in (Base, Default, Soft, Monochrome, Ocean)}
    name = str(theme).rpartition("/")[2].lower()
    if name not in known:
        raise GradioError(f"unknown theme {theme!r}{nearest(name, known)}; known: {', '.join(known)}")
    return known[name]()
