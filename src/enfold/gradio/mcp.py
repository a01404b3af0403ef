"""A page's functions as tools for language models: the Model Context Protocol over one HTTP address.

``launch(mcp_server=True)`` serves ``/gradio_api/mcp`` (the protocol's "streamable HTTP", JSON answers) and
``/gradio_api/mcp/schema``. Every public endpoint is a tool; its parameters are described by the components, its
purpose by the docstring. Files go in as addresses, and come out as pictures or as addresses.

Source: the specification of 2025-06-18 (modelcontextprotocol.io).
"""

from __future__ import annotations

import base64
import inspect
import json
import re
import string
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from starlette.requests import Request as HTTPRequest
from starlette.responses import Response

from enfold.errors import nearest
from enfold.gradio.encoding import encode
from enfold.gradio.files import FileData, mime_type
from enfold.gradio.schema import _endpoint

if TYPE_CHECKING:
    from enfold.gradio.functions import BlockFunction
    from enfold.gradio.routes import App

__all__ = ["MCP", "prompt", "resource", "tool"]

VERSIONS = ("2025-06-18", "2025-03-26", "2024-11-05")
_MARK = "_gradio_mcp"
PICTURE = 4 * 2**20  # bytes of a picture that travels inside an answer


def tool(
    name: str | None = None, description: str | None = None, structured_output: bool = False, _meta: Any = None
) -> Callable[[Any], Any]:
    """Say how a function is offered as a tool: under another name, with another description.

    Args:
        name, description: as the model sees them; the endpoint's own when None.
        structured_output: whether results travel as JSON beside the text.

    Returns:
        A decorator.
    """
    return _marked("tool", {"name": name, "description": description, "structured": structured_output})


def resource(
    uri_template: str, description: str | None = None, mime_type: str | None = None, _meta: Any = None
) -> Callable[[Any], Any]:
    """Offer a function as a resource: ``{name}`` places of the address become its arguments.

    Args:
        uri_template: such as "greeting://{name}".
        description, mime_type: as the model sees them.

    Returns:
        A decorator.
    """
    return _marked("resource", {"uri": uri_template, "description": description, "mime": mime_type})


def prompt(name: str | None = None, description: str | None = None, _meta: Any = None) -> Callable[[Any], Any]:
    """Offer a function as a prompt: what it returns is a message to begin with.

    Args:
        name, description: as the model sees them.

    Returns:
        A decorator.
    """
    return _marked("prompt", {"name": name, "description": description})


def _marked(kind: str, options: dict[str, Any]) -> Callable[[Any], Any]:
    def decorate(fn: Any) -> Any:
        setattr(fn, _MARK, (kind, options))
        return fn

    return decorate


