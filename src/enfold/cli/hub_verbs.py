"""The everyday verbs of `hf` beside upload and download: tokens, the cache, branches, tags, listings."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

__all__ = ["add_to"]

RepoId = Annotated[str, typer.Argument(help="The repository, such as openai-community/gpt2.")]
Kind = Annotated[str, typer.Option("--type", "--repo-type", help="model, dataset or space.")]
Token = Annotated[str | None, typer.Option(help="A token; by default HF_TOKEN or the one that login saved.")]
Revision = Annotated[str | None, typer.Option(help="A branch, tag or commit; main by default.")]
CacheDir = Annotated[Path | None, typer.Option("--dir", "--cache-dir", help="The cache; HF_HUB_CACHE by default.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]


def add_to(app: typer.Typer, repo: typer.Typer, cache: typer.Typer) -> None:
    """Add the verbs to the command's groups, and the groups' other names."""
    auth = typer.Typer(no_args_is_help=True, help="Log in and out, and choose among saved tokens.")
    tags = typer.Typer(no_args_is_help=True, help="Make, list and delete tags.")
    branches = typer.Typer(no_args_is_help=True, help="Make and delete branches.")
    files = typer.Typer(no_args_is_help=True, help="Delete files of a repository.")
    app.add_typer(auth, name="auth")
    app.add_typer(files, name="repo-files")
    app.add_typer(repo, name="repos", hidden=True)
    repo.add_typer(tags, name="tag")
    repo.add_typer(branches, name="branch")
    for name, function in (("list", auth_list), ("ls", auth_list), ("switch", auth_switch), ("token", auth_token)):
        auth.command(name, hidden=name == "ls")(function)
    for known in app.registered_commands:
        if known.callback is not None and known.callback.__name__ in ("login", "logout", "whoami"):
            auth.command(known.callback.__name__)(known.callback)
    verbs: list[tuple[str, Callable[..., None]]]
    verbs = [("rm", cache_rm), ("delete", cache_rm), ("prune", cache_prune), ("verify", cache_verify)]
    for name, verb in verbs:
        cache.command(name, hidden=name == "delete")(verb)
    repo.command("move")(repo_move)
    repo.command("settings")(repo_settings)
    tags.command("create")(tag_create)
    tags.command("list")(tag_list)
    tags.command("delete")(tag_delete)
    branches.command("create")(branch_create)
    branches.command("delete")(branch_delete)
    files.command("delete")(files_delete)
    app.command("upload-large-folder")(upload_large_folder)
    app.command("version")(version)
    app.command("env")(env)
    app.command("lfs-enable-largefiles", hidden=True)(lfs_enable)
    for kind in ("models", "datasets", "spaces"):
        listing = typer.Typer(no_args_is_help=True, help=f"List {kind}.")
        listing.command("ls")(_lister(kind))
        app.add_typer(listing, name=kind)


def auth_list() -> None:
    """List the saved tokens; a star marks the one in use."""
    from enfold.hub import auth

    active = auth.get_token()
    for name, token in auth.stored_tokens().items():
        typer.echo(f"{'*' if token == active else ' '} {name}  {token[:3]}…{token[-4:]}")
    if os.environ.get("HF_TOKEN"):
        typer.echo("HF_TOKEN is set, and wins.")


def auth_switch(
    name: Annotated[str | None, typer.Argument(help="The saved token's name.")] = None,
    token_name: Annotated[str | None, typer.Option(help="The saved token's name.")] = None,
) -> None:
    """Use another saved token from now on."""
    from enfold.hub import auth_switch as switch

    chosen = name or token_name
    if chosen is None:
        raise typer.BadParameter("which token? `enfold hub auth list` tells their names")
    switch(chosen)
    typer.echo(f"Using the token {chosen!r}.")


def auth_token() -> None:
    """Print the token in use."""
    from enfold.hub import get_token

    found = get_token()
    if found is None:
        raise typer.BadParameter("no token is known: set HF_TOKEN, or run `enfold hub login`")
    typer.echo(found)


def cache_rm(
    targets: Annotated[list[str], typer.Argument(help="TYPE/NAMESPACE/NAME, NAMESPACE/NAME, or commits.")],
    folder: CacheDir = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would go.")] = False,
    yes: Yes = False,
) -> None:
    """Delete repositories or revisions from the cache; what others share stays."""
    from enfold.hub import scan_cache_dir

    found = scan_cache_dir(folder)
    commits: set[str] = set()
    for target in targets:
        chosen = {
            item.commit_hash
            for each in found.repos
            for item in each.revisions
            if target in (each.cache_id, each.repo_id, item.commit_hash)
        }
        if not chosen:
            raise typer.BadParameter(f"{target!r} is not in the cache; `enfold hub cache ls` tells what is")
        commits |= chosen
    plan = found.delete_revisions(*commits)
    typer.echo(f"{len(commits)} revisions, {plan.expected_freed_size_str}")
    if dry_run:
        return
    if not yes:
        typer.confirm("Delete them?", abort=True)
    plan.execute()
    typer.echo("Deleted.")


def cache_prune(folder: CacheDir = None, yes: Yes = False) -> None:
    """Delete the revisions that no branch or tag leads to any more, and downloads that did not end."""
    from enfold.hub import scan_cache_dir

    found = scan_cache_dir(folder)
    stray = [item.commit_hash for each in found.repos for item in each.revisions if not item.refs]
    plan = found.delete_revisions(*stray)
    size = plan.expected_freed_size + found.incomplete_size_on_disk
    typer.echo(f"{len(stray)} revisions and {len(found.incomplete_files)} partial files, {size / 1e6:,.1f} MB")
    if not (stray or found.incomplete_files):
        return
    if not yes:
        typer.confirm("Delete them?", abort=True)
    plan.execute()
    for file in found.incomplete_files:
        file.file_path.unlink(missing_ok=True)
    typer.echo("Deleted.")


def cache_verify(
    repo_id: RepoId,
    repo_type: Kind = "model",
    revision: Revision = None,
    folder: CacheDir = None,
    local_dir: Annotated[Path | None, typer.Option(help="Check this folder instead of the cache.")] = None,
    token: Token = None,
) -> None:
    """Compare downloaded files with the Hub's, by their hashes; ends with 1 when one differs."""
    from enfold.hub import HfApi

    found = HfApi(token=token).verify_repo_checksums(
        repo_id, repo_type=repo_type, revision=revision, local_dir=local_dir, cache_dir=folder
    )
    for item in found.mismatches:
        typer.echo(f"{item.path}: {item.algorithm} {item.actual}, expected {item.expected}")
    rest = f"{len(found.missing_paths)} missing, {len(found.extra_paths)} more"
    typer.echo(f"{found.checked_count} files of {found.revision} checked, {len(found.mismatches)} differ; {rest}")
    if found.mismatches:
        raise typer.Exit(1)


