"""Stand-alone model files: one readable file with a model and all that it needs, and no import of enfold.

For those who want to change a model and experiment: the file holds the family's own code, the blocks it is built of,
and short stand-ins for what surrounds it here (:mod:`enfold.transformers.ejecting.stand_ins`). Weights have the same
names, and ``from_pretrained`` reads a local folder.
"""

from __future__ import annotations

import ast
import builtins
import importlib
import re
import textwrap
from collections import defaultdict

from enfold.errors import EnfoldError, nearest
from enfold.transformers.ejecting.gathering import STAND_INS, Definition, Gathered, annotated, gather, home, read
from enfold.transformers.registry import MODELS, Row

__all__ = ["eject"]


def eject(name: str, heads: list[str] | None = None) -> str:
    """Return the source of one file with a family's models.

    Args:
        name: a model type such as ``"bert"``, or a class such as ``"BertForMaskedLM"``, which leaves out other heads.
        heads: names of the classes to keep; all of the family by default.

    Raises:
        EnfoldError: the name is unknown; or the model chooses its parts by what a configuration says, so that no
            single file could hold them all.

    Example:
        >>> source = eject("BertForMaskedLM")
        >>> "import enfold" in source or "from enfold" in source, "class BertForMaskedLM" in source
        (False, True)
    """
    module, public = _family(name)
    wanted = heads or ([name] if name in public else public)
    for head in wanted:
        if head not in public:
            raise EnfoldError(f"{name} has no class {head!r}{nearest(head, public)}; it has {', '.join(public)}")
    gathered = gather(module, wanted)
    names = _names(module, gathered)
    parts = [_header(module, gathered, wanted), *_sections(module, gathered, names)]
    return "\n\n\n".join(parts) + "\n"


def _family(name: str) -> tuple[str, list[str]]:
    """Return the module of a model type or of a class, and its public classes."""
    rows = {kind: row for kind, row in MODELS.items() if kind == name}
    rows = rows or {kind: row for kind, row in MODELS.items() if _is_of(name, row) and _has(row.module, name)}
    if not rows:
        raise EnfoldError(f"there is no model type or class {name!r}{nearest(name, MODELS)}")
    row = next(iter(rows.values()))
    module = f"enfold.transformers.models.{row.module}"
    return module, [item for item in _public(module) if _is_of(item, row)]


def _is_of(name: str, row: Row) -> bool:
    return name.startswith(row.prefix) or f"={name}" in row.heads


def _has(module: str, name: str) -> bool:
    return name in _public(f"enfold.transformers.models.{module}")


def _public(module: str) -> list[str]:
    try:
        return list(importlib.import_module(module).__all__)
    except ModuleNotFoundError:
        raise EnfoldError(f"{module} has no file of its own, so that there is nothing to eject") from None


def _names(root: str, gathered: Gathered) -> dict[tuple[str, str], str]:
    """Return what each definition is called in the file: two of one name are told apart by their modules."""
    found: dict[str, list[str]] = defaultdict(list)
    for item in gathered.definitions:
        if item.module not in found[item.name]:
            found[item.name].append(item.module)
    called: dict[tuple[str, str], str] = {}
    for name, modules in found.items():
        keeper = root if root in modules else modules[0]
        for module in modules:
            prefix = "" if module == keeper else "".join(part.title() for part in module.split(".")[-1].split("_"))
            called[module, name] = f"_{prefix}{name}" if prefix and name.startswith("_") else f"{prefix}{name}"
    return called


def _header(root: str, gathered: Gathered, wanted: list[str]) -> str:
    summary = read(root).summary
    lines = [
        f'"""{summary}',
        "",
        "A stand-alone file: it needs torch, and safetensors to read weights. Names of weights are the checkpoints'.",
        '"""',
        "",
        "from __future__ import annotations",
        "",
        *sorted(line for line in gathered.imports if line.startswith("import ")),
        *_merged(line for line in gathered.imports if line.startswith("from ") and "__future__" not in line),
        "",
        f"__all__ = [{', '.join(repr(name) for name in sorted(wanted))}]".replace("'", '"'),
    ]
    return "\n".join(lines)


def _merged(lines: object) -> list[str]:
    """Return one line for each module that names are imported from."""
    found: dict[str, list[str]] = defaultdict(list)
    for line in lines:  # type: ignore[attr-defined]
        module, _, name = line.removeprefix("from ").partition(" import ")
        found[module].append(name)
    if "Any" not in found["typing"]:
        found["typing"].append("Any")
    return [f"from {module} import {', '.join(sorted(names))}" for module, names in sorted(found.items())]


def _sections(root: str, gathered: Gathered, names: dict[tuple[str, str], str]) -> list[str]:
    """Return the definitions, each module's under a line that says what it was."""
    parts: list[str] = []
    last = ""
    plain = False
    for item in gathered.definitions:
        text = _text(item, gathered, names)
        if item.module != last:
            title = "what surrounds the model" if item.module == STAND_INS else _title(item.module)
            parts.append(f"# --- {title} {'-' * (113 - len(title))}\n\n{text}")
        elif plain and isinstance(item.node, ast.Assign):
            parts[-1] += f"\n{text}"
        else:
            parts.append(text)
        last, plain = item.module, isinstance(item.node, ast.Assign)
    return parts


def _title(module: str) -> str:
    return module.removeprefix("enfold.").removeprefix("transformers.").replace(".", " / ")


def _text(item: Definition, gathered: Gathered, names: dict[tuple[str, str], str]) -> str:
    """Return a definition's source under the names of the file; annotations that it does not know become ``Any``."""
    place = gathered.modules[item.module]
    lines = dict(item.lines)
    known = set(place.foreign) | set(dir(builtins))
    renamed: dict[str, str] = {}
    for name in item.uses | item.notes | {item.name}:
        source = place.target(name)
        if source is None or ":" in name:
            continue
        key = home(*source)
        if key in names:
            known.add(name)
            if names[key] != name:
                renamed[name] = names[key]
    edits: list[tuple[int, int, int]] = []
    for part in annotated(item.node):
        for inner in ast.walk(part):
            if not isinstance(inner, ast.Name) or inner.lineno not in lines:
                continue  # no name, or one of a method that stays behind
            if inner.id not in known and inner.id in place.imports:
                edits.append((inner.lineno, inner.col_offset, inner.end_col_offset or 0))
    for line, begin, end in sorted(set(edits), reverse=True):
        lines[line] = lines[line][:begin] + "Any" + lines[line][end:]
    text = textwrap.dedent("\n".join(lines[number] for number in sorted(lines)))
    for old, new in renamed.items():
        text = re.sub(rf"(?<![\w.\"']){re.escape(old)}\b(?!=[^=])", new, text)
    return text.rstrip()
