#include "tokenizer/decode_table.hpp"

#include <algorithm>
#include <cstring>

#include "text/utf8.hpp"

namespace enfold {
namespace {

constexpr size_t kBlock = 1 << 16;
constexpr size_t kMostIds = 1 << 24;

bool is_ascii(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return (unsigned char)c < 0x80; });
}

}  // namespace

void ByteBuffer::grow(size_t count) {
  size_t wanted = std::max<size_t>({capacity * 2, size + count, 256});
  std::unique_ptr<char[]> larger(new char[wanted]);
  if (size) std::memcpy(larger.get(), data.get(), size);
  data = std::move(larger);
  capacity = wanted;
}

void ByteBuffer::append(std::string_view bytes) {
  if (!bytes.empty()) std::memcpy(room(bytes.size()), bytes.data(), bytes.size());
  size += bytes.size();
}

DecodeTable::DecodeTable(const Pipeline& pipeline) : pipeline_(pipeline) {
  const Decoder* decoder = pipeline.decoder.get();
  std::vector<const Decoder*> parts;
  if (!decoder) join_ = Blanks;
  else if ((parts = decoder->parts()).empty()) parts.push_back(decoder);
  size_t at = 0;
  for (; at < parts.size() && parts[at]->kind() == Decoder::PerToken; ++at) before_.push_back(parts[at]);
  if (at < parts.size()) {
    Decoder::Kind kind = parts[at++]->kind();
    if (kind == Decoder::Bytes) join_ = Bytes;
    else if (kind == Decoder::Fallback) join_ = Fallback;
    else if (kind != Decoder::Join) join_ = General;
    // What follows must see the text in one piece.
    if (join_ == Fallback && at < parts.size() && parts[at++]->kind() != Decoder::Join) join_ = General;
    for (; at < parts.size(); ++at) {
      after_.push_back(parts[at]);
      if (parts[at]->kind() == Decoder::Other) join_ = General;
    }
  }
  for (const Decoder* step : before_) begins_ = begins_ || step->sees_first(), ends_ = ends_ || step->sees_last();
  if (join_ == Blanks) begins_ = true;
  if (pipeline.model) size_ = pipeline.model->vocab.ids();
  const auto& added = pipeline.added->by_id();
  if (!added.empty()) size_ = std::max(size_, size_t(added.rbegin()->first) + 1);
  if (size_ > kMostIds) join_ = General;
  for (size_t form = 0; form < 4; ++form)
    if (join_ != General && (begins_ || !(form & 1)) && (ends_ || !(form & 2))) slots_[form].reset(new std::atomic<Slot>[size_]());
}

// What an id adds to the text, put into `text`; the slot without the place of the text.
DecodeTable::Slot DecodeTable::make(uint32_t id, size_t form, std::string& text) const {
  text.clear();
  Slot flags = 0;
  if (const AddedToken* known = id <= uint32_t(INT32_MAX) ? pipeline_.added->token(int32_t(id)) : nullptr) {
    if (pipeline_.added->is_special(known->content)) flags = kSpecial;
    text = known->content;
  } else if (pipeline_.model && pipeline_.model->vocab.has_id(id)) {
    text = pipeline_.model->vocab.token(id);
  } else {
    return kAbsent | kAscii;
  }
  if (!before_.empty()) {
    std::vector<std::string> tokens;
    if (!(form & 1)) tokens.emplace_back();
    size_t at = tokens.size();
    tokens.push_back(std::move(text));
    if (!(form & 2)) tokens.emplace_back();
    for (const Decoder* step : before_) step->run(tokens);
    text = std::move(tokens[at]);
  }
  if (join_ == Blanks && !(form & 1)) text.insert(0, " ");
  if (join_ == Bytes) {
    std::string bytes;
    append_bytes(text, bytes);
    text.swap(bytes);
  }
  if (int byte = join_ == Fallback ? fallback_byte(text) : -1; byte >= 0) return flags | kByte | Slot(byte) << 48;
  return flags | (is_ascii(text) ? kAscii : 0);
}

