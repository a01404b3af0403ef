"""What everything on a page has in common: an identity, properties taken from its constructor, and a place."""

from __future__ import annotations

import contextvars
import functools
import inspect
import itertools
import warnings
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from enfold.errors import nearest
from enfold.gradio.errors import GradioError

if TYPE_CHECKING:
    from types import TracebackType

    from enfold.gradio.blocks import Blocks

__all__ = ["Block", "BlockContext", "current_context", "current_root"]

current_context: contextvars.ContextVar[BlockContext | None] = contextvars.ContextVar("current_context", default=None)
_numbers = itertools.count()

# Spellings of other major versions: old name → new name, or a function that turns the value into new arguments.
ALIASES: dict[str, Any] = {
    "show_copy_button": lambda on: {"buttons": ["copy"]} if on else {"buttons": []},
    "elem_class": "elem_classes",
    "source": lambda given: {"sources": [given] if isinstance(given, str) else given},
    "mirror_webcam": lambda on: {"webcam_options": {"mirror": bool(on), "constraints": None}},
    "max_length_of_text": "max_plain_text_length",
}
# Older switches of single buttons: the button each stands for.
SWITCHES = {
    "show_download_button": "download",
    "show_share_button": "share",
    "show_fullscreen_button": "fullscreen",
    "show_copy_all_button": "copy_all",
}
# Arguments that only changed how an older version looked or reported; they have nothing to change here.
RETIRED = frozenset(
    {
        *("optional", "analytics_enabled", "proxy_url", "load_fn", "tool", "shape", "invert_colors", "crop_size"),
        *("brush_radius", "brush_color", "mask_opacity", "bubble_full_width", "likeable", "max_rows", "max_cols"),
        *("overflow_row_behaviour", "overflow_row_behavior", "show_fullscreen", "min_length", "recording_format"),
        *("waveform_color", "info_position", "interactive_columns"),
    }
)


def current_root() -> Blocks | None:
    """The ``Blocks`` whose ``with`` statement we are in, or None."""
    context = current_context.get()
    while context is not None and context.parent is not None:
        context = context.parent
    return context  # type: ignore[return-value]


@functools.cache
def _parameters(kind: Any) -> tuple[inspect.Signature, str | None]:
    signature = inspect.signature(kind.__init__)  # type: ignore[misc]
    rest = next((name for name, p in signature.parameters.items() if p.kind is p.VAR_KEYWORD), None)
    return signature, rest


