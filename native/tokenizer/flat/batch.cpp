#include <algorithm>
#include <cstring>
#include <memory>
#include <stdexcept>

#include "tokenizer/derived.hpp"
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

// Values one after the other, in memory that is touched only as they come.
struct Growing {
  std::unique_ptr<int32_t[]> data;
  size_t size = 0, room = 0;

  void reserve(size_t wanted) {
    if (wanted <= room) return;
    auto larger = std::make_unique_for_overwrite<int32_t[]>(wanted);
    if (size) std::memcpy(larger.get(), data.get(), size * 4);
    data = std::move(larger);
    room = wanted;
  }
  void add(const std::vector<int32_t>& more) {
    if (size + more.size() > room) reserve((size + more.size()) * 2);
    std::memcpy(data.get() + size, more.data(), more.size() * 4);
    size += more.size();
  }
};

}  // namespace

std::shared_ptr<FlatBatch> encode_flat(const Pipeline& pipeline, const FlatRequest& request) {
  if (!pipeline.model) throw std::runtime_error("this tokenizer has no model");
  const FlatEncoder& encoder = flat_encoder(pipeline);
  std::vector<TemplatePiece> pieces;
  if (!as_template(pipeline.post_processor.get(), request.pair, pieces))
    throw std::runtime_error("encode_arrow: this post_processor adds tokens in more than one step; use encode_batch");
  size_t reserved = 0;
  if (!request.add_special_tokens) std::erase_if(pieces, [](const TemplatePiece& piece) { return piece.sequence < 0; });
  for (const TemplatePiece& piece : pieces) reserved += piece.ids.size();
  // As everywhere: a limit that leaves no room for the special tokens is no limit.
  size_t room = request.max_length == SIZE_MAX || request.max_length < reserved ? SIZE_MAX : request.max_length - reserved;
  bool once = !request.pair && std::count_if(pieces.begin(), pieces.end(), [](const TemplatePiece& piece) { return piece.sequence == 0; }) == 1;

  auto encode_row = [&](size_t row, Chunk& chunk, Scratch& scratch) {
    size_t before = chunk.ids.size();
    if (once) {
      for (const TemplatePiece& piece : pieces) {
        if (piece.sequence < 0) {
          chunk.ids.insert(chunk.ids.end(), piece.ids.begin(), piece.ids.end());
          continue;
        }
        size_t start = chunk.ids.size();
        encoder.encode(request.first[row], chunk.ids, room, scratch);
        if (chunk.ids.size() - start > room) chunk.ids.resize(start + room);
      }
      chunk.lengths.push_back(uint32_t(chunk.ids.size() - before));
      return;
    }
    std::vector<int32_t>&first = scratch.first, &second = scratch.second;
    first.clear();
    second.clear();
    encoder.encode(request.first[row], first, room, scratch);
    size_t a = first.size(), b = 0;
    if (request.pair) {
      // Here the whole lengths decide what is cut.
      if (room != SIZE_MAX && a >= room) first.clear(), encoder.encode(request.first[row], first, SIZE_MAX, scratch), a = first.size();
      encoder.encode(request.second[row], second, SIZE_MAX, scratch);
      b = second.size();
      if (room != SIZE_MAX && a + b > room) std::tie(a, b) = room ? longest_first(a, b, room) : std::pair<size_t, size_t>(0, 0);
      chunk.first_lengths.push_back(uint32_t(a));
    } else {
      a = std::min(a, room);
    }
    for (const TemplatePiece& piece : pieces) {
      if (piece.sequence < 0) chunk.ids.insert(chunk.ids.end(), piece.ids.begin(), piece.ids.end());
      else if (piece.sequence == 0) chunk.ids.insert(chunk.ids.end(), first.begin(), first.begin() + a);
      else chunk.ids.insert(chunk.ids.end(), second.begin(), second.begin() + b);
    }
    chunk.lengths.push_back(uint32_t(chunk.ids.size() - before));
  };

  std::vector<Chunk> chunks = make_chunks(request);
  size_t threads = std::min(thread_count(), chunks.size());
  Growing whole;  // with one thread the ids come in their order
  std::vector<size_t> counts(chunks.size());
  if (threads == 1) {
    size_t bytes = 0;
    for (std::string_view text : request.first) bytes += text.size() + reserved;
    for (std::string_view text : request.second) bytes += text.size();
    if (!request.count_only) whole.reserve(bytes / 2 + 16);
  }
  parallel(chunks.size(), threads, [&](size_t index) {
    Chunk& chunk = chunks[index];
    std::unique_ptr<Scratch> scratch = pipeline.scratch->take();
    std::swap(chunk.ids, scratch->ids);  // in the processor's caches
    chunk.ids.clear();
    chunk.lengths.reserve(chunk.end - chunk.begin);
    for (size_t row = chunk.begin; row < chunk.end; ++row) {
      encode_row(row, chunk, *scratch);
      if (request.count_only) chunk.ids.clear();
    }
    counts[index] = chunk.ids.size();
    std::vector<int32_t> kept;  // until it is known where they go
    if (threads == 1) whole.add(chunk.ids);
    else kept = chunk.ids;
    std::swap(chunk.ids, scratch->ids);
    chunk.ids = std::move(kept);
    pipeline.scratch->give(std::move(scratch));
  });

  auto batch = std::make_shared<FlatBatch>();
  if (request.count_only) {
    batch->ids = std::make_unique_for_overwrite<int32_t[]>(request.first.size() + 1);
    int32_t* to = batch->ids.get();
    for (const Chunk& chunk : chunks) to = std::copy(chunk.lengths.begin(), chunk.lengths.end(), to);
    batch->offsets.push_back(int32_t(request.first.size()));
    return batch;
  }
  size_t total = 0;
  for (size_t count : counts) total += count;
  if (total > size_t(INT32_MAX)) throw std::overflow_error("encode_arrow: more than 2^31 - 1 tokens in one call; pass fewer rows at a time");
  batch->offsets.resize(request.first.size() + 1);
  std::vector<size_t> starts;
  size_t row = 0, sum = 0;
  for (const Chunk& chunk : chunks) {
    starts.push_back(sum);
    for (uint32_t length : chunk.lengths) batch->offsets[++row] = int32_t(sum += length);
  }
  auto buffer = [&] { return std::make_unique_for_overwrite<int32_t[]>(std::max<size_t>(total, 1)); };
  whole.reserve(1);
  batch->ids = threads == 1 ? std::move(whole.data) : buffer();
  if (request.want_type_ids) batch->type_ids = buffer();
  if (request.want_attention) batch->attention = buffer();
  if (request.want_special) batch->special = buffer();
  bool typed = std::any_of(pieces.begin(), pieces.end(), [](const TemplatePiece& piece) { return piece.type_id != 0; });
  if (threads == 1 && !batch->attention && !batch->type_ids && !batch->special) return batch;
  parallel(chunks.size(), threads, [&](size_t index) {
    Chunk& chunk = chunks[index];
    size_t at = starts[index], count = counts[index];
    if (count && threads != 1) std::memcpy(batch->ids.get() + at, chunk.ids.data(), count * 4);
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
