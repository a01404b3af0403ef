"""HTTP whose requests have a head of limited length: whoever sends one without end is told so and left.

The parser keeps a head until it is whole, before anything else can judge the request.
"""

from __future__ import annotations

from enfold.web.zerocopy import ZeroCopyProtocol

__all__ = ["LONGEST", "ShortHeads"]

LONGEST = 64 * 1024  # bytes; what one reading of the socket brings is taken whole


class ShortHeads(ZeroCopyProtocol):
    """uvicorn's HTTP as our servers speak it."""

    _head: int | None = None  # bytes so far of a head that has not ended

    def on_message_begin(self) -> None:
        """Begin to count."""
        self._head = 0
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """Stop counting."""
        self._head = None
        super().on_headers_complete()

    def data_received(self, data: bytes) -> None:
        """Hand bytes to the parser as long as the head is not too long."""
        super().data_received(data)
        if self._head is not None:
            self._head += len(data)
            if self._head > LONGEST and not self.transport.is_closing():
                self.send_400_response("The head of the request is too long.")
