"""Trying small models on their pages."""
