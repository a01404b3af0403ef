"""The pages that people see: the list of repositories, and for each one its card, files and history.

They need no script, and their policy allows none; everything that comes from a repository is escaped, and its card goes
through :mod:`enfold.hubserver.web.markdown`.
"""

from __future__ import annotations

import base64
import datetime
import json
import posixpath
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from jinja2 import Environment, FileSystemLoader
from markupsafe import Markup
from sqlalchemy import Connection, Row
from starlette.responses import HTMLResponse, Response

from enfold.hubserver import trees
from enfold.hubserver.errors import HubServerError, entry_not_found
from enfold.hubserver.metadata import split_card
from enfold.hubserver.routes.call import Call, Routes
from enfold.hubserver.routes.content import split_revision
from enfold.hubserver.views import timestamp
from enfold.hubserver.web.markdown import render

__all__ = ["error_page", "repository", "top"]

top, repository = Routes(), Routes()

_HERE = Path(__file__).parent
_POLICY = (
    "default-src 'none'; style-src 'self'; img-src 'self' data:; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'"
)
_PAGE = 60
_PREVIEW = 200_000


@lru_cache(maxsize=1)
def _templates() -> Environment:
    return Environment(loader=FileSystemLoader(_HERE / "templates"), autoescape=True, trim_blocks=True)


def _page(template: str, status: int = 200, **values: Any) -> Response:
    text = _templates().get_template(template).render(**values)
    headers = {"Content-Security-Policy": _POLICY, "Vary": "Accept, Authorization", "Cache-Control": "no-cache"}
    return HTMLResponse(text, status, headers)


def error_page(error: HubServerError) -> Response:
    """Return an error as people read it."""
    headings = {401: "Not signed in", 403: "Not allowed", 404: "Not found"}
    message = error.message
    if error.code == "RepoNotFound":
        message = "There is no such repository, or it is private and this page cannot show it."
    status = 404 if error.code == "RepoNotFound" else error.status
    heading = headings.get(status, "This did not work")
    response = _page("error.html", status, heading=heading, message=message, kind=None, base="this address")
    for name, value in error.headers.items():
        response.headers[name] = value
    return response


@top.add("GET HEAD", "static")
def static(call: Call) -> Response:
    """Send the style sheet."""
    if call.rest != ("hub.css",):
        raise HubServerError(404, "there is no such file")
    data = (_HERE / "static" / "hub.css").read_bytes()
    return Response(data, media_type="text/css", headers={"Cache-Control": "max-age=300"})


@top.add("GET HEAD", "")
def index(call: Call) -> Response:
    """List the repositories of a kind, newest first."""
    search = (call.query("search") or "").strip()
    return _list(call, call.kind.title(), search=search)


def _list(call: Call, heading: str, *, search: str = "", author: str | None = None) -> Response:
    try:
        cursor = json.loads(base64.urlsafe_b64decode(call.query("cursor") or "bnVsbA=="))
    except ValueError:
        cursor = None
    with call.hub.database.read() as connection:
        rows = call.hub.repositories.page(
            connection,
            call.kind,
            call.viewer,
            words=search.split(),
            author=author,
            sort="lastModified",
            limit=_PAGE + 1,
            after=tuple(cursor) if cursor else None,
        )
    more = None
    if len(rows) > _PAGE:
        last = rows[_PAGE - 1]
        after = base64.urlsafe_b64encode(json.dumps([last.modified, last.id]).encode()).decode()
        more = "?" + urlencode({**({"search": search} if search else {}), "cursor": after})
    shown = [
        {
            "name": row.name,
            "address": _address(row),
            "task": _card(row).get("pipeline_tag") or json.loads(row.facts).get("pipeline_tag"),
            "date": _date(row.modified),
            "iso": timestamp(row.modified),
            "downloads": f"{row.downloads:,}",
            "private": row.private,
        }
        for row in rows[:_PAGE]
    ]
    if search:
        lead = f"Names with “{search}”."
    elif author:
        lead = f"The {call.kind} of {author}."
    else:
        lead = "What is shared on this Hub, last changed first."
    return _page(
        "list.html", heading=heading, lead=lead, rows=shown, more=more, search=search, kind=call.kind, base=call.base
    )


def _address(row: Row[Any]) -> str:
    return ("/" if row.kind == "models" else f"/{row.kind}/") + quote(row.name)


def _card(row: Row[Any]) -> dict[str, Any]:
    return dict(json.loads(row.card))


def _date(seconds: float) -> str:
    return datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc).strftime("%d %b %Y").lstrip("0")