class MCP:
    """The protocol's answers for one page.

    Args:
        app: the page's application.
    """

    def __init__(self, app: App) -> None:
        self.app = app
        self.tools: dict[str, tuple[BlockFunction, dict[str, Any]]] = {}
        self.resources: dict[str, tuple[BlockFunction, dict[str, Any]]] = {}
        self.prompts: dict[str, tuple[BlockFunction, dict[str, Any]]] = {}
        for fn in app.blocks.fns.values():
            if fn.fn is None or fn.api_visibility != "public":
                continue
            marked: tuple[str, dict[str, Any]] = getattr(fn.fn, _MARK, ("tool", {}))
            kind, options = marked
            name = options.get("name") or fn.api_name
            if kind == "tool":
                self.tools[name] = (fn, options)
            elif kind == "resource":
                self.resources[options["uri"]] = (fn, options)
            else:
                self.prompts[name] = (fn, options)

    async def answer(self, request: HTTPRequest) -> Response:
        """Answer one message, or several in a list."""
        if request.method != "POST":
            return Response(status_code=405, headers={"Allow": "POST"})
        body = await self.app.calls.read(request, whole=True)
        messages = body if isinstance(body, list) else [body]
        answers = [answer for each in messages if (answer := await self._one(request, each)) is not None]
        if not answers:
            return Response(status_code=202)
        return Response(encode(answers if isinstance(body, list) else answers[0]), media_type="application/json")

    async def schema(self, request: HTTPRequest) -> Response:
        """The tools alone, for those who only want to see them."""
        return Response(encode(self._tools()), media_type="application/json")

    async def _one(self, request: HTTPRequest, message: Any) -> dict[str, Any] | None:
        if not isinstance(message, dict) or not isinstance(message.get("method"), str):
            return _error(None, -32600, "a JSON-RPC request is expected")
        number, method = message.get("id"), message["method"]
        if number is None:
            return None  # a notification
        params = message.get("params") or {}
        methods: dict[str, Callable[[], Any]] = {
            "initialize": lambda: self._hello(params),
            "ping": dict,
            "tools/list": lambda: {"tools": self._tools()},
            "resources/list": lambda: {"resources": [each for each in self._listed() if "uri" in each]},
            "resources/templates/list": lambda: {
                "resourceTemplates": [each for each in self._listed() if "uriTemplate" in each]
            },
            "prompts/list": lambda: {"prompts": self._prompts()},
            "tools/call": lambda: self._call(request, params),
            "resources/read": lambda: self._read(request, params),
            "prompts/get": lambda: self._prompt(request, params),
        }
        if method not in methods:
            return _error(number, -32601, f"unknown method {method!r}{nearest(method, methods)}")
        try:
            result = methods[method]()
            if inspect.isawaitable(result):
                result = await result
        except (KeyError, ValueError, TypeError) as error:
            return _error(number, -32602, str(error.args[0] if error.args else error))
        return {"jsonrpc": "2.0", "id": number, "result": result}

    def _hello(self, params: dict[str, Any]) -> dict[str, Any]:
        asked = params.get("protocolVersion")
        from enfold.gradio import __version__

        return {
            "protocolVersion": asked if asked in VERSIONS else VERSIONS[0],
            "capabilities": {"tools": {}, "resources": {}, "prompts": {}},
            "serverInfo": {"name": self.app.blocks.title, "version": __version__},
        }

    def _tools(self) -> list[dict[str, Any]]:
        made = []
        for name, (fn, options) in self.tools.items():
            described = _endpoint(fn)
            notes = _argument_notes(fn.fn)
            properties, required = {}, []
            for entry in described["parameters"]:
                schema = dict(_simplified(entry["type"]))
                note = notes.get(entry["parameter_name"]) or schema.get("description") or entry["label"]
                schema["description"] = note
                if entry["parameter_has_default"]:
                    schema["default"] = entry["parameter_default"]
                else:
                    required.append(entry["parameter_name"])
                properties[entry["parameter_name"]] = schema
            made.append(
                {
                    "name": name,
                    "description": options.get("description") or described["description"] or name,
                    "inputSchema": {"type": "object", "properties": properties, "required": required},
                }
            )
        return made

    def _listed(self) -> list[dict[str, Any]]:
        made = []
        for uri, (fn, options) in self.resources.items():
            key = "uriTemplate" if "{" in uri else "uri"
            about = {"name": fn.api_name, "description": options.get("description") or _endpoint(fn)["description"]}
            made.append({key: uri, **about, "mimeType": options.get("mime") or "text/plain"})
        return made

    def _prompts(self) -> list[dict[str, Any]]:
        return [
            {
                "name": name,
                "description": options.get("description") or _endpoint(fn)["description"],
                "arguments": [
                    {"name": entry["parameter_name"], "required": not entry["parameter_has_default"]}
                    for entry in _endpoint(fn)["parameters"]
                ],
            }
            for name, (fn, options) in self.prompts.items()
        ]

    async def _run(self, request: HTTPRequest, fn: BlockFunction, arguments: dict[str, Any]) -> dict[str, Any]:
        entries = _endpoint(fn)["parameters"]
        known = [entry["parameter_name"] for entry in entries]
        for name in arguments:
            if name not in known:
                raise ValueError(f"there is no argument {name!r}{nearest(name, known)}")
        data = []
        for entry in entries:
            name = entry["parameter_name"]
            if name not in arguments and not entry["parameter_has_default"]:
                raise ValueError(f"the argument {name!r} is missing")
            data.append(_payload(entry["type"], arguments.get(name, entry["parameter_default"])))
        return await self.app.calls.once(request, fn, data)

    async def _call(self, request: HTTPRequest, params: dict[str, Any]) -> dict[str, Any]:
        name = params.get("name")
        if name not in self.tools:
            raise ValueError(f"there is no tool {name!r}{nearest(str(name), self.tools)}")
        fn, options = self.tools[name]
        result = await self._run(request, fn, params.get("arguments") or {})
        if not result.get("success"):
            words = (result.get("output") or {}).get("error") or "the function failed"
            return {"content": [{"type": "text", "text": words}], "isError": True}
        values = [
            value
            for block, value in zip(fn.outputs, result["output"]["data"], strict=True)
            if block.type_name != "state"
        ]
        made: dict[str, Any] = {"content": [part for value in values for part in _content(value)], "isError": False}
        if options.get("structured"):
            made["structuredContent"] = {"result": values[0] if len(values) == 1 else values}
        return made

    async def _read(self, request: HTTPRequest, params: dict[str, Any]) -> dict[str, Any]:
        uri = str(params.get("uri"))
        for template, (fn, options) in self.resources.items():
            found = re.fullmatch(_pattern(template), uri)
            if found is None:
                continue
            result = await self._run(request, fn, found.groupdict())
            if not result.get("success"):
                raise ValueError((result.get("output") or {}).get("error") or "the function failed")
            value = result["output"]["data"][0]
            kind = options.get("mime") or "text/plain"
            if isinstance(value, FileData):
                blob = base64.b64encode(Path(value["path"]).read_bytes()).decode()
                return {"contents": [{"uri": uri, "mimeType": mime_type(value["path"]), "blob": blob}]}
            text = value if isinstance(value, str) else encode(value).decode()
            return {"contents": [{"uri": uri, "mimeType": kind, "text": text}]}
        raise ValueError(f"there is no resource {uri!r}")

    async def _prompt(self, request: HTTPRequest, params: dict[str, Any]) -> dict[str, Any]:
        name = params.get("name")
        if name not in self.prompts:
            raise ValueError(f"there is no prompt {name!r}{nearest(str(name), self.prompts)}")
        result = await self._run(request, self.prompts[name][0], params.get("arguments") or {})
        if not result.get("success"):
            raise ValueError((result.get("output") or {}).get("error") or "the function failed")
        text = str(result["output"]["data"][0])
        return {"messages": [{"role": "user", "content": {"type": "text", "text": text}}]}


