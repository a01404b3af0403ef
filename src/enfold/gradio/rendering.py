"""Parts of a page that a function makes anew whenever one of its inputs changes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from enfold.gradio.block import Block, as_list, current_context, current_root
from enfold.gradio.blocks import Blocks
from enfold.gradio.components.base import Component
from enfold.gradio.errors import GradioError
from enfold.gradio.events import Trigger, on
from enfold.gradio.functions import BlockFunction
from enfold.gradio.layouts import Column

if TYPE_CHECKING:
    from enfold.gradio.jobs import Job

__all__ = ["Part", "Renderable", "render"]


class Renderable:
    """A part of the page: where it stands, and the function that fills it.

    Each visitor's part is a :class:`Part` of its own, kept in the session: blocks and functions of one visitor are
    neither seen nor called by another.
    """

    _numbers = iter(range(1, 1 << 30))

    def __init__(self, fn: Callable[..., Any], root: Blocks) -> None:
        self.id = next(self._numbers)
        self.fn, self.root = fn, root
        self.place = Column(min_width=0)

    def run(self, job: Job, arguments: list[Any]) -> dict[str, Any]:
        """Fill the part for one visitor.

        Returns:
            ``render_config`` as it travels: the layout, the components and the functions in the part.
        """
        part = Part(self, job.session.parts)
        token = current_context.set(part)
        try:
            self.fn(*arguments)
        finally:
            current_context.reset(token)
        part._gather_forms()
        for block in list(part.blocks.values()):
            if isinstance(block, Component) and block.load_value is not None:
                part._keep_fresh(block)
        job.session.parts[self.id] = part
        new = [fn.config() | {"rendered_in": self.place._id, "render_id": self.id} for fn in part.own.values()]
        return {
            "layout": {"id": self.place._id, "children": part.layout()["children"]},
            "components": [block.config() for block in part.blocks.values() if not isinstance(block, Blocks)],
            "dependencies": new,
            "render_id": self.id,
        }


class Part(Blocks):
    """What a render function made for one visitor."""

    def __init__(self, renderable: Renderable, before: dict[int, Any]) -> None:
        self.set_up(mode="blocks", title="", looks={})
        self.renderable, self.outer = renderable, renderable.root
        self.own: dict[int, BlockFunction] = {}
        # Numbers above the page's own, apart from the visitor's other parts.
        taken = [fn for part in before.values() if part is not None for fn in part.own]
        self._next = max([len(self.outer.fns) + 1000, *(number + 1 for number in taken)])

    def attach(self, fn: Any, **options: Any) -> BlockFunction:
        assert self.outer is not None
        self.fns = {**self.outer.fns, **self.own}
        made = super().attach(fn, **options)
        self.fns.pop(made.id, None)
        made.id = self._next
        self._next += 1
        self.own[made.id] = made
        return made


def render(
    inputs: Block | Sequence[Block] | Callable[..., Any] | None = None,
    triggers: Sequence[Trigger] | Trigger | None = None,
    *,
    queue: bool = True,
    trigger_mode: str | None = "always_last",
    concurrency_limit: int | None = None,
    concurrency_id: str | None = None,
    show_progress: str = "full",
) -> Any:
    """Let a function make a part of the page, and make it again whenever one of its inputs changes.

    Blocks that carry a ``key`` keep the value that the visitor gave them.

    Args:
        inputs: blocks whose values become the function's arguments.
        triggers: events that make the part again; a change of any input, and page load, when None.
        queue, trigger_mode, concurrency_limit, concurrency_id, show_progress: see :func:`enfold.gradio.on`.

    Returns:
        A decorator.

    Raises:
        GradioError: outside of ``with Blocks():``.

    Example:
        >>> from enfold.gradio import Blocks, Slider, Textbox
        >>> with Blocks() as demo:
        ...     count = Slider(1, 5, 2, step=1)
        ...     @render(inputs=count)
        ...     def boxes(count):
        ...         for number in range(int(count)):
        ...             Textbox(key=number)
    """
    if callable(inputs) and not isinstance(inputs, Block):
        return render()(inputs)
    root = current_root()
    if root is None:
        raise GradioError("render is used inside `with Blocks() as demo:`")
    given = as_list(inputs)  # type: ignore[arg-type]
    if isinstance(triggers, Trigger):
        triggers = [triggers]
    starts = triggers if triggers is not None else [root.load, *(b.change for b in given if hasattr(type(b), "change"))]

    def attach(fn: Callable[..., Any]) -> Callable[..., Any]:
        part = Renderable(fn, root)
        made = on(
            list(starts),
            fn,
            given,
            None,
            api_visibility="private",
            queue=queue,
            trigger_mode=trigger_mode,  # type: ignore[arg-type]
            concurrency_limit=concurrency_limit,
            concurrency_id=concurrency_id,
            show_progress=show_progress,  # type: ignore[arg-type]
            show_progress_on=part.place,
        )
        made.function.renderable = part
        return fn

    return attach
