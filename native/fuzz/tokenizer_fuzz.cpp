// Feeds a tokenizer.json (up to the first zero byte) and a text (what follows) to the reader, and to all that it loads.
// Sources: text text/regex tokenizer tokenizer/align tokenizer/flat simd.cpp
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <stdexcept>
#include <string>

#include "text/utf8.hpp"
#include "tokenizer/check.hpp"
#include "tokenizer/decode_stream.hpp"
#include "tokenizer/derived.hpp"
#include "tokenizer/flat/flat.hpp"
#include "tokenizer/tokenizer.hpp"

using namespace enfold;

namespace {

void load(Pipeline& pipeline, std::string_view source) {
  JsonDocument document(source);
  const Json& root = document.root;
  check_document(root);
  pipeline.scratch = std::make_shared<ScratchPool>();
  pipeline.derived = std::make_shared<Derived>();
  pipeline.model = make_model(root["model"]);
  pipeline.normalizer = make_normalizer(root["normalizer"]);
  pipeline.pre_tokenizer = make_pre_tokenizer(root["pre_tokenizer"]);
  pipeline.post_processor = make_post_processor(root["post_processor"]);
  pipeline.decoder = make_decoder(root["decoder"]);
  pipeline.truncation = make_truncation(root["truncation"]);
  pipeline.padding = make_padding(root["padding"]);
  auto added = std::make_shared<AddedVocabulary>();
  added->add(make_added_tokens(root["added_tokens"]), *pipeline.model, pipeline.normalizer.get());
  pipeline.added = added;
}

// The ids of the path that makes nothing but ids, and of the one that makes everything.
void run(const Pipeline& pipeline, const std::string& text) {
  std::vector<int32_t> ids;
  bool failed = false;
  try {
    std::unique_ptr<Scratch> scratch = pipeline.scratch->take();
    flat_encoder(pipeline).encode(text, ids, SIZE_MAX, *scratch);
  } catch (const std::runtime_error&) {
    failed = true;
  }
  try {
    Encoding encoding;
    pipeline.encode(text, 0, -1, encoding);
    // With dropout no two runs are alike.
    if (pipeline.model->deterministic()) {
      if (failed || encoding.ids.size() != ids.size()) std::abort();
      for (size_t i = 0; i < ids.size(); ++i)
        if (encoding.ids[i] != ids[i]) std::abort();
    }
    try {
      Encoding whole = pipeline.finish(std::move(encoding), std::nullopt, true);
    } catch (const std::invalid_argument&) {  // a stride longer than what is left of the length
    }
  } catch (const std::runtime_error&) {
    if (!failed && pipeline.model->deterministic()) std::abort();
  }
  std::vector<uint32_t> given(ids.begin(), ids.end());
  for (uint32_t odd : {0u, 1u, 255u, 1u << 27, UINT32_MAX}) given.push_back(odd);
  std::vector<int64_t> wide(given.begin(), given.end());
  for (bool skip : {false, true}) pipeline.decode(wide, skip);
  DecodeStream stream({}, true);
  try {
    for (uint32_t id : given) stream.step(decode_table(pipeline), {id});
  } catch (const InvalidPrefix&) {
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string_view all(reinterpret_cast<const char*>(data), size);
  size_t zero = all.find('\0');
  std::string source(all.substr(0, zero)), text;
  if (zero != std::string_view::npos) utf8_append_lossy(all.substr(zero + 1), text);
  Pipeline pipeline;
  try {
    load(pipeline, source);
  } catch (const std::invalid_argument&) {
    return 0;
  } catch (const std::runtime_error&) {
    return 0;
  }
  run(pipeline, text);
  return 0;
}
