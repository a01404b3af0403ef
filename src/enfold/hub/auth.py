"""The caller's token: given, from the environment, or saved by ``login`` (a file only the user may read)."""

from __future__ import annotations

import configparser
import getpass
import os
import sys
import tempfile
from pathlib import Path

from enfold.hub import constants
from enfold.hub.errors import HfHubHTTPError, LocalTokenNotFoundError
from enfold.log import get_logger

__all__ = [
    "HfFolder",
    "auth_list",
    "auth_switch",
    "get_token",
    "interpreter_login",
    "login",
    "logout",
    "notebook_login",
    "stored_tokens",
    "token_to_send",
]

_log = get_logger(__name__)


def get_token() -> str | None:
    """Return the token to use: ``HF_TOKEN`` (or ``HUGGING_FACE_HUB_TOKEN``), else the one that ``login`` saved."""
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"):
        found = _clean(os.environ.get(name))
        if found:
            return found
    try:
        return _clean(Path(constants.token_path()).read_text())
    except OSError:
        return None


def _clean(token: str | None) -> str | None:
    return (token or "").replace("\r", "").replace("\n", "").strip() or None


def token_to_send(token: bool | str | None) -> str | None:
    """Return the token of a request: ``token`` itself, or by True (required), None (if there is one), False (none).

    Raises:
        LocalTokenNotFoundError: ``token=True`` and none is known.
    """
    if isinstance(token, str):
        return _clean(token)
    if token is False or (token is None and constants.HF_HUB_DISABLE_IMPLICIT_TOKEN):
        return None
    found = get_token()
    if token is True and found is None:
        raise LocalTokenNotFoundError(
            "a token is required (token=True), but none is known: set HF_TOKEN, or run `enfold hub login`"
        )
    return found


def login(
    token: str | None = None,
    *,
    add_to_git_credential: bool = False,
    new_session: bool = True,
    write_permission: bool = False,
    skip_if_logged_in: bool = False,
) -> None:
    """Check a token and save it for later calls.

    Args:
        token: the token; by default ``HF_TOKEN`` when it is set (then nothing has to be saved), else it is asked for.
        add_to_git_credential: accepted and ignored: no git credentials are touched.
        new_session: False keeps a token that is known already.
        write_permission: accepted for older programs; what a token may do is decided by the Hub.
        skip_if_logged_in: keep a token that is known already.

    Raises:
        HfHubHTTPError: the Hub does not know the token.
        LocalTokenNotFoundError: no token was given and nobody can be asked for one.
    """
    if token is None:
        from_environment = _clean(os.environ.get("HF_TOKEN") or os.environ.get("HUGGING_FACE_HUB_TOKEN"))
        known = from_environment or (get_token() if skip_if_logged_in or not new_session else None)
        if known:
            name = _who(known)
            _log.info("Logged in as %s%s", name, " by HF_TOKEN" if from_environment else "")
            return
        if not sys.stdin or not sys.stdin.isatty():
            raise LocalTokenNotFoundError(
                "no token was given and there is no terminal to ask on: login(token='hf_…'), or set HF_TOKEN"
            )
        token = getpass.getpass("Enter your token (input will not be visible): ")
    secret = _clean(token)
    if not secret:
        raise ValueError("the token is empty")
    name = _who(secret)
    _save(secret, name)
    _log.info("Logged in as %s; the token is saved in %s", name, constants.token_path())


def interpreter_login(
    *, new_session: bool = True, write_permission: bool = False, skip_if_logged_in: bool = False
) -> None:
    """Ask for a token on the terminal and save it, as :func:`login` does."""
    login(new_session=new_session, write_permission=write_permission, skip_if_logged_in=skip_if_logged_in)


def notebook_login(
    *, new_session: bool = True, write_permission: bool = False, skip_if_logged_in: bool = False
) -> None:
    """Ask for a token in a notebook's own prompt and save it, as :func:`login` does."""
    login(new_session=new_session, write_permission=write_permission, skip_if_logged_in=skip_if_logged_in)


def logout(token_name: str | None = None) -> None:
    """Forget the saved token, or only the one saved under ``token_name``."""
    tokens = stored_tokens()
    active = _active()
    if token_name is not None and token_name not in tokens:
        raise ValueError(f"there is no saved token called {token_name!r}; saved are: {', '.join(tokens) or 'none'}")
    gone = [token_name] if token_name is not None else list(tokens)
    if token_name is None or tokens.get(token_name) == active:
        Path(constants.token_path()).unlink(missing_ok=True)
    for name in gone:
        tokens.pop(name)
    _write_stored(tokens)
    if os.environ.get("HF_TOKEN"):
        _log.warning("HF_TOKEN is still set in the environment")


def auth_list() -> list[str]:
    """Return the names of the saved tokens."""
    return list(stored_tokens())


def auth_switch(token_name: str, add_to_git_credential: bool = False) -> None:
    """Use the token saved under ``token_name`` from now on."""
    tokens = stored_tokens()
    if token_name not in tokens:
        raise ValueError(f"there is no saved token called {token_name!r}; saved are: {', '.join(tokens) or 'none'}")
    _write_private(Path(constants.token_path()), tokens[token_name])


class HfFolder:
    """The saved token, by the calls of the client before 1.0."""

    @staticmethod
    def save_token(token: str) -> None:
        """Save a token without asking the Hub whose it is."""
        _write_private(Path(constants.token_path()), token)

    @staticmethod
    def get_token() -> str | None:
        """Return the token to use."""
        return get_token()

    @staticmethod
    def delete_token() -> None:
        """Forget the saved token."""
        Path(constants.token_path()).unlink(missing_ok=True)


def _who(token: str) -> str:
    from enfold.hub.http import request

    response = request("GET", f"{constants.endpoint()}/api/whoami-v2", token=token, check=False)
    if response.status_code == 401:
        raise HfHubHTTPError("invalid token: the Hub does not know it", response)
    from enfold.hub.http import hf_raise_for_status

    hf_raise_for_status(response)
    return str(response.json()["name"])


def _active() -> str | None:
    try:
        return _clean(Path(constants.token_path()).read_text())
    except OSError:
        return None


def _save(token: str, name: str) -> None:
    tokens = stored_tokens()
    tokens[name] = token
    _write_stored(tokens)
    _write_private(Path(constants.token_path()), token)


def stored_tokens() -> dict[str, str]:
    """Return the saved tokens by their names."""
    parser = configparser.ConfigParser(interpolation=None)
    try:
        parser.read(constants.stored_tokens_path())
    except (configparser.Error, OSError):
        return {}
    return {name: parser[name]["hf_token"] for name in parser.sections() if "hf_token" in parser[name]}


def _write_stored(tokens: dict[str, str]) -> None:
    path = Path(constants.stored_tokens_path())
    if not tokens:
        path.unlink(missing_ok=True)
        return
    text = "".join(f"[{name}]\nhf_token = {token}\n\n" for name, token in tokens.items())
    _write_private(path, text)


def _write_private(path: Path, text: str) -> None:
    """Write a file that only the user may read, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(dir=path.parent)  # mkstemp makes it readable for the user alone
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(text)
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