def repo_move(
    from_id: Annotated[str, typer.Argument(help="The repository.")],
    to_id: Annotated[str, typer.Argument(help="Its new name.")],
    repo_type: Kind = "model",
    token: Token = None,
) -> None:
    """Rename a repository; its old name leads to the new one."""
    from enfold.hub import HfApi

    HfApi(token=token).move_repo(from_id, to_id, repo_type=repo_type)
    typer.echo(f"{from_id} is {to_id} now.")


def repo_settings(
    repo_id: RepoId,
    repo_type: Kind = "model",
    private: Annotated[bool | None, typer.Option("--private/--public", help="Who sees it.")] = None,
    gated: Annotated[str | None, typer.Option(help="auto, manual or false.")] = None,
    token: Token = None,
) -> None:
    """Change who sees a repository and who may download from it."""
    from enfold.hub import HfApi

    chosen = {"auto": "auto", "manual": "manual", "false": False, None: None}
    if gated not in chosen:
        raise typer.BadParameter(f"--gated is auto, manual or false, not {gated!r}")
    HfApi(token=token).update_repo_settings(repo_id, repo_type=repo_type, private=private, gated=chosen[gated])  # type: ignore[arg-type]
    typer.echo(f"Changed {repo_id}.")


def tag_create(
    repo_id: RepoId,
    tag: str,
    message: Annotated[str | None, typer.Option("--message", "-m")] = None,
    repo_type: Kind = "model",
    revision: Revision = None,
    token: Token = None,
) -> None:
    """Make a tag."""
    from enfold.hub import HfApi

    HfApi(token=token).create_tag(repo_id, tag=tag, tag_message=message, revision=revision, repo_type=repo_type)
    typer.echo(f"Tagged {repo_id} as {tag}.")