def _bytes(count: float) -> str:
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" or count >= 100 else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"


@repository.add("GET HEAD", "")
def card(call: Call) -> Response:
    """Show a repository: its card, its files, how to use it."""
    with call.hub.database.read() as connection:
        try:
            row = call.repo(connection)
        except HubServerError as error:
            if error.code == "RepoNotFound" and "/" not in call.name:
                return _owner(call, error)
            raise
        head = call.hub.repositories.revision(connection, row.id, "main")
        readme = call.hub.commits.small_file(connection, head.tree, "README.md")
        _, body = split_card((readme or b"").decode("utf-8", "replace"))
        base = _address(row)

        def resolve(target: str, image: bool) -> str | None:
            path = posixpath.normpath(target.split("#")[0].split("?")[0].lstrip("/"))
            if path.startswith(".."):
                return None
            return f"{base}/{'resolve' if image else 'blob'}/main/{path}"

        html = Markup(render(body, resolve)) if body.strip() else None
        files = _files(call, connection, row, head.tree, "", "main")
        return _repo_page(call, connection, row, head, view="card", card_html=html, files=files)


def _owner(call: Call, error: HubServerError) -> Response:
    with call.hub.database.read() as connection:
        rows = call.hub.repositories.page(connection, call.kind, call.viewer, author=call.name, limit=1)
    if not rows:
        raise error
    return _list(call, call.name, author=call.name)


@repository.add("GET HEAD", "tree")
def tree(call: Call) -> Response:
    """Show a folder."""
    with call.hub.database.read() as connection:
        row = call.repo(connection)
        commit, path = split_revision(call, connection, row.id)
        found = trees.find(connection, commit.tree, path)
        if found is None or not found.folder:
            raise entry_not_found(path, commit.oid)
        revision = _revision(call, path)
        files = _files(call, connection, row, found.oid, path, revision)
        crumbs = _crumbs(row, revision, path)
        return _repo_page(call, connection, row, commit, view="tree", files=files, crumbs=crumbs, revision=revision)


@repository.add("GET HEAD", "blob")
def blob(call: Call) -> Response:
    """Show a file: its text when it is short, else how to get it."""
    with call.hub.database.read() as connection:
        row = call.readable(connection)
        commit, path = split_revision(call, connection, row.id)
        entry = trees.find(connection, commit.tree, path)
        if entry is None or entry.folder:
            raise entry_not_found(path, commit.oid)
        stored = call.hub.commits.blob(connection, entry.oid)
        text, why = None, "It is too large to be shown here."
        if stored.size <= _PREVIEW:
            try:
                text = call.hub.commits.content(stored).decode("utf-8")
            except UnicodeDecodeError:
                pass
            if text is None or "\0" in text:
                text, why = None, "It is not text."
        revision = _revision(call, path)
        return _repo_page(
            call,
            connection,
            row,
            commit,
            view="blob",
            crumbs=_crumbs(row, revision, path),
            text=text,
            why_not=why,
            size=_bytes(stored.size),
            download=f"{_address(row)}/resolve/{quote(revision, safe='')}/{quote(path)}",
        )


@repository.add("GET HEAD", "commits")
def commits(call: Call) -> Response:
    """Show the latest commits of a revision."""
    with call.hub.database.read() as connection:
        row = call.repo(connection)
        head, _ = split_revision(call, connection, row.id)
        rows = call.hub.commits.history(connection, row.id, head.oid, _PAGE)
        return _history(call, connection, row, head, "History", rows)


@repository.add("GET HEAD", "commit")
def commit(call: Call) -> Response:
    """Show one commit."""
    with call.hub.database.read() as connection:
        row = call.repo(connection)
        found, _ = split_revision(call, connection, row.id)
        return _history(call, connection, row, found, "Commit", [found])


def _history(
    call: Call, connection: Connection, row: Row[Any], head: Row[Any], heading: str, rows: list[Row[Any]]
) -> Response:
    history = [
        {
            "title": item.title,
            "oid": item.oid,
            "description": item.description,
            "author": item.author,
            "date": _date(item.created),
            "iso": timestamp(item.created),
            "address": f"{_address(row)}/tree/{item.oid}",
        }
        for item in rows
    ]
    return _repo_page(call, connection, row, head, view="history", heading=heading, history=history)


def _revision(call: Call, path: str) -> str:
    """Return the revision of an address: what stands before the path."""
    whole = "/".join(call.rest)
    return (whole[: -len(path)] if path else whole).strip("/")


