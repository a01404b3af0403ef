#include "metrics/pairs.hpp"

#include <algorithm>
#include <cstring>

#include "text/utf8.hpp"
#include "tokenizer/threads.hpp"

namespace enfold::metrics {
namespace {

// What Python's str.split takes for white space.
bool is_space(char32_t c) {
  if (c < 0x80) return c == ' ' || (c >= 9 && c <= 13) || (c >= 28 && c <= 31);
  return c == 0x85 || c == 0xA0 || c == 0x1680 || (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 ||
         c == 0x202F || c == 0x205F || c == 0x3000;
}

uint64_t hash_of(std::string_view text) {
  uint64_t hash = text.size() * 0x9E3779B97F4A7C15u;
  const char* at = text.data();
  size_t left = text.size();
  for (; left >= 8; at += 8, left -= 8) {
    uint64_t chunk;
    std::memcpy(&chunk, at, 8);
    hash = (hash ^ chunk) * 0x9FB21C651E98DF25u;
    hash ^= hash >> 32;
  }
  uint64_t rest = 0;
  std::memcpy(&rest, at, left);
  hash = (hash ^ rest) * 0x9FB21C651E98DF25u;
  return hash ^ hash >> 29;
}

}  // namespace

void Texts::split(size_t text, std::vector<Tokens>& out) const {
  out.clear();
  size_t begin = text ? ends[text - 1] : 0;
  for (size_t line = text ? lines[text - 1] : 0; line < lines[text]; ++line) {
    out.push_back({ids.data() + begin, line_ends[line] - begin});
    begin = line_ends[line];
  }
}

Reader::Word& Reader::word(std::string_view text, bool whole) {
  if (words_.size() * 2 >= table_.size()) {
    table_.assign(table_.size() * 4, 0);
    for (size_t i = 0; i < words_.size(); ++i) {
      size_t at = words_[i].hash & (table_.size() - 1);
      while (table_[at]) at = (at + 1) & (table_.size() - 1);
      table_[at] = uint32_t(i + 1);
    }
  }
  uint64_t hash = hash_of(text);
  size_t at = hash & (table_.size() - 1);
  for (; table_[at]; at = (at + 1) & (table_.size() - 1)) {
    Word& known = words_[table_[at] - 1];
    if (known.hash == hash && known.text == text) return known;
  }
  Word made{{}, hash, -1, {}};
  if (whole || !pieces_) {
    made.id = next_++;
  } else {
    for (std::string& piece : pieces_(text)) {
      auto [found, fresh] = piece_ids_.try_emplace(std::move(piece), next_);
      next_ += fresh;
      made.pieces.push_back(found->second);
    }
  }
  made.text = text;
  table_[at] = uint32_t(words_.size() + 1);
  words_.push_back(std::move(made));
  return words_.back();
}

void Reader::put(std::string_view text, Texts& out) {
  const Word& known = word(text, false);
  if (known.id >= 0) out.ids.push_back(known.id);
  else out.ids.insert(out.ids.end(), known.pieces.begin(), known.pieces.end());
}

void Reader::end_text(Texts& out) {
  end_line(out);
  out.lines.push_back(out.line_ends.size());
  out.ends.push_back(out.ids.size());
}

void Reader::read(const std::vector<std::string_view>& tokens, Texts& out) {
  for (std::string_view token : tokens) {
    if (token == line_mark) end_line(out);
    else out.ids.push_back(word(token, true).id);
  }
  end_text(out);
}

void Reader::read(std::string_view text, Texts& out) {
  size_t at = 0, begin = 0;
  switch (cut_) {
    case Cut::characters:
      while (at < text.size()) out.ids.push_back(int32_t(utf8_next(text, at)));
      break;
    case Cut::space:
      while (at < text.size()) {
        size_t here = at;
        if (!is_space(utf8_next(text, at))) continue;
        if (here > begin) put(text.substr(begin, here - begin), out);
        begin = at;
      }
      if (at > begin) put(text.substr(begin, at - begin), out);
      break;
    case Cut::spaces: {
      size_t stop = 0;  // where the last character that is no white space ends
      while (at < text.size()) {
        size_t here = at;
        char32_t first = utf8_next(text, at);
        if (!is_space(first)) {
          stop = at;
          continue;
        }
        bool several = false;
        for (size_t next = at; at < text.size() && is_space(utf8_next(text, next)); at = next) several = true;
        // a lone tab is part of a word, except at the ends of the text
        if (first != ' ' && !several && stop && at < text.size()) continue;
        if (stop > begin) put(text.substr(begin, here - begin), out);
        begin = at;
      }
      if (stop > begin) put(text.substr(begin, stop - begin), out);
      break;
    }
    case Cut::alphanumeric: {
      // the lowered copy is kept, for words are known by views into it
      kept_.emplace_back(text);
      std::string& lowered = kept_.back();
      bool fresh = false;
      for (size_t i = 0; i <= lowered.size(); ++i) {
        unsigned char c = i < lowered.size() ? lowered[i] : 0;
        if (c >= 'A' && c <= 'Z') lowered[i] = char(c |= 0x20);
        if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9')) continue;
        size_t known = words_.size();
        if (i > begin) put(std::string_view(lowered).substr(begin, i - begin), out);
        fresh |= words_.size() > known;
        begin = i + 1;
        if (c == '\n') end_line(out);
      }
      if (!fresh) kept_.pop_back();
      break;
    }
  }
  end_text(out);
}

void Pairs::each(const std::function<void(size_t, size_t)>& job) const {
  constexpr size_t step = 64;
  parallel((size() + step - 1) / step, thread_count(),
           [&](size_t chunk) { job(chunk * step, std::min(size(), (chunk + 1) * step)); });
}

}  // namespace enfold::metrics
