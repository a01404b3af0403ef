"""Buttons."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal
from urllib.parse import quote

from enfold.gradio.block import Block, as_list, current_root
from enfold.gradio.components.base import Component, Placed
from enfold.gradio.events import Event, on
from enfold.gradio.oauth import OAuthProfile

if TYPE_CHECKING:
    from typing_extensions import Unpack

__all__ = ["Button", "ClearButton", "DeepLinkButton", "DuplicateButton", "LoginButton"]


class Button(Component):
    """A button; as an input it gives its text.

    Args:
        value: its text, or a function that gives it.
        variant: "primary", "secondary", "stop" or "huggingface".
        size: "sm", "md" or "lg".
        icon: a picture beside the text: a path or an address.
        link, link_target: an address it opens, and where.
        interactive: whether it can be pressed.
        common: see :class:`~enfold.gradio.components.base.Placed`.
    """

    type_name = "button"
    has_files = True
    change = Event("always_last")
    click = Event()
    COMMON: ClassVar[Mapping[str, Any]] = {
        name: Component.COMMON[name]
        for name in (
            "every",
            "inputs",
            "scale",
            "visible",
            "elem_id",
            "elem_classes",
            "render",
            "key",
            "preserved_by_key",
        )
    } | {"min_width": None}

    def __init__(
        self,
        value: str | Callable[[], str] = "Run",
        *,
        variant: Literal["primary", "secondary", "stop", "huggingface"] = "secondary",
        size: Literal["sm", "md", "lg"] = "lg",
        icon: str | Path | None = None,
        link: str | None = None,
        link_target: Literal["_self", "_blank", "_parent", "_top"] = "_self",
        interactive: bool = True,
        **common: Unpack[Placed],
    ) -> None:
        self.icon = button_icon(icon)
        self._settle()

    @property
    def skip_api(self) -> bool:
        return True


class ClearButton(Button):
    """A button that empties components, in the browser, without asking the server.

    Args:
        components: what it empties; more can be added with :meth:`add`.
        value: its text.
        variant, size, icon, link, link_target, interactive: as for :class:`Button`.
        common: see :class:`~enfold.gradio.components.base.Placed`.
    """

    HIDDEN: ClassVar[frozenset[str]] = Button.HIDDEN | {"components"}

    def __init__(
        self,
        components: Sequence[Block] | Block | None = None,
        *,
        value: str = "Clear",
        variant: Literal["primary", "secondary", "stop", "huggingface"] = "secondary",
        size: Literal["sm", "md", "lg"] = "lg",
        icon: str | Path | None = None,
        link: str | None = None,
        link_target: Literal["_self", "_blank", "_parent", "_top"] = "_self",
        interactive: bool = True,
        **common: Unpack[Placed],
    ) -> None:
        self.icon = button_icon(icon)
        self._settle()
        if current_root() is not None:
            self.add(components)

    def add(self, components: Sequence[Block] | Block | None) -> ClearButton:
        """Have the button empty further components; returns the button."""
        cleared = as_list(components)
        if cleared:
            empty = json.dumps([empty_payload(block) for block in cleared])
            on([self.click], None, [], cleared, js=f"() => {empty}", queue=False, api_visibility="undocumented")
        return self


class LoginButton(Button):
    """A button that signs a visitor in with the Hub, and out again; see :mod:`enfold.gradio.sign_in`.

    Functions then receive an :class:`~enfold.gradio.OAuthProfile` or an :class:`~enfold.gradio.OAuthToken` where they
    declare a parameter with that type.

    Args:
        value: its text while nobody is signed in.
        logout_value: its text otherwise; ``{}`` stands for the name.
        variant, size, icon, link, link_target, interactive: as for :class:`Button`.
        common: see :class:`~enfold.gradio.components.base.Placed`.
    """

    def __init__(
        self,
        value: str = "Sign in with Hugging Face",
        logout_value: str = "Logout ({})",
        *,
        variant: Literal["primary", "secondary", "stop", "huggingface"] = "huggingface",
        size: Literal["sm", "md", "lg"] = "lg",
        icon: str | Path | None = None,
        link: str | None = None,
        link_target: Literal["_self", "_blank", "_parent", "_top"] = "_self",
        interactive: bool = True,
        **common: Unpack[Placed],
    ) -> None:
        self.icon = button_icon(icon)
        self._settle()
        root = current_root()
        if root is not None:
            # Relative addresses: the page may lie anywhere below a proxy.
            go = "login/huggingface?_target_url=/' + encodeURIComponent(location.search)"
            way = f"text => {{ location.assign(text === {json.dumps(self.value)} ? '{go} : 'logout') }}"
            on([self.click], None, [self], [], js=way, queue=False, api_visibility="private")
            on([root.load], self._named, None, self, queue=False, show_progress="hidden", api_visibility="private")

    def _named(self, profile: OAuthProfile | None) -> str:
        return self.value if profile is None else self.logout_value.format(profile.username)


class DeepLinkButton(Button):
    """A button that copies a link to the page as it is now; see :mod:`enfold.gradio.deep_links`.

    Args:
        value: its text.
        copied_value: its text for a second after the link was copied.
        inputs: accepted; the whole page is linked to.
        variant, size, icon, link, link_target, interactive: as for :class:`Button`.
        common: see :class:`~enfold.gradio.components.base.Placed`.
    """

    def __init__(
        self,
        value: str = "Share via Link",
        copied_value: str = "Link Copied!",
        *,
        inputs: Sequence[Block] | Block | None = None,
        variant: Literal["primary", "secondary"] = "secondary",
        size: Literal["sm", "md", "lg"] = "lg",
        icon: str | Path | None = None,
        link: str | None = None,
        link_target: Literal["_self", "_blank", "_parent", "_top"] = "_self",
        interactive: bool = True,
        **common: Unpack[Placed],
    ) -> None:
        self.icon = button_icon(icon)
        self.inputs = None
        root = current_root()
        if not common.get("elem_id"):
            others = [each for each in (root.blocks.values() if root else ()) if isinstance(each, DeepLinkButton)]
            self.elem_id = f"gradio-share-link-button-{len(others)}"
        self._settle()
        if root is not None and self.render_now:
            self.activate()

    def activate(self) -> None:
        """Have a click copy the link; done by itself for a button that is on the page when it is made."""
        # What shares is fetched when it is asked for, from where the page's own script came.
        way = (
            "async () => (await import(new URL('link.js', document.querySelector('script[type=module]').src)))"
            f".share({self._id})"
        )
        on([self.click], None, [], [], js=way, queue=False, api_visibility="private")


class DuplicateButton(Button):
    """A button that opens the Hub's page for making a copy of this Space; outside of a Space it does nothing.

    Args:
        value: its text.
        variant, size, icon, link, link_target, interactive: as for :class:`Button`.
        common: see :class:`~enfold.gradio.components.base.Placed`.
    """

    COMMON: ClassVar[Mapping[str, Any]] = {**Button.COMMON, "scale": 0}

    def __init__(
        self,
        value: str = "Duplicate Space",
        *,
        variant: Literal["primary", "secondary", "stop", "huggingface"] = "huggingface",
        size: Literal["sm", "md", "lg"] = "sm",
        icon: str | Path | None = None,
        link: str | None = None,
        link_target: Literal["_self", "_blank", "_parent", "_top"] = "_self",
        interactive: bool = True,
        **common: Unpack[Placed],
    ) -> None:
        self.icon = button_icon(icon)
        self._settle()
        space = os.environ.get("SPACE_ID")
        if space and current_root() is not None:
            from enfold.hub.constants import endpoint

            address = json.dumps(f"{endpoint()}/spaces/{quote(space)}?duplicate=true")
            way = f"() => {{ window.open({address}, '_blank', 'noopener') }}"
            on([self.click], None, [], [], js=way, queue=False, api_visibility="private")


def button_icon(icon: Any) -> Any:
    """A button's picture as it travels."""
    from enfold.gradio.files import cached

    return cached(icon) if isinstance(icon, (str, Path)) else icon


def empty_payload(block: Block) -> Any:
    """What a component holds when it holds nothing."""
    return block.postprocess(None) if isinstance(block, Component) else None
