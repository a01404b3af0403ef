// The Python face of the native core: one registration function per folder.
#include <nanobind/nanobind.h>

namespace nb = nanobind;

NB_MODULE(_native, module) {
  module.doc() = "enfold's native core";
}
