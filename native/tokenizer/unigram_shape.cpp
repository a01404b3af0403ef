#include "tokenizer/unigram_shape.hpp"

#include "text/utf8.hpp"

namespace enfold {
namespace {

bool take_apart(const Normalizer* normalizer, UnigramSteps& steps) {
  if (!normalizer) return true;
  if (const auto* sequence = dynamic_cast<const NormalizerSequence*>(normalizer)) {
    for (const auto& step : sequence->steps)
      if (!take_apart(step.get(), steps)) return false;
    return true;
  }
  if (const auto* strip = dynamic_cast<const StripNormalizer*>(normalizer)) {
    if (steps.marks) return false;
    Sides& sides = steps.local.empty() && !steps.collapse ? steps.before : steps.after;
    sides = {sides.left || strip->left, sides.right || strip->right};
    return true;
  }
  if (const auto* run = dynamic_cast<const BlankRunNormalizer*>(normalizer)) {
    if (steps.collapse || (run->content != " " && run->content != kMark)) return false;
    steps.marks = run->content == kMark;
    return steps.collapse = true;
  }
  if (steps.collapse || steps.after.left || steps.after.right || !normalizer->cuts_at_blanks()) return false;
  steps.local.push_back(normalizer);
  return true;
}

}  // namespace

void trim(std::string_view& text, Sides sides) {
  size_t begin = 0, end = text.size();
  if (sides.left)
    for (size_t at = 0; at < end && is_white(utf8_next(text, at));) begin = at;
  if (sides.right)
    for (size_t at = end; at > begin && is_white(utf8_previous(text, at));) end = at;
  text = text.substr(begin, end - begin);
}

std::optional<UnigramShape> unigram_shape(const Pipeline& pipeline) {
  const auto* model = dynamic_cast<const Unigram*>(pipeline.model.get());
  if (!model || !model->deterministic()) return {};
  const PreTokenizer* cut = pipeline.pre_tokenizer.get();
  if (const auto* sequence = dynamic_cast<const PreTokenizerSequence*>(cut); sequence && sequence->steps.size() == 1) cut = sequence->steps[0].get();
  const auto* metaspace = dynamic_cast<const MetaspacePreTokenizer*>(cut);
  if (!metaspace || metaspace->replacement != kMark || !metaspace->split) return {};
  UnigramShape made{model, Mark::Never, {}};
  if (!take_apart(pipeline.normalizer.get(), made.steps)) return {};
  if (metaspace->scheme == MetaspacePreTokenizer::Always) made.mark = Mark::Always;
  if (metaspace->scheme == MetaspacePreTokenizer::First) made.mark = Mark::First;
  return made;
}

}  // namespace enfold
