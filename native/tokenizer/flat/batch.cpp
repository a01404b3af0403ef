#include <algorithm>
#include <cstring>
#include <stdexcept>

#include "tokenizer/flat/flat.hpp"
#include "tokenizer/threads.hpp"

namespace enfold {
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
