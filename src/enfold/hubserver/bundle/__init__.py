"""Bundles: repositories with their whole history and contents in one file or folder, for a Hub without a network.

A bundle begins with ``bundle.json``, which names every other part: packs of chunks and contents by their hash, and for
each repository its git objects, references and discussions, with the SHA-256 of that part. A signature of
``bundle.json`` is therefore one of everything.
"""
