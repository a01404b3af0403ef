"""Reading modules of enfold as definitions, and following one definition to all that it needs."""

from __future__ import annotations

import ast
import importlib.util
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path

from enfold.errors import EnfoldError

__all__ = ["STAND_INS", "Definition", "Gathered", "Module", "annotated", "gather", "home", "read"]

HOME = "enfold"
STAND_INS = f"{HOME}.transformers.ejecting.stand_ins"
# Where the machinery is that stand-ins replace.
REPLACED = {
    f"{HOME}.log": ("get_logger",),
    f"{HOME}.nn.outputs": ("ModelOutput",),
    f"{HOME}.nn.linear": ("project",),
    f"{HOME}.nn.rows": ("core",),
    f"{HOME}.nn.cache": ("Cache", "CacheLayer", "DynamicCache", "EncoderDecoderCache", "EncoderDecoderLayer"),
    f"{HOME}.transformers.config": ("PretrainedConfig",),
    f"{HOME}.transformers.modeling": ("PreTrainedModel",),
    f"{HOME}.transformers.configs.backbone": ("sub_config",),
    f"{HOME}.transformers.models.backbone": ("load_backbone",),
    f"{HOME}.transformers.generation.mixin": ("GenerationMixin",),
    f"{HOME}.transformers.generation.whisper": ("WhisperGenerationMixin",),
}
# Machinery that chooses models by what a configuration says cannot stand in one file.
OUT_OF_REACH = (
    f"{HOME}.checkpoints",
    f"{HOME}.hub",
    f"{HOME}.peft",
    f"{HOME}.transformers.auto",
    f"{HOME}.transformers.config",
    f"{HOME}.transformers.ctranslate2",
    f"{HOME}.transformers.generation",
    f"{HOME}.transformers.loading",
    f"{HOME}.transformers.registry",
    f"{HOME}.transformers.remote",
)
WITHIN_REACH = {(f"{HOME}.transformers.config", "ConfigError")}

Key = tuple[str, str]  # module, name


@dataclass
class Definition:
    """A statement at the top of a module, with the name it binds.

    Attributes:
        module, name: where it stands and what it is called.
        node: the statement.
        lines: its source by line number, comments above it included and imports of enfold left out.
        uses: the global names that it reads; ``notes`` those that only its annotations name.
    """

    module: str
    name: str
    node: ast.stmt
    lines: dict[int, str]
    uses: set[str]
    notes: set[str]


@dataclass
class Module:
    """What a module defines, and what its names of other modules mean."""

    name: str
    summary: str
    definitions: dict[str, Definition] = field(default_factory=dict)
    later: list[Definition] = field(default_factory=list)  # statements that set attributes of definitions
    imports: dict[str, Key] = field(default_factory=dict)  # name here → module and name there, of enfold
    foreign: dict[str, str] = field(default_factory=dict)  # name here → the import statement that binds it
    order: list[str] = field(default_factory=list)  # modules of enfold, in the order in which they are imported

    def target(self, use: str) -> Key | None:
        """Return where a name that a definition uses is defined, or None for what is not enfold's."""
        if ":" in use:
            module, _, name = use.partition(":")
            return module, name
        first, _, attribute = use.partition(".")
        if attribute:
            module, name = self.imports.get(first, ("", ""))
            return (f"{module}.{name}", attribute) if module and _is_module(module, name) else None
        if first in self.definitions:
            return self.name, first
        found = self.imports.get(first)
        return None if found is None or _is_module(*found) else found


@dataclass
class Gathered:
    """Everything that a file needs, in the order in which it can be executed."""

    definitions: list[Definition]
    imports: set[str]
    modules: dict[str, Module]


def _source(module: str) -> str:
    try:
        spec = importlib.util.find_spec(module)
    except ModuleNotFoundError:
        spec = None
    if spec is None or not spec.origin:
        raise EnfoldError(f"there is no source of {module}")
    # a compiled module defines nothing that a file could hold
    return Path(spec.origin).read_text("utf-8") if spec.origin.endswith(".py") else ""


@cache
def read(name: str) -> Module:
    """Return a module's definitions, without importing it."""
    source = _source(name)
    tree, lines = ast.parse(source), source.splitlines()
    made = Module(name, (ast.get_docstring(tree) or "").partition("\n")[0])
    for node in _flat(tree.body):
        _take(made, node, lines)
    return made


