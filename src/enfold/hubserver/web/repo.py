"""The first page of a repository: its card, its files, how to use it."""

from __future__ import annotations

import json
import posixpath
from typing import Any

from markupsafe import Markup
from sqlalchemy import Connection, Row
from starlette.responses import Response

from enfold.hubserver import trees
from enfold.hubserver.errors import HubServerError
from enfold.hubserver.metadata import split_card
from enfold.hubserver.routes.call import Call, Routes
from enfold.hubserver.web.files import entries
from enfold.hubserver.web.frame import repo_page
from enfold.hubserver.web.layout import address_of, card_of, date, form, see, size
from enfold.hubserver.web.lists import owner_page
from enfold.hubserver.web.markdown import render

__all__ = ["card_html", "repository", "show_card", "task_of"]

repository = Routes()

_MANY = 2_000  # files whose sizes are added up for a page


@repository.add("GET HEAD", "")
def card(call: Call) -> Response:
    """Show a repository: its card, its files, how to use it."""
    return show_card(call)


def show_card(call: Call, **values: Any) -> Response:
    """Return a repository's first page; with ``tried`` and ``answer``, what its model says to a question."""
    call.hub.repositories.flush_counts()
    with call.hub.database.read() as connection:
        try:
            row = call.repo(connection)
        except HubServerError as error:
            if error.code == "RepoNotFound" and "/" not in call.name and call.kind == "models":
                return owner_page(call, error)
            raise
        head = call.hub.repositories.revision(connection, row.id, "main")
        return repo_page(
            call,
            connection,
            row,
            "card.html",
            tab="card",
            card_html=card_html(call, connection, row, head.tree),
            files=entries(call, connection, row, head, head.tree, "", "main", changes=False),
            usage=_usage(row),
            results=_results(card_of(row)),
            facts=_facts(call, connection, row, head),
            commits=head.generation + 1,
            no_tries=call.hub.models.why_not(connection, head, task_of(row)),
            task=task_of(row),
            **values,
        )


@repository.add("POST", "like")
def like(call: Call) -> Response:
    """Like a repository, or no longer."""
    said = form(call)
    call.hub.likes.set(call.kind, call.name, call.viewer, said.get("like") != "no")
    with call.hub.database.read() as connection:
        return see(address_of(call.repo(connection)))


def card_html(call: Call, connection: Connection, row: Row[Any], tree: str) -> Markup | None:
    """Return the text of a repository's README as safe HTML; None where it says nothing."""
    readme = call.hub.commits.small_file(connection, tree, "README.md")
    _, body = split_card((readme or b"").decode("utf-8", "replace"))
    base = address_of(row)

    def resolve(target: str, image: bool) -> str | None:
        path = posixpath.normpath(target.split("#")[0].split("?")[0].lstrip("/"))
        if path.startswith(".."):
            return None
        return f"{base}/{'resolve' if image else 'blob'}/main/{path}"

    return Markup(render(body, resolve)) if body.strip() else None


def task_of(row: Row[Any]) -> str | None:
    """Return what a model is for; None where nothing says so."""
    if row.kind != "models":
        return None
    task = card_of(row).get("pipeline_tag") or json.loads(row.facts).get("pipeline_tag")
    return None if task is None else str(task)


def _facts(call: Call, connection: Connection, row: Row[Any], head: Row[Any]) -> list[tuple[str, str]]:
    about, found = card_of(row), json.loads(row.facts)
    facts = [("Updated", date(row.modified)), ("Downloads", f"{row.downloads:,}")]
    oids: set[str] = set()
    for _, entry in trees.walk(connection, head.tree):
        if not entry.folder:
            oids.add(entry.oid)
        if len(oids) > _MANY:
            break
    total = sum(blob.size for blob in call.hub.commits.blobs(connection, sorted(oids)).values())
    facts.append(("Size", ("over " if len(oids) > _MANY else "") + size(total)))
    for label, name in (
        ("Licence", "license"),
        ("Task", "pipeline_tag"),
        ("Library", "library_name"),
        ("Base", "base_model"),
        ("Trained on", "datasets"),
        ("Language", "language"),
        ("SDK", "sdk"),
    ):
        value = about.get(name) or found.get(name)
        if value:
            facts.append((label, ", ".join(map(str, value)) if isinstance(value, list) else str(value)))
    return facts


def _usage(row: Row[Any]) -> str:
    from enfold.transformers.pipelines.registry import get_supported_tasks

    about, found = card_of(row), json.loads(row.facts)
    task = about.get("pipeline_tag") or found.get("pipeline_tag")
    library = about.get("library_name") or found.get("library_name")
    if row.kind == "datasets":
        return f'from enfold.datasets import load_dataset\n\nrows = load_dataset("{row.name}")'
    if row.kind == "models" and (task == "sentence-similarity" or library == "sentence-transformers"):
        return f'from enfold.serving import load_sentences\n\nread = load_sentences("{row.name}")'
    if row.kind == "models" and task in get_supported_tasks() and library in {None, "transformers"}:
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
            metrics = result.get("metrics")
            for metric in metrics if isinstance(metrics, list) else []:
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
