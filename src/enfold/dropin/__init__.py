"""The drop-in: after ``import enfold.dropin``, the ecosystem's import names resolve to enfold.

The finder stands first on ``sys.meta_path`` and answers for every name of :data:`LIBRARIES` and below it, so that an
installed original is never reached. A module has one identity: ``sys.modules["transformers"]`` *is*
``enfold.transformers``. Child processes inherit the drop-in through ``PYTHONPATH``.

Three ways in::

    enfold run script.py --its --arguments
    python -m enfold.dropin [-m module | script.py] arguments…
    import enfold.dropin
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
from collections.abc import Iterator, Sequence
from importlib.abc import Loader
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import CodeType, ModuleType
from typing import TYPE_CHECKING, Any

from enfold.addresses import LIBRARIES, locate
from enfold.errors import nearest

if TYPE_CHECKING:
    from importlib.metadata import Distribution

__all__ = ["LIBRARIES", "Finder", "install", "locate", "uninstall"]

_SITE = str(Path(__file__).parent / "site")


class Finder:
    """A meta path finder that answers for the ecosystem's names, with modules and with installed versions."""

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return a spec whose module is ours, or None for a name outside the ecosystem.

        Raises:
            ModuleNotFoundError: the name belongs to the ecosystem and enfold has no such module.
        """
        if name.partition(".")[0] not in LIBRARIES:
            return None
        home = locate(name)
        if home is None:
            if _asked_whether_it_exists():
                return None
            raise ModuleNotFoundError(f"No module named {name!r} in enfold{_siblings(name)}", name=name)
        return ModuleSpec(name, _Alias(home), is_package=True)

    def find_distributions(self, context: Any = None) -> Iterator[Distribution]:
        """Report every library as installed, in the version whose surface enfold offers (``importlib.metadata``)."""
        from enfold.dropin.metadata import distributions

        return distributions(getattr(context, "name", None))


class _Alias(Loader):
    """Loads a name of the ecosystem as the enfold module itself, not as a copy of it."""

    def __init__(self, home: str) -> None:
        self.home = home
        self.spec: ModuleSpec | None = None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        module = importlib.import_module(self.home)
        self.spec = module.__spec__
        return module

    def exec_module(self, module: ModuleType) -> None:
        # The import system has just put the alias's spec on our module: give it its own back.
        module.__spec__ = self.spec


def install() -> None:
    """Make the ecosystem's names resolve to enfold, here and in child processes; a second call changes nothing.

    Raises:
        ImportError: an original library has been imported already, so that two of them would be in one process.
    """
    if any(isinstance(finder, Finder) for finder in sys.meta_path):
        return
    for name in LIBRARIES:
        loaded = sys.modules.get(name)
        if loaded is not None and not loaded.__name__.startswith("enfold"):
            raise ImportError(f"{name} was imported before enfold.dropin; import enfold.dropin first")
    sys.meta_path.insert(0, Finder())  # type: ignore[arg-type]
    paths = [part for part in os.environ.get("PYTHONPATH", "").split(os.pathsep) if part and part != _SITE]
    os.environ["PYTHONPATH"] = os.pathsep.join([_SITE, *paths])


def uninstall() -> None:
    """Undo :func:`install`: names resolve as the environment has them, and children start without the drop-in."""
    sys.meta_path[:] = [finder for finder in sys.meta_path if not isinstance(finder, Finder)]
    for name, module in list(sys.modules.items()):
        if name.partition(".")[0] in LIBRARIES and module.__name__.startswith("enfold"):
            del sys.modules[name]
    paths = [part for part in os.environ.get("PYTHONPATH", "").split(os.pathsep) if part and part != _SITE]
    os.environ["PYTHONPATH"] = os.pathsep.join(paths)


def _asked_whether_it_exists() -> bool:
    """Whether ``importlib.util.find_spec`` is asking, which expects None for an absent module and not an error."""
    asking: CodeType = importlib.util.find_spec.__code__
    frame = sys._getframe(2)
    return any(frame is not None and code is asking for code in (frame.f_code, frame.f_back and frame.f_back.f_code))


def _siblings(name: str) -> str:
    import pkgutil

    parent = sys.modules.get(name.rpartition(".")[0])
    folders = list(getattr(parent, "__path__", []))
    return nearest(name.rpartition(".")[2], (found.name for found in pkgutil.iter_modules(folders)))


install()
