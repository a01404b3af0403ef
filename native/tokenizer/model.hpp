// Models turn one word into tokens.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "text/json.hpp"
#include "tokenizer/vocab.hpp"

namespace enfold {

// A token and the bytes of the word that it covers.
struct Piece {
  int32_t id;
  uint32_t begin, end;
};

// What users say about the caches of the tokenizers that have a model.
struct CachePolicy {
  std::atomic<size_t> words{SIZE_MAX};  // how many words a thread remembers at most
  std::atomic<uint64_t> age{0};         // caches of another age are dropped
};

struct Model {
  Vocab vocab;
  std::shared_ptr<CachePolicy> caches = std::make_shared<CachePolicy>();

  virtual ~Model() = default;
  // How many tokens there are, those that are called the same included.
  virtual size_t size() const { return vocab.size(); }
  // Appends the tokens of `word`. Throws std::runtime_error when the model cannot tokenize it.
  virtual void tokenize(std::string_view word, std::vector<Piece>& out) const = 0;
  // The "model" member of tokenizer.json; with `options_only` without the vocabulary and the merges.
  virtual std::string to_json(bool options_only = false) const = 0;
  // Whether a token with this id is called by the text that it covers instead of by its own name.
  virtual bool keeps_text(int32_t) const { return false; }
  // Whether the same word always gives the same tokens.
  virtual bool deterministic() const { return true; }

 protected:
  void vocab_json(std::string& out, bool empty) const;
};
using ModelPtr = std::shared_ptr<Model>;

// The name of the token that stands for a byte: <0xNN>.
std::string byte_token(int byte);

// Whether a token is written in visible characters for bytes; its bytes are then put into `raw`.
bool bytes_of_visible(std::string_view token, std::string& raw);

// From the "model" member of tokenizer.json. Throws std::invalid_argument.
ModelPtr make_model(const Json& spec);

// What flat encoding looks words up in, made from a WordPiece model and the options of a BertNormalizer on first use.
struct BertTables;

struct WordPiece final : Model {
  std::string unk_token = "[UNK]", prefix = "##";
  size_t max_chars = 100;
  // By the options; a model does not change once it encodes.
  mutable std::array<std::atomic<const BertTables*>, 16> tables{};

  ~WordPiece() override;
  void tokenize(std::string_view word, std::vector<Piece>& out) const override;
  std::string to_json(bool options_only) const override;
};

struct WordLevel final : Model {
  std::string unk_token = "<unk>";
  void tokenize(std::string_view word, std::vector<Piece>& out) const override;
  std::string to_json(bool options_only) const override;
};

class BpeSearch;
class Seams;

struct Bpe final : Model {
  std::optional<double> dropout;
  std::optional<std::string> unk_token, prefix, suffix;
  bool fuse_unk = false, byte_fallback = false, ignore_merges = false;
  std::vector<std::pair<uint32_t, uint32_t>> merges;  // in the order of their rank

  // Builds what tokenizing needs from the vocabulary, the merges and the options; call it after changing any.
  void prepare();
  void tokenize(std::string_view word, std::vector<Piece>& out) const override;
  // As tokenize, for a word of raw bytes that a byte-level pre-tokenizer would have written as visible characters.
  // Only where takes_bytes() holds.
  void tokenize_bytes(std::string_view word, std::vector<int32_t>& out) const;
  // The same, whether or not merges are to be ignored.
  void merge_word(std::string_view word, std::vector<int32_t>& out) const;
  // Whether every byte's visible character is a token, and no option stands in the way.
  bool byte_level() const { return byte_level_; }
  // Whether tokenize_bytes() can be used: as byte_level(), but bytes without a token may also be such that the model passes
  // over them.
  bool takes_bytes() const { return takes_bytes_; }
  // How many bytes a token stands for, where byte_level() holds.
  size_t byte_length(int32_t id) const { return byte_lengths_[size_t(id)]; }
  // Whether no merge makes a token that one before it takes: then what joins two characters always comes after what made them.
  bool in_order() const { return in_order_; }
  // The token that a word is, whatever merging would make of it, where merges are ignored for such words; or -1.
  int32_t whole(std::string_view word) const { return raw_.find(word); }
  const Vocab& wholes() const { return raw_; }
  // Where no merge reaches across, inside words of text written without blanks; where byte_level() holds.
  const Seams& seams() const;
  // Whether no token has `mark` after another character: then a text may be cut before every run of it.
  bool cuts_before(std::string_view mark) const;
  // Whether a merge may join a token that ends in byte `left` with one that begins with byte `right`. Where none may, a
  // word can be cut and its parts tokenized alone.
  bool joins(unsigned char left, unsigned char right) const { return junctions_[size_t(left) << 8 | right]; }
  // Whether unknown characters cannot reach across such a cut: every byte has a token to fall back to.
  bool falls_back() const { return byte_fallback && std::find(fallback_.begin(), fallback_.end(), -1) == fallback_.end(); }
  std::string to_json(bool options_only) const override;
  bool deterministic() const override { return !dropout || *dropout <= 0; }

  // The last merge of a word, and the highest rank of any.
  struct Last {
    uint32_t left = 0, right = 0, rank = 0, highest = 0;
  };
  // Merges the bytes of a word, where byte_level() holds; `ids` and `pairs` have room for one more than it has bytes. Returns
  // how many of `ids` are its tokens. Meant for short words: what it costs grows with the square of their length.
  size_t merge_bytes(std::string_view word, int32_t* ids, uint64_t* pairs, Last* last) const;
  // The same from `count` tokens in `ids`; 0 if two of them have a merge of rank `after` or lower.
  size_t merge_tokens(int32_t* ids, uint64_t* pairs, size_t count, uint64_t after) const;
  const MergeTable::Merge* find_merge(uint32_t left, uint32_t right) const { return table_.find(left, right); }

  Bpe();

 private:
  struct Symbol {
    int32_t id;
    uint32_t length;
    int32_t previous, next;
  };
  uint64_t merge_of(int32_t left, int32_t right) const;
  size_t merge_pairs(int32_t* ids, uint64_t* pairs, size_t count, Last* last) const;
  void merge_all(std::vector<Symbol>& symbols) const;
  void merge_few(std::vector<Symbol>& symbols) const;
  void merge_many(std::vector<Symbol>& symbols) const;
  const BpeSearch* search(size_t bytes) const;
  MergeTable table_;
  std::array<int32_t, 256> fallback_{};    // <0xNN>
  std::array<int32_t, 256> byte_tokens_{};  // the token of a byte's visible character
  std::vector<uint64_t> byte_pairs_;         // by two bytes: rank << 32 | id of their merge, all ones where there is none
  std::vector<bool> junctions_ = std::vector<bool>(65536);
  Vocab raw_;                               // with ignore_merges: tokens as raw bytes
  std::vector<uint32_t> byte_lengths_;      // by id
  bool byte_level_ = false, takes_bytes_ = false, plain_ = true, in_order_ = true;
  struct Search;
  std::shared_ptr<Search> search_;  // for long words, made once there have been many of them
};

// Adds merges, pairs of tokens in the order of their rank; throws std::invalid_argument for tokens that are not in the
// vocabulary.
void add_merges(Bpe& model, const std::vector<std::pair<std::string_view, std::string_view>>& pairs);

}  // namespace enfold
