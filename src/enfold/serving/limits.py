"""How much one server accepts, and from whom."""

from __future__ import annotations

from dataclasses import dataclass, fields

from enfold.errors import EnfoldError

__all__ = ["Limits"]


@dataclass(frozen=True)
class Limits:
    """How much is accepted; whatever goes beyond is refused with the number that it passed.

    Args:
        prompt_tokens: of a prompt; None lets the model's own length decide.
        new_tokens: that one answer may have.
        default_new_tokens: where a request of TGI's says nothing.
        queue: answers that wait while as many as the engine takes are written; beyond it comes 429.
        body: bytes of a request.
        per_key: requests that one key, or one address where no key is asked for, may have open; None is no limit.
        choices: answers to one request (``n``, ``best_of``).
        stops: strings that end an answer.
        top_logprobs: likely tokens that are told for each place.
        schema: characters of a schema or grammar.
        unread: tokens that wait for a reader who is slower than the engine; beyond it the answer is given up.
        send_seconds: after which a reader who takes nothing is given up.
    """

    prompt_tokens: int | None = None
    new_tokens: int = 4096
    default_new_tokens: int = 1024
    queue: int = 128
    body: int = 8 * 2**20
    per_key: int | None = 256
    choices: int = 16
    stops: int = 16
    top_logprobs: int = 20
    schema: int = 200_000
    unread: int = 4096
    send_seconds: float = 60.0

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            least = 0 if field.name in ("queue", "top_logprobs") else 1e-9
            if value is not None and value < least:
                raise EnfoldError(f"{field.name}={value} must be {'at least 0' if least == 0 else 'greater than 0'}")
