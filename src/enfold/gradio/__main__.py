"""``python -m enfold.gradio app.py``: run a demo, and again whenever one of its files changes.

The program runs in a process of its own, on the same port each time; pages that are open notice and load anew.
``--demo-name`` is accepted for programs that launch themselves; one that does not is launched by that name ("demo").
"""

from __future__ import annotations

import argparse
import os
import runpy
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path

PAUSE = 0.3  # seconds between two looks at the files
SKIPPED = {".git", ".venv", "node_modules", "__pycache__", ".gradio"}


def stamps(folders: Iterable[Path]) -> dict[str, float]:
    """When each Python, CSS, JavaScript and HTML file below some folders was changed last."""
    found = {}
    for folder in folders:
        for home, inner, names in os.walk(folder):
            inner[:] = [name for name in inner if name not in SKIPPED]
            for name in names:
                if name.endswith((".py", ".css", ".js", ".html")):
                    path = os.path.join(home, name)
                    try:
                        found[path] = os.stat(path).st_mtime
                    except OSError:
                        continue
    return found


def run(program: str, demo_name: str) -> None:
    """Run a program in this process, and launch its page unless it did that itself."""
    from enfold.gradio.blocks import Blocks

    sys.argv = [program]
    sys.path.insert(0, str(Path(program).resolve().parent))
    names = runpy.run_path(program, run_name="__main__")
    demo = names.get(demo_name)
    if isinstance(demo, Blocks):
        if not demo.is_running:
            demo.launch(prevent_thread_lock=True)
        demo.block_thread()


def watch(program: str, demo_name: str, folders: list[Path]) -> None:
    """Run the program in a child, and begin again when a file changes."""
    import socket

    environment = {**os.environ, "GRADIO_WATCH": "1"}
    if "GRADIO_SERVER_PORT" not in environment:
        with socket.socket() as probe:
            for port in range(7860, 7960):
                try:
                    probe.bind(("127.0.0.1", port))
                except OSError:
                    continue
                environment["GRADIO_SERVER_PORT"] = str(port)
                break
    command = [sys.executable, "-m", "enfold.gradio", "--once", "--demo-name", demo_name, program]
    seen = stamps(folders)
    child = subprocess.Popen(command, env=environment)
    try:
        while True:
            time.sleep(PAUSE)
            now = stamps(folders)
            if now == seen:
                continue
            changed = sorted({os.path.relpath(path) for path, _ in set(now.items()) ^ set(seen.items())})
            print(f"* Changed: {', '.join(changed[:5])}; running again", flush=True)
            seen = now
            child.terminate()
            child.wait()
            child = subprocess.Popen(command, env=environment)
    except KeyboardInterrupt:
        pass
    finally:
        child.terminate()
        child.wait()


def main(arguments: list[str] | None = None) -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="enfold.gradio", description=__doc__)
    parser.add_argument("program", help="the Python file that makes the demo")
    parser.add_argument("--demo-name", default="demo", help="the name of the page in it")
    parser.add_argument("--watch-dirs", nargs="*", default=[], help="further folders to watch")
    parser.add_argument("--once", action="store_true", help="run it once, without watching")
    asked = parser.parse_args(arguments)
    if not Path(asked.program).is_file():
        parser.error(f"there is no file {asked.program}")
    if asked.once:
        run(asked.program, asked.demo_name)
    else:
        watch(asked.program, asked.demo_name, [Path(asked.program).resolve().parent, *map(Path, asked.watch_dirs)])


if __name__ == "__main__":
    main()