def _flat(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """Statements at the top, what only type checkers read left out but for its imports."""
    for node in body:
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            yield from (item for item in node.body if isinstance(item, ast.Import | ast.ImportFrom))
            yield from _flat(node.orelse)
        else:
            yield node


def _take(made: Module, node: ast.stmt, lines: list[str]) -> None:
    if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == HOME:
        inner = [f"{node.module}.{item.name}" for item in node.names if _is_module(str(node.module), item.name)]
        made.order += [str(node.module), *inner]
        made.imports.update({item.asname or item.name: (str(node.module), item.name) for item in node.names})
    elif isinstance(node, ast.ImportFrom):
        for item in node.names:
            said = item.name if item.asname is None else f"{item.name} as {item.asname}"
            made.foreign[item.asname or item.name] = f"from {node.module} import {said}"
    elif isinstance(node, ast.Import):
        for item in node.names:
            said = item.name if item.asname is None else f"{item.name} as {item.asname}"
            made.foreign[item.asname or item.name.split(".")[0]] = f"import {said}"
    elif isinstance(node, ast.FunctionDef | ast.ClassDef):
        made.definitions[node.name] = _define(made.name, node.name, node, lines)
    elif isinstance(node, ast.Assign | ast.AnnAssign):
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        for target in targets:
            if isinstance(target, ast.Name) and target.id != "__all__":
                made.definitions[target.id] = _define(made.name, target.id, node, lines)
            elif isinstance(target, ast.Tuple):
                for part in target.elts:
                    if isinstance(part, ast.Name):
                        made.definitions[part.id] = _define(made.name, part.id, node, lines)
            elif isinstance(target, ast.Attribute) and isinstance(target.value, ast.Name):
                made.later.append(_define(made.name, target.value.id, node, lines))


def _define(module: str, name: str, node: ast.stmt, lines: list[str]) -> Definition:
    decorators = getattr(node, "decorator_list", [])
    first = min([node.lineno, *(item.lineno for item in decorators)]) - 1
    last = node.end_lineno or node.lineno
    inner = [
        item
        for item in ast.walk(node)
        if isinstance(item, ast.ImportFrom) and (item.module or "").split(".")[0] == HOME
    ]
    gone = {line for item in inner for line in range(item.lineno - 1, item.end_lineno or item.lineno)}
    begin = first
    while begin and lines[begin - 1].startswith("#"):
        begin -= 1
    kept = {line + 1: lines[line] for line in range(begin, last) if line not in gone}
    notes = {item.id for part in annotated(node) for item in ast.walk(part) if isinstance(item, ast.Name)}
    uses = _uses(node)
    return Definition(module, name, node, kept, uses, notes - uses)


def _uses(node: ast.AST) -> set[str]:
    """Global names that a statement reads when it runs: ``name``, ``module.name``, or ``module:name`` where a function
    imports them."""
    found: set[str] = set()
    for item in _executed(node):
        if isinstance(item, ast.Name):
            found.add(item.id)
        elif isinstance(item, ast.Attribute) and isinstance(item.value, ast.Name):
            found.add(f"{item.value.id}.{item.attr}")
        elif isinstance(item, ast.ImportFrom) and (item.module or "").split(".")[0] == HOME:
            found |= {f"{item.module}:{alias.name}" for alias in item.names}
    return found


def _without_machinery(place: Module, found: Definition) -> Definition:
    """Return a class without the methods that need what is out of reach; anything else as it is."""
    if not isinstance(found.node, ast.ClassDef):
        return found
    gone = [
        item
        for item in found.node.body
        if isinstance(item, ast.FunctionDef)
        and not all(_in_reach(home(*key)) for key in map(place.target, _uses(item)) if key is not None)
    ]
    lost = {
        line
        for item in gone
        for line in range(
            min([item.lineno, *(part.lineno for part in item.decorator_list)]), (item.end_lineno or item.lineno) + 1
        )
    }
    rest = [item for item in found.node.body if item not in gone]
    uses = {name for part in [*found.node.bases, *found.node.decorator_list, *rest] for name in _uses(part)}
    lines = {number: line for number, line in found.lines.items() if number not in lost}
    return replace(found, lines=lines, uses=uses)


def annotated(node: ast.AST) -> Iterator[ast.AST]:
    """Return the annotations inside a statement."""
    for item in ast.walk(node):
        for name in ("annotation", "returns"):
            part = getattr(item, name, None)
            if part is not None:
                yield part


def _executed(node: ast.AST) -> Iterator[ast.AST]:
    """Walk all that is executed: everything but annotations."""
    yield node
    for name, value in ast.iter_fields(node):
        if name in ("annotation", "returns"):
            continue
        for item in value if isinstance(value, list) else [value]:
            if isinstance(item, ast.AST):
                yield from _executed(item)


def gather(module: str, names: list[str]) -> Gathered:
    """Return all that ``names`` of a module need, stand-ins in the place of machinery.

    Raises:
        EnfoldError: something they need chooses its parts when it runs, so that no file could hold them all.
    """
    wanted: dict[Key, Definition] = {}
    imports: set[str] = set()
    modules: dict[str, Module] = {}
    waiting: list[tuple[Key, str]] = [((module, name), name) for name in names]
    while waiting:
        key, why = waiting.pop()
        key = home(*key)
        if key in wanted:
            continue
        if not _in_reach(key):
            raise EnfoldError(
                f"{why} needs {key[1]} of {key[0]}, which chooses parts by what a configuration says: "
                "no single file holds them all. Eject the parts instead"
            )
        place = modules[key[0]] = read(key[0])
        found = place.definitions.get(key[1])
        if found is None:
            raise EnfoldError(f"{key[0]} has no definition of {key[1]}, which {why} needs")
        found = wanted[key] = _without_machinery(place, found)
        for later in (item for item in place.later if item.name == key[1]):
            waiting += _targets(place, later, imports, weak=False)
        waiting += _targets(place, found, imports, weak=False)
        # What only annotations name comes along where it is short: an alias of types.
        waiting += [item for item in _targets(place, found, imports, weak=True) if _is_alias(*home(*item[0]))]
    return Gathered(_ordered(module, wanted, modules), imports, modules)


def _targets(place: Module, found: Definition, imports: set[str], *, weak: bool) -> list[tuple[Key, str]]:
    targets: list[tuple[Key, str]] = []
    for name in sorted(found.notes if weak else found.uses):
        key = place.target(name)
        if key is not None and key != (place.name, found.name):
            targets.append((key, found.name))
        elif name in place.foreign:
            imports.add(place.foreign[name])
    return targets


def _in_reach(key: Key) -> bool:
    if key in WITHIN_REACH:
        return True
    return not any(key[0] == place or key[0].startswith(f"{place}.") for place in OUT_OF_REACH)


@cache
def _is_module(module: str, name: str) -> bool:
    """Return whether ``from module import name`` gives a module."""
    if importlib.util.find_spec(module) is None or name in REPLACED.get(module, ()):
        return False
    spec = importlib.util.find_spec(module)
    if spec is None or spec.submodule_search_locations is None:
        return False
    return importlib.util.find_spec(f"{module}.{name}") is not None


def home(module: str, name: str) -> Key:
    """Follow re-exports to where a name is defined; machinery is where its stand-in is."""
    if name in REPLACED.get(module, ()):
        return STAND_INS, name
    if not _in_reach((module, name)):
        return module, name
    place = read(module)
    if name not in place.definitions and name in place.imports:
        return home(*place.imports[name])
    return module, name


def _is_alias(module: str, name: str) -> bool:
    if not _in_reach((module, name)):
        return False
    found = read(module).definitions.get(name)
    return found is not None and (isinstance(found.node, ast.Assign) or module == STAND_INS)


def _ordered(root: str, wanted: dict[Key, Definition], modules: dict[str, Module]) -> list[Definition]:
    """Definitions in the order in which their modules run: those that are imported first."""
    seen: list[str] = []

    def visit(name: str, path: tuple[str, ...]) -> None:
        if name in seen or name in path:
            return
        for other in read(name).order if _in_reach((name, "")) or name in modules else ():
            visit(other, (*path, name))
        seen.append(name)

    visit(STAND_INS, ())
    visit(root, ())
    for name in modules:  # those that a function imports
        visit(name, ())
    made: list[Definition] = []
    for name in [*seen, *(name for name in modules if name not in seen)]:
        place = modules.get(name)
        if place is None:
            continue
        own = {item.name for key, item in wanted.items() if key[0] == name}
        statements = [item for key, item in wanted.items() if key[0] == name]
        statements += [item for item in place.later if item.name in own]
        unique = {item.node.lineno: item for item in statements}
        made += [unique[line] for line in sorted(unique)]
    return made
