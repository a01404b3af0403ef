// Decoding by looking up what each id adds to the text.
//
// Most decoders turn every token into text by nothing but itself and whether it is the first or the last; what they make
// of it is worked out when an id first comes up, and kept.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "tokenizer/tokenizer.hpp"

namespace enfold {

// Bytes that grow at the end without being cleared first.
struct ByteBuffer {
  std::unique_ptr<char[]> data;
  size_t size = 0, capacity = 0;
  char* room(size_t count) {
    if (capacity - size < count) grow(count);
    return data.get() + size;
  }
  void append(std::string_view bytes);

 private:
  void grow(size_t count);
};

class DecodeTable {
 public:
  explicit DecodeTable(const Pipeline& pipeline);

  // Appends the text of ids to `out`, which may hold what is not UTF-8 (see lossy()). Returns whether all of it is ASCII.
  bool decode(const uint32_t* ids, size_t count, bool skip_special_tokens, ByteBuffer& out) const;
  // Whether decoding looks at an id at all.
  bool wanted(uint32_t id, bool skip_special_tokens) const;
  // Whether U+FFFD has to be put where the text is not UTF-8.
  bool lossy() const { return join_ == Bytes; }
  // Whether more ids only ever add bytes to the text.
  bool appends() const { return join_ == Bytes && !ends_ && after_.empty(); }

 private:
  enum How { Plain, Blanks, Bytes, Fallback, General };
  // A token's text: where it is (48 bits), its length (12 bits), and flags. 0: not worked out yet.
  using Slot = uint64_t;
  static constexpr Slot kAscii = Slot(1) << 60, kAbsent = Slot(1) << 61, kSpecial = Slot(1) << 62, kByte = Slot(1) << 63;
  static constexpr size_t kLongest = 4095, kSlack = 16;
  static const char* text(Slot slot) { return reinterpret_cast<const char*>(slot & ((Slot(1) << 48) - 1)); }
  static size_t length(Slot slot) { return slot >> 48 & kLongest; }

  Slot look(uint32_t id, size_t form) const;
  Slot make(uint32_t id, size_t form, std::string& text) const;
  bool one_by_one(const uint32_t* ids, size_t count, bool skip, ByteBuffer& out) const;

  const Pipeline& pipeline_;
  How join_ = Plain;
  bool begins_ = false, ends_ = false;          // whether the first or last token comes out another way
  std::vector<const Decoder*> before_, after_;  // token by token, and of the whole text
  size_t size_ = 0;                             // ids below this one have slots
  std::unique_ptr<std::atomic<Slot>[]> slots_[4];  // by what the token is: bit 0 the first, bit 1 the last
  mutable std::mutex mutex_;                    // guards the arena; only ever tried
  mutable std::vector<std::unique_ptr<char[]>> arena_;
  mutable size_t left_ = 0;
};

}  // namespace enfold