def _crumbs(row: Row[Any], revision: str, path: str) -> list[dict[str, str | None]]:
    root = f"{_address(row)}/tree/{quote(revision, safe='')}"
    crumbs: list[dict[str, str | None]] = [{"name": revision, "address": root}]
    parts = path.split("/") if path else []
    for count, part in enumerate(parts, 1):
        address = f"{root}/{quote('/'.join(parts[:count]))}" if count < len(parts) else None
        crumbs.append({"name": part, "address": address})
    return crumbs


def _files(
    call: Call, connection: Connection, row: Row[Any], oid: str, prefix: str, revision: str
) -> list[dict[str, Any]]:
    entries = trees.read(connection, oid)
    blobs = call.hub.commits.blobs(connection, [entry.oid for entry in entries.values() if not entry.folder])
    base, rev = _address(row), quote(revision, safe="")
    files = []
    for name, entry in sorted(entries.items(), key=lambda item: (not item[1].folder, item[0].lower())):
        path = quote(f"{prefix}/{name}" if prefix else name)
        files.append(
            {
                "name": name,
                "folder": entry.folder,
                "address": f"{base}/{'tree' if entry.folder else 'blob'}/{rev}/{path}",
                "download": None if entry.folder else f"{base}/resolve/{rev}/{path}",
                "size": None if entry.folder else _bytes(blobs[entry.oid].size),
            }
        )
    return files


def _repo_page(call: Call, connection: Connection, row: Row[Any], head: Row[Any], **values: Any) -> Response:
    call.hub.repositories.flush_counts()
    about, found = _card(row), json.loads(row.facts)
    task = about.get("pipeline_tag") or found.get("pipeline_tag")
    sizes = [
        item.size
        for item in call.hub.commits.blobs(
            connection, list({entry.oid for _, entry in trees.walk(connection, head.tree) if not entry.folder})
        ).values()
    ]
    facts: list[tuple[str, str]] = [
        ("Updated", _date(row.modified)),
        ("Downloads", f"{row.downloads:,}"),
        ("Size", _bytes(sum(sizes))),
    ]
    for label, name in (
        ("Licence", "license"),
        ("Task", "pipeline_tag"),
        ("Library", "library_name"),
        ("Base", "base_model"),
    ):
        value = about.get(name) or found.get(name)
        if value:
            facts.append((label, ", ".join(map(str, value)) if isinstance(value, list) else str(value)))
    if about.get("datasets"):
        value = about["datasets"]
        facts.append(("Trained on", ", ".join(map(str, value)) if isinstance(value, list) else str(value)))
    return _page(
        "repo.html",
        name=row.name,
        kind=row.kind,
        page=_address(row),
        base=call.base,
        private=row.private,
        tags=call.hub.repositories.tags(connection, [row.id])[row.id],
        usage=_usage(row, task, about.get("library_name") or found.get("library_name")),
        results=_results(about),
        facts=facts,
        commits=head.generation + 1,
        **values,
    )


def _usage(row: Row[Any], task: str | None, library: str | None) -> str:
    if row.kind == "datasets":
        return f'from enfold.datasets import load_dataset\n\nrows = load_dataset("{row.name}")'
    if row.kind == "models" and task and library in {None, "transformers"}:
        return f'from enfold.transformers import pipeline\n\nrun = pipeline("{task}", model="{row.name}")'
    if row.kind == "models" and library == "transformers":
        return f'from enfold.transformers import AutoModel\n\nmodel = AutoModel.from_pretrained("{row.name}")'
    kind = "" if row.kind == "models" else f', repo_type="{row.kind[:-1]}"'
    return f'from enfold.hub import snapshot_download\n\nfolder = snapshot_download("{row.name}"{kind})'


def _results(about: dict[str, Any]) -> list[dict[str, str]]:
    """Return the measurements that a card's ``model-index`` holds; whatever is not as it should be is left out."""
    rows = []
    index = about.get("model-index")
    for model in index if isinstance(index, list) else []:
        for result in model.get("results") or [] if isinstance(model, dict) else []:
            if not isinstance(result, dict):
                continue
            dataset = result.get("dataset")
            for metric in result.get("metrics") or []:
                if isinstance(metric, dict) and "value" in metric:
                    value = metric["value"]
                    rows.append(
                        {
                            "metric": str(metric.get("name") or metric.get("type") or "value"),
                            "dataset": str(dataset.get("name") or "") if isinstance(dataset, dict) else "",
                            "value": f"{value:.4g}" if isinstance(value, (int, float)) else str(value),
                        }
                    )
    return rows[:20]