DecodeTable::Slot DecodeTable::look(uint32_t id, size_t form) const {
  if (id >= size_) return kAbsent | kAscii;
  std::atomic<Slot>& held = slots_[form][id];
  if (Slot slot = held.load(std::memory_order_acquire)) return slot;
  std::string text;
  Slot slot = make(id, form, text);
  if (slot & (kAbsent | kByte)) {
    held.store(slot, std::memory_order_release);
    return slot;
  }
  if (text.size() > kLongest) return 0;
  std::unique_lock lock(mutex_, std::try_to_lock);
  if (!lock) return 0;
  // Another thread may have been here meanwhile: the text is kept twice then.
  size_t need = text.size() + kSlack;
  if (left_ < need) {
    arena_.emplace_back(new char[kBlock]());
    left_ = kBlock;
  }
  char* to = arena_.back().get() + kBlock - left_;
  std::memcpy(to, text.data(), text.size());
  left_ -= text.size();
  slot |= Slot(text.size()) << 48 | Slot(reinterpret_cast<uintptr_t>(to));
  held.store(slot, std::memory_order_release);
  return slot;
}

bool DecodeTable::decode(const uint32_t* ids, size_t count, bool skip, ByteBuffer& out) const {
  size_t start = out.size;
  if (join_ == General) {
    out.append(pipeline_.decode({ids, ids + count}, skip));
    return is_ascii({out.data.get() + start, out.size - start});
  }
  bool ascii = one_by_one(ids, count, skip, out);
  if (after_.empty()) return ascii;
  std::vector<std::string> whole(1);
  if (join_ == Bytes && !ascii) utf8_append_lossy({out.data.get() + start, out.size - start}, whole[0]);
  else whole[0].assign(out.data.get() + start, out.size - start);
  for (const Decoder* step : after_) step->run(whole);
  out.size = start;
  for (const std::string& part : whole) out.append(part);
  return ascii && is_ascii({out.data.get() + start, out.size - start});
}

bool DecodeTable::wanted(uint32_t id, bool skip) const {
  if (join_ != General) {
    if (Slot slot = look(id, 0)) return !(slot & (kAbsent | (skip ? kSpecial : 0)));
  }
  std::string text;
  return !(make(id, 0, text) & (kAbsent | (skip ? kSpecial : 0)));
}

bool DecodeTable::one_by_one(const uint32_t* ids, size_t count, bool skip, ByteBuffer& out) const {
  Slot ascii = kAscii;
  const Slot unwanted = kAbsent | (skip ? kSpecial : 0);
  size_t run = SIZE_MAX;  // where bytes that have to make characters together begin
  auto flush = [&] {
    if (run == SIZE_MAX) return;
    std::string_view bytes(out.data.get() + run, out.size - run);
    if (!utf8_valid(bytes)) {
      size_t lost = bytes.size();
      out.size = run;
      for (size_t i = 0; i < lost; ++i) out.append("\uFFFD");
    }
    run = SIZE_MAX;
  };
  std::string text;
  auto rare = [&](uint32_t id, size_t form, Slot slot) {
    if (!slot) {
      // Too long to be kept, or the arena was in use.
      slot = make(id, form, text);
      if (slot & unwanted) return;
      if (!(slot & kByte)) {
        flush();
        ascii &= slot;
        return out.append(text);
      }
    }
    if (slot & unwanted) return;
    if (run == SIZE_MAX) run = out.size;
    ascii = 0;
    char byte = char(length(slot));
    out.append({&byte, 1});
  };
  auto put = [&](uint32_t id, size_t form) {
    Slot slot = id < size_ ? slots_[form][id].load(std::memory_order_acquire) : kAbsent | kAscii;
    if (!slot) [[unlikely]] slot = look(id, form);
    if (slot & unwanted) return;
    if (!slot || (slot & kByte)) [[unlikely]] return rare(id, form, slot);
    if (run != SIZE_MAX) [[unlikely]] flush();
    size_t size = length(slot);
    char* to = out.room(size + kSlack);
    const char* from = DecodeTable::text(slot);
    std::memcpy(to, from, kSlack);
    if (size > kSlack) std::memcpy(to + kSlack, from + kSlack, size - kSlack);
    out.size += size;
    ascii &= slot;
  };
  size_t begin = 0, end = count;
  if (begins_ || ends_) {
    while (begin < end && !wanted(ids[begin], skip)) ++begin;
    while (end > begin && !wanted(ids[end - 1], skip)) --end;
    if (begin == end) return true;
    if (end - begin == 1) {
      put(ids[begin], size_t(begins_) | size_t(ends_) << 1);
      begin = end;
    } else {
      if (begins_) put(ids[begin++], 1);
      for (; begin + ends_ < end; ++begin) put(ids[begin], 0);
      if (ends_) put(ids[begin++], 2);
    }
  }
  for (; begin < end; ++begin) put(ids[begin], 0);
  flush();
  return ascii != 0;
}

}  // namespace enfold
