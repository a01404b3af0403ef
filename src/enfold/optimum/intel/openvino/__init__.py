"""The same names where optimum-intel has them too (``optimum.intel.openvino``)."""

from enfold.lazy import face
from enfold.optimum.intel import TABLE

__getattr__, __dir__, __all__ = face(
    __name__, {module.replace(".openvino", "", 1): names for module, names in TABLE.items()}
)
