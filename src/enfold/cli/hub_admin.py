"""``enfold hub user``, ``org``, ``token``, ``audit``: what runs a Hub, on its data, with no token."""

from __future__ import annotations

import contextlib
import datetime
import json
import re
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from enfold.hubserver.hub import Hub

__all__ = ["Database", "Store", "add_to", "opened", "size"]

Database = Annotated[
    str | None,
    typer.Option(help="postgresql://user:password@host/name; SQLite by default.", envvar="ENFOLD_DATABASE"),
]
Store = Annotated[
    str | None, typer.Option(help="s3://bucket/prefix for contents; the folder by default.", envvar="ENFOLD_STORE")
]
Data = Annotated[Path, typer.Option("--data", help="Where the Hub keeps its data.", envvar="ENFOLD_HUB_DATA")]
Name = Annotated[str, typer.Argument(help="The account.")]
HERE = Path("hub-data")

user = typer.Typer(no_args_is_help=True, help="Make, change and list the people of a Hub.")
org = typer.Typer(no_args_is_help=True, help="Make organisations and say who belongs to them.")
token = typer.Typer(no_args_is_help=True, help="Make, list and revoke tokens.")


def add_to(app: typer.Typer) -> None:
    """Add the commands to those of ``enfold hub``."""
    for name, group in (("user", user), ("org", org), ("token", token)):
        app.add_typer(group, name=name)
    for name, command in (("audit", audit), ("export", export_bundle), ("import", import_bundle)):
        app.command(name)(command)


@contextlib.contextmanager
def opened(folder: Path, database: str | None, store: str | None = None) -> Iterator[Hub]:
    """Open a Hub's data; what is wrong with a request ends the command with a sentence."""
    from enfold.hubserver.errors import HubServerError
    from enfold.hubserver.hub import Hub
    from enfold.hubserver.settings import Settings

    if not folder.is_dir() and database is None:
        raise typer.BadParameter(f"there is no Hub in {str(folder)!r}")
    hub = Hub(Settings(folder.absolute(), database=database, store=store))
    try:
        yield hub
    except HubServerError as error:
        typer.echo(error.message, err=True)
        raise typer.Exit(1) from None
    finally:
        hub.close()


def size(text: str) -> int | None:
    """Return a number of bytes, such as "500MB" or "2TB"; None for "none"."""
    if text.lower() in {"none", "default"}:
        return None
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(k|M|G|T)?B?", text)
    if found is None:
        raise typer.BadParameter(f"{text!r} is no number of bytes, such as 500MB, 2TB, or none")
    return int(float(found[1]) * {None: 1, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12}[found[2]])


def _table(rows: Sequence[Sequence[str]]) -> None:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        typer.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def _day(seconds: float | None, never: str = "never") -> str:
    return never if seconds is None else datetime.datetime.fromtimestamp(seconds).strftime("%Y-%m-%d %H:%M")


# ---------------------------------------------------------------------- people


@user.command("add")
def user_add(
    name: Name,
    email: Annotated[str, typer.Option(help="An address.")] = "",
    fullname: Annotated[str, typer.Option(help="The name that people read.")] = "",
    admin: Annotated[bool, typer.Option("--admin", help="May do everything everywhere.")] = False,
    password: Annotated[bool, typer.Option("--password", help="Ask for a password, to sign in on pages.")] = False,
    data: Data = HERE,
    database: Database = None,
) -> None:
    """Make a user."""
    secret = typer.prompt("Password", hide_input=True, confirmation_prompt=True) if password else None
    with opened(data, database) as hub:
        hub.accounts.create_user(name, email=email, fullname=fullname, admin=admin, password=secret, exist_ok=False)
    typer.echo(f"Made {name}.")


@user.command("password")
def user_password(name: Name, data: Data = HERE, database: Database = None) -> None:
    """Give a user another password; who was signed in is signed out."""
    secret = typer.prompt("Password", hide_input=True, confirmation_prompt=True)
    with opened(data, database) as hub:
        hub.accounts.set_password(name, secret)
    typer.echo(f"{name} has another password.")


