"""Calls about people and organisations, likes, and access to gated repositories."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from enfold.hub import http
from enfold.hub.api_base import Token
from enfold.hub.api_repos import RepositoryCalls
from enfold.hub.people import AccessRequest, Organization, User, UserLikes

__all__ = ["PeopleCalls"]


class PeopleCalls(RepositoryCalls):
    """Calls about who is there, what they like, and whom a gated repository lets in."""

    def _pages(self, path: str, token: Token) -> Iterator[Any]:
        return http.pages(f"{self.endpoint}/api/{path}", token=self._token(token))

    def get_user_overview(self, username: str, token: Token = None) -> User:
        """Return what the Hub tells of a user."""
        return User(**self._send("GET", f"{self.endpoint}/api/users/{username}/overview", token).json())

    def get_organization_overview(self, organization: str, token: Token = None) -> Organization:
        """Return what the Hub tells of an organisation."""
        answer = self._send("GET", f"{self.endpoint}/api/organizations/{organization}/overview", token).json()
        return Organization(**answer)

    def list_organization_members(self, organization: str, token: Token = None) -> Iterator[User]:
        """Yield the members of an organisation."""
        return (User(**item) for item in self._pages(f"organizations/{organization}/members", token))

    def list_organization_followers(self, organization: str, token: Token = None) -> Iterator[User]:
        """Yield who follows an organisation."""
        return (User(**item) for item in self._pages(f"organizations/{organization}/followers", token))

    def list_user_followers(self, username: str, token: Token = None) -> Iterator[User]:
        """Yield who follows a user."""
        return (User(**item) for item in self._pages(f"users/{username}/followers", token))

    def list_user_following(self, username: str, token: Token = None) -> Iterator[User]:
        """Yield whom a user follows."""
        return (User(**item) for item in self._pages(f"users/{username}/following", token))

    # ------------------------------------------------------------------ likes

    def like(self, repo_id: str, *, token: Token = None, repo_type: str | None = None) -> None:
        """Like a repository (the Hub at huggingface.co takes likes from its pages alone)."""
        self._send("POST", f"{self._api(repo_id, repo_type)}/like", token)

    def unlike(self, repo_id: str, *, token: Token = None, repo_type: str | None = None) -> None:
        """Take a like back."""
        self._send("DELETE", f"{self._api(repo_id, repo_type)}/like", token)

    def list_liked_repos(self, user: str | None = None, *, token: Token = None) -> UserLikes:
        """Return what a user, by default who holds the token, likes."""
        name = user or str(self.whoami(token)["name"])
        liked = [item["repo"] for item in self._pages(f"users/{name}/likes", token)]

        def of(kind: str) -> list[str]:
            return [item["name"] for item in liked if item["type"] == kind]

        return UserLikes(
            user=name,
            total=len(liked),
            datasets=of("dataset"),
            kernels=of("kernel"),
            models=of("model"),
            spaces=of("space"),
        )

    def list_repo_likers(self, repo_id: str, *, repo_type: str | None = None, token: Token = None) -> Iterator[User]:
        """Yield who likes a repository."""
        found = http.pages(f"{self._api(repo_id, repo_type)}/likers", token=self._token(token))
        return (User(**item) for item in found)

    # ------------------------------------------------------------------ gated repositories

    def _requests(self, repo_id: str, status: str, repo_type: str | None, token: Token) -> Iterator[AccessRequest]:
        address = f"{self._api(repo_id, repo_type)}/user-access-request/{status}"
        return map(AccessRequest.told, http.pages(address, token=self._token(token)))

    def list_pending_access_requests(
        self, repo_id: str, *, repo_type: str | None = None, token: Token = None
    ) -> Iterator[AccessRequest]:
        """Yield the requests for a gated repository's files that nobody decided on; takes the right to write."""
        return self._requests(repo_id, "pending", repo_type, token)

    def list_accepted_access_requests(
        self, repo_id: str, *, repo_type: str | None = None, token: Token = None
    ) -> Iterator[AccessRequest]:
        """Yield the requests that were accepted."""
        return self._requests(repo_id, "accepted", repo_type, token)

    def list_rejected_access_requests(
        self, repo_id: str, *, repo_type: str | None = None, token: Token = None
    ) -> Iterator[AccessRequest]:
        """Yield the requests that were rejected."""
        return self._requests(repo_id, "rejected", repo_type, token)

    def _decide(
        self,
        repo_id: str,
        status: str,
        user: str | None,
        request_id: str | None,
        repo_type: str | None,
        token: Token,
        reason: str | None = None,
    ) -> None:
        if (user is None) == (request_id is None):
            raise ValueError("say whose request it is by either user or request_id")
        body = {"user": user} if user is not None else {"requestId": request_id}
        body["status"] = status
        if reason is not None:
            body["rejectionReason"] = reason
        self._send("POST", f"{self._api(repo_id, repo_type)}/user-access-request/handle", token, json=body)

    def accept_access_request(
        self,
        repo_id: str,
        user: str | None = None,
        *,
        request_id: str | None = None,
        repo_type: str | None = None,
        token: Token = None,
    ) -> None:
        """Let somebody in who asked, named by ``user`` or ``request_id``."""
        self._decide(repo_id, "accepted", user, request_id, repo_type, token)

    def reject_access_request(
        self,
        repo_id: str,
        user: str | None = None,
        *,
        request_id: str | None = None,
        repo_type: str | None = None,
        rejection_reason: str | None = None,
        token: Token = None,
    ) -> None:
        """Turn somebody away who asked, with a reason if there is one."""
        self._decide(repo_id, "rejected", user, request_id, repo_type, token, rejection_reason)

    def cancel_access_request(
        self,
        repo_id: str,
        user: str | None = None,
        *,
        request_id: str | None = None,
        repo_type: str | None = None,
        token: Token = None,
    ) -> None:
        """Take a decision back: the request is pending again."""
        self._decide(repo_id, "pending", user, request_id, repo_type, token)

    def grant_access(self, repo_id: str, user: str, *, repo_type: str | None = None, token: Token = None) -> None:
        """Let somebody in who did not ask."""
        address = f"{self._api(repo_id, repo_type)}/user-access-request/grant"
        self._send("POST", address, token, json={"user": user})
