"""Lends modules of a peer's wheel to the drop-in, here and in child processes: `suite_lending.py` says which."""

import importlib.util
import json
import os
import sys
from importlib.machinery import ModuleSpec
from typing import Any

import enfold.dropin  # noqa: F401 — its finder must stand behind ours

LENT: dict[str, str] = json.loads(os.environ.get("SUITE_LENT", "{}"))


class Lender:
    """A meta path finder for the modules that ``SUITE_LENT`` names, from the files that it gives."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        """Return the spec of a lent module or of one below it; None for every other."""
        for lent, place in LENT.items():
            if name != lent and not name.startswith(f"{lent}."):
                continue
            bare = os.path.join(place, *name.removeprefix(lent).strip(".").split("."))
            for file in (os.path.join(bare, "__init__.py"), f"{bare.rstrip(os.sep)}.py"):
                if os.path.isfile(file):
                    folders = [os.path.dirname(file)] if file.endswith("__init__.py") else None
                    return importlib.util.spec_from_file_location(name, file, submodule_search_locations=folders)
        return None


sys.meta_path.insert(0, Lender())  # type: ignore[arg-type]
