"""Our torch models in other frameworks: exported once to a small program, run by a table of the framework's functions.

``graph`` makes the programs; ``jax`` and ``tensorflow`` are the frameworks.
"""
