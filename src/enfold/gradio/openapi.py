"""Pages made of an OpenAPI description: a form for each operation of a service that speaks JSON over HTTP.

What visitors write goes into one place of a request each, and cannot leave it: a path's parameter is one segment, a
header's one line. The address, the token and which operations there are, the author decides.
"""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote

from enfold.errors import nearest
from enfold.gradio.blocks import Blocks
from enfold.gradio.components.base import Component
from enfold.gradio.components.choices import Checkbox, Dropdown
from enfold.gradio.components.file import File
from enfold.gradio.components.numbers import Number
from enfold.gradio.components.structured import JSON
from enfold.gradio.components.text import Markdown, Textbox
from enfold.gradio.errors import Error, GradioError
from enfold.gradio.files import is_url
from enfold.gradio.interface import Interface
from enfold.gradio.layouts import Sidebar

__all__ = ["load_openapi"]

METHODS = ("get", "post", "put", "patch", "delete")
TIMEOUT = 60.0  # seconds the service has for an answer


def load_openapi(
    openapi_spec: str | dict[str, Any],
    base_url: str,
    *,
    paths: list[str] | None = None,
    exclude_paths: list[str] | None = None,
    methods: Sequence[Literal["get", "post", "put", "patch", "delete"]] | None = None,
    auth_token: str | None = None,
    **interface_kwargs: Any,
) -> Blocks:
    """Make a page with a form for each operation of a service.

    Args:
        openapi_spec: its description (version 3, JSON): an address, a file's path, a text of JSON or a dict.
        base_url: where the service is, such as "https://api.example.com/v1".
        paths: patterns (regular expressions, matched from the beginning) of the paths that are meant; all when None.
        exclude_paths: patterns of paths that are not, whatever ``paths`` says.
        methods: the methods that are meant; all when None.
        auth_token: sent as a bearer token; it stays on the server.
        interface_kwargs: further arguments of each :class:`~enfold.gradio.Interface`.

    Returns:
        The page.

    Raises:
        GradioError: the description cannot be read, or nothing of it is meant.

    Example:
        >>> spec = {"info": {"title": "Books"}, "paths": {"/books/{id}": {"get": {"parameters": [
        ...     {"name": "id", "in": "path", "schema": {"type": "integer"}}]}}}}
        >>> page = load_openapi(spec, "https://api.example.com")
        >>> list(page.get_api_info()["named_endpoints"])
        ['/get__books_id']
    """
    if methods is not None:
        for method in methods:
            if method.lower() not in METHODS:
                raise GradioError(f"{method!r} is no method that a form can have{nearest(method.lower(), METHODS)}")
    spec = _read(openapi_spec)
    wanted = [
        operation
        for operation in _operations(spec)
        if not any(re.match(pattern, operation.path) for pattern in exclude_paths or ())
        and (paths is None or any(re.match(pattern, operation.path) for pattern in paths))
        and (methods is None or operation.method in {each.lower() for each in methods})
    ]
    if not wanted:
        raise GradioError(
            "the OpenAPI description has no operation that is meant: see paths=, exclude_paths=, methods="
        )
    about = spec.get("info") or {}
    title = str(about.get("title") or "OpenAPI Interface")
    options = {"flagging_mode": "never", **interface_kwargs}
    with Blocks(title=title) as page:
        with Sidebar():
            links = "\n".join(f"- [{each.heading}](#{each.anchor})" for each in wanted)
            Markdown(f"## {title}\n\n{about.get('description') or ''}\n\n### Operations\n\n{links}")
        for each in wanted:
            Markdown(f"## {each.heading}\n\n{each.summary}", header_links=True)
            Interface(
                _caller(each, base_url, auth_token), each.fields(), JSON(label="Response", render=False), **options
            )
    return page