class Block:
    """One thing on a page: a component, or a layout that holds others.

    A subclass declares its properties once, as the parameters of ``__init__``; each becomes an attribute and, unless
    None, a property of the page's configuration.
    """

    type_name: ClassVar[str] = "block"
    COMMON: ClassVar[Mapping[str, Any]] = {
        "visible": True,
        "elem_id": None,
        "elem_classes": None,
        "render": True,
        "key": None,
        "preserved_by_key": "value",
    }
    HIDDEN: ClassVar[frozenset[str]] = frozenset({"render", "key", "every", "inputs"})
    DEFAULTS: ClassVar[Mapping[str, Any]] = {}  # other defaults than the constructor's, for a variant of a block

    _id: int
    _names: tuple[str, ...]
    explicit: dict[str, Any]
    parent: BlockContext | None
    page = ""  # the path of the page it is on, in an app of several

    if TYPE_CHECKING:
        elem_classes: list[str]
        render_now: bool
        label: str | None
        # Other properties come from the constructor's signature: see __new__.

        def __getattr__(self, name: str) -> Any: ...

    def __new__(cls, *args: Any, **kwargs: Any) -> Block:
        self = object.__new__(cls)
        kind: Any = cls
        signature, rest = _parameters(kind)
        if rest is not None:
            kwargs = cls._modernise(kwargs, signature)
        explicit = dict(signature.bind(self, *args, **kwargs).arguments)
        explicit.pop(next(iter(signature.parameters)))
        explicit.update(explicit.pop(rest, {}) if rest else {})
        values = {
            name: parameter.default
            for name, parameter in signature.parameters.items()
            if parameter.default is not parameter.empty
        }
        values = {**(cls.COMMON if rest else {}), **values, **cls.DEFAULTS, **explicit}
        self.explicit = explicit
        self._names = tuple(values)
        for name, value in values.items():
            setattr(self, "render_now" if name == "render" else name, value)
        self._id = next(_numbers)
        self.parent = None
        return self

    @classmethod
    def _modernise(cls, kwargs: dict[str, Any], signature: inspect.Signature) -> dict[str, Any]:
        known = {*cls.COMMON, *signature.parameters}
        modern: dict[str, Any] = {}
        for name, value in kwargs.items():
            if name in known:
                modern[name] = value
            elif name in ALIASES:
                alias = ALIASES[name]
                now = {alias: value} if isinstance(alias, str) else alias(value)
                warnings.warn(
                    f"{cls.__name__}({name}=) is spelled {', '.join(now)}= now", DeprecationWarning, stacklevel=4
                )
                modern.update(now)
            elif name in SWITCHES:
                if not value:
                    shown: Any = modern.get("buttons", kwargs.get("buttons")) or getattr(cls, "BUTTONS", ())
                    modern["buttons"] = [each for each in shown if each != SWITCHES[name]]
            elif name not in RETIRED:
                raise TypeError(f"{cls.__name__} has no argument {name!r}{nearest(name, known)}")
        return modern

    def _settle(self) -> None:
        """Finish construction: called last by every ``__init__``."""
        names = self.__dict__.get("elem_classes")
        if "elem_classes" in self.__dict__:
            self.elem_classes = [names] if isinstance(names, str) else list(names or [])
        if "preserved_by_key" in self.__dict__:
            kept = self.__dict__["preserved_by_key"]
            self.preserved_by_key = [kept] if isinstance(kept, str) else list(kept or [])
        if self.__dict__.get("render_now", True):
            self.render()

    def render(self) -> Any:
        """Place this block where we are in the page being put together; returns the block."""
        context = current_context.get()
        if context is None:
            return self
        root = current_root()
        if root is not None and self._id in root.blocks:
            raise GradioError(
                f"this {type(self).__name__} is already on the page; make another one, or pass render=False "
                "where you create it"
            )
        context.add(self)
        if root is not None:
            root.adopt(self)
        return self

    def unrender(self) -> Any:
        """Take this block out of the page being put together; returns the block."""
        if self.parent is not None:
            root = current_root()
            self.parent.children.remove(self)
            self.parent = None
            if root is not None:
                root.blocks.pop(self._id, None)
        return self

    @property
    def skip_api(self) -> bool:
        """Whether clients leave this block out when they send or receive data."""
        return True

    def props(self) -> dict[str, Any]:
        """The properties as the page receives them: constructor arguments that are not None, and the type's name."""
        values = {name: self.__dict__.get(name) for name in self._names if name not in self.HIDDEN}
        return {**{name: value for name, value in values.items() if value is not None}, "name": self.type_name}

    def config(self) -> dict[str, Any]:
        """This block's entry in ``/config``."""
        return {
            "id": self._id,
            "type": self.type_name,
            "props": self.props(),
            "skip_api": self.skip_api,
            "component_class_id": f"enfold.{type(self).__name__}",
            "key": self.__dict__.get("key"),
        }

    def update_from(self) -> dict[str, Any]:
        """The change that returning this block from an event function asks for: the arguments it was given."""
        changes = {name: value for name, value in self.explicit.items() if name not in self.HIDDEN}
        return {**changes, "__type__": "update"}


class BlockContext(Block):
    """A block that holds others: the body of its ``with`` statement is its contents."""

    COMMON: ClassVar[Mapping[str, Any]] = {**Block.COMMON, "preserved_by_key": None}
    children: list[Block]

    def __new__(cls, *args: Any, **kwargs: Any) -> BlockContext:
        self = super().__new__(cls, *args, **kwargs)
        assert isinstance(self, BlockContext)
        self.children = []
        return self

    def add(self, block: Block) -> None:
        """Put a block at the end of this one's contents."""
        block.parent = self
        self.children.append(block)

    def __enter__(self) -> Any:
        self._token = current_context.set(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        current_context.reset(self._token)
        if kind is None:
            self._gather_forms()

    def _gather_forms(self) -> None:
        # Adjacent form fields share one frame on the page; the wire protocol has them inside a "form" block.
        from enfold.gradio.layouts import Draggable, Form

        if isinstance(self, (Form, Draggable)):
            return
        gathered: list[Block] = []
        form: Form | None = None
        token = current_context.set(None)
        try:
            for child in self.children:
                if not getattr(child, "in_form", False):
                    form = None
                    gathered.append(child)
                    continue
                if form is None:
                    form = Form()
                    form.parent = self
                    gathered.append(form)
                form.add(child)
        finally:
            current_context.reset(token)
        self.children = gathered
        root = current_root() or self
        for child in gathered:
            if isinstance(child, Form) and child._id not in root.blocks:
                root.adopt(child)

    def layout(self) -> dict[str, Any]:
        """This block's branch of the layout tree in ``/config``."""
        return {"id": self._id, "children": [branch(child) for child in self.children]}


def branch(block: Block) -> dict[str, Any]:
    """A block's branch of the layout tree."""
    return block.layout() if isinstance(block, BlockContext) else {"id": block._id}


def as_list(value: Block | Sequence[Block] | set[Block] | None) -> list[Block]:
    """One block, several or none, as a list; a set in the order in which its blocks were made."""
    if value is None:
        return []
    if isinstance(value, (set, frozenset)):
        return sorted(value, key=lambda block: block._id)
    return list(value) if isinstance(value, (list, tuple)) else [value]  # type: ignore[list-item]
