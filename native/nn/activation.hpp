// What may follow the sums of a linear layer.
#pragma once

#include <stdexcept>
#include <string_view>
#include <utility>

namespace enfold::nn {

enum class Activation { None, Gelu, TanhGelu, Relu, Silu, Tanh };

// By the name that enfold.nn.linear gives it.
inline Activation activation_named(std::string_view name) {
  static constexpr std::pair<std::string_view, Activation> kNames[] = {
      {"none", Activation::None}, {"gelu", Activation::Gelu}, {"tanh_gelu", Activation::TanhGelu},
      {"relu", Activation::Relu}, {"silu", Activation::Silu}, {"tanh", Activation::Tanh}};
  for (const auto& [known, activation] : kNames)
    if (known == name) return activation;
  throw std::invalid_argument("there is no such activation");
}

}  // namespace enfold::nn
