"""Blocks: a page, its functions, and the server that shows it."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, TypedDict
from urllib.parse import urlsplit

from enfold.errors import EnfoldError, nearest
from enfold.gradio.block import Block, BlockContext, as_list, current_context
from enfold.gradio.components.base import Component
from enfold.gradio.errors import GradioError
from enfold.gradio.events import Event
from enfold.gradio.functions import BlockFunction, function_name

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from enfold.gradio.i18n import I18n
    from enfold.gradio.routes import App
    from enfold.web.server import BackgroundServer

__all__ = ["Blocks", "Looks"]


class Looks(TypedDict, total=False):
    """How a page looks, accepted by ``Blocks`` and by ``launch``.

    ``theme``: one of :mod:`enfold.gradio.themes`, or its name. ``css``: a style sheet, or ``css_paths`` files of them.
    ``js``: a JavaScript function that runs when the page has loaded. ``head``: HTML for the page's head, or
    ``head_paths`` files of it.
    """

    theme: Any
    css: str | None
    css_paths: str | Path | Sequence[str | Path] | None
    js: str | None
    head: str | None
    head_paths: str | Path | Sequence[str | Path] | None


class Blocks(BlockContext):
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
    i18n: I18n | None = None
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

    def attach(
        self,
        fn: Callable[..., Any] | None,
        *,
        targets: Sequence[tuple[int | None, str]],
        inputs: Any = None,
        outputs: Any = None,
        api_name: str | None = None,
        api_visibility: str = "public",
        show_progress_on: Any = None,
        **options: Any,
    ) -> BlockFunction:
        """Attach a function; :func:`enfold.gradio.on` says what the arguments mean.

        Raises:
            GradioError: an input or output is not on the page, or the function does not take that many inputs.
        """
        ins, outs = as_list(inputs), as_list(outputs)
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
        outer.blocks.update(self.blocks)
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
            "connect_heartbeat": "unload" in listened or any(isinstance(b, State) for b in self.blocks.values()),
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
            "pages": [["", "Home", True]],
            "page": {
                "": {
                    "components": [entry["id"] for entry in entries],
                    "dependencies": [entry["id"] for entry in dependencies],
                    "layout": self.layout(),
                }
            },
            "mcp_server": False,
            "i18n_translations": None,
            "username": None,
            "layout": self.layout(),
            "dependencies": dependencies,
        }

    def get_api_info(self, all_endpoints: bool = False) -> dict[str, Any]:
        """Return the endpoints clients may call, with the types of their parameters and results."""
        from enfold.gradio.schema import api_info

        return api_info(self, everything=all_endpoints)

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

    # --- showing it ----------------------------------------------------------------------------------------------

    def launch(
        self,
        inline: bool | None = None,
        inbrowser: bool = False,
        share: bool | None = None,
        debug: bool = False,
        max_threads: int = 40,
        auth: Callable[[str, str], bool] | tuple[str, str] | list[tuple[str, str]] | None = None,
        auth_message: str | None = None,
        prevent_thread_lock: bool = False,
        show_error: bool = False,
        server_name: str | None = None,
        server_port: int | None = None,
        *,
        quiet: bool = False,
        root_path: str | None = None,
        state_session_capacity: int = 10_000,
        favicon_path: str | Path | None = None,
        footer_links: list[Any] | None = None,
        show_api: bool | None = None,
        ssl_keyfile: str | None = None,
        ssl_certfile: str | None = None,
        ssl_keyfile_password: str | None = None,
        app_kwargs: dict[str, Any] | None = None,
        allowed_paths: str | Path | Sequence[str | Path] | None = None,
        blocked_paths: str | Path | Sequence[str | Path] | None = None,
        max_file_size: str | int | None = None,
        i18n: I18n | None = None,
        mcp_server: bool | None = None,
        height: int | str = 500,
        width: int | str = "100%",
        **looks: Any,
    ) -> tuple[App, str, str | None]:
        """Serve the page over HTTP.

        Args:
            inbrowser: whether to open it in the browser.
            share: public links are not offered; True raises an error that says what to do instead.
            debug: whether to wait in a notebook as well.
            max_threads: threads for functions that are not coroutines.
            auth: who may use it: ``(name, password)``, a list of them, or a function that judges the two.
            auth_message: text above the login.
            prevent_thread_lock: return at once; otherwise the call waits until Ctrl-C or :meth:`close`.
            show_error: whether visitors see the text of unexpected errors.
            server_name: the address to serve on: 127.0.0.1, or ``GRADIO_SERVER_NAME``; "0.0.0.0" for the network.
            server_port: the port; 0 for any free one; None for ``GRADIO_SERVER_PORT``, or the first free from 7860.
            quiet: whether to print nothing.
            root_path: where a proxy shows the page, such as "/demo" or a whole address.
            state_session_capacity: visitors whose state is remembered.
            favicon_path: an image file for the browser's tab.
            footer_links: what the page's foot shows: "api", and ``{"label": ..., "url": ...}``.
            show_api: older spelling: False leaves "api" out of ``footer_links``.
            ssl_keyfile, ssl_certfile, ssl_keyfile_password: for https.
            allowed_paths: files and folders that any visitor may read and functions may show, beside the working and
                the temporary folder.
            blocked_paths: files and folders that nobody may, whatever else is allowed.
            i18n: texts in several languages; see :class:`~enfold.gradio.I18n`.
            mcp_server: whether the endpoints are tools for language models at ``/gradio_api/mcp``; when None,
                ``GRADIO_MCP_SERVER`` says.
            max_file_size: the largest upload, in bytes or as a text such as "5mb".
            inline: whether the page is shown below a notebook's cell; when None, in notebooks.
            height, width: of that frame, in pixels or any CSS length.
            app_kwargs: accepted; the application takes no options.
            looks: see :class:`Looks`; also the ecosystem's arguments that have nothing to change here
                (``ssr_mode``, ``node_port`` …).

        Returns:
            ``(app, local_url, share_url)``: the ASGI application, its address, None.

        Raises:
            EnfoldError: the port is taken, or ``share=True``.
            MissingExtra: the web server's packages are not installed.
        """
        from enfold.gradio.routes import App, Settings
        from enfold.gradio.transfers import existing
        from enfold.web.server import BackgroundServer

        if share:
            raise EnfoldError(
                "share=True needs a public relay, which enfold does not run: use server_name='0.0.0.0' for the local "
                "network, or put a reverse proxy or an ssh tunnel before the page"
            )
        for name in looks:
            if name not in Looks.__annotations__ and name not in _NOTHING_TO_DO:
                known = [*Looks.__annotations__, *_NOTHING_TO_DO, "server_port", "server_name", "prevent_thread_lock"]
                raise TypeError(f"launch() has no argument {name!r}{nearest(name, known)}")
        self.looks |= {
            name: value for name, value in looks.items() if name in Looks.__annotations__ and value is not None
        }
        if self.server is not None:
            self.close()
        self.i18n = i18n or self.i18n
        links = ["api"] if footer_links is None else list(footer_links)
        settings = Settings(
            auth=auth,
            auth_message=auth_message,
            show_error=show_error,
            root_path=(root_path or os.environ.get("GRADIO_ROOT_PATH") or "").rstrip("/"),
            session_capacity=state_session_capacity,
            max_threads=max_threads,
            favicon=Path(favicon_path) if favicon_path else None,
            footer_links=[link for link in links if link != "api" or show_api is not False],
            allowed_paths=existing(allowed_paths),
            blocked_paths=existing(blocked_paths),
            max_file_size=max_file_size,
            mcp=asked_mcp(mcp_server),
        )
        host = server_name or os.environ.get("GRADIO_SERVER_NAME") or "127.0.0.1"
        from enfold.web.origin import is_loopback

        if is_loopback(host) and host not in {"0.0.0.0", "::"}:
            settings.hosts = [host, *([urlsplit(settings.root_path).netloc] if "://" in settings.root_path else [])]
        app = App(self, settings)
        secure = {
            "ssl_keyfile": ssl_keyfile,
            "ssl_certfile": ssl_certfile,
            "ssl_keyfile_password": ssl_keyfile_password,
        }
        options = {name: value for name, value in secure.items() if value is not None}
        port = server_port if server_port is not None else _asked_port()
        if port is not None:
            self.server = BackgroundServer(app, host=host, port=port, **options)
        else:
            self.server = _first_free(app, host, options)
        self.app, self.server_name, self.server_port = app, host, self.server.port
        self.local_url = self.server.url.replace("http:", "https:" if options else "http:") + "/"
        if not quiet:
            print(f"* Running on local URL:  {self.local_url.rstrip('/')}", flush=True)
        if inbrowser:
            import webbrowser

            webbrowser.open(self.local_url)
        from enfold.gradio import notebook

        if inline or (inline is None and notebook.in_notebook()):
            notebook.show(self.local_url, width, height)
        # `python -i` and notebooks keep the prompt, as long as nobody asks to wait.
        prompt = bool(getattr(sys, "ps1", None) or sys.flags.interactive)
        if not prevent_thread_lock and (debug or not prompt):
            self.block_thread()
        return app, self.local_url, None

    def block_thread(self) -> None:
        """Wait until the server ends; Ctrl-C ends it."""
        try:
            if self.server is not None:
                self.server.wait()
        except KeyboardInterrupt:
            print("Keyboard interruption in main thread... closing server.", flush=True)
            self.close()

    def close(self, verbose: bool = True) -> None:
        """End the server; a second call does nothing."""
        server, self.server = self.server, None
        if server is not None:
            if self.app is not None:
                self.app.end()
            server.stop()

    @property
    def is_running(self) -> bool:
        """Whether the page is being served."""
        return self.server is not None and self.server.running


# Arguments of launch() that concern what is not here to be changed: notebooks' frames, a second server for rendering,
# relays, monitoring pages that are off.
_NOTHING_TO_DO = frozenset(
    {
        "ssl_verify",
        "run_history",
        "share_server_address",
        "share_server_protocol",
        "share_server_tls_certificate",
        "strict_cors",
        "node_server_name",
        "node_port",
        "ssr_mode",
        "num_workers",
        "enable_queue",
    }
)


def _default_limit() -> int | None:
    asked = os.environ.get("GRADIO_DEFAULT_CONCURRENCY_LIMIT", "1")
    return None if asked.lower() == "none" else int(asked)


def asked_mcp(given: bool | None) -> bool:
    """Whether to serve tools: as given, or as the environment says."""
    return os.environ.get("GRADIO_MCP_SERVER", "").lower() == "true" if given is None else given


def _asked_port() -> int | None:
    asked = os.environ.get("GRADIO_SERVER_PORT", "")
    return int(asked) if asked.isdigit() else None


def _first_free(app: Any, host: str, options: dict[str, Any]) -> BackgroundServer:
    from enfold.web.server import BackgroundServer

    count = int(os.environ.get("GRADIO_NUM_PORTS", "100"))
    for port in range(7860, 7860 + count):
        try:
            return BackgroundServer(app, host=host, port=port, **options)
        except EnfoldError as error:
            if "cannot serve" not in str(error):
                raise
    raise EnfoldError(f"no free port between 7860 and {7859 + count}; pass server_port=0 for any free one")