def tag_list(repo_id: RepoId, repo_type: Kind = "model", token: Token = None) -> None:
    """List the tags of a repository."""
    from enfold.hub import HfApi

    for tag in HfApi(token=token).list_repo_refs(repo_id, repo_type=repo_type).tags:
        typer.echo(f"{tag.name}  {tag.target_commit}")


def tag_delete(repo_id: RepoId, tag: str, repo_type: Kind = "model", yes: Yes = False, token: Token = None) -> None:
    """Delete a tag."""
    from enfold.hub import HfApi

    if not yes:
        typer.confirm(f"Delete the tag {tag} of {repo_id}?", abort=True)
    HfApi(token=token).delete_tag(repo_id, tag=tag, repo_type=repo_type)
    typer.echo(f"Deleted {tag}.")


def branch_create(
    repo_id: RepoId, branch: str, repo_type: Kind = "model", revision: Revision = None, token: Token = None
) -> None:
    """Make a branch."""
    from enfold.hub import HfApi

    HfApi(token=token).create_branch(repo_id, branch=branch, revision=revision, repo_type=repo_type)
    typer.echo(f"Made the branch {branch}.")


def branch_delete(repo_id: RepoId, branch: str, repo_type: Kind = "model", token: Token = None) -> None:
    """Delete a branch."""
    from enfold.hub import HfApi

    HfApi(token=token).delete_branch(repo_id, branch=branch, repo_type=repo_type)
    typer.echo(f"Deleted {branch}.")


def files_delete(
    repo_id: RepoId,
    patterns: Annotated[list[str], typer.Argument(help="Shell patterns.")],
    repo_type: Kind = "model",
    revision: Revision = None,
    message: Annotated[str | None, typer.Option("--message", "--commit-message", "-m")] = None,
    token: Token = None,
) -> None:
    """Delete the files that match, in one commit."""
    from enfold.hub import HfApi

    options = {"repo_type": repo_type, "revision": revision}
    done = HfApi(token=token).delete_files(repo_id, patterns, commit_message=message, **options)
    typer.echo(done.commit_url)


def upload_large_folder(
    repo_id: RepoId,
    folder: Annotated[Path, typer.Argument(help="The folder.")],
    repo_type: Kind = "model",
    revision: Revision = None,
    private: Annotated[bool, typer.Option("--private", help="If it is made now, make it private.")] = False,
    include: Annotated[list[str] | None, typer.Option(help="Upload only what matches (repeatable).")] = None,
    exclude: Annotated[list[str] | None, typer.Option(help="Leave out what matches (repeatable).")] = None,
    token: Token = None,
) -> None:
    """Upload a folder; what an earlier attempt uploaded is not sent again."""
    from enfold.hub import HfApi

    HfApi(token=token).upload_large_folder(
        repo_id,
        folder,
        repo_type=repo_type,
        revision=revision,
        private=private or None,
        allow_patterns=include,
        ignore_patterns=exclude,
    )
    typer.echo(f"Uploaded {folder}.")


def version() -> None:
    """Print the version, and that of the client it stands for."""
    import enfold
    from enfold import hub

    typer.echo(f"enfold {enfold.__version__} (huggingface_hub {hub.__version__})")


def env() -> None:
    """Show versions, processor, threads and caches: what a bug report needs."""
    from enfold.cli.env import command

    command()


def lfs_enable(path: Annotated[Path, typer.Argument(help="A clone.")] = Path(".")) -> None:
    """Do nothing: our Hub takes files of any size from git-lfs as it is."""
    typer.echo(f"{path}: nothing to enable; git-lfs uploads files of any size as they are.")


def _lister(kind: str) -> Callable[..., None]:
    def ls(
        search: Annotated[str | None, typer.Option(help="Words in the name.")] = None,
        author: Annotated[str | None, typer.Option(help="The namespace.")] = None,
        filter: Annotated[list[str] | None, typer.Option(help="A tag (repeatable).")] = None,
        sort: Annotated[str | None, typer.Option(help="downloads, likes, createdAt or lastModified.")] = None,
        limit: Annotated[int, typer.Option(help="How many.")] = 30,
        token: Token = None,
    ) -> None:
        """List what matches, one a line."""
        from enfold.hub import HfApi

        call = getattr(HfApi(token=token), f"list_{kind}")
        for item in call(search=search, author=author, filter=filter or None, sort=sort, limit=limit):
            typer.echo(item.id)

    return ls
