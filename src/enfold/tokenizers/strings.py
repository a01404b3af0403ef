"""Texts on their way through the pipeline: what custom normalizers and pre-tokenizers are given."""

from enfold._native import NormalizedString, PreTokenizedString, Token

__all__ = ["NormalizedString", "PreTokenizedString", "Token"]
