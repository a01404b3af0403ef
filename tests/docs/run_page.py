"""Run the fences of one page, given by path: in order, in one namespace, in the working folder.

Ends with 1 and a message that names the page and the line when a fence fails or prints something else than the page
says.
"""

from __future__ import annotations

import contextlib
import difflib
import faulthandler
import io
import linecache
import os
import subprocess
import sys
import traceback
from pathlib import Path
from types import ModuleType

sys.path.insert(0, str(Path(__file__).resolve().parent))

from pages import ROOT, Fence, fences, source

LONGEST = 240  # seconds of a page; then the line that it waits in is told


class Tee(io.StringIO):
    """Keeps what is printed, and passes it on."""

    def write(self, text: str) -> int:
        sys.__stdout__.write(text)  # type: ignore[union-attr]
        return super().write(text)


def printed(fence: Fence, page: str, module: ModuleType) -> str:
    """Run one fence and return what it printed.

    Raises:
        SystemExit: with a message, when it fails.
    """
    if fence.language == "bash":
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", fence.code], stdin=subprocess.DEVNULL, capture_output=True, text=True
        )
        sys.stdout.write(done.stdout)
        if done.returncode:
            raise SystemExit(
                f"{page}:{fence.line}: a command ended with {done.returncode}\n"
                f"{done.stdout[-3000:]}\n{done.stderr[-6000:]}"
            )
        return done.stdout
    output = Tee()
    try:
        with contextlib.redirect_stdout(output):
            exec(compile("\n" * fence.line + fence.code, page, "exec", dont_inherit=True), vars(module))
    except BaseException as error:
        # without the frame of this function
        shown = "".join(traceback.format_exception(error.with_traceback(error.__traceback__.tb_next)))  # type: ignore[union-attr]
        raise SystemExit(f"{page}:{fence.line}: the snippet raised\n{shown}") from None
    return output.getvalue()


def lines(text: str) -> list[str]:
    return [line.rstrip() for line in text.strip("\n").splitlines()]


def check(fence: Fence, page: str, got: str) -> None:
    """Compare what a fence printed with the ``text`` fence after it."""
    if fence.shows is None or lines(fence.shows) == lines(got):
        return
    difference = difflib.unified_diff(lines(fence.shows), lines(got), "the page says", "printed", lineterm="")
    raise SystemExit(
        f"{page}:{fence.line}: what is printed differs from line {fence.shows_line}\n" + "\n".join(difference)
    )


def main(path: Path) -> None:
    page = os.path.relpath(path, ROOT)
    faulthandler.dump_traceback_later(LONGEST, exit=True)
    found = fences(path.read_text(encoding="utf-8"))
    text = source(found)
    linecache.cache[page] = (len(text), None, text.splitlines(keepends=True), page)
    # What a snippet defines belongs to __main__, so that it can be pickled and found by inspect.
    module = sys.modules["__main__"] = ModuleType("__main__")
    for fence in found:
        if fence.runs:
            check(fence, page, printed(fence, page, module))
            sys.stdout.flush()


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve())
