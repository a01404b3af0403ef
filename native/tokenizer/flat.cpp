#include "tokenizer/flat.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <cstring>
#include <stdexcept>

#include "tokenizer/threads.hpp"

namespace enfold {
namespace {

constexpr std::string_view kMark = "\u2581";

// How BERT's pre-tokenizer sees ASCII characters; everything that needs a closer look is Odd.
enum BertClass : uint8_t { BertWord, BertSpace, BertPunct, BertOdd };
consteval std::array<uint8_t, 256> bert_classes() {
  std::array<uint8_t, 256> made{};
  for (int c = 0; c < 256; ++c) {
    bool alnum = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
    bool space = c == ' ' || c == '\t' || c == '\n' || c == '\r';
    made[c] = alnum ? BertWord : space ? BertSpace : c > 0x20 && c < 0x7F ? BertPunct : BertOdd;
  }
  return made;
}
constexpr std::array<uint8_t, 256> kBertClass = bert_classes();

}  // namespace

FlatEncoder::FlatEncoder(const Pipeline& pipeline) : pipeline_(pipeline) {
  if (!pipeline.model) throw std::runtime_error("this tokenizer has no model");
  const PreTokenizer* pre = pipeline.pre_tokenizer.get();
  const Normalizer* normalizer = pipeline.normalizer.get();
  cached_ = pipeline.model->deterministic();
  bpe_ = dynamic_cast<const Bpe*>(pipeline.model.get());
  bool normalized_tokens = pipeline.added->any_normalized();
  if (bpe_ && bpe_->byte_level()) {
    const auto* level = dynamic_cast<const ByteLevelPreTokenizer*>(pre);
    const ScannerPreTokenizer* scanner = nullptr;
    if (const auto* sequence = dynamic_cast<const PreTokenizerSequence*>(pre); sequence && !sequence->steps.empty()) {
      level = dynamic_cast<const ByteLevelPreTokenizer*>(sequence->steps.back().get());
      if (sequence->steps.size() == 2) scanner = dynamic_cast<const ScannerPreTokenizer*>(sequence->steps[0].get());
      if (level) raw_bytes_ = true;
      if (!scanner || (level && (level->use_regex || level->add_prefix_space))) level = nullptr;
    }
    if (level) {
      raw_bytes_ = true;
      scan_ = scanner ? scanner->scan : level->use_regex ? scan_gpt2 : nullptr;
      prefix_space_ = level->add_prefix_space;
      if (scan_ && !normalizer) kind_ = Kind::Bytes;
    }
    return;
  }
  if (dynamic_cast<const WordPiece*>(pipeline.model.get()) && dynamic_cast<const BertPreTokenizer*>(pre) && !normalized_tokens) {
    bert_normalizer_ = dynamic_cast<const BertNormalizer*>(normalizer);
    if (bert_normalizer_ && bert_normalizer_->clean_text) kind_ = Kind::Bert;
    return;
  }
  if (bpe_ && !normalized_tokens && bpe_->cuts_before(kMark)) {
    cuts_ = bpe_->falls_back();
    if (!pre) {
      const auto* sequence = dynamic_cast<const NormalizerSequence*>(normalizer);
      if (!sequence || sequence->steps.size() != 2) return;
      const auto* prepend = dynamic_cast<const PrependNormalizer*>(sequence->steps[0].get());
      const auto* replace = dynamic_cast<const ReplaceNormalizer*>(sequence->steps[1].get());
      if (!prepend || !replace || prepend->prefix != kMark || replace->pattern != " " || replace->content != kMark) return;
      mark_ = Mark::Unconditional;
      kind_ = Kind::Spaces;
    } else if (const auto* metaspace = dynamic_cast<const MetaspacePreTokenizer*>(pre); metaspace && !normalizer) {
      if (metaspace->replacement != kMark || metaspace->split) return;
      mark_ = metaspace->scheme == MetaspacePreTokenizer::Always  ? Mark::Always
              : metaspace->scheme == MetaspacePreTokenizer::First ? Mark::First
                                                                  : Mark::Never;
      kind_ = Kind::Spaces;
    }
  }
}

void FlatEncoder::encode(std::string_view text, std::vector<int32_t>& out, size_t limit, Scratch& scratch) const {
  if (kind_ == Kind::Generic) return generic(text, out, limit, scratch);
  const AddedVocabulary& added = *pipeline_.added;
  size_t start = out.size();
  auto piece = [&](std::string_view part, bool starts) {
    size_t have = out.size() - start;
    if (have >= limit) return;
    if (kind_ == Kind::Bert) bert(part, out, limit - have, scratch);
    else if (kind_ == Kind::Bytes) bytes(part, out, limit - have, scratch);
    else spaces(part, starts, out, limit - have, scratch);
  };
  added.cut(text, added.raw(), pipeline_.encode_special_tokens, [&](size_t begin, size_t end, int32_t id) {
    if (id >= 0) return out.push_back(id);
    std::string_view part = text.substr(begin, end - begin);
    if (!added.any_normalized()) return piece(part, begin == 0);
    added.cut(part, added.normalized(), pipeline_.encode_special_tokens, [&](size_t from, size_t to, int32_t found) {
      if (found >= 0) out.push_back(found);
      else piece(part.substr(from, to - from), begin == 0 && from == 0);
    });
  });
}

// The tokens of one word, as the model gives them.
void FlatEncoder::word(std::string_view word, std::vector<int32_t>& out, Scratch& scratch) const {
  if (raw_bytes_) return bpe_->tokenize_bytes(word, out);
  scratch.pieces.clear();
  pipeline_.model->tokenize(word, scratch.pieces);
  for (const Piece& piece : scratch.pieces) out.push_back(piece.id);
}

void FlatEncoder::generic(std::string_view text, std::vector<int32_t>& out, size_t limit, Scratch& scratch) const {
  size_t start = out.size();
  for (const Split& split : pipeline_.splits(text, false, !raw_bytes_)) {
    if (out.size() - start >= limit) return;
    if (split.added >= 0) {
      out.push_back(split.added);
      continue;
    }
    std::string_view bytes = split.text.bytes;
    if (cached_ && scratch.cache.find(bytes, false, out)) continue;
    size_t before = out.size();
    word(bytes, out, scratch);
    if (cached_) scratch.cache.put(bytes, out.data() + before, out.size() - before);
  }
}

void FlatEncoder::bytes(std::string_view text, std::vector<int32_t>& out, size_t limit, Scratch& scratch) const {
  if (prefix_space_ && !text.empty() && text[0] != ' ') {
    scratch.buffer.assign(" ").append(text);
    text = scratch.buffer;
  }
  size_t start = out.size();
  for (size_t at = 0; at < text.size() && out.size() - start < limit;) {
    size_t end = scan_(text, at);
    std::string_view piece = text.substr(at, end - at);
    bool room = text.size() - at >= 16;
    at = end;
    if (scratch.cache.find(piece, room, out)) continue;
    size_t before = out.size();
    bpe_->tokenize_bytes(piece, out);
    scratch.cache.put(piece, out.data() + before, out.size() - before);
  }
}

// A text whose spaces are marks: cut before every run of them.
void FlatEncoder::spaces(std::string_view text, bool starts, std::vector<int32_t>& out, size_t limit, Scratch& scratch) const {
  if (text.empty()) return;
  bool marked = text[0] == ' ' || text.starts_with(kMark);
  if (mark_ == Mark::Unconditional || (!marked && (mark_ == Mark::Always || (mark_ == Mark::First && starts)))) {
    scratch.buffer.assign(" ").append(text);
    text = scratch.buffer;
  }
  size_t start = out.size();
  for (size_t at = 0; at < text.size() && out.size() - start < limit;) {
    size_t end = at;
    auto mark = [&] { return text[end] == ' ' ? 1 : text[end] == kMark[0] && text.substr(end, 3) == kMark ? 3 : 0; };
    while (end < text.size()) {
      int width = mark();
      if (!width) break;
      end += width;
    }
    while (end < text.size() && !mark()) {
      ++end;
      if (cuts_ && end < text.size() && (text[end] & 0xC0) != 0x80 && !bpe_->joins((unsigned char)text[end - 1], (unsigned char)text[end])) break;
    }
    std::string_view piece = text.substr(at, end - at);
    bool room = text.size() - at >= 16;
    at = end;
    if (scratch.cache.find(piece, room, out)) continue;
    scratch.mapped.clear();
    for (char c : piece) c == ' ' ? scratch.mapped.append(kMark) : scratch.mapped.append(1, c);
    size_t before = out.size();
    word(scratch.mapped, out, scratch);
    scratch.cache.put(piece, out.data() + before, out.size() - before);
  }
}

void FlatEncoder::bert(std::string_view text, std::vector<int32_t>& out, size_t limit, Scratch& scratch) const {
  size_t start = out.size(), size = text.size();
  const auto* p = reinterpret_cast<const unsigned char*>(text.data());
  for (size_t at = 0; at < size && out.size() - start < limit;) {
    uint8_t cls = kBertClass[p[at]];
    if (cls == BertSpace) {
      ++at;
      continue;
    }
    size_t begin = at++;
    if (cls == BertWord) {
      while (at < size && kBertClass[p[at]] == BertWord) ++at;
      if (at < size && kBertClass[p[at]] == BertOdd) cls = BertOdd;
    }
    if (cls == BertOdd) {
      // Up to ASCII white space or punctuation; ideographs stand alone.
      at = begin;
      while (at < size && (kBertClass[p[at]] == BertWord || kBertClass[p[at]] == BertOdd)) {
        size_t from = at;
        char32_t code = utf8_next(text, at);
        if (bert_normalizer_->chinese && is_ideograph(code)) {
          if (from > begin) at = from;
          break;
        }
      }
    }
    bert_segment(text.substr(begin, at - begin), size - begin >= 16, out, scratch);
  }
}

// A part of the raw text whose tokens depend on nothing around it.
void FlatEncoder::bert_segment(std::string_view segment, bool room, std::vector<int32_t>& out, Scratch& scratch) const {
  if (scratch.cache.find(segment, room, out)) return;
  size_t before = out.size();
  std::vector<Split> splits(1);
  splits[0].text = Text::from(segment, false);
  bert_normalizer_->run(splits[0].text);
  pipeline_.pre_tokenizer->run(splits, false);
  for (const Split& split : splits) word(split.text.bytes, out, scratch);
  scratch.cache.put(segment, out.data() + before, out.size() - before);
}

namespace {

struct Chunk {
  size_t begin = 0, end = 0;
  std::vector<int32_t> ids;
  std::vector<uint32_t> lengths;        // of the rows
  std::vector<uint32_t> first_lengths;  // of the first sequences, without special tokens, for pairs
};

// Rows in pieces of about this many bytes: large enough to be worth a hand-over, small enough to balance.
constexpr size_t kChunkBytes = 128 << 10;

std::vector<Chunk> make_chunks(const FlatRequest& request) {
  std::vector<Chunk> chunks;
  size_t rows = request.first.size(), bytes = 0;
  for (size_t row = 0, begin = 0; row < rows; ++row) {
    bytes += request.first[row].size() + 16 + (request.pair ? request.second[row].size() : 0);
    if (bytes < kChunkBytes && row + 1 < rows) continue;
    chunks.push_back({begin, row + 1, {}, {}, {}});
    begin = row + 1;
    bytes = 0;
  }
  return chunks;
}

}  // namespace

std::shared_ptr<FlatBatch> encode_flat(const Pipeline& pipeline, const FlatRequest& request) {
  FlatEncoder encoder(pipeline);
  std::vector<TemplatePiece> pieces;
  if (!as_template(pipeline.post_processor.get(), request.pair, pieces))
    throw std::runtime_error("encode_arrow: this post_processor adds tokens in more than one step; use encode_batch");
  size_t reserved = 0;
  if (!request.add_special_tokens) std::erase_if(pieces, [](const TemplatePiece& piece) { return piece.sequence < 0; });
  for (const TemplatePiece& piece : pieces) reserved += piece.ids.size();
  // As everywhere: a limit that leaves no room for the special tokens is no limit.
  size_t room = request.max_length == SIZE_MAX || request.max_length < reserved ? SIZE_MAX : request.max_length - reserved;

  std::vector<Chunk> chunks = make_chunks(request);
  parallel(chunks.size(), thread_count(), [&](size_t index) {
    Chunk& chunk = chunks[index];
    std::unique_ptr<Scratch> scratch = pipeline.scratch->take();
    size_t bytes = 0;
    for (size_t row = chunk.begin; row < chunk.end; ++row) bytes += request.first[row].size();
    chunk.ids.reserve(bytes / 3 + (chunk.end - chunk.begin) * (reserved + 1));
    chunk.lengths.reserve(chunk.end - chunk.begin);
    std::vector<int32_t>&first = scratch->first, &second = scratch->second;
    for (size_t row = chunk.begin; row < chunk.end; ++row) {
      first.clear();
      second.clear();
      encoder.encode(request.first[row], first, room, *scratch);
      size_t a = first.size(), b = 0;
      if (request.pair) {
        // Here the whole lengths decide what is cut.
        if (room != SIZE_MAX && a >= room) first.clear(), encoder.encode(request.first[row], first, SIZE_MAX, *scratch), a = first.size();
        encoder.encode(request.second[row], second, SIZE_MAX, *scratch);
        b = second.size();
        if (room != SIZE_MAX && a + b > room) std::tie(a, b) = room ? longest_first(a, b, room) : std::pair<size_t, size_t>(0, 0);
        chunk.first_lengths.push_back(uint32_t(a));
      } else {
        a = std::min(a, room);
      }
      size_t before = chunk.ids.size();
      for (const TemplatePiece& piece : pieces) {
        if (piece.sequence < 0) chunk.ids.insert(chunk.ids.end(), piece.ids.begin(), piece.ids.end());
        else if (piece.sequence == 0) chunk.ids.insert(chunk.ids.end(), first.begin(), first.begin() + a);
        else chunk.ids.insert(chunk.ids.end(), second.begin(), second.begin() + b);
      }
      chunk.lengths.push_back(uint32_t(chunk.ids.size() - before));
    }
    pipeline.scratch->give(std::move(scratch));
  });

  auto batch = std::make_shared<FlatBatch>();
  size_t total = 0;
  for (const Chunk& chunk : chunks) total += chunk.ids.size();
  if (total > size_t(INT32_MAX)) throw std::overflow_error("encode_arrow: more than 2^31 - 1 tokens in one call; pass fewer rows at a time");
  batch->offsets.reserve(request.first.size() + 1);
  std::vector<size_t> starts;
  for (const Chunk& chunk : chunks) {
    starts.push_back(size_t(batch->offsets.back()));
    for (uint32_t length : chunk.lengths) batch->offsets.push_back(batch->offsets.back() + int32_t(length));
  }
  auto buffer = [&] { return std::make_unique_for_overwrite<int32_t[]>(std::max<size_t>(total, 1)); };
  batch->ids = buffer();
  if (request.want_type_ids) batch->type_ids = buffer();
  if (request.want_attention) batch->attention = buffer();
  if (request.want_special) batch->special = buffer();
  bool typed = std::any_of(pieces.begin(), pieces.end(), [](const TemplatePiece& piece) { return piece.type_id != 0; });
  parallel(chunks.size(), thread_count(), [&](size_t index) {
    Chunk& chunk = chunks[index];
    size_t at = starts[index], count = chunk.ids.size();
    if (count) std::memcpy(batch->ids.get() + at, chunk.ids.data(), count * 4);
    if (batch->attention) std::fill_n(batch->attention.get() + at, count, 1);
    if (batch->type_ids && !typed) std::fill_n(batch->type_ids.get() + at, count, 0);
    if ((batch->type_ids && typed) || batch->special) {
      for (size_t row = 0; row < chunk.lengths.size(); ++row) {
        size_t body = chunk.lengths[row] - reserved, a = request.pair ? chunk.first_lengths[row] : body;
        for (const TemplatePiece& piece : pieces) {
          size_t length = piece.sequence < 0 ? piece.ids.size() : piece.sequence == 0 ? a : body - a;
          if (batch->type_ids && typed) std::fill_n(batch->type_ids.get() + at, length, piece.type_id);
          if (batch->special) std::fill_n(batch->special.get() + at, length, piece.sequence < 0);
          at += length;
        }
      }
    }
    chunk.ids = {};
  });
  return batch;
}

}  // namespace enfold
