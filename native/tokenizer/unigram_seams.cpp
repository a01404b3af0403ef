#include "tokenizer/unigram_seams.hpp"

#include <algorithm>
#include <bit>
#include <new>

#include "tokenizer/unigram.hpp"

namespace enfold {

UnigramSeams::UnigramSeams(const Unigram& model)
    : alone_(static_cast<std::atomic<int32_t>*>(std::calloc(kMostAlone, sizeof(int32_t))), &std::free) {
  if (!alone_) throw std::bad_alloc();
  // Unknown characters in a row are one token, of whose bytes nothing may be asked.
  auto odd = [](double score) { return !(score <= 0 && score > -1000); };
  usable_ = model.unk_id && !model.byte_fallback && std::none_of(model.scores.begin(), model.scores.end(), odd);
  std::vector<std::pair<uint32_t, uint32_t>> pairs;
  if (usable_)
    model.vocab.each([&](std::string_view piece, uint32_t) {
      size_t at = piece.starts_with("\u2581") ? 3 : 0;
      if (std::none_of(piece.begin() + std::ptrdiff_t(at), piece.end(), [](char c) { return (unsigned char)c >= 0xE0; })) return;
      for (uint32_t left = 0; at < piece.size();) {
        uint32_t right = utf8_next(piece, at);
        if (left && (left > kNarrow || right > kNarrow)) pairs.emplace_back(left, right);
        left = right;
      }
    });
  size_t size = std::bit_ceil(pairs.size() * 16 + 64);
  bits_.resize(size / 64);
  shift_ = 64 - std::countr_zero(size);
  for (auto [left, right] : pairs) {
    uint64_t at = place(left, right);
    bits_[at >> 6] |= uint64_t(1) << (at & 63);
  }
}

int32_t UnigramSeams::measure(const Unigram& model, std::string_view character) {
  int32_t id = model.vocab.find(character);
  return id >= 0 ? id : int32_t(*model.unk_id);
}

}  // namespace enfold
