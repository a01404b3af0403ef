"""``enfold hub``: serve a Hub, and upload, download and manage repositories on the one that HF_ENDPOINT names."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from enfold.cli import hub_admin, hub_verbs
from enfold.cli.hub_admin import Database, Store, opened

__all__ = ["app"]

app = typer.Typer(no_args_is_help=True, help="Serve a Hub, and upload, download and manage repositories.")
repo = typer.Typer(no_args_is_help=True, help="Make and delete repositories.")
cache = typer.Typer(no_args_is_help=True, help="Look at what was downloaded.")
app.add_typer(repo, name="repo")
app.add_typer(cache, name="cache")
hub_admin.add_to(app)

RepoId = Annotated[str, typer.Argument(help="The repository, such as openai-community/gpt2.")]
Kind = Annotated[str, typer.Option("--type", "--repo-type", help="model, dataset or space.")]
Token = Annotated[str | None, typer.Option(help="A token; by default HF_TOKEN or the one that login saved.")]
Revision = Annotated[str | None, typer.Option(help="A branch, tag or commit; main by default.")]


@app.command()
def serve(
    folder: Annotated[Path, typer.Argument(help="Where the Hub keeps its data; made if needed.")] = Path("hub-data"),
    host: Annotated[str, typer.Option(help="The address to listen on; 0.0.0.0 lets other machines in.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="The port; 0 takes any free one.")] = 8420,
    owner: Annotated[str, typer.Option(help="The user who may write everywhere.")] = "owner",
    new_token: Annotated[bool, typer.Option("--new-token", help="Print a new token for the owner.")] = False,
    database: Database = None,
    store: Store = None,
    webhook_host: Annotated[
        list[str] | None, typer.Option(help="A host of this network that webhooks may tell (repeatable).")
    ] = None,
    public_url: Annotated[
        str | None, typer.Option(help="The address that people use, where a proxy stands before the Hub.")
    ] = None,
    sign_up: Annotated[bool, typer.Option("--sign-up", help="Let anybody make an account on the pages.")] = False,
    quota: Annotated[str | None, typer.Option(help="Bytes that an account may hold, such as 500GB.")] = None,
    spaces: Annotated[
        str | None,
        typer.Option(help="Run programs in Spaces: separate (as users of their own; needs root), or trusted."),
    ] = None,
    space_packages: Annotated[
        bool, typer.Option("--space-packages", help="Install what the requirements.txt of a Space names, for it alone.")
    ] = False,
    rate: Annotated[
        list[str] | None,
        typer.Option(help="Requests in five minutes: api=5000, resolvers=…, uploads=…, pages=…, or none (repeatable)."),
    ] = None,
    upstream: Annotated[
        str | None, typer.Option(help="Another Hub, such as https://huggingface.co: fetch from it what this one lacks.")
    ] = None,
    upstream_token: Annotated[
        str | None, typer.Option(help="What the upstream is asked with.", envvar="ENFOLD_UPSTREAM_TOKEN")
    ] = None,
) -> None:
    """Serve a Hub from FOLDER until Ctrl-C.

    The first start prints a token for the owner; it is shown only this once (the Hub keeps its hash), so save it, or
    ask for another with --new-token. Clients use the Hub by HF_ENDPOINT and HF_TOKEN.
    """
    from enfold.hubserver import EmbeddedHub

    options: dict[str, Any] = {"database": database, "store": store, "public_url": public_url, "sign_up": sign_up}
    if spaces not in {None, "separate", "trusted"}:
        raise typer.BadParameter(f"{spaces!r}: expected separate or trusted", param_hint="--spaces")
    options |= {"spaces": spaces, "quota": hub_admin.size(quota) if quota else None, "rates": _rates(rate, host)}
    options |= {"space_packages": space_packages, "upstream": upstream, "upstream_token": upstream_token}
    with EmbeddedHub(folder, host=host, port=port, owner=owner, webhook_hosts=webhook_host or (), **options) as hub:
        try:
            typer.echo(f"Hub at {hub.endpoint}, data in {folder.absolute()}")
            if new_token or not hub.has_lasting_token():
                typer.echo(f"Token of {owner!r}, shown only now: {hub.create_lasting_token()}")
            typer.echo(f"Use it:  export HF_ENDPOINT={hub.endpoint} HF_TOKEN=…      Stop it: Ctrl-C")
            sys.stdout.flush()
            hub.wait()
        except KeyboardInterrupt:
            typer.echo("\nStopped; nothing that was acknowledged is lost.")


def _rates(said: list[str] | None, host: str) -> dict[str, int]:
    """Return what may be asked for: as much as one likes where only this machine comes, else much."""
    from enfold.hubserver.rates import GENEROUS

    if said == ["none"] or (said is None and host in {"127.0.0.1", "::1", "localhost"}):
        return {}
    limits = dict(GENEROUS)
    for text in said or []:
        kind, _, number = text.partition("=")
        if kind not in limits or not number.isdigit():
            raise typer.BadParameter(f"{text!r} is no limit such as api=5000, of {', '.join(GENEROUS)}")
        limits[kind] = int(number)
    return limits


@app.command()
def fsck(
    folder: Annotated[Path, typer.Argument(help="Where the Hub keeps its data.")] = Path("hub-data"),
    quick: Annotated[bool, typer.Option("--quick", help="Look whether contents are there; do not read them.")] = False,
    database: Database = None,
    store: Store = None,
) -> None:
    """Check everything that a Hub keeps against its hash; ends with 1 when something is missing or damaged."""
    from enfold.hubserver.maintenance import check

    with opened(folder, database, store) as hub:
        found = check(hub, read=not quick, say=lambda text: typer.echo(f"  {text} …", err=True))
    for problem in found.problems:
        typer.echo(problem)
    typer.echo(
        f"{found.commits} commits, {found.trees} folders, {found.contents} contents, {found.xorbs} xorbs: "
        + (f"{len(found.problems)} problems" if found.problems else "all is well")
    )
    if found.problems:
        raise typer.Exit(1)


@app.command()
def gc(
    folder: Annotated[Path, typer.Argument(help="Where the Hub keeps its data.")] = Path("hub-data"),
    grace: Annotated[float, typer.Option(help="Days for which commits stay that no branch leads to.")] = 7,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would go.")] = False,
    database: Database = None,
    store: Store = None,
) -> None:
    """Throw away what no repository refers to any more; the Hub may be serving meanwhile."""
    from enfold.hubserver.maintenance import collect

    with opened(folder, database, store) as hub:
        gone = collect(hub, grace=grace * 86_400, dry_run=dry_run)
    said = f"{gone.commits} commits, {gone.trees} folders, {gone.contents} contents and {gone.xorbs} xorbs"
    typer.echo(f"{'would throw away' if dry_run else 'threw away'} {said}: {gone.bytes / 1e6:,.1f} MB")


@app.command()
def upload(
    repo_id: RepoId,
    path: Annotated[Path, typer.Argument(help="A file or a folder.")] = Path("."),
    path_in_repo: Annotated[str | None, typer.Argument(help="Its place in the repository.")] = None,
    repo_type: Kind = "model",
    revision: Revision = None,
    private: Annotated[bool, typer.Option("--private", help="If it is made now, make it private.")] = False,
    include: Annotated[list[str] | None, typer.Option(help="Upload only what matches (repeatable).")] = None,
    exclude: Annotated[list[str] | None, typer.Option(help="Leave out what matches (repeatable).")] = None,
    delete: Annotated[list[str] | None, typer.Option(help="Delete there what matches and is not uploaded.")] = None,
    message: Annotated[str | None, typer.Option("--message", "-m", help="The commit's title.")] = None,
    token: Token = None,
) -> None:
    """Upload a file or a folder in one commit, making the repository if needed."""
    from enfold.hub import HfApi

    if not path.exists():
        raise typer.BadParameter(f"there is no file or folder {str(path)!r}")
    api = HfApi(token=token)
    url = api.create_repo(repo_id, repo_type=repo_type, private=private or None, exist_ok=True)
    if path.is_file():
        done = api.upload_file(
            path_or_fileobj=path,
            path_in_repo=path_in_repo or path.name,
            repo_id=url.repo_id,
            repo_type=repo_type,
            revision=revision,
            commit_message=message,
        )
    else:
        done = api.upload_folder(
            folder_path=path,
            path_in_repo=path_in_repo,
            repo_id=url.repo_id,
            repo_type=repo_type,
            revision=revision,
            commit_message=message,
            allow_patterns=include,
            ignore_patterns=exclude,
            delete_patterns=delete,
        )
    typer.echo(done.commit_url)


@app.command()
def download(
    repo_id: RepoId,
    filenames: Annotated[list[str] | None, typer.Argument(help="Files; all of them by default.")] = None,
    repo_type: Kind = "model",
    revision: Revision = None,
    include: Annotated[list[str] | None, typer.Option(help="Download only what matches (repeatable).")] = None,
    exclude: Annotated[list[str] | None, typer.Option(help="Leave out what matches (repeatable).")] = None,
    local_dir: Annotated[Path | None, typer.Option(help="Put the files here instead of the cache.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Download even what is there.")] = False,
    token: Token = None,
) -> None:
    """Download files, or a whole repository, and print where they are."""
    from enfold.hub import hf_hub_download, snapshot_download

    if filenames and len(filenames) == 1 and not include and not exclude:
        found = hf_hub_download(
            repo_id,
            filenames[0],
            repo_type=repo_type,
            revision=revision,
            local_dir=local_dir,
            force_download=force,
            token=token,
        )
    else:
        found = snapshot_download(
            repo_id,
            repo_type=repo_type,
            revision=revision,
            local_dir=local_dir,
            allow_patterns=[*(filenames or []), *(include or [])] or None,
            ignore_patterns=exclude,
            force_download=force,
            token=token,
        )
    typer.echo(found)


@app.command()
def whoami(token: Token = None) -> None:
    """Say who the token belongs to, and on which Hub."""
    from enfold.hub import HfApi

    api = HfApi(token=token)
    who = api.whoami()
    role = who.get("auth", {}).get("accessToken", {}).get("role", "unknown")
    typer.echo(f"{who['name']} on {api.endpoint} (token: {role})")
    if who.get("orgs"):
        typer.echo("organisations: " + ", ".join(item["name"] for item in who["orgs"]))


@app.command()
def login(token: Annotated[str | None, typer.Option(help="The token; asked for without showing it.")] = None) -> None:
    """Check a token and save it for later."""
    from enfold.hub import constants
    from enfold.hub import login as log_in

    log_in(token)
    if os.environ.get("HF_TOKEN") and token is None:
        typer.echo("Logged in by HF_TOKEN; nothing was saved.")
    else:
        typer.echo(f"Logged in; the token is in {constants.token_path()}, readable only for you.")


@app.command()
def logout() -> None:
    """Forget the saved tokens."""
    from enfold.hub import logout as log_out

    log_out()
    typer.echo("Logged out.")


@repo.command("create")
def create(
    repo_id: RepoId,
    repo_type: Kind = "model",
    private: Annotated[bool, typer.Option("--private", help="Only members of the namespace see it.")] = False,
    exist_ok: Annotated[bool, typer.Option("--exist-ok", help="Succeed when it exists.")] = False,
    space_sdk: Annotated[str | None, typer.Option(help="For a Space: gradio, streamlit, docker or static.")] = None,
    token: Token = None,
) -> None:
    """Make a repository and print its address."""
    from enfold.hub import HfApi

    url = HfApi(token=token).create_repo(
        repo_id, repo_type=repo_type, private=private or None, exist_ok=exist_ok, space_sdk=space_sdk
    )
    typer.echo(str(url))


@repo.command("delete")
def delete(
    repo_id: RepoId,
    repo_type: Kind = "model",
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    missing_ok: Annotated[bool, typer.Option("--missing-ok", help="Succeed when there is none.")] = False,
    token: Token = None,
) -> None:
    """Delete a repository for good."""
    from enfold.hub import HfApi

    if not yes:
        typer.confirm(f"Delete the {repo_type} {repo_id} and its whole history?", abort=True)
    HfApi(token=token).delete_repo(repo_id, repo_type=repo_type, missing_ok=missing_ok)
    typer.echo(f"Deleted {repo_id}.")


@cache.command("ls")
@cache.command("scan", hidden=True)
def cache_ls(
    folder: Annotated[Path | None, typer.Option("--dir", help="The cache; HF_HUB_CACHE by default.")] = None,
) -> None:
    """List downloaded repositories with their sizes."""
    from enfold.hub import scan_cache_dir

    found = scan_cache_dir(folder)
    rows = [
        (item.repo_type, item.repo_id, item.size_on_disk_str, str(item.nb_files), ", ".join(sorted(item.refs)))
        for item in sorted(found.repos, key=lambda item: -item.size_on_disk)
    ]
    table = [("TYPE", "REPOSITORY", "SIZE", "FILES", "REVISIONS"), *rows]
    widths = [max(len(row[column]) for row in table) for column in range(5)]
    for row in table:
        typer.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    typer.echo(f"{len(rows)} repositories, {found.size_on_disk_str} in {found.cache_dir}")
    for warning in found.warnings:
        typer.echo(f"warning: {warning}", err=True)


hub_verbs.add_to(app, repo, cache)