@user.command("set")
def user_set(
    name: Name,
    quota: Annotated[str | None, typer.Option(help="Bytes it may hold, such as 500GB; none for the default.")] = None,
    admin: Annotated[bool | None, typer.Option("--admin/--no-admin", help="May do everything everywhere.")] = None,
    locked: Annotated[bool | None, typer.Option("--lock/--unlock", help="Nothing is done for it.")] = None,
    email: Annotated[str | None, typer.Option(help="An address.")] = None,
    fullname: Annotated[str | None, typer.Option(help="The name that people read.")] = None,
    data: Data = HERE,
    database: Database = None,
) -> None:
    """Change a user or an organisation."""
    said: dict[str, Any] = {"admin": admin, "locked": locked, "email": email, "fullname": fullname}
    values = {key: value for key, value in said.items() if value is not None}
    if quota is not None:
        values["quota"] = size(quota)
    if not values:
        raise typer.BadParameter("nothing is to be changed")
    with opened(data, database) as hub:
        hub.accounts.change_user(name, values)
    typer.echo(f"Changed {name}.")


@user.command("rm")
def user_rm(name: Name, data: Data = HERE, database: Database = None) -> None:
    """Delete a user or an organisation that has no repositories."""
    with opened(data, database) as hub:
        hub.accounts.delete_user(name)
    typer.echo(f"Deleted {name}.")


@user.command("ls")
def user_ls(data: Data = HERE, database: Database = None) -> None:
    """List users and organisations, what they hold and what they may hold."""
    rows = [("NAME", "IS", "HOLDS", "MAY HOLD", "SINCE")]
    with opened(data, database) as hub, hub.database.read() as connection:
        for row in hub.accounts.all(connection):
            found = hub.quota.usage(connection, row.key)
            kind = "organisation" if row.organisation else "administrator" if row.admin else "user"
            limit = "no limit" if found.limit is None else f"{found.limit / 1e6:,.1f} MB"
            state = f"{kind}, locked" if row.locked else kind
            rows.append((row.name, state, f"{found.used / 1e6:,.1f} MB", limit, _day(row.created)))
    _table(rows)


@org.command("add")
def org_add(name: Name, data: Data = HERE, database: Database = None) -> None:
    """Make an organisation."""
    with opened(data, database) as hub:
        hub.accounts.create_organisation(name)
    typer.echo(f"Made {name}.")


@org.command("member")
def org_member(
    name: Name,
    member: Annotated[str, typer.Argument(help="The user.")],
    role: Annotated[str, typer.Argument(help="read, write or admin; none takes the user out.")] = "write",
    data: Data = HERE,
    database: Database = None,
) -> None:
    """Say what a user may do in an organisation."""
    with opened(data, database) as hub:
        hub.accounts.set_member(name, member, None if role == "none" else role)
    typer.echo(f"{member} is no longer in {name}." if role == "none" else f"{member} may {role} in {name}.")


# ---------------------------------------------------------------------- tokens


@token.command("add")
def token_add(
    name: Name,
    called: Annotated[str, typer.Option("--name", help="What it is called in lists.")] = "token",
    role: Annotated[str, typer.Option(help="read or write; ignored with --scope.")] = "write",
    scope: Annotated[
        list[str] | None,
        typer.Option(help="Only this: user:ann=repo.write, model:ann/one=repo.content.read, *=discussion.write."),
    ] = None,
    days: Annotated[int | None, typer.Option(help="Days for which it lasts; for ever by default.")] = None,
    data: Data = HERE,
    database: Database = None,
) -> None:
    """Make a token and print it: the Hub keeps only its hash."""
    with opened(data, database) as hub:
        secret = hub.tokens.create(
            name,
            name=called,
            role="fineGrained" if scope else role,
            scopes=_scopes(scope) if scope else None,
            expires=None if days is None else time.time() + days * 86_400,
        )
    typer.echo(secret)


def _scopes(texts: Sequence[str]) -> Any:
    from enfold.hubserver.viewers import Scopes

    everywhere, scoped = list[str](), list[dict[str, Any]]()
    for text in texts:
        place, _, rights = text.partition("=")
        kind, _, where = place.partition(":")
        if place == "*":
            everywhere += rights.split(",")
        else:
            scoped.append({"type": kind, "name": where, "rights": rights.split(",")})
    return Scopes.read({"global": everywhere, "scoped": scoped})


