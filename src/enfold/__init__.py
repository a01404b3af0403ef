"""enfold: the Hugging Face ecosystem and its Hub as one distribution.

Each library of the ecosystem is a package here (``enfold.transformers``, ``enfold.datasets``, …); importing one loads
nothing heavy until a name of it is used.
"""

from enfold.lazy import face

__version__ = "0.1.0"

__getattr__, __dir__, __all__ = face(__name__, {})
