"""MD5, SHA-1 and SHA-256 for naming things, which also work where the system forbids the first two for security."""

import functools
import hashlib

__all__ = ["md5", "sha1", "sha256"]

md5 = functools.partial(hashlib.md5, usedforsecurity=False)
sha1 = functools.partial(hashlib.sha1, usedforsecurity=False)
sha256 = functools.partial(hashlib.sha256, usedforsecurity=False)