@token.command("ls")
def token_ls(name: Name, data: Data = HERE, database: Database = None) -> None:
    """List a user's tokens."""
    rows = [("NUMBER", "NAME", "MAY", "MADE", "LAST USED", "ENDS")]
    with opened(data, database) as hub, hub.database.read() as connection:
        for row in hub.tokens.of(connection, name):
            days = (_day(row.created), _day(row.used), _day(row.expires))
            rows.append((str(row.id), row.name, row.role, *days))
    _table(rows)


@token.command("rm")
def token_rm(
    name: Name,
    number: Annotated[int, typer.Argument(help="Its number in the list.")],
    data: Data = HERE,
    database: Database = None,
) -> None:
    """Revoke a token."""
    with opened(data, database) as hub:
        typer.echo(f"Revoked {hub.tokens.revoke(name, number)!r}.")


# ---------------------------------------------------------------------- the log


def audit(
    account: Annotated[str | None, typer.Option(help="Only what this account did.")] = None,
    subject: Annotated[str | None, typer.Option(help="Only what was done to this, such as models/ann/one.")] = None,
    action: Annotated[str | None, typer.Option(help="Only actions that begin so, such as token.")] = None,
    limit: Annotated[int, typer.Option(help="How many rows.")] = 50,
    verify: Annotated[bool, typer.Option("--verify", help="Check that no row was changed or taken out.")] = False,
    data: Data = HERE,
    database: Database = None,
) -> None:
    """Print who did what, when and from where, newest first, as lines of JSON."""
    with opened(data, database) as hub:
        if verify:
            problem = hub.audit.verify()
            typer.echo(problem or "every row follows from the one before it")
            if problem:
                raise typer.Exit(1)
            return
        with hub.database.read() as connection:
            rows = hub.audit.page(connection, account=account, subject=subject, action=action, limit=limit)
    for row in rows:
        moment = datetime.datetime.fromtimestamp(row.moment, datetime.timezone.utc).isoformat(timespec="seconds")
        said = {name: getattr(row, name) for name in ("account", "token", "address", "action", "subject")}
        typer.echo(json.dumps({"date": moment, **said, "details": json.loads(row.details)}))


# ---------------------------------------------------------------------- bundles


Bundle = Annotated[Path, typer.Argument(help="The bundle: a file if it ends in .tar, else a folder.")]


def export_bundle(
    bundle: Bundle,
    names: Annotated[
        list[str] | None, typer.Argument(help="Repositories (ann/one, datasets/ann/one) or namespaces; all by default.")
    ] = None,
    since: Annotated[
        Path | None, typer.Option(help="bundle.json of an earlier bundle that the other side has: only what is new.")
    ] = None,
    sign_with: Annotated[Path | None, typer.Option(help="A private Ed25519 key (PEM).")] = None,
    data: Data = HERE,
    database: Database = None,
    store: Store = None,
) -> None:
    """Write repositories with their history and contents into a bundle, for a Hub without a network.

    Interrupted, the same command goes on where it stopped; the Hub may be serving meanwhile.
    """
    from enfold.hubserver.bundle.write import export

    with opened(data, database, store) as hub:
        done = export(hub, bundle, names or (), since=since, key=sign_with)
    typer.echo(f"{done.repositories} repositories, {done.objects} contents, {done.size / 1e6:,.1f} MB in {bundle}")


def import_bundle(
    bundle: Bundle,
    trust: Annotated[
        list[Path] | None, typer.Option(help="A public key (PEM) by which the bundle must be signed (repeatable).")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Let branches lose commits that only this Hub has.")] = False,
    data: Data = HERE,
    database: Database = None,
    store: Store = None,
) -> None:
    """Take the repositories of a bundle in; every content is checked against its hash first."""
    from enfold.hubserver.bundle.read import load

    data.mkdir(parents=True, exist_ok=True)
    with opened(data, database, store) as hub:
        done = load(hub, bundle, trusted=trust, force=force)
    for name in done.repositories:
        typer.echo(name)
    typer.echo(f"{len(done.repositories)} repositories are new or changed, {done.size / 1e6:,.1f} MB were new")
