"""Who is signed in with the Hub, as functions receive it; :mod:`enfold.gradio.sign_in` is how they come to be."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from enfold.gradio.errors import Error

__all__ = ["OAuthProfile", "OAuthToken", "Signed"]


class OAuthProfile(dict[str, Any]):
    """Who is signed in: declare a parameter with this type to receive it; with ``| None`` also when nobody is.

    Attributes:
        name: the full name.
        username: the name on the Hub.
        profile: the address of their page.
        picture: the address of their picture.

    Example:
        >>> def greet(profile: OAuthProfile | None) -> str:
        ...     return "I don't know you." if profile is None else f"Hello {profile.name}"
        >>> greet(None)
        "I don't know you."
    """

    def __init__(self, data: dict[str, Any]) -> None:
        super().__init__(data)
        self.name, self.username = data["name"], data["preferred_username"]
        self.profile, self.picture = data["profile"], data["picture"]


@dataclass
class OAuthToken:
    """The token that acts for who is signed in: declare a parameter with this type to receive it.

    Args:
        token: the access token.
        scope: what it may do.
        expires_at: until when, in seconds since 1970.
    """

    token: str
    scope: str
    expires_at: int

    def __repr__(self) -> str:
        return f"OAuthToken(scope={self.scope!r}, expires_at={self.expires_at})"  # tokens stay out of logs


@dataclass(frozen=True)
class Signed:
    """A parameter that is filled with the profile or the token of who is signed in."""

    kind: type[OAuthProfile] | type[OAuthToken]
    optional: bool

    def of(self, info: dict[str, Any] | None) -> OAuthProfile | OAuthToken | None:
        """What is known of the visitor, from the Hub's answer.

        Raises:
            Error: nobody is signed in, and the function cannot do without.
        """
        if info is None:
            if self.optional:
                return None
            raise Error("Please sign in first: this needs to know who you are.", print_exception=False)
        if self.kind is OAuthProfile:
            return OAuthProfile(info["userinfo"])
        return OAuthToken(info["access_token"], info.get("scope", ""), int(info["expires_at"]))
