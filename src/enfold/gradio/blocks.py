"""Blocks: a page, its functions, and the server that shows it."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal

from enfold.errors import nearest
from enfold.gradio.block import Block, as_list, current_context
from enfold.gradio.components.base import Component
from enfold.gradio.errors import GradioError
from enfold.gradio.events import Event
from enfold.gradio.functions import BlockFunction, function_name
from enfold.gradio.launch import Launched, Looks

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from enfold.gradio.routes import App
    from enfold.web.server import BackgroundServer

__all__ = ["Blocks", "Looks"]


class Blocks(Launched):
    """A page: what is created in its ``with`` statement is on it.

    Args:
        analytics_enabled: accepted; nothing is ever reported anywhere.
        mode: what clients are told the page is.
        title: the window's title.
        fill_height, fill_width: whether the page takes the whole window.
        delete_cache: ``(seconds between two rounds, age in seconds)`` after which files that were uploaded or made
            for this page are deleted; never when None.
        looks: see :class:`Looks`.

    Example:
        >>> from enfold.gradio import Blocks, Button, Textbox
        >>> with Blocks() as demo:
        ...     name, greeting = Textbox(label="Name"), Textbox(label="Greeting")
        ...     _ = Button("Greet").click(lambda name: f"Hello {name}!", name, greeting, api_name="greet")
        >>> list(demo.get_api_info()["named_endpoints"])
        ['/greet']
    """

    type_name = "blocks"
    delete_cache: tuple[float, float] | None = None
    outer: Blocks | None = None
    load = Event()
    unload = Event()

    def __init__(
        self,
        analytics_enabled: bool | None = None,
        mode: str = "blocks",
        title: str = "Gradio",
        fill_height: bool = False,
        fill_width: bool = False,
        delete_cache: tuple[int, int] | None = None,
        **looks: Unpack[Looks],
    ) -> None:
        self.set_up(mode=mode, title=title, fill_height=fill_height, fill_width=fill_width, looks=dict(looks))
        self.delete_cache = delete_cache

    def __new__(cls, *args: Any, **kwargs: Any) -> Blocks:
        # A page's arguments are not properties of a block, and subclasses bring their own.
        self = object.__new__(cls)
        from enfold.gradio.block import _numbers

        self._id, self._names, self.explicit = next(_numbers), (), {}
        self.parent, self.children = None, []
        return self

    def set_up(
        self, *, mode: str, title: str, fill_height: bool = False, fill_width: bool = False, looks: dict[str, Any]
    ) -> None:
        """Begin as an empty page; for subclasses."""
        known = Looks.__annotations__
        for name in looks:
            if name not in known:
                raise TypeError(f"{type(self).__name__} has no argument {name!r}{nearest(name, known)}")
        self.mode, self.title = mode, title
        self.fill_height, self.fill_width = fill_height, fill_width
        self.looks = {name: value for name, value in looks.items() if value is not None}
        self.pages: list[tuple[str, str, bool]] = [("", "Home", True)]
        self.current_page = ""
        self.blocks: dict[int, Block] = {}
        self.fns: dict[int, BlockFunction] = {}
        self.default_concurrency_limit: int | None = _default_limit()
        self.max_size: int | None = None
        self.api_open = True
        self.app_id = int.from_bytes(os.urandom(6), "big")
        self.server: BackgroundServer | None = None
        self.app: App | None = None
        self.local_url: str | None = None
        self.share_url: str | None = None

    # --- putting the page together -------------------------------------------------------------------------------

    def __enter__(self) -> Any:
        from enfold.gradio.block import current_root

        self.outer = current_root()
        return super().__enter__()

    def knows(self, block: Block) -> bool:
        """Whether a block is on this page, or on the one that this one is being put into."""
        return block._id in self.blocks or (self.outer is not None and self.outer.knows(block))

    def adopt(self, block: Block) -> None:
        """Count a block as part of the page."""
        self.blocks[block._id] = block
        block.page = self.current_page

    def route(self, name: str, path: str | None = None, show_in_navbar: bool = True) -> Blocks:
        """Begin another page of this app; what is created in the ``with`` statement around the call is on it.

        Args:
            name: what the links to it say.
            path: its address below the app's own; made of the name when None.
            show_in_navbar: whether there is a link to it.

        Returns:
            The app itself.

        Raises:
            GradioError: inside of ``with Blocks():``, or with a path that cannot be.

        Example:
            >>> with Blocks() as demo:
            ...     pass
            >>> with demo.route("About us"):
            ...     pass
            >>> demo.pages
            [('', 'Home', True), ('about-us', 'About us', True)]
        """
        from enfold.gradio.block import current_root
        from enfold.gradio.pages import path_of

        if current_root() is not None:
            raise GradioError("route() is called after `with Blocks() as demo:`, not inside of it: move the line left")
        self.current_page = path_of(name, path, [each for each, _, _ in self.pages])
        self.pages.append((self.current_page, name, show_in_navbar))
        return self

    def attach(
        self,
        fn: Callable[..., Any] | None,
        *,
        targets: Sequence[tuple[int | None, str]],
        inputs: Any = None,
        outputs: Any = None,
        inputs_kwargs: Mapping[str, Block] | None = None,
        api_name: str | None = None,
        api_visibility: str = "public",
        show_progress_on: Any = None,
        **options: Any,
    ) -> BlockFunction:
        """Attach a function; :func:`enfold.gradio.on` says what the arguments mean.

        Raises:
            GradioError: an input or output is not on the page, or the function does not take that many inputs.
        """
        named = dict(inputs_kwargs or {})
        if named and isinstance(inputs, (set, frozenset)):
            raise GradioError("a set of inputs is one argument: give inputs_kwargs= without it")
        ins, outs = [*as_list(inputs), *named.values()], as_list(outputs)
        name = api_name or (function_name(fn) if fn else "js_fn" if options.get("js") else "unnamed")
        taken = {each.api_name for each in self.fns.values()}
        unique, number = name, 0
        while unique in taken:
            number += 1
            unique = f"{name}_{number}"
        made = BlockFunction(
            len(self.fns),
            fn,
            ins,
            outs,
            list(targets),
            api_name=unique,
            api_visibility=api_visibility if fn is not None else "private",
            inputs_as_dict=isinstance(inputs, (set, frozenset)),
            show_progress_on=as_list(show_progress_on) if show_progress_on is not None else None,
            page=self.current_page,
            keywords=list(named),
            **options,
        )
        for role, blocks in (("input", ins), ("output", outs)):
            for block in blocks:
                if not isinstance(block, Block):
                    raise GradioError(f"{name}: {block!r} is not a component, so it cannot be an {role}")
                if not self.knows(block):
                    raise GradioError(
                        f"{name}: its {role} {type(block).__name__} is not on this page; create or render it inside "
                        "the same Blocks"
                    )
        problem = made.check_inputs() if fn is not None else None
        if problem:
            raise GradioError(problem)
        self.fns[made.id] = made
        return made

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            for block in list(self.blocks.values()):
                if isinstance(block, Component) and block.load_value is not None:
                    self._keep_fresh(block)
        super().__exit__(kind, error, trace)
        self.current_page = ""
        if kind is None and current_context.get() is not None:
            self.render()

    def _keep_fresh(self, block: Component) -> None:
        """Run a function that stands for a value: for each visitor, when its inputs change, and every so often."""
        from enfold.gradio.components.times import Timer
        from enfold.gradio.events import on

        fn, block.load_value = block.load_value, None
        inputs = as_list(block.__dict__.get("inputs"))
        triggers = [self.load, *(each.change for each in inputs)]
        every = block.__dict__.get("every")
        if every is not None:
            triggers.append((every if isinstance(every, Timer) else Timer(every)).tick)
        on(
            triggers,
            fn,
            inputs,
            block,
            api_visibility="private",
            queue=False,
            show_progress="hidden",
            trigger_mode="always_last" if inputs else "once",
        )

    def render(self) -> Blocks:
        """Place this whole page, with its functions, inside the page being put together; returns it."""
        from enfold.gradio.block import current_root
        from enfold.gradio.layouts import Column

        outer = current_root()
        if outer is None or outer is self:
            return self
        if not self.blocks.keys().isdisjoint(outer.blocks):
            raise GradioError("this Blocks is already on the page")
        column = Column(min_width=0)
        column.children, self_children = list(self.children), self.children
        for child in self_children:
            child.parent = column
        for block in self.blocks.values():
            outer.adopt(block)
        moved: dict[int, int] = {}
        for fn in self.fns.values():
            names = {each.api_name for each in outer.fns.values()}
            unique, number = fn.api_name, 0
            while unique in names:
                number += 1
                unique = f"{fn.api_name}_{number}"
            targets = [(outer._id if block == self._id else block, event) for block, event in fn.targets]
            new = replace(
                fn,
                id=len(outer.fns),
                targets=targets,
                api_name=unique,
                cancels=[moved[each] for each in fn.cancels],
                trigger_after=None if fn.trigger_after is None else moved[fn.trigger_after],
                page=outer.current_page,
            )
            moved[fn.id] = new.id
            outer.fns[new.id] = new
        return self

    def queue(
        self,
        status_update_rate: float | Literal["auto"] = "auto",
        api_open: bool | None = None,
        max_size: int | None = None,
        *,
        default_concurrency_limit: int | Literal["not_set"] | None = "not_set",
        **retired: Any,
    ) -> Blocks:
        """Set how calls wait for their turn; the queue is always on.

        Args:
            status_update_rate: accepted; those who wait are told at most every 100 ms, whenever the queue moves.
            api_open: whether queued functions may also be called directly, beside the queue.
            max_size: calls that may wait; any number when None.
            default_concurrency_limit: how many calls of one function run at a time; None for any number.
            retired: ``concurrency_count`` of version 3 is ``default_concurrency_limit``.

        Returns:
            The page itself.
        """
        if "concurrency_count" in retired:
            default_concurrency_limit = retired.pop("concurrency_count")
        retired.pop("client_position_to_load_data", None)
        if retired:
            name = next(iter(retired))
            known = ["status_update_rate", "api_open", "max_size", "default_concurrency_limit"]
            raise TypeError(f"queue() has no argument {name!r}{nearest(name, known)}")
        if api_open is not None:
            self.api_open = api_open
        self.max_size = max_size
        if default_concurrency_limit != "not_set":
            self.default_concurrency_limit = default_concurrency_limit
        return self

    # --- telling about it ----------------------------------------------------------------------------------------

    def get_config_file(self) -> dict[str, Any]:
        """Return the page as clients and the front end receive it from ``/config``."""
        from enfold.gradio.components.state import State
        from enfold.gradio.page import body_css
        from enfold.gradio.pages import per_page

        listened = {event for fn in self.fns.values() for _, event in fn.targets}
        entries = [block.config() for block in self.blocks.values() if not isinstance(block, Blocks)]
        dependencies = [fn.config() for fn in self.fns.values()]
        theme = self.looks.get("theme")
        return {
            "version": "6.31.0",
            "api_prefix": "/gradio_api",
            "mode": self.mode,
            "app_id": self.app_id,
            "dev_mode": bool(os.environ.get("GRADIO_WATCH")),
            "vibe_mode": False,
            "analytics_enabled": False,
            "components": entries,
            "css": None,
            "connect_heartbeat": "unload" in listened
            or any(isinstance(b, State) for b in self.blocks.values())
            or any(fn.parts_visitors for fn in self.fns.values()),
            "js": None,
            "head": None,
            "title": self.title,
            "space_id": None,
            "enable_queue": True,
            "show_error": False,
            "footer_links": ["api"],
            "run_history": False,
            "is_colab": False,
            "max_file_size": None,
            "stylesheets": [],
            "theme": getattr(theme, "name", theme) or "default",
            "theme_hash": None,
            "protocol": "sse_v3",
            "body_css": body_css(),
            "fill_height": self.fill_height,
            "fill_width": self.fill_width,
            "pwa": False,
            "pages": [list(page) for page in self.pages],
            "page": per_page(self, entries, dependencies),
            "mcp_server": False,
            "i18n_translations": None,
            "username": None,
            "layout": self.layout(),
            "dependencies": dependencies,
        }

    def get_api_info(self, all_endpoints: bool = False, page: str | None = None) -> dict[str, Any]:
        """Return the endpoints clients may call, with the types of their parameters and results.

        Args:
            all_endpoints: whether undocumented ones are among them.
            page: the path of the page whose endpoints are meant; all pages' when None.
        """
        from enfold.gradio.schema import api_info

        return api_info(self, everything=all_endpoints, page=page)

    def __call__(self, *inputs: Any, fn_index: int = 0, api_name: str | None = None) -> Any:
        """Call one of the page's functions in this process, as a client would with Python values."""
        if api_name is not None:
            known = {fn.api_name: fn for fn in self.fns.values()}
            name = api_name.lstrip("/")
            if name not in known:
                raise GradioError(f"this page has no function named {name!r}{nearest(name, known)}")
            fn = known[name]
        else:
            fn = self.fns[fn_index]
        if fn.fn is None:
            raise GradioError(f"{fn.api_name} runs only in the browser")
        return fn.fn(*inputs)


def _default_limit() -> int | None:
    asked = os.environ.get("GRADIO_DEFAULT_CONCURRENCY_LIMIT", "1")
    return None if asked.lower() == "none" else int(asked)
