#include "tokenizer/unigram.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>
#include <random>
#include <stdexcept>

#include "text/utf8.hpp"

namespace enfold {
namespace {

constexpr double kUnkPenalty = 10;
constexpr uint32_t kUnset = ~uint32_t(0);

// Scores as the ecosystem's JSON reader rounds them: up to nineteen digits as an integer, then one multiplication or
// division by a power of ten. That is not always the nearest number, and ties between ways depend on it.
double read_score(std::string_view text) {
  bool negative = !text.empty() && text[0] == '-';
  size_t at = negative;
  uint64_t digits = 0;
  int exponent = 0;
  bool full = false, fraction = false;
  for (; at < text.size() && text[at] != 'e' && text[at] != 'E'; ++at) {
    if (text[at] == '.') {
      fraction = true;
      continue;
    }
    uint64_t digit = uint64_t(text[at] - '0');
    full = full || digits > (UINT64_MAX - digit) / 10;
    if (full) {
      exponent += !fraction;
    } else {
      digits = digits * 10 + digit;
      exponent -= fraction;
    }
  }
  if (at < text.size()) {
    int power = 0;
    size_t from = at + 1 + (at + 1 < text.size() && text[at + 1] == '+');
    if (std::from_chars(text.data() + from, text.data() + text.size(), power).ec != std::errc()) power = text[from] == '-' ? -100000 : 100000;
    exponent += std::clamp(power, -100000, 100000);
  }
  static const std::array<double, 309> powers = [] {
    std::array<double, 309> made;
    for (int i = 0; i < 309; ++i) {
      std::string name = "1e" + std::to_string(i);
      std::from_chars(name.data(), name.data() + name.size(), made[size_t(i)]);
    }
    return made;
  }();
  double value = double(digits);
  while (exponent < -308 && value != 0) {
    value /= 1e308;
    exponent += 308;
  }
  if (value != 0) value = exponent > 308 ? HUGE_VAL : exponent >= 0 ? value * powers[size_t(exponent)] : value / powers[size_t(-exponent)];
  if (std::isinf(value)) throw std::invalid_argument("Unigram: a score is out of range");
  return negative ? -value : value;
}

// The shortest digits that give the number back, laid out as the ecosystem's JSON writer does.
void write_score(double value, std::string& out) {
  if (!std::isfinite(value)) {  // JSON has no word for it
    out += "null";
    return;
  }
  if (std::signbit(value)) out.push_back('-');
  value = std::fabs(value);
  char buffer[40];
  std::string_view text(buffer, size_t(std::to_chars(buffer, buffer + sizeof buffer, value, std::chars_format::scientific).ptr - buffer));
  size_t mark = text.find('e');
  int exponent = 0;
  std::from_chars(text.data() + mark + (text[mark + 1] == '+' ? 2 : 1), text.data() + text.size(), exponent);
  std::string digits(1, text[0]);
  if (mark > 2) digits += text.substr(2, mark - 2);
  int count = int(digits.size());
  if (exponent >= 16 || exponent < -5) {
    out += digits[0];
    if (count > 1) out.append(".").append(digits, 1);
    out += exponent < 0 ? "e-" : "e+";
    out += std::to_string(std::abs(exponent));
  } else if (exponent < 0) {
    out.append("0.").append(size_t(-exponent - 1), '0').append(digits);
  } else if (count <= exponent + 1) {
    out.append(digits).append(size_t(exponent + 1 - count), '0').append(".0");
  } else {
    out.append(digits, 0, size_t(exponent + 1)).append(".").append(digits, size_t(exponent + 1));
  }
}

double add_logs(double a, double b) {
  if (a < b) std::swap(a, b);
  return b == -HUGE_VAL ? a : a + std::log1p(std::exp(b - a));
}

std::mt19937_64& random_source() {
  thread_local std::mt19937_64 random{std::random_device{}()};
  return random;
}

}  // namespace

Unigram::Unigram(std::vector<std::pair<std::string, double>> pieces, std::optional<size_t> unk, bool fallback)
    : unk_id(unk), byte_fallback(fallback) {
  if (unk_id && pieces.empty()) throw std::invalid_argument("The vocabulary is empty but at least <unk> is needed");
  if (unk_id && *unk_id >= pieces.size()) throw std::invalid_argument("The `unk_id` is larger than vocabulary size");
  if (pieces.size() > Prefixes::kMost) throw std::invalid_argument("Unigram: a vocabulary of more than 16 million pieces");
  vocab.reserve(pieces.size());
  scores.reserve(pieces.size());
  double lowest = std::numeric_limits<double>::infinity();
  for (auto& [piece, score] : pieces) {
    vocab.add(piece, uint32_t(scores.size()), true);
    scores.push_back(score);
    lowest = std::min(lowest, score);
  }
  unk_score_ = lowest - kUnkPenalty;
  for (int byte = 0; byte < 256; ++byte) fallback_[size_t(byte)] = vocab.find(byte_token(byte));
}

// Made when first asked for: a tokenizer that only decodes needs none.
const Prefixes& Unigram::keys() const {
  Tables& tables = *tables_;
  std::call_once(tables.once, [&] {
    std::string bytes;
    std::vector<uint32_t> starts;
    starts.reserve(vocab.ids() + 1);
    vocab.each([&](std::string_view token, uint32_t id) {
      starts.resize(id + 1, uint32_t(bytes.size()));
      bytes += token;
    });
    starts.resize(vocab.ids() + 1, uint32_t(bytes.size()));
    tables.keys = Prefixes(std::move(bytes), std::move(starts), "\u2581");
  });
  return tables.keys;
}

std::shared_ptr<Unigram> Unigram::with_sampling(std::optional<double> new_alpha, std::optional<size_t> new_nbest) const {
  auto made = std::make_shared<Unigram>(*this);
  made->alpha = new_alpha;
  made->nbest_size = new_nbest;
  return made;
}

void Unigram::no_unk() const { throw std::runtime_error("Encountered an unknown token but `unk_id` is missing"); }

template <class Emit>
void Unigram::emit_piece(std::string_view word, uint32_t begin, uint32_t end, int32_t id, Emit& emit) const {
  if (!keeps_text(id)) return emit(id, begin, end);
  std::string_view text = word.substr(begin, end - begin);
  int32_t known = vocab.find(text);
  if (known >= 0) return emit(known, begin, end);
  if (byte_fallback && std::all_of(text.begin(), text.end(), [&](char c) { return fallback_[(unsigned char)c] >= 0; })) {
    for (char c : text) emit(fallback_[(unsigned char)c], begin, end);  // each stands for the whole
    return;
  }
  emit(id, begin, end);
}

// Tells `emit` the tokens of the best way, in order. Among equal ways to a place the first found wins: the one whose last
// token is the longest. Unknown ones in a row are one: `open` is where such a run has begun.
template <class Compare, class Emit>
void Unigram::best(std::string_view word, Compare better, Emit emit) const {
  if (word.empty()) return;
  const Prefixes& pieces = keys();
  constexpr size_t kLocal = 768, kFlush = 384;
  Step local[kLocal];
  thread_local std::vector<Step> heap;
  Step* steps = local;
  size_t room = kLocal;
  uint32_t size = uint32_t(word.size()), origin = 0;  // steps[0] is about the byte `origin`
  uint32_t reach = 0;                                 // the last byte that a way leads to
  uint32_t open = kUnset;
  steps[0] = {0, 0, -1};
  std::vector<std::pair<uint32_t, int32_t>> path;  // (end, id) backwards, if it is longer than the array
  uint32_t ends[kLocal];
  auto flush = [&](uint32_t to) {
    // Backwards along the best way, then forwards.
    size_t count = 0;
    path.clear();
    for (uint32_t at = to; at > origin; at = steps[at - origin].start) {
      if (count < kLocal) ends[count++] = at;
      else path.emplace_back(at, 0);
    }
    auto tell = [&](uint32_t end) {
      const Step& step = steps[end - origin];
      if (keeps_text(step.id)) {
        if (open == kUnset) open = step.start;
        return;
      }
      if (open != kUnset) emit_piece(word, std::exchange(open, kUnset), step.start, int32_t(*unk_id), emit);
      emit(step.id, step.start, end);
    };
    for (size_t i = path.size(); i-- > 0;) tell(path[i].first);
    for (size_t i = count; i-- > 0;) tell(ends[i]);
  };
  auto target = [&](uint32_t end) -> Step& {
    if (end > reach) {
      if (end - origin >= room) {
        room = std::max<size_t>(room * 2, end - origin + 1);
        if (steps == local) heap.assign(local, local + (reach - origin + 1));
        heap.resize(room);
        steps = heap.data();
      }
      for (uint32_t at = reach + 1; at <= end; ++at) steps[at - origin].start = kUnset;
      reach = end;
    }
    return steps[end - origin];
  };
  for (uint32_t at = 0; at < size;) {
    if (at == reach && at - origin >= kFlush) {
      // No token lies across this place: all ways lead through it.
      flush(at);
      double score = steps[at - origin].score;
      origin = at;
      steps[0] = {score, at, -1};
    }
    double so_far = steps[at - origin].score;
    uint32_t width = uint32_t(std::min<size_t>(utf8_width((unsigned char)word[at]), size - at));
    bool single = false;
    pieces.each(word.substr(at), [&](size_t length, uint32_t id) {
      double score = scores[id] + so_far;
      Step& step = target(at + uint32_t(length));
      if (step.start == kUnset || better(score, step.score)) step = {score, at, int32_t(id)};
      single |= length == width;
    });
    if (!single) {
      double score = unk_score_ + so_far;
      Step& step = target(at + width);
      if (step.start == kUnset || better(score, step.score)) {
        if (!unk_id) no_unk();
        step = {score, at, int32_t(*unk_id)};
      }
    }
    at += width;
  }
  flush(size);
  if (open != kUnset) emit_piece(word, open, size, int32_t(*unk_id), emit);
}

void Unigram::tokenize(std::string_view word, std::vector<Piece>& out) const {
  if (!deterministic()) return sample(word, out);
  best(word, Better(), [&](int32_t id, uint32_t begin, uint32_t end) { out.push_back({id, begin, end}); });
}

void Unigram::tokenize_ids(std::string_view word, std::vector<int32_t>& out) const {
  best(word, Better(), [&](int32_t id, uint32_t, uint32_t) { out.push_back(id); });
}

bool Unigram::tokenize_clearly(std::string_view word, std::vector<int32_t>& out) const {
  constexpr double kClose = 1e-6;  // far above what rounding does to sums of thousands of scores
  bool clear = true;
  auto better = [&](double more, double than) {
    clear &= std::fabs(more - than) > kClose;
    return more > than;
  };
  best(word, better, [&](int32_t id, uint32_t, uint32_t) { out.push_back(id); });
  return clear;
}

const UnigramSeams& Unigram::seams() const {
  return tables_->seams.get([&] { return UnigramSeams(*this); });
}

// One way at random: each with the weight exp(alpha × its score), of the best few ways; of all ways as the peer draws them,
// where alpha also flattens what leads up to a piece, once more with every piece.
void Unigram::sample(std::string_view word, std::vector<Piece>& out) const {
  if (word.empty()) return;
  const Prefixes& pieces = keys();
  uint32_t size = uint32_t(word.size());
  struct Node {
    uint32_t start, end;
    int32_t id;
    double score;
  };
  std::vector<Node> nodes;
  std::vector<uint32_t> first(size + 1, kUnset), next;  // nodes by where they end
  auto add = [&](uint32_t start, uint32_t end, int32_t id, double score) {
    next.push_back(first[end]);
    first[end] = uint32_t(nodes.size());
    nodes.push_back({start, end, id, score});
  };
  for (uint32_t at = 0; at < size;) {
    uint32_t width = uint32_t(std::min<size_t>(utf8_width((unsigned char)word[at]), size - at));
    bool single = false;
    pieces.each(word.substr(at), [&](size_t length, uint32_t id) {
      add(at, at + uint32_t(length), int32_t(id), scores[id]);
      single |= length == width;
    });
    if (!single) {
      if (!unk_id) no_unk();
      add(at, at + width, int32_t(*unk_id), unk_score_);
    }
    at += width;
  }
  std::vector<uint32_t> way;  // nodes, the last one first
  std::mt19937_64& random = random_source();
  auto draw = [&](const std::vector<double>& logs) {
    double most = *std::max_element(logs.begin(), logs.end()), sum = 0;
    for (double log : logs) sum += std::exp(log - most);
    double left = std::uniform_real_distribution<double>(0, sum)(random);
    size_t chosen = 0;
    for (; chosen + 1 < logs.size(); ++chosen)
      if ((left -= std::exp(logs[chosen] - most)) < 0) break;
    return chosen;
  };
  std::vector<double> logs;
  if (!nbest_size) {
    std::vector<double> forward(size + 1, -HUGE_VAL);
    forward[0] = 0;
    for (uint32_t at = 1; at <= size; ++at)
      for (uint32_t node = first[at]; node != kUnset; node = next[node])
        forward[at] = add_logs(forward[at], *alpha * (forward[nodes[node].start] + nodes[node].score));
    for (uint32_t at = size; at > 0; at = nodes[way.back()].start) {
      logs.clear();
      std::vector<uint32_t> choices;
      for (uint32_t node = first[at]; node != kUnset; node = next[node]) {
        logs.push_back(forward[nodes[node].start] + *alpha * nodes[node].score);
        choices.push_back(node);
      }
      way.push_back(choices[draw(logs)]);
    }
  } else {
    // The best ways to every place: through which node, and which of the ways to where that one begins.
    struct Way {
      double score;
      uint32_t node, rank;
    };
    size_t most = std::max<size_t>(1, *nbest_size);
    std::vector<std::vector<Way>> ways(size + 1);
    ways[0].push_back({0, kUnset, 0});
    for (uint32_t at = 1; at <= size; ++at) {
      std::vector<Way>& here = ways[at];
      std::vector<uint32_t> ending;  // the longest first: of equal ways it is the better one
      for (uint32_t node = first[at]; node != kUnset; node = next[node]) ending.push_back(node);
      for (size_t i = ending.size(); i-- > 0;)
        for (uint32_t rank = 0; rank < ways[nodes[ending[i]].start].size(); ++rank)
          here.push_back({ways[nodes[ending[i]].start][rank].score + nodes[ending[i]].score, ending[i], rank});
      std::stable_sort(here.begin(), here.end(), [](const Way& a, const Way& b) { return a.score > b.score; });
      if (here.size() > most) here.resize(most);
    }
    for (const Way& whole : ways[size]) logs.push_back(*alpha * whole.score);
    uint32_t rank = uint32_t(draw(logs));
    for (uint32_t at = size; at > 0;) {
      const Way& step = ways[at][rank];
      way.push_back(step.node);
      rank = step.rank;
      at = nodes[step.node].start;
    }
  }
  auto emit = [&](int32_t id, uint32_t begin, uint32_t end) { out.push_back({id, begin, end}); };
  uint32_t open = kUnset;
  for (size_t i = way.size(); i-- > 0;) {
    const Node& node = nodes[way[i]];
    if (keeps_text(node.id)) {
      if (open == kUnset) open = node.start;
      continue;
    }
    if (open != kUnset) emit_piece(word, std::exchange(open, kUnset), node.start, int32_t(*unk_id), emit);
    emit(node.id, node.start, node.end);
  }
  if (open != kUnset) emit_piece(word, open, size, int32_t(*unk_id), emit);
}

std::string Unigram::to_json(bool options_only) const {
  std::string out = "{\"type\":\"Unigram\",\"unk_id\":" + (unk_id ? std::to_string(*unk_id) : "null") + ",\"vocab\":[";
  for (size_t id = 0; id < (options_only ? 0 : scores.size()); ++id) {
    out += id ? ",[" : "[";
    json_quote(vocab.token(int64_t(id)), out);
    out.push_back(',');
    write_score(scores[id], out);
    out.push_back(']');
  }
  return out + "],\"byte_fallback\":" + (byte_fallback ? "true}" : "false}");
}

ModelPtr make_unigram(const Json& spec) {
  const Json& vocab = spec["vocab"];
  if (vocab.kind != Json::Array) throw std::invalid_argument("Unigram: \"vocab\" must be a list of [piece, score]");
  std::vector<std::pair<std::string, double>> pieces;
  if (vocab.form != Json::Scores && !(vocab.rows.empty() && vocab.items.empty()))
    throw std::invalid_argument("Unigram: an entry of \"vocab\" must be [piece, score]");
  pieces.reserve(vocab.rows.size());
  for (const auto& [piece, score] : vocab.rows) pieces.emplace_back(piece, read_score(score));
  std::optional<size_t> unk;
  const Json& id = spec["unk_id"];
  if (id.kind == Json::Number && id.number >= 0) unk = id.number < 4e9 ? size_t(id.number) : SIZE_MAX;
  else if (!id.is_null()) throw std::invalid_argument("Unigram: unk_id must be the index of a piece, or null");
  return std::make_shared<Unigram>(std::move(pieces), unk, spec["byte_fallback"].boolean(false));
}

}  // namespace enfold
