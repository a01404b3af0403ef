"""Examples: input values to pick from, with the results that belong to them."""

from __future__ import annotations

import inspect
import threading
from collections.abc import Callable, Sequence
from typing import Any, Literal

from enfold.gradio.block import Block, as_list, current_root
from enfold.gradio.components.base import Component
from enfold.gradio.components.dataset import Dataset
from enfold.gradio.errors import GradioError

__all__ = ["Examples"]


class Examples:
    """Rows of values that fill the inputs when one is picked.

    Args:
        examples: rows; for one input, values.
        inputs: what they fill.
        outputs, fn: what the function fills, and the function, for ``cache_examples`` and ``run_on_click``.
        cache_examples: whether results are kept and shown with the inputs.
        cache_mode: "eager" runs every example now, "lazy" each when it is first picked.
        examples_per_page: rows that are shown at a time.
        label: what stands above them.
        elem_id: for style sheets.
        run_on_click: whether the function runs when one is picked.
        api_name: the name clients call it by.
        example_labels: one text per row, shown instead of it.
        visible: whether they are shown.
        visible_columns: numbers of the columns that are shown; all when None.
        preload: the number of the row that fills the inputs when the page opens; none when False.
        preprocess, postprocess, api_visibility, api_description: see :func:`enfold.gradio.on`.
        batch: whether ``fn`` takes lists of inputs and returns lists of outputs.

    Raises:
        GradioError: a row has not one value per input.
    """

    def __init__(
        self,
        examples: Sequence[Any],
        inputs: Block | Sequence[Block],
        outputs: Block | Sequence[Block] | None = None,
        fn: Callable[..., Any] | None = None,
        cache_examples: bool | None = None,
        cache_mode: Literal["eager", "lazy"] | None = None,
        examples_per_page: int = 10,
        label: str | None = "Examples",
        elem_id: str | None = None,
        run_on_click: bool = False,
        api_name: str | Literal[False] | None = "load_example",
        *,
        preprocess: bool = True,
        postprocess: bool = True,
        api_visibility: Literal["public", "private", "undocumented"] = "undocumented",
        api_description: str | Literal[False] | None = None,
        batch: bool = False,
        example_labels: list[str] | None = None,
        visible: bool | Literal["hidden"] = True,
        visible_columns: list[int] | None = None,
        preload: int | Literal[False] = False,
    ) -> None:
        self.inputs, self.outputs, self.fn = as_list(inputs), as_list(outputs), fn
        rows = [list(row) if isinstance(row, (list, tuple)) else [row] for row in examples]
        for number, row in enumerate(rows):
            if len(row) > len(self.inputs) or (len(row) < len(self.inputs) and fn is None):
                raise GradioError(f"example {number} has {len(row)} values for {len(self.inputs)} inputs: {row!r}")
        self.examples = rows
        if (cache_examples or run_on_click) and (fn is None or not self.outputs):
            raise GradioError("examples need fn and outputs to be cached, or to run when they are picked")
        if cache_examples and fn is not None and inspect.iscoroutinefunction(fn):
            raise GradioError("the results of coroutines are not cached; leave cache_examples out")
        width = max(map(len, rows), default=0)
        kept = range(width) if visible_columns is None else visible_columns
        shown = [each for column in kept if isinstance(each := self.inputs[column], Component)]
        self.dataset = Dataset(
            label=label,
            components=shown,
            samples=[[row[column] for column in kept if column < len(row)] for row in rows],
            type="index",
            samples_per_page=examples_per_page,
            sample_labels=example_labels,
            elem_id=elem_id,
            visible=visible,
        )
        self._batch = batch
        self._results: dict[int, list[Any]] = {}
        self._lock = threading.Lock()
        targets = [*self.inputs[:width], *(self.outputs if cache_examples else [])]
        if cache_examples and (cache_mode or "eager") == "eager":
            for number in range(len(rows)):
                self._result(number)

        def load_example(index: int) -> Any:
            values = [*rows[index], *([None] * (width - len(rows[index])))]
            if cache_examples:
                values = [*values, *self._result(index)]
            return values[0] if len(targets) == 1 else values

        if current_root() is not None:
            loaded = self.dataset.click(
                load_example,
                self.dataset,
                targets,
                api_name=api_name,
                api_visibility=api_visibility if api_name else "private",
                api_description=api_description,
                queue=bool(cache_examples),
                show_progress="hidden",
            )
            if run_on_click and not cache_examples:
                run = {"preprocess": preprocess, "postprocess": postprocess, "batch": batch}
                loaded.then(fn, self.inputs, self.outputs, api_visibility="private", **run)
            root = current_root()
            if preload is not False and rows and root is not None:

                def preloaded() -> Any:
                    return load_example(preload)

                root.load(preloaded, None, targets, api_visibility="private", queue=False, show_progress="hidden")

    def _result(self, number: int) -> list[Any]:
        with self._lock:
            if number not in self._results:
                assert self.fn is not None
                row = self.examples[number]
                result = self.fn(*([each] for each in row)) if self._batch else self.fn(*row)
                if self._batch:
                    columns = list(result)
                    result = [column[0] for column in columns]
                    result = result[0] if len(self.outputs) == 1 else result
                if inspect.isgenerator(result):
                    values = list(result)
                    result = values[-1] if values else None
                self._results[number] = [result] if len(self.outputs) == 1 else list(result)
            return self._results[number]