class Operation:
    """One operation of a service.

    Args:
        spec: the whole description, which references point into.
        path: its path, with ``{names}`` in it.
        method: in lower case.
        shared: parameters of all operations at this path.
        said: its own entry.
    """

    def __init__(self, spec: dict[str, Any], path: str, method: str, shared: list[Any], said: dict[str, Any]) -> None:
        self.spec, self.path, self.method = spec, path, method
        own = [self.resolved(each) for each in said.get("parameters") or []]
        places = {(each.get("name"), each.get("in")) for each in own}
        given = [self.resolved(each) for each in shared]
        whole = [*(each for each in given if (each.get("name"), each.get("in")) not in places), *own]
        self.parameters = [each for each in whole if each.get("in") in {"path", "query", "header"} and each.get("name")]
        self.body = self.resolved(said.get("requestBody") or {})
        self.heading = f"{method.upper()} {path}"
        self.anchor = re.sub(r"[^\w]+", "-", self.heading.lower())
        self.summary = str(said.get("summary") or said.get("description") or "")
        self.name = re.sub(r"\W+", "_", f"{method}_{path}").strip("_")  # as the ecosystem names it: get__books_id
        described = [f"    {each['name']}: {each.get('description') or ''}" for each in self.parameters]
        self.document = "\n".join([str(said.get("description") or self.summary), "", "Args:", *described])

    def resolved(self, schema: Any) -> dict[str, Any]:
        """A part of the description, or what it refers to within it."""
        for _ in range(20):
            if not isinstance(schema, dict):
                return {}
            if "$ref" not in schema:
                return schema
            place: Any = self.spec
            for step in str(schema["$ref"]).removeprefix("#/").split("/"):
                place = place.get(step.replace("~1", "/").replace("~0", "~")) if isinstance(place, dict) else None
            schema = place
        return {}

    @property
    def kind(self) -> str | None:
        """The media type its body has; None without one."""
        known = self.body.get("content") or {}
        for wanted in ("application/json", "multipart/form-data", "application/octet-stream"):
            if wanted in known:
                return wanted
        return next(iter(known), None)

    @property
    def sends_file(self) -> bool:
        """Whether its body is a file."""
        return self.kind in {"multipart/form-data", "application/octet-stream"}

    def fields(self) -> list[Component]:
        """A component for each parameter, and one for the body."""
        made = [_field(each, self.resolved(each.get("schema"))) for each in self.parameters]
        if self.kind is not None:
            info = str(self.body.get("description") or "") or None
            if self.sends_file:
                made.append(File(label="File", render=False))
            else:
                schema = self.resolved(((self.body.get("content") or {}).get(self.kind) or {}).get("schema"))
                example = json.dumps(self._example(schema, 0), indent=2, ensure_ascii=False)
                made.append(Textbox(example, label="Request Body", info=info, lines=4, max_lines=20, render=False))
        return made

    def _example(self, schema: dict[str, Any], depth: int) -> Any:
        for name in ("example", "default"):
            if name in schema:
                return schema[name]
        if schema.get("enum"):
            return schema["enum"][0]
        for several in ("allOf", "oneOf", "anyOf"):
            if schema.get(several):
                parts = [self._example(self.resolved(each), depth + 1) for each in schema[several]]
                if several == "allOf" and all(isinstance(each, dict) for each in parts):
                    return {name: value for each in parts for name, value in each.items()}
                return parts[0]
        kind = schema.get("type")
        if kind == "object" and depth < 8:
            properties = schema.get("properties") or {}
            return {name: self._example(self.resolved(each), depth + 1) for name, each in properties.items()}
        plain: dict[Any, Any] = {"string": "", "number": 0, "integer": 0, "boolean": False, "array": []}
        return plain.get(kind, {})


def _read(spec: str | dict[str, Any]) -> dict[str, Any]:
    if isinstance(spec, str):
        if is_url(spec):
            import httpx

            answer = httpx.get(spec, timeout=TIMEOUT, follow_redirects=True)
            if answer.status_code != 200:
                raise GradioError(f"{spec} answered {answer.status_code}")
            text = answer.text
        else:
            text = spec if spec.lstrip().startswith("{") else Path(spec).read_text("utf-8")
        try:
            spec = json.loads(text)
        except ValueError as error:
            raise GradioError(f"the OpenAPI description is not JSON: {error}") from None
    if not isinstance(spec, dict) or not isinstance(spec.get("paths"), dict):
        raise GradioError("an OpenAPI description is an object with 'paths': give an address, a file, JSON or a dict")
    return spec


def _operations(spec: dict[str, Any]) -> Iterator[Operation]:
    for path, entry in spec["paths"].items():
        if not isinstance(entry, dict):
            continue
        for method in entry:
            if method.lower() in METHODS and isinstance(entry[method], dict):
                yield Operation(spec, path, method.lower(), entry.get("parameters") or [], entry[method])


