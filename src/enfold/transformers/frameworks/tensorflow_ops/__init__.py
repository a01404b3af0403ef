"""ATen's operations in TensorFlow: the table that ``graph.run`` runs a program with there.

A file for each family, as ``operations`` says. A tensor's sizes may be open while a ``tf.function`` is traced: they are
then scalar tensors, and one trace serves every batch and every length.
"""

from enfold.lazy import face

__getattr__, __dir__, __all__ = face(__name__, {".table": ["TABLE"], ".values": ["as_dtype"]})
