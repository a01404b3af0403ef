"""``python -m enfold.dropin [-m MODULE | -c CODE | SCRIPT] ARGUMENTS…``: run a program of the ecosystem on enfold."""

from __future__ import annotations

import os
import runpy
import sys
import types

import enfold.dropin  # noqa: F401 (importing it installs the finder)

__all__ = ["main"]

USAGE = "usage: python -m enfold.dropin [-m MODULE | -c CODE | SCRIPT] [ARGUMENTS …]"


def main(arguments: list[str]) -> None:
    """Run a script, a module or a piece of code as ``__main__``, with its own arguments, as ``python`` would.

    Args:
        arguments: what follows ``python`` on a command line: ``["script.py", "--flag"]``, ``["-m", "pytest"]`` or
            ``["-c", "import transformers"]``.

    Raises:
        SystemExit: nothing to run was named, or the file does not exist.
    """
    if not arguments or arguments[0] in {"-h", "--help"}:
        print(USAGE, file=sys.stdout if arguments else sys.stderr)
        raise SystemExit(0 if arguments else 2)
    first, rest = arguments[0], arguments[1:]
    if first in {"-m", "-c"} and not rest:
        raise SystemExit(f"{first} needs an argument\n{USAGE}")
    if first == "-m":
        sys.argv = rest  # run_module replaces the first one by the module's file
        sys.path.insert(0, os.getcwd())
        runpy.run_module(rest[0], run_name="__main__", alter_sys=True)
    elif first == "-c":
        sys.argv = ["-c", *rest[1:]]
        sys.path.insert(0, "")
        _execute(rest[0], "<string>")
    else:
        sys.argv = [first, *rest]
        sys.path.insert(0, os.path.dirname(os.path.abspath(first)))
        try:
            with open(first, "rb") as file:
                source = file.read()
        except OSError as error:
            raise SystemExit(f"enfold cannot run {first!r}: {error.strerror}") from None
        _execute(source, first)


def _execute(source: str | bytes, file: str) -> None:
    # A fresh __main__ that outlives the call, so that atexit handlers, threads and pickled functions still find it.
    module = types.ModuleType("__main__")
    if file != "<string>":
        module.__file__ = file
    sys.modules["__main__"] = module
    exec(compile(source, file, "exec"), vars(module))


if __name__ == "__main__":
    # `python -m` has put the current folder first, where the program's own folder belongs.
    if sys.path and sys.path[0] in {"", os.getcwd()}:
        del sys.path[0]
    main(sys.argv[1:])
