"""The difference of two JSON values as edits, so that a stream sends what changed and not everything again.

An edit is ``[action, path, value]``: ``replace``, ``append`` (to a string or list), ``add`` (into a list or object) and
``delete``; ``path`` is a list of keys and indices, ``[]`` the value itself. Deletions come last, each index as it is
after the ones before.
"""

from __future__ import annotations

from typing import Any

__all__ = ["apply", "difference"]


def difference(old: Any, new: Any) -> list[list[Any]]:
    """Return edits that turn ``old`` into ``new``; none when they are equal.

    Example:
        >>> difference({"text": "Hel"}, {"text": "Hello"})
        [['append', ['text'], 'lo']]
    """
    edits: list[list[Any]] = []
    _compare(old, new, [], edits)
    return edits


def _compare(old: Any, new: Any, path: list[Any], edits: list[list[Any]]) -> None:
    if old is new:
        return
    if isinstance(old, str) and isinstance(new, str):
        if old != new:
            grown = old and new.startswith(old)
            edits.append(["append", path, new[len(old) :]] if grown else ["replace", path, new])
    elif isinstance(old, list) and isinstance(new, list):
        shared = min(len(old), len(new))
        for index in range(shared):
            _compare(old[index], new[index], [*path, index], edits)
        for index in range(shared, len(new)):
            edits.append(["add", [*path, index], new[index]])
        for _ in range(shared, len(old)):
            edits.append(["delete", [*path, shared], None])
    elif isinstance(old, dict) and isinstance(new, dict):
        for key, value in new.items():
            if key in old:
                _compare(old[key], value, [*path, key], edits)
            else:
                edits.append(["add", [*path, key], value])
        for key in old:
            if key not in new:
                edits.append(["delete", [*path, key], None])
    elif type(old) is not type(new) or old != new:
        edits.append(["replace", path, new])


def apply(value: Any, edits: list[list[Any]]) -> Any:
    """Apply edits to a JSON value in place where it can be, and return the result.

    Example:
        >>> apply([1, 2], [["add", [2], 3]])
        [1, 2, 3]
    """
    for action, path, change in edits:
        if not path:
            value = change if action == "replace" else value + change
            continue
        at = value
        for step in path[:-1]:
            at = at[step]
        last = path[-1]
        if action == "replace":
            at[last] = change
        elif action == "append":
            at[last] = at[last] + change
        elif action == "add":
            at.insert(last, change) if isinstance(at, list) else at.__setitem__(last, change)
        elif action == "delete":
            del at[last]
        else:
            raise ValueError(f"unknown edit {action!r}")
    return value
