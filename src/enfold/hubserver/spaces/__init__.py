"""Spaces: demos that live in repositories, served as files or run as programs of their own."""
