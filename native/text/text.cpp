#include "text/text.hpp"

#include "text/utf8.hpp"

namespace enfold {

Text Text::from(std::string_view original, bool tracked) {
  Text text;
  text.bytes = original;
  text.source = original;
  text.tracked = tracked;
  uint32_t chars = 0;
  if (tracked) {
    text.spans.resize(original.size());
    for (size_t at = 0; at < original.size(); ++chars) {
      size_t from = at;
      utf8_next(original, at);
      for (size_t i = from; i < at; ++i) text.spans[i] = {chars, chars + 1};
    }
    text.origin = {0, chars};
  }
  return text;
}

Text Text::slice(size_t begin, size_t end) const {
  Text part;
  part.bytes = bytes.substr(begin, end - begin);
  part.source = source;
  part.tracked = tracked;
  if (tracked) {
    part.spans.assign(spans.begin() + begin, spans.begin() + end);
    part.origin = span(begin, end);
  } else {
    // Only "does it begin the original?" matters then (Metaspace's prepend scheme "first").
    part.origin.begin = begin == 0 ? origin.begin : 1;
  }
  return part;
}

Span Text::span(size_t begin, size_t end) const {
  if (!tracked) return {};
  if (begin < end) return {spans[begin].begin, spans[end - 1].end};
  return origin;
}

void Text::transform(size_t begin, size_t end, const std::vector<Change>& dest, size_t skipped) {
  std::string made;
  std::vector<Span> made_spans;
  made.reserve(end - begin + 16);
  size_t at = begin + skipped;
  for (const Change& item : dest) {
    Span span;
    if (tracked) {
      if (item.change > 0) {
        span = at == 0 ? Span{origin.begin, origin.begin} : spans[at - 1];
      } else {
        span = at < spans.size() ? spans[at] : Span{origin.end, origin.end};
      }
    }
    // Step over the character that this one stands for, and over those that it swallows.
    for (int32_t i = item.change; i <= 0 && at < end; ++i) at += utf8_width((unsigned char)bytes[at]);
    size_t before = made.size();
    utf8_append(item.code, made);
    if (tracked) made_spans.insert(made_spans.end(), made.size() - before, span);
  }
  if (begin == 0 && end == bytes.size()) {
    bytes.swap(made);
    spans.swap(made_spans);
    return;
  }
  bytes.replace(begin, end - begin, made);
  if (tracked) {
    spans.erase(spans.begin() + begin, spans.begin() + end);
    spans.insert(spans.begin() + begin, made_spans.begin(), made_spans.end());
  }
}

void Text::prepend(std::string_view prefix) {
  if (bytes.empty()) return;
  if (tracked) spans.insert(spans.begin(), prefix.size(), spans[0]);
  bytes.insert(0, prefix);
}

void Text::trim(size_t begin, size_t end) {
  bytes = bytes.substr(begin, end - begin);
  if (tracked) spans = std::vector<Span>(spans.begin() + begin, spans.begin() + end);
}

}  // namespace enfold
