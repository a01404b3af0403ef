"""Demos inside notebooks: a frame below the cell."""

from __future__ import annotations

import html
import sys
from typing import Any

__all__ = ["in_notebook", "load_ipython_extension", "show"]


def in_notebook() -> bool:
    """Whether this is a notebook's kernel, and not a terminal."""
    module = sys.modules.get("IPython")
    shell = module.get_ipython() if module is not None else None
    return shell is not None and type(shell).__name__ != "TerminalInteractiveShell"


def frame(url: str, width: int | str, height: int | str) -> str:
    """The HTML of a frame that shows a page.

    Example:
        >>> frame("http://127.0.0.1:7860/", "100%", 500).count("http://127.0.0.1:7860/")
        1
    """
    parts = {"src": url, "width": width, "height": height, "allow": "camera; microphone; clipboard-write; fullscreen"}
    attributes = " ".join(f'{name}="{html.escape(str(value))}"' for name, value in parts.items())
    return f'<iframe {attributes} frameborder="0" title="Demo"></iframe>'


def show(url: str, width: int | str = "100%", height: int | str = 500) -> None:
    """Show a page below the cell that runs."""
    display: Any = sys.modules["IPython"].display
    display.display(display.HTML(frame(url, width, height)))


def load_ipython_extension(ipython: Any) -> None:
    """``%load_ext enfold.gradio`` gives the cell magic ``%%blocks``: what the cell makes is shown as a page."""

    def blocks(line: str, cell: str) -> None:
        import enfold.gradio as gr

        with gr.Blocks() as demo:
            exec(cell, ipython.user_ns)  # the user's own cell
        demo.launch(prevent_thread_lock=True, server_port=0, quiet=True, inline=True)

    ipython.register_magic_function(blocks, magic_kind="cell")