def _field(parameter: dict[str, Any], schema: dict[str, Any]) -> Component:
    shared: dict[str, Any] = {"label": parameter["name"], "info": parameter.get("description"), "render": False}
    value = schema.get("default")
    kind = schema.get("type")
    if schema.get("enum"):
        return Dropdown(schema["enum"], value=value, **shared)
    if kind in {"number", "integer"}:
        return Number(value, precision=0 if kind == "integer" else None, **shared)
    if kind == "boolean":
        return Checkbox(value if value is not None else False, **shared)
    if kind == "array":
        return Textbox("[]", **{**shared, "label": f"{parameter['name']} (JSON array)"})
    return Textbox(value, **shared)


def _caller(operation: Operation, base_url: str, token: str | None) -> Callable[..., Any]:
    """The function that calls an operation."""

    def call(*values: Any) -> Any:
        import httpx

        address = operation.path
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        query: dict[str, Any] = {}
        for parameter, value in zip(operation.parameters, values, strict=False):
            name, place = parameter["name"], parameter["in"]
            if operation.resolved(parameter.get("schema")).get("type") == "array" and isinstance(value, str):
                value = _parsed(value, name)
            if place == "path":
                address = address.replace(f"{{{name}}}", _segment(value, name))
            elif value in (None, "") and not parameter.get("required"):
                continue
            elif place == "query":
                query[name] = value
            elif name.lower() not in {"authorization", "host", "content-length", "content-type", "cookie"}:
                headers[name] = _line(value, name)
        body: dict[str, Any] = {}
        if operation.kind is not None:
            body = _body(
                operation, values[len(operation.parameters)] if len(values) > len(operation.parameters) else None
            )
        headers |= body.pop("headers", {})
        try:
            answer = httpx.request(
                operation.method.upper(),
                base_url.rstrip("/") + address,
                params=query,
                headers=headers,
                timeout=TIMEOUT,
                **body,
            )
        except httpx.HTTPError as error:
            raise Error(f"the service cannot be reached: {type(error).__name__}", print_exception=False) from None
        if answer.is_success:
            return _answered(answer)
        return {"__status__": "error", "status_code": answer.status_code, "message": answer.text}

    names = [*(each["name"] for each in operation.parameters), *(["request_body"] if operation.kind else [])]
    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    taken: list[inspect.Parameter] = []
    for name in names:
        plain = re.sub(r"\W+", "_", name).strip("_") or "value"
        while plain in {each.name for each in taken}:
            plain += "_"
        taken.append(inspect.Parameter(plain if not plain[0].isdigit() else f"_{plain}", kind))
    call.__signature__ = inspect.Signature(taken)  # type: ignore[attr-defined]
    call.__name__, call.__doc__ = operation.name, operation.document
    return call


def _segment(value: Any, name: str) -> str:
    text = "" if value is None else str(value)
    if text in {"", ".", ".."}:
        raise Error(f"{name}: a name for one step of the address is expected", print_exception=False)
    return quote(text, safe="")


def _line(value: Any, name: str) -> str:
    text = str(value)
    if any(ord(letter) < 32 for letter in text) or not text.isascii():
        raise Error(f"{name}: one line of plain letters is expected", print_exception=False)
    return text


def _parsed(text: str, name: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise Error(f"{name} is not JSON: {error}", print_exception=False) from None


def _body(operation: Operation, value: Any) -> dict[str, Any]:
    if not operation.sends_file:
        if value in (None, "") and not operation.body.get("required"):
            return {}
        return {"json": _parsed(str(value or ""), "the request's body")}
    if value is None:
        if operation.body.get("required"):
            raise Error("a file is expected", print_exception=False)
        return {}
    path = Path(value)
    if operation.kind == "application/octet-stream":
        return {"content": path.read_bytes(), "headers": {"Content-Type": "application/octet-stream"}}
    schema = operation.resolved(((operation.body.get("content") or {}).get(operation.kind) or {}).get("schema"))
    properties = {name: operation.resolved(each) for name, each in (schema.get("properties") or {}).items()}
    binary = [name for name, each in properties.items() if each.get("format") == "binary"]
    return {"files": {(binary or ["file"])[0]: (path.name, path.read_bytes())}}


def _answered(answer: Any) -> Any:
    if not answer.content:
        return None
    try:
        return answer.json()
    except ValueError:
        return {"text": answer.text}
