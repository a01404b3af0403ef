#include "tokenizer/decode_stream.hpp"

#include "text/utf8.hpp"

namespace enfold {
namespace {

constexpr std::string_view kLost = "\uFFFD";

}  // namespace

const std::string& DecodeStream::text(const DecodeTable& table) {
  if (known_ == ids_.size() && known_) return text_;
  ByteBuffer made;
  if (!table.appends()) {
    table.decode(ids_.data(), ids_.size(), skip_, made);
    text_.clear();
    std::string_view bytes(made.data.get(), made.size);
    if (table.lossy()) utf8_append_lossy(bytes, text_);
    else text_ = bytes;
    known_ = ids_.size();
    return text_;
  }
  // What was cut off as incomplete is tried again, with what follows.
  if (!tail_.empty()) text_.resize(text_.size() - kLost.size());
  made.append(tail_);
  tail_.clear();
  table.decode(ids_.data() + known_, ids_.size() - known_, skip_, made);
  known_ = ids_.size();
  std::string_view bytes(made.data.get(), made.size);
  // An incomplete character at the end: at most three bytes that make one U+FFFD together.
  for (size_t length = 1; length <= 3 && length <= bytes.size(); ++length) {
    size_t from = bytes.size() - length, bad = 0;
    unsigned char lead = (unsigned char)bytes[from];
    if ((lead & 0xC0) == 0x80) continue;
    if (lead >= 0xC0 && utf8_width(lead) > length && utf8_check(bytes, from, bad) == 0 && bad == length) tail_ = bytes.substr(from);
    break;
  }
  utf8_append_lossy(bytes, text_);
  return text_;
}

std::optional<std::string> DecodeStream::step(const DecodeTable& table, const std::vector<uint32_t>& ids) {
  auto add = [&](const std::vector<uint32_t>& more) {
    for (uint32_t id : more)
      if (table.wanted(id, skip_)) ids_.push_back(id);
  };
  if (!given_.empty()) {
    add(given_);
    given_.clear();
  }
  if (prefix_.empty() && !ids_.empty()) {
    const std::string& before = text(table);
    if (!before.ends_with(kLost)) {
      prefix_ = before;
      prefix_ids_ = ids_.size();
    }
  }
  add(ids);
  const std::string& now = text(table);
  if (now.size() <= prefix_.size() || now.ends_with(kLost)) return {};
  if (!now.starts_with(prefix_))
    throw InvalidPrefix("Invalid prefix encountered while decoding stream: the text of the tokens so far has changed; expected it to begin with `" +
                        prefix_ + "`, got `" + now + "`");
  std::string fresh = now.substr(prefix_.size());
  ids_.erase(ids_.begin(), ids_.begin() + ptrdiff_t(prefix_ids_));
  prefix_ids_ = ids_.size();
  known_ = 0;
  text_.clear();
  tail_.clear();
  prefix_ = ids_.empty() ? std::string() : text(table);
  return fresh;
}

}  // namespace enfold
