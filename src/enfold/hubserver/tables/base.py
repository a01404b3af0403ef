"""What every table belongs to, and the table of the Hub's own values."""

from __future__ import annotations

from sqlalchemy import Column, MetaData, String, Table, Text

__all__ = ["meta", "metadata"]

metadata = MetaData()

#: the version of the schema, and the key that signs addresses
meta = Table("meta", metadata, Column("key", String, primary_key=True), Column("value", Text, nullable=False))
