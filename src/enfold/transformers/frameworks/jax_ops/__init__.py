"""ATen's operations in ``jax.numpy``: the table that ``graph.run`` runs a program with under JAX.

A file for each family, as ``operations`` says. Sizes are concrete while JAX traces.
"""

from enfold.lazy import face

__getattr__, __dir__, __all__ = face(__name__, {".table": ["TABLE", "with_key"], ".values": ["as_dtype"]})
