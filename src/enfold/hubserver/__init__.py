"""The self-hosted Hub: one process, SQLite and files, speaking the Hub's API to our client and the official one."""

from enfold.lazy import face

__getattr__, __dir__, __all__ = face(
    __name__,
    {
        ".app": ["create_app"],
        ".embedded": ["EmbeddedHub"],
        ".errors": ["HubServerError"],
        ".settings": ["Limits", "Settings"],
    },
)
