// A regular expression as instructions for the matcher.
#pragma once

#include <array>
#include <bitset>
#include <cstdint>
#include <string>
#include <vector>

#include "text/regex/syntax.hpp"
#include "text/utf8.hpp"

namespace enfold::regex {

enum class Op : uint8_t {
  Byte,         // a = the byte
  Text,         // literals[a .. a+b)
  Set,          // one character of set a
  Run,          // b to c characters of set a; id; next: a set of bytes that may follow, or -1
  Dispatch,     // go to one of the branches of dispatch a; id
  Jump,         // to a
  Store,        // register a = the position
  AtomicBegin,  // register a = the height of the stack
  AtomicEnd,    // drop the choices above it
  LookBegin,    // registers a, a+1 = the height and the position
  LookEnd,      // drop the choices, go back to the position
  NotBegin,     // like LookBegin; go on at b when what follows fails
  NotEnd,       // what followed matched: fail
  Back,         // step a characters back
  BehindBegin,  // register a = the position; try from b to c characters before it, not beyond register `next` if that is >= 0
  BehindEnd,    // only where that position is reached again
  LookSet,      // is the next (flag & 1: previous) character of set a? flag & 2: it must not
  Assert,       // a = an Assertion, b = the set of word characters
  BackRef,      // one of the groups references[a]; flag: case is ignored
  Segment,      // to where the next cluster of characters begins
  GroupSet,     // has one of the groups references[a] matched? flag: none must have
  EmptyMark,    // register a = the position
  EmptyCheck,   // to b when the position is still that of register a
  CountBegin,   // register a = 0
  CountLoop,    // loops[a]
  Keep,         // the match begins here: register a = the position
  Match,
  Fail,
};

struct Inst {
  Op op;
  uint8_t flag = 0;
  Mode mode = Mode::Greedy;
  int32_t next = -1;
  uint32_t a = 0, b = 0, c = 0;
  uint32_t id = 0;  // of a place where a match may go on in several ways
};

struct Loop {
  uint32_t slot, min, max, body, exit;
  Mode mode;
};

// What a byte says about the character that it begins: not in the set, in it, in it if the whole character is.
enum : uint8_t { kOut = 0, kIn = 1, kAsk = 2, kInWide = 3 };

struct SetTable {
  std::array<uint8_t, 256> byte{};
  std::vector<uint64_t> bits;  // of the code points below 0x20000; empty in patterns of very many classes
  CharSet set;

  explicit SetTable(CharSet members, bool with_bits);
  bool has(char32_t code) const {
    if (code < bits.size() * 64) return bits[code >> 6] >> (code & 63) & 1;
    return set.contains(code);
  }
  // The width of the character at `at` if it is in the set, else 0.
  size_t step(std::string_view text, size_t at) const {
    if (at >= text.size()) return 0;
    unsigned char lead = (unsigned char)text[at];
    switch (byte[lead]) {
      case kOut: return 0;
      case kIn: return 1;
      case kInWide: return utf8_width(lead);
      default: {
        size_t from = at;
        return has(utf8_next(text, at)) ? at - from : 0;
      }
    }
  }
};

// The branches to try, by the byte that comes next (256: the end of the text), in `lists` up to kNone.
struct Dispatch {
  std::array<uint32_t, 257> list;
};
inline constexpr uint32_t kNone = UINT32_MAX;

struct Program {
  std::vector<Inst> code;
  std::string literals;
  std::vector<SetTable> sets;
  std::vector<Dispatch> dispatches;
  std::vector<uint32_t> lists;
  std::vector<Loop> loops;
  std::vector<std::vector<uint32_t>> references;
  std::vector<std::bitset<256>> nexts;
  uint32_t registers = 0;  // the first two of each group are its begin and end
  uint32_t kept = kNone;   // the register of \K
  uint32_t ids = 0;
  // Whether a place that failed at a position fails there always.
  bool memoizable = true;
  bool nullable = true;
  std::bitset<256> first;
};

// Throws SyntaxError.
Program compile(const Tree& tree);

}  // namespace enfold::regex
