// Components that are not ours.
#pragma once

#include <cstdint>
#include <memory>

namespace enfold {

struct Normalizer;
struct PreTokenizer;
struct Decoder;

// Answers for specs of the type "Custom" while it is `known`: only then, so that no file can name a component.
struct CustomParts {
  virtual ~CustomParts() = default;
  virtual std::shared_ptr<const Normalizer> normalizer(int64_t handle) const = 0;
  virtual std::shared_ptr<const PreTokenizer> pre_tokenizer(int64_t handle) const = 0;
  virtual std::shared_ptr<const Decoder> decoder(int64_t handle) const = 0;

  static inline thread_local const CustomParts* known = nullptr;
};

}  // namespace enfold
