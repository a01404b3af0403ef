#include "text/graphemes.hpp"

#include "text/utf8.hpp"

namespace enfold {

size_t cluster_end(std::string_view text, size_t at, bool conjuncts) {
  size_t end = at;
  uint8_t flags = cluster_class(utf8_next(text, end)), cls = flags & kClusterMask;
  if (end < text.size() && (unsigned char)text[end] < 0x80 && cls != kClusterCR && cls != kClusterPrepend) return end;
  bool pictograph = flags & kClusterPictograph;  // a pictograph, then Extend only (GB11)
  bool consonant = flags & kClusterConsonant, linked = false;  // a consonant, then what conjoins, a linker among it (GB9c)
  bool odd = cls == kClusterRegional;  // an odd number of regional indicators so far (GB12)
  while (end < text.size()) {
    size_t next = end;
    uint8_t later = cluster_class(utf8_next(text, next)), to = later & kClusterMask;
    bool together;
    switch (cls) {
      case kClusterCR: together = to == kClusterLF; break;
      case kClusterLF:
      case kClusterControl: together = false; break;
      default:
        together = to == kClusterExtend || to == kClusterZWJ || to == kClusterSpacingMark ||
                   (cls == kClusterPrepend && to != kClusterControl && to != kClusterCR && to != kClusterLF) ||
                   (cls == kClusterL && (to == kClusterL || to == kClusterV || to == kClusterLV || to == kClusterLVT)) ||
                   ((cls == kClusterLV || cls == kClusterV) && (to == kClusterV || to == kClusterT)) ||
                   ((cls == kClusterLVT || cls == kClusterT) && to == kClusterT) ||
                   (cls == kClusterZWJ && pictograph && (later & kClusterPictograph)) ||
                   (conjuncts && consonant && linked && (later & kClusterConsonant)) || (odd && to == kClusterRegional);
    }
    if (!together) break;
    odd = to == kClusterRegional && !odd;
    pictograph = (later & kClusterPictograph) || (pictograph && cls != kClusterZWJ && (to == kClusterExtend || to == kClusterZWJ));
    if (later & kClusterConsonant) {
      consonant = true;
      linked = false;
    } else {
      consonant = consonant && (later & (kClusterConjoins | kClusterLinker));
      linked = consonant && (linked || (later & kClusterLinker));
    }
    cls = to;
    end = next;
  }
  return end;
}

ClusterPlace cluster_place(std::string_view text, size_t at, bool conjuncts) {
  if (at >= text.size()) return {true, at, 0};
  // Back to a place where one surely begins: behind a control, or before a character that joins nothing on its left.
  size_t begin = at;
  while (begin > 0) {
    size_t before = begin;
    uint8_t flags = cluster_class(utf8_previous(text, before)), cls = flags & kClusterMask;
    if (begin < at && (cls == kClusterControl || cls == kClusterLF)) break;
    begin = before;
    if (flags != kClusterOther || begin == 0) continue;
    if ((cluster_class(utf8_previous(text, before)) & kClusterMask) != kClusterPrepend) break;
  }
  size_t looked = at - begin;
  while (begin < at) begin = cluster_end(text, begin, conjuncts);
  return {begin == at, begin == at ? cluster_end(text, at, conjuncts) : begin, looked};
}

}  // namespace enfold
