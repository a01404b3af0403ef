// User-perceived characters: the extended grapheme clusters of Unicode Standard Annex 29.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "text/grapheme_data.inc"

namespace enfold {

// The class of a character (a kCluster… in the low four bits) and what else the rules ask about it.
inline constexpr uint8_t kClusterMask = 15, kClusterPictograph = 16, kClusterConsonant = 32, kClusterLinker = 64, kClusterConjoins = 128;
inline uint8_t cluster_class(char32_t code) {
  return code < 0x110000 ? clusterData[size_t(clusterIndex[code >> 7]) << 7 | (code & 127)] : uint8_t(kClusterOther);
}

// Whether the character can hang together with one before or after it, other than in ways that need two such characters.
inline bool cluster_joins(uint8_t cls) {
  cls &= kClusterMask;
  return cls == kClusterExtend || cls == kClusterZWJ || cls == kClusterSpacingMark || cls == kClusterPrepend;
}

// The byte after the cluster of `text` that begins at `at`. `conjuncts`: Indic consonants that a virama links stay together
// (rule GB9c, of Unicode 15.1).
size_t cluster_end(std::string_view text, size_t at, bool conjuncts = true);
// Whether a cluster begins at `at` or the text ends there, where the next one after it does, and how many bytes before `at`
// had to be looked at.
struct ClusterPlace {
  bool edge;
  size_t next, looked;
};
ClusterPlace cluster_place(std::string_view text, size_t at, bool conjuncts = true);

}  // namespace enfold
