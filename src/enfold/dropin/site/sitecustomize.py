"""Carries the drop-in into child processes: ``PYTHONPATH`` names this folder. The environment's own file runs after."""

import importlib.machinery
import importlib.util
import os
import sys

try:
    import enfold.dropin  # noqa: F401
except ImportError:
    pass  # another interpreter's environment, without enfold

_here = os.path.dirname(os.path.abspath(__file__))
_others = [path for path in sys.path if os.path.abspath(path or ".") != _here]
_spec = importlib.machinery.PathFinder.find_spec("sitecustomize", _others)
if _spec is not None and _spec.loader is not None:
    _spec.loader.exec_module(importlib.util.module_from_spec(_spec))
