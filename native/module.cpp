// The Python face of the native core: one registration function per folder.
#include <nanobind/nanobind.h>

namespace nb = nanobind;

void register_tokenizer(nb::module_& module);
void register_encoding(nb::module_& module);
void register_columns(nb::module_& module);
void register_training(nb::module_& module);
void register_strings(nb::module_& module);
void register_decoding(nb::module_& module);
void register_metrics(nb::module_& module);
void register_nn(nb::module_& module);
void register_int8(nb::module_& module);
void register_rows(nb::module_& module);
void register_bfloat16(nb::module_& module);
void register_float32(nb::module_& module);

NB_MODULE(_native, module) {
  module.doc() = "enfold's native core";
  // A component written in Python can reach its tokenizer through its module: a cycle that lives until the process ends.
  nb::set_leak_warnings(false);
  register_encoding(module);
  register_columns(module);
  register_training(module);
  register_strings(module);
  register_decoding(module);
  register_metrics(module);
  register_nn(module);
  register_int8(module);
  register_rows(module);
  register_bfloat16(module);
  register_float32(module);
  register_tokenizer(module);
}
