// The suffixes of a text in their order, and how much neighbours have in common.
#pragma once

#include <cstdint>
#include <vector>

namespace enfold {

// Where the suffixes of `text` begin, in ascending order; its values are below `alphabet`. Linear time, by induced
// sorting: Nong, Zhang and Chan (2009), "Linear Suffix Array Construction by Almost Pure Induced-Sorting".
std::vector<int32_t> suffix_array(const std::vector<uint32_t>& text, uint32_t alphabet);

// How many values the i-th suffix and the one before it begin with in common; 0 for the first. Kasai et al. (2001),
// "Linear-Time Longest-Common-Prefix Computation in Suffix Arrays and Its Applications".
std::vector<int32_t> common_prefixes(const std::vector<uint32_t>& text, const std::vector<int32_t>& suffixes);

}  // namespace enfold
