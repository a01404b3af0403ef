#include "tokenizer/train/counter.hpp"

#include <algorithm>
#include <atomic>

#include "tokenizer/threads.hpp"

namespace enfold {
namespace {

constexpr std::string_view kMark = "\u2581";
constexpr size_t kChunkBytes = 256 << 10;  // of text for a thread at a time

bool blank(char c) { return c == ' ' || c == '\n' || c == '\t' || c == '\r'; }

}  // namespace

WordCounter::WordCounter(PipelinePtr pipeline) : pipeline_(std::move(pipeline)) {
  const PreTokenizer* pre = pipeline_->pre_tokenizer.get();
  const Normalizer* normalizer = pipeline_->normalizer.get();
  if (pre && pre->drops_blanks() && (!normalizer || normalizer->keeps_blanks())) {
    cut_ = Cut::Blanks;
    return;
  }
  if (normalizer || !pre) return;
  const auto* level = dynamic_cast<const ByteLevelPreTokenizer*>(pre);
  if (level && level->use_regex) {
    cut_ = Cut::Scan;
    scan_ = scan_gpt2;
    map_bytes_ = true;
    prefix_space_ = level->add_prefix_space;
  } else if (const auto* scanner = dynamic_cast<const ScannerPreTokenizer*>(pre)) {
    cut_ = Cut::Scan;
    scan_ = scanner->scan;
  } else if (const auto* sequence = dynamic_cast<const PreTokenizerSequence*>(pre); sequence && sequence->steps.size() == 2) {
    scanner = dynamic_cast<const ScannerPreTokenizer*>(sequence->steps[0].get());
    level = dynamic_cast<const ByteLevelPreTokenizer*>(sequence->steps[1].get());
    if (!scanner || !level || level->use_regex || level->add_prefix_space) return;
    cut_ = Cut::Scan;
    scan_ = scanner->scan;
    map_bytes_ = true;
  } else if (const auto* metaspace = dynamic_cast<const MetaspacePreTokenizer*>(pre)) {
    if (metaspace->replacement != kMark || !metaspace->split) return;
    cut_ = Cut::Marks;
    prefix_space_ = metaspace->scheme != MetaspacePreTokenizer::Never;
  }
}

void WordCounter::count(std::string_view text, WordMap& map) const {
  size_t size = text.size();
  auto add = [&](size_t begin, size_t end) { map.add(text.substr(begin, end - begin), size - begin >= 16, 1); };
  std::string spaced;
  switch (cut_) {
    case Cut::None: return expand(text, 1, map);
    case Cut::Scan:
      if (prefix_space_ && size && text[0] != ' ') {
        spaced.append(" ").append(text);
        text = spaced;
        ++size;
      }
      for (size_t at = 0; at < size;) {
        size_t end = scan_(text, at);
        add(at, end);
        at = end;
      }
      return;
    case Cut::Blanks:
      for (size_t at = 0; at < size;) {
        while (at < size && blank(text[at])) ++at;
        size_t begin = at;
        while (at < size && !blank(text[at])) ++at;
        add(begin, at);
      }
      return;
    case Cut::Marks: {
      auto mark = [&](size_t at) { return text[at] == ' ' ? 1 : text[at] == kMark[0] && text.substr(at, 3) == kMark ? 3 : 0; };
      for (size_t at = 0; at < size;) {
        size_t begin = at;
        at += mark(at);
        while (at < size && !mark(at)) ++at;
        if (begin == 0 && prefix_space_ && !mark(0)) map.add(spaced.append(" ").append(text.substr(0, at)));
        else add(begin, at);
      }
      return;
    }
  }
}

// The words of a part, as the model sees them.
void WordCounter::expand(std::string_view part, uint64_t count, WordMap& map) const {
  if (cut_ == Cut::Scan) {
    if (!map_bytes_) return map.add(part, count);
    std::string visible;
    for (char byte : part) utf8_append(byte_char((unsigned char)byte), visible);
    return map.add(visible, count);
  }
  if (cut_ == Cut::Marks) {
    if (part[0] != ' ') return map.add(part, count);
    return map.add(std::string(kMark).append(part.substr(1)), count);
  }
  std::vector<Split> splits(1);
  splits[0].text = Text::from(part, false);
  if (pipeline_->normalizer) pipeline_->normalizer->run(splits[0].text);
  if (pipeline_->pre_tokenizer && !splits[0].text.empty()) pipeline_->pre_tokenizer->run(splits, true);
  for (const Split& split : splits) map.add(split.text.bytes, count);
}

void WordCounter::feed(const std::vector<std::string_view>& texts) {
  std::vector<size_t> ends;  // of the chunks, in rows
  size_t bytes = 0;
  for (size_t row = 0; row < texts.size(); ++row) {
    bytes += texts[row].size() + 16;
    if (bytes < kChunkBytes && row + 1 < texts.size()) continue;
    ends.push_back(row + 1);
    bytes = 0;
  }
  run(ends.size(), [&](size_t chunk, WordMap& map) {
    for (size_t row = chunk ? ends[chunk - 1] : 0; row < ends[chunk]; ++row) count(texts[row], map);
  });
}

void WordCounter::feed_lines(std::string_view block) {
  std::vector<size_t> ends;
  for (size_t at = 0; at < block.size();) {
    size_t end = at + kChunkBytes < block.size() ? block.find('\n', at + kChunkBytes) : std::string_view::npos;
    at = end == std::string_view::npos ? block.size() : end + 1;
    ends.push_back(at);
  }
  run(ends.size(), [&](size_t chunk, WordMap& map) {
    for (size_t at = chunk ? ends[chunk - 1] : 0; at < ends[chunk];) {
      size_t end = block.find('\n', at);
      end = end == std::string_view::npos ? block.size() : end + 1;
      count(block.substr(at, end - at), map);
      at = end;
    }
  });
}

void WordCounter::run(size_t chunks, const std::function<void(size_t, WordMap&)>& job) {
  size_t threads = std::min(thread_count(), chunks);
  if (maps_.size() < threads) maps_.resize(threads);
  std::atomic<size_t> next{0};
  parallel(threads, threads, [&](size_t thread) {
    for (size_t chunk; (chunk = next.fetch_add(1)) < chunks;) job(chunk, maps_[thread]);
  });
}

const std::vector<WordCount>& WordCounter::words() {
  if (!finished_) finish();
  finished_ = true;
  return words_;
}

void WordCounter::finish() {
  // First every thread's counts of a part come together, then a part is made into words: shard by shard of the parts.
  size_t shards = maps_.size() < 2 ? 1 : 4 * maps_.size();
  std::vector<WordMap> made(shards);
  parallel(shards, thread_count(), [&](size_t shard) {
    WordMap joined;
    const WordMap* parts = &joined;
    if (maps_.size() == 1) parts = &maps_[0];
    else
      for (const WordMap& map : maps_) map.each(shard, shards, [&](std::string_view part, uint64_t count) { joined.add(part, count); });
    parts->each([&](std::string_view part, uint64_t count) {
      if (cut_ == Cut::None) made[shard].add(part, count);
      else expand(part, count, made[shard]);
    });
  });
  maps_.clear();
  made_ = std::move(made[0]);
  for (size_t shard = 1; shard < shards; ++shard) {
    made[shard].each([&](std::string_view word, uint64_t count) { made_.add(word, count); });
    made[shard] = WordMap();
  }
  words_.reserve(made_.size());
  made_.each([&](std::string_view word, uint64_t count) { words_.push_back({word, count}); });
  std::sort(words_.begin(), words_.end(), [](const WordCount& a, const WordCount& b) { return a.word < b.word; });
}

}  // namespace enfold
