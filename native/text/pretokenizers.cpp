#include "text/pretokenizers.hpp"

#include <algorithm>
#include <stdexcept>

#include "text/custom.hpp"
#include "text/normalizers.hpp"
#include "text/regex/regex.hpp"

namespace enfold {
namespace {

enum class Behavior { Removed, Isolated, MergedWithPrevious, MergedWithNext, Contiguous };

struct Range {
  size_t begin, end;
  bool match;
};

Behavior make_behavior(const Json& spec, Behavior otherwise) {
  if (spec.is_null()) return otherwise;
  std::string name = spec.string();
  if (name == "Removed") return Behavior::Removed;
  if (name == "Isolated") return Behavior::Isolated;
  if (name == "MergedWithPrevious") return Behavior::MergedWithPrevious;
  if (name == "MergedWithNext") return Behavior::MergedWithNext;
  if (name == "Contiguous") return Behavior::Contiguous;
  throw std::invalid_argument("unknown split behavior \"" + name + "\"");
}

// Turns the ranges of a text, matches and what lies between them, into the ranges of the words.
void apply(Behavior behavior, std::vector<Range>& ranges) {
  std::vector<Range> made;
  bool previous = false;
  switch (behavior) {
    case Behavior::Isolated: return;
    case Behavior::Removed:
      for (const Range& range : ranges)
        if (!range.match) made.push_back(range);
      break;
    case Behavior::Contiguous:
      for (const Range& range : ranges) {
        if (range.match == previous && !made.empty()) made.back().end = range.end;
        else made.push_back(range);
        previous = range.match;
      }
      break;
    case Behavior::MergedWithPrevious:
      for (const Range& range : ranges) {
        if (range.match && !previous && !made.empty()) made.back().end = range.end;
        else made.push_back(range);
        previous = range.match;
      }
      break;
    case Behavior::MergedWithNext:
      for (size_t i = ranges.size(); i-- > 0;) {
        const Range& range = ranges[i];
        if (range.match && !previous && !made.empty()) made.back().begin = range.begin;
        else made.push_back(range);
        previous = range.match;
      }
      std::reverse(made.begin(), made.end());
      break;
  }
  ranges.swap(made);
}

// Replaces every split that is still text by the pieces that `cut` names in it.
template <class Cut>
void resplit(std::vector<Split>& splits, Cut cut) {
  std::vector<Split> made;
  made.reserve(splits.size());
  std::vector<Range> ranges;
  for (Split& split : splits) {
    if (split.added >= 0) {
      made.push_back(std::move(split));
      continue;
    }
    ranges.clear();
    cut(split.text, ranges);
    if (ranges.size() == 1 && ranges[0].begin == 0 && ranges[0].end == split.text.bytes.size()) {
      if (!split.text.empty()) made.push_back(std::move(split));
      continue;
    }
    for (const Range& range : ranges)
      if (range.end > range.begin) made.push_back({split.text.slice(range.begin, range.end), -1});
  }
  splits.swap(made);
}

// Every character that `matches` is a match of its own.
template <class Matches>
void match_chars(std::string_view text, std::vector<Range>& ranges, Matches matches) {
  size_t last = 0;
  for (size_t at = 0; at < text.size();) {
    size_t from = at;
    if (!matches(utf8_next(text, at))) continue;
    if (last < from) ranges.push_back({last, from, false});
    ranges.push_back({from, at, true});
    last = at;
  }
  if (last < text.size()) ranges.push_back({last, text.size(), false});
}

void match_literal(std::string_view text, std::string_view pattern, std::vector<Range>& ranges) {
  size_t last = 0;
  if (!pattern.empty()) {
    for (size_t hit = text.find(pattern); hit != std::string_view::npos; hit = text.find(pattern, last)) {
      if (last < hit) ranges.push_back({last, hit, false});
      last = hit + pattern.size();
      ranges.push_back({hit, last, true});
    }
  }
  if (last < text.size()) ranges.push_back({last, text.size(), false});
}

// As the peer's, matches of nothing among them: they separate what lies on their sides.
void match_regex(std::string_view text, const regex::Regex& pattern, std::vector<Range>& ranges) {
  size_t last = 0;
  regex::Matches matches(pattern, text);
  for (regex::Match match; matches.next(match);) {
    if (last < match.begin) ranges.push_back({last, match.begin, false});
    ranges.push_back({match.begin, match.end, true});
    last = match.end;
  }
  if (last < text.size()) ranges.push_back({last, text.size(), false});
}

void match_scanner(std::string_view text, Scanner scan, std::vector<Range>& ranges) {
  for (size_t at = 0; at < text.size();) {
    size_t end = scan(text, at);
    ranges.push_back({at, end, true});
    at = end;
  }
}

// Cuts by a class of characters.
struct ClassSplit final : PreTokenizer {
  uint16_t flag = 0;
  Behavior behavior = Behavior::Isolated;
  bool isolates_digits() const override { return flag == kNumeric && behavior == Behavior::Isolated; }
  void run(std::vector<Split>& splits, bool) const override {
    resplit(splits, [&](Text& text, std::vector<Range>& ranges) {
      match_chars(text.bytes, ranges, [&](char32_t c) { return char_flags(c) & flag; });
      apply(behavior, ranges);
    });
  }
  bool drops_blanks() const override { return behavior == Behavior::Removed && (flag == kWhite || flag == kSpace); }
};

struct LiteralSplit final : PreTokenizer {
  std::string pattern;
  Behavior behavior = Behavior::Isolated;
  bool invert = false;
  void run(std::vector<Split>& splits, bool) const override {
    resplit(splits, [&](Text& text, std::vector<Range>& ranges) {
      match_literal(text.bytes, pattern, ranges);
      if (invert)
        for (Range& range : ranges) range.match = !range.match;
      apply(behavior, ranges);
    });
  }
};

struct RegexSplit final : PreTokenizer {
  regex::Regex pattern;
  Behavior behavior = Behavior::Isolated;
  bool invert = false;
  explicit RegexSplit(std::string_view source) : pattern(source) {}
  void run(std::vector<Split>& splits, bool) const override {
    resplit(splits, [&](Text& text, std::vector<Range>& ranges) {
      match_regex(text.bytes, pattern, ranges);
      if (invert)
        for (Range& range : ranges) range.match = !range.match;
      apply(behavior, ranges);
    });
  }
};

// A regular expression that matches every character somewhere, by its scanner.
struct TilingSplit final : PreTokenizer {
  Scanner scan = nullptr;
  Behavior behavior = Behavior::Isolated;
  bool invert = false;
  void run(std::vector<Split>& splits, bool) const override {
    resplit(splits, [&](Text& text, std::vector<Range>& ranges) {
      match_scanner(text.bytes, scan, ranges);
      if (invert)
        for (Range& range : ranges) range.match = false;
      apply(behavior, ranges);
    });
  }
};

// \w+|[^\w\s]+ with what lies between removed.
struct WhitespaceSplit final : PreTokenizer {
  void run(std::vector<Split>& splits, bool) const override {
    resplit(splits, [](Text& text, std::vector<Range>& ranges) {
      int before = 0;
      for (size_t at = 0; at < text.bytes.size();) {
        size_t from = at;
        char32_t c = utf8_next(text.bytes, at);
        int now = char_flags(c) & kWord ? 1 : is_white(c) ? 0 : 2;
        if (now && now == before) ranges.back().end = at;
        else if (now) ranges.push_back({from, at, true});
        before = now;
      }
    });
  }
  bool drops_blanks() const override { return true; }
};

// Cuts where the script changes. What has no script of its own, the blank above all, stays with what stands before it;
// as in the peer, such characters are dropped at the very beginning.
struct ScriptSplit final : PreTokenizer {
  void run(std::vector<Split>& splits, bool) const override {
    resplit(splits, [](Text& text, std::vector<Range>& ranges) {
      int last = 0;
      for (size_t at = 0; at < text.bytes.size();) {
        size_t from = at;
        int script = script_of(utf8_next(text.bytes, at));
        if (script && script != last) {
          if (!ranges.empty()) ranges.back().end = from;
          ranges.push_back({from, text.bytes.size(), false});
          last = script;
        }
      }
    });
  }
};

struct FixedLengthSplit final : PreTokenizer {
  size_t length = 5;
  void run(std::vector<Split>& splits, bool) const override {
    resplit(splits, [&](Text& text, std::vector<Range>& ranges) {
      for (size_t at = 0; at < text.bytes.size();) {
        size_t from = at;
        for (size_t i = 0; i < length && at < text.bytes.size(); ++i) utf8_next(text.bytes, at);
        ranges.push_back({from, at, false});
      }
    });
  }
};

PreTokenizerPtr make_class(uint16_t flag, Behavior behavior) {
  auto made = std::make_shared<ClassSplit>();
  made->flag = flag;
  made->behavior = behavior;
  return made;
}

PreTokenizerPtr make_regex_split(const std::string& source, Behavior behavior, bool invert) {
  auto made = std::make_shared<RegexSplit>(source);
  made->behavior = behavior;
  made->invert = invert;
  return made;
}

PreTokenizerPtr make_split(const Json& spec) {
  Behavior behavior = make_behavior(spec["behavior"], Behavior::Isolated);
  bool invert = spec["invert"].boolean(false);
  const Json& pattern = spec["pattern"];
  if (const Json* regex = pattern.find("Regex")) {
    std::string source = regex->string();
    if (Scanner scan = find_scanner(source)) {
      // A scanner's words leave nothing between them, so there is nothing that removing it would change.
      if (behavior == Behavior::Isolated || (behavior == Behavior::Removed && invert)) {
        auto made = std::make_shared<ScannerPreTokenizer>();
        made->scan = scan;
        return made;
      }
      auto made = std::make_shared<TilingSplit>();
      made->scan = scan;
      made->behavior = behavior;
      made->invert = invert;
      return made;
    }
    static const std::pair<const char*, uint16_t> classes[] = {{R"(\s)", kSpace}, {R"(\p{L})", kLetter}, {R"(\p{N})", kNumber}};
    if (!invert)
      for (auto [name, flag] : classes) {
        if (source == name) return make_class(flag, behavior);
        // A run of the class, kept together or thrown away: the same words.
        if (source == std::string(name) + "+" && (behavior == Behavior::Removed || behavior == Behavior::Isolated))
          return make_class(flag, behavior == Behavior::Removed ? behavior : Behavior::Contiguous);
      }
    return make_regex_split(source, behavior, invert);
  }
  std::string literal = literal_pattern(pattern, "Split");
  if (literal.empty()) return make_regex_split(literal, behavior, invert);
  auto made = std::make_shared<LiteralSplit>();
  made->pattern = literal;
  made->behavior = behavior;
  made->invert = invert;
  return made;
}

}  // namespace

void ScannerPreTokenizer::run(std::vector<Split>& splits, bool) const {
  resplit(splits, [&](Text& text, std::vector<Range>& ranges) { match_scanner(text.bytes, scan, ranges); });
}

void ByteLevelPreTokenizer::run(std::vector<Split>& splits, bool map_bytes) const {
  resplit(splits, [&](Text& text, std::vector<Range>& ranges) {
    if (add_prefix_space && !text.empty() && text.bytes[0] != ' ') text.prepend(" ");
    if (use_regex) match_scanner(text.bytes, scan_gpt2, ranges);
    else ranges.push_back({0, text.bytes.size(), false});
  });
  if (map_bytes)
    for (Split& split : splits)
      if (split.added < 0) bytes_to_chars(split.text);
}

void BertPreTokenizer::run(std::vector<Split>& splits, bool) const {
  resplit(splits, [](Text& text, std::vector<Range>& ranges) {
    bool open = false;
    for (size_t at = 0; at < text.bytes.size();) {
      size_t from = at;
      uint16_t flags = char_flags(utf8_next(text.bytes, at));
      if (flags & kWhite) {
        open = false;
      } else if (flags & kPunct) {
        ranges.push_back({from, at, true});
        open = false;
      } else if (open) {
        ranges.back().end = at;
      } else {
        ranges.push_back({from, at, false});
        open = true;
      }
    }
  });
}

void MetaspacePreTokenizer::run(std::vector<Split>& splits, bool) const {
  resplit(splits, [&](Text& text, std::vector<Range>& ranges) {
    ReplaceNormalizer spaces;
    spaces.pattern = " ";
    spaces.content = replacement;
    spaces.run(text);
    bool wanted = scheme == Always || (scheme == First && text.origin.begin == 0);
    if (wanted && !text.bytes.starts_with(replacement)) text.prepend(replacement);
    if (split) {
      match_literal(text.bytes, replacement, ranges);
      apply(Behavior::MergedWithNext, ranges);
    } else {
      ranges.push_back({0, text.bytes.size(), false});
    }
  });
}

std::vector<std::pair<size_t, size_t>> split_ranges(const Json& spec, std::string_view text) {
  std::vector<Range> ranges;
  const Json& pattern = spec["pattern"];
  if (pattern.find("Regex")) match_regex(text, regex::Regex(pattern["Regex"].string()), ranges);
  else match_literal(text, pattern["String"].string(), ranges);
  apply(make_behavior(spec["behavior"], Behavior::Isolated), ranges);
  std::vector<std::pair<size_t, size_t>> made;
  for (const Range& range : ranges) made.emplace_back(range.begin, range.end);
  return made;
}

PreTokenizerPtr make_pre_tokenizer(const Json& spec) {
  if (spec.is_null()) return nullptr;
  std::string type = spec["type"].string();
  if (type == "Sequence") {
    auto made = std::make_shared<PreTokenizerSequence>();
    for (const Json& item : spec["pretokenizers"].items) made->steps.push_back(make_pre_tokenizer(item));
    return made;
  }
  if (type == "ByteLevel") {
    auto made = std::make_shared<ByteLevelPreTokenizer>();
    made->add_prefix_space = spec["add_prefix_space"].boolean(true);
    made->use_regex = spec["use_regex"].boolean(true);
    return made;
  }
  if (type == "BertPreTokenizer") return std::make_shared<BertPreTokenizer>();
  if (type == "Whitespace") return std::make_shared<WhitespaceSplit>();
  if (type == "WhitespaceSplit") return make_class(kWhite, Behavior::Removed);
  if (type == "Punctuation") return make_class(kPunct, make_behavior(spec["behavior"], Behavior::Isolated));
  if (type == "Digits") return make_class(kNumeric, spec["individual_digits"].boolean(false) ? Behavior::Isolated : Behavior::Contiguous);
  if (type == "Split") return make_split(spec);
  if (type == "Metaspace") {
    auto made = std::make_shared<MetaspacePreTokenizer>();
    made->replacement = spec["replacement"].string(spec["str_rep"].string("\u2581"));
    std::string scheme = spec["prepend_scheme"].string(spec["add_prefix_space"].boolean(true) ? "always" : "never");
    if (scheme != "always" && scheme != "first" && scheme != "never")
      throw std::invalid_argument("unknown prepend_scheme \"" + scheme + "\"; expected always, first or never");
    made->scheme = scheme == "always" ? MetaspacePreTokenizer::Always : scheme == "first" ? MetaspacePreTokenizer::First : MetaspacePreTokenizer::Never;
    made->split = spec["split"].boolean(true);
    return made;
  }
  if (type == "CharDelimiterSplit") {
    auto made = std::make_shared<LiteralSplit>();
    made->pattern = spec["delimiter"].string();
    made->behavior = Behavior::Removed;
    return made;
  }
  if (type == "UnicodeScripts") return std::make_shared<ScriptSplit>();
  if (type == "FixedLength") {
    auto made = std::make_shared<FixedLengthSplit>();
    made->length = size_t(spec["length"].integer(5));
    if (spec["length"].integer(5) < 1) throw std::invalid_argument("FixedLength: length must be at least 1");
    return made;
  }
  if (type == "Custom" && CustomParts::known) return CustomParts::known->pre_tokenizer(spec["handle"].integer(0));
  throw std::invalid_argument("unknown pre_tokenizer type \"" + type + "\"");
}

}  // namespace enfold
