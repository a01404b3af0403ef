// Normalizers, pre-tokenizers and decoders written in Python.
#pragma once

#include <nanobind/nanobind.h>

#include "text/custom.hpp"

namespace enfold {

// While it lives, specs {"type": "Custom", "handle": n} stand for the object n of `objects`.
class PythonParts final : public CustomParts {
 public:
  explicit PythonParts(nanobind::dict objects);
  ~PythonParts() override { known = before_; }
  PythonParts(const PythonParts&) = delete;

  std::shared_ptr<const Normalizer> normalizer(int64_t handle) const override;
  std::shared_ptr<const PreTokenizer> pre_tokenizer(int64_t handle) const override;
  std::shared_ptr<const Decoder> decoder(int64_t handle) const override;

 private:
  nanobind::object find(int64_t handle) const;
  nanobind::dict objects_;
  const CustomParts* before_;
};

}  // namespace enfold