def _error(number: Any, code: int, message: str) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": number, "error": {"code": code, "message": message}}


def _pattern(template: str) -> str:
    parts = []
    for text, name, _, _ in string.Formatter().parse(template):
        parts.append(re.escape(text) + (f"(?P<{name}>[^/]+)" if name else ""))
    return "".join(parts)


def _is_file(schema: dict[str, Any]) -> bool:
    return schema.get("title") in {"FileData", "ImageData"}


def _simplified(schema: dict[str, Any]) -> dict[str, Any]:
    """A schema as a model needs it: a file is its address."""
    if _is_file(schema):
        return {"type": "string", "format": "uri", "description": "an http(s) address of a file"}
    if schema.get("title") == "ListFiles":
        return {"type": "array", "items": {"type": "string", "format": "uri"}}
    if isinstance(schema.get("type"), dict):
        return {"description": schema.get("description", "")}
    return {name: value for name, value in schema.items() if name != "additional_description"}


def _payload(schema: dict[str, Any], value: Any) -> Any:
    def file(given: Any) -> Any:
        if not isinstance(given, str):
            return given
        kind = "url" if given.startswith("data:") else "path"
        return {"path": None, kind: given, "meta": {"_type": "gradio.FileData"}}

    if _is_file(schema):
        return file(value)
    if schema.get("title") == "ListFiles" and isinstance(value, list):
        return [file(each) for each in value]
    return value


def _content(value: Any) -> list[dict[str, Any]]:
    if isinstance(value, FileData):
        path = value["path"]
        kind = mime_type(path) if path else ""
        address = {"type": "text", "text": f"{value['url']}"}
        if kind.startswith("image/") and Path(path).is_file() and Path(path).stat().st_size <= PICTURE:
            data = base64.b64encode(Path(path).read_bytes()).decode()
            return [{"type": "image", "data": data, "mimeType": kind}, address]
        return [address]
    if isinstance(value, list) and value and all(isinstance(each, FileData) for each in value):
        return [part for each in value for part in _content(each)]
    return [{"type": "text", "text": value if isinstance(value, str) else json.dumps(value, default=str)}]


def _argument_notes(fn: Any) -> dict[str, str]:
    """What a docstring says of each parameter, in an "Args:" or "Parameters:" section."""
    text = inspect.getdoc(fn) if inspect.isroutine(fn) else None
    found = re.search(r"^(?:Args|Arguments|Parameters):\n((?:[ \t]+.*\n?|\n)+)", text or "", re.MULTILINE)
    if not found:
        return {}
    notes = re.findall(r"^[ \t]+\*{0,2}(\w+)\s*(?:\([^)\n]*\))?:\s*(.+)$", found[1], re.MULTILINE)
    return {name: note.strip() for name, note in notes}
