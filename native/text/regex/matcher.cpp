#include <algorithm>
#include <cstring>
#include <utility>

#include "text/graphemes.hpp"
#include "text/regex/program.hpp"
#include "text/regex/regex.hpp"

namespace enfold::regex {
namespace {

// A way not yet taken, or what to undo on the way back to one.
struct Entry {
  enum What : uint32_t {
    Choice,   // a = instruction, b = position
    List,     // a = place in the lists, b = position
    Shorter,  // a = the run, b = its shortest end, c = the end that was tried
    Longer,   // a = the lazy run, b = the end that was tried, c = how many more it may take
    Restore,  // a = register, b = its value
    Failed,   // a = id, b..c = the positions where it is known to fail when this is reached
    Again,    // a = the lazy loop to go through once more, b = position
    Behind,   // a = instruction, b = the begin that was tried, c = how many more to try
  } what;
  uint32_t a, b, c;
};

constexpr size_t kMostEntries = size_t(1) << 24;     // 256 MiB
constexpr size_t kKeptEntries = size_t(1) << 16;     // what a thread keeps from text to text
constexpr size_t kMostMemo = size_t(1) << 23;        // words of 64 bits: 64 MiB
constexpr uint64_t kFreeSteps = 30'000'000, kStepsPerByte = 200;
constexpr uint64_t kEasy = 2'000, kEasyPerByte = 8;  // steps before failures are remembered

// The pattern as an error shows it.
std::string shown(const std::string& pattern) {
  size_t end = 200;
  if (pattern.size() <= end) return pattern;
  while (end > 0 && (pattern[end] & 0xC0) == 0x80) --end;
  return pattern.substr(0, end) + "\u2026";
}

size_t back_one(std::string_view text, size_t at) {
  do --at;
  while (at > 0 && (text[at] & 0xC0) == 0x80);
  return at;
}

bool same_ignoring_case(std::string_view text, size_t from, size_t end, size_t& at) {
  size_t here = at;
  while (from < end) {
    if (here >= text.size()) return false;
    if (case_key(utf8_next(text, from)) != case_key(utf8_next(text, here))) return false;
  }
  at = here;
  return true;
}

}  // namespace

struct Workspace {
  std::vector<Entry> stack;
  size_t height = 0;
  std::vector<uint32_t> registers;
  std::vector<uint64_t> memo;
  uint64_t steps = 0, limit = 0, easy = 0;
  bool remember = false;

  void push(Entry entry, const std::string& pattern) {
    if (height == stack.size()) grow(pattern);
    stack[height++] = entry;
  }
  void grow(const std::string& pattern) {
    if (stack.size() >= kMostEntries) throw TooHard("the regular expression " + shown(pattern) + " needs too much memory for this text");
    stack.resize(std::max<size_t>(256, stack.size() * 2));
  }
  // From here on places that failed are remembered, if that is sound and the table not too large.
  void begin_memo(const Program& program, size_t size) {
    easy = UINT64_MAX;
    size_t words = (size_t(program.ids) * (size + 1) >> 6) + 1;
    if (!program.memoizable || words > kMostMemo) return;
    memo.assign(words, 0);
    remember = true;
  }
  // Drops the choices above `to`; what is to be restored stays.
  void cut(size_t to) {
    size_t kept = to;
    for (size_t i = to; i < height; ++i)
      if (stack[i].what == Entry::Restore) stack[kept++] = stack[i];
    height = kept;
  }
};

namespace {
// Kept per thread, since most texts are short; a use within a use makes its own.
thread_local std::unique_ptr<Workspace> spare;
}  // namespace

Regex::Regex(std::string_view pattern) : pattern_(pattern), program_(std::make_shared<const Program>(compile(parse(pattern)))) {}

Matches::Matches(const Regex& regex, std::string_view text)
    : program_(regex.program()), pattern_(regex.pattern()), text_(text), work_(spare ? std::move(spare) : std::make_unique<Workspace>()) {
  if (text.size() >= UINT32_MAX) throw TooHard("a text of 4 GiB or more cannot be matched with " + shown(pattern_));
  work_->registers.assign(program_.registers, kNone);
  work_->steps = 0;
  work_->limit = kFreeSteps + kStepsPerByte * text.size();
  work_->easy = kEasy + kEasyPerByte * text.size();
  work_->remember = false;
}

Matches::~Matches() {
  if (work_->stack.size() > kKeptEntries) work_->stack = {};
  work_->memo = {};
  if (!spare) spare = std::move(work_);
}

bool Matches::next(Match& match) {
  while (from_ <= text_.size()) {
    if (!search(from_, match)) {
      from_ = text_.size() + 1;
      return false;
    }
    if (match.end == match.begin && match.end == last_end_) {
      from_ += from_ < text_.size() ? utf8_width((unsigned char)text_[from_]) : 1;
      continue;
    }
    from_ = last_end_ = match.end;
    return true;
  }
  return false;
}

bool Matches::search(size_t from, Match& match) {
  for (size_t at = from; at <= text_.size();) {
    if (!program_.nullable) {
      while (at < text_.size() && !program_.first[(unsigned char)text_[at]]) ++at;
      if (at == text_.size()) return false;
    }
    if (match_at(at, from, match)) return true;
    at += at < text_.size() ? utf8_width((unsigned char)text_[at]) : 1;
  }
  return false;
}

bool Matches::match_at(size_t start, size_t from, Match& match) {
  Workspace& work = *work_;
  const Inst* code = program_.code.data();
  const uint32_t* lists = program_.lists.data();
  uint32_t* registers = work.registers.data();
  const std::string_view text = text_;
  const size_t size = text.size();
  auto too_hard = [&] {
    throw TooHard("the regular expression " + shown(pattern_) + " takes too many steps on this text; make its repeats possessive or its branches distinct");
  };
  work.height = 0;
  if (work.steps > work.limit) too_hard();
  if (work.steps > work.easy) work.begin_memo(program_, size);
  if (program_.registers) std::fill(work.registers.begin(), work.registers.end(), kNone);
  uint32_t pc = 0;
  size_t pos = start;
  auto push = [&](Entry::What what, size_t a, size_t b, size_t c = 0) {
    work.push({what, uint32_t(a), uint32_t(b), uint32_t(c)}, pattern_);
  };
  auto bit = [&](uint32_t id, size_t at) { return size_t(id) * (size + 1) + at; };
  auto known_to_fail = [&](uint32_t id) { return work.memo[bit(id, pos) >> 6] >> (bit(id, pos) & 63) & 1; };
  auto store = [&](uint32_t slot, size_t value) {
    push(Entry::Restore, slot, registers[slot]);
    registers[slot] = uint32_t(value);
  };

  for (;;) {
    const Inst& inst = code[pc];
    // `continue` goes on at `pc`; `break` fails.
    switch (inst.op) {
      case Op::Byte:
        if (pos >= size || (unsigned char)text[pos] != inst.a) break;
        ++pos, ++pc;
        continue;
      case Op::Text:
        if (size - pos < inst.b || std::memcmp(text.data() + pos, program_.literals.data() + inst.a, inst.b) != 0) break;
        pos += inst.b, ++pc;
        continue;
      case Op::Set: {
        size_t width = program_.sets[inst.a].step(text, pos);
        if (!width) break;
        pos += width, ++pc;
        continue;
      }
      case Op::Run: {
        if (work.remember && known_to_fail(inst.id)) break;
        const SetTable& set = program_.sets[inst.a];
        const uint8_t* kinds = set.byte.data();
        size_t shortest = pos, end = pos, count = 0, most = inst.mode == Mode::Lazy ? inst.b : inst.c;
        const auto* bytes = reinterpret_cast<const unsigned char*>(text.data());
        // Where an unlimited run is known to fail further on, all that is left to try lies before that.
        bool look_ahead = work.remember && inst.c == kNoLimit && inst.b <= 1 && inst.mode != Mode::Lazy;
        bool cut = false;
        while (end < size && count < most) {
          if (look_ahead && end > pos && work.memo[bit(inst.id, end) >> 6] >> (bit(inst.id, end) & 63) & 1) {
            cut = true;
            break;
          }
          unsigned char lead = bytes[end];
          uint8_t kind = kinds[lead];
          if (kind == kIn) {
            ++end;
          } else if (kind == kOut) {
            break;
          } else {
            size_t width = kind == kInWide ? utf8_width(lead) : set.step(text, end);
            if (!width) break;
            end += width;
          }
          if (++count == inst.b) shortest = end;
        }
        work.steps += (end - pos) >> 4;
        // Where an unlimited run fails, it fails from anywhere within.
        if (work.remember) push(Entry::Failed, inst.id, pos, inst.c == kNoLimit && inst.mode != Mode::Lazy ? end : pos);
        if (count < inst.b || (cut && inst.mode == Mode::Possessive)) break;
        if (cut && inst.b == 0) end = back_one(text, end);
        if (inst.mode == Mode::Lazy) {
          if (inst.c > inst.b) push(Entry::Longer, pc, end, inst.c == kNoLimit ? kNoLimit : inst.c - inst.b);
        } else if (inst.mode == Mode::Greedy && end > shortest) {
          push(Entry::Shorter, pc, shortest, end);
        }
        pos = end, ++pc;
        continue;
      }
      case Op::Dispatch: {
        if (work.remember) {
          if (known_to_fail(inst.id)) break;
          push(Entry::Failed, inst.id, pos, pos);
        }
        uint32_t at = program_.dispatches[inst.a].list[pos < size ? (unsigned char)text[pos] : 256];
        if (lists[at] == kNone) break;
        pc = lists[at];
        if (lists[at + 1] != kNone) push(Entry::List, at + 1, pos);
        continue;
      }
      case Op::Jump: pc = inst.a; continue;
      case Op::Store:
      case Op::EmptyMark:
      case Op::Keep:
        store(inst.a, pos);
        ++pc;
        continue;
      case Op::EmptyCheck:
        if (registers[inst.a] == pos) pc = inst.b;
        else ++pc;
        continue;
      case Op::AtomicBegin:
        registers[inst.a] = uint32_t(work.height);
        ++pc;
        continue;
      case Op::AtomicEnd:
        work.cut(registers[inst.a]);
        ++pc;
        continue;
      case Op::LookBegin:
      case Op::NotBegin:
        registers[inst.a] = uint32_t(work.height);
        registers[inst.a + 1] = uint32_t(pos);
        if (inst.op == Op::NotBegin) push(Entry::Choice, inst.b, pos);
        ++pc;
        continue;
      case Op::LookEnd:
        work.cut(registers[inst.a]);
        pos = registers[inst.a + 1];
        ++pc;
        continue;
      case Op::NotEnd:
        for (size_t to = registers[inst.a]; work.height > to;) {
          const Entry& entry = work.stack[--work.height];
          if (entry.what == Entry::Restore) registers[entry.a] = entry.b;
        }
        break;
      case Op::Back: {
        size_t at = pos, left = inst.a;
        for (; left && at > 0; --left) at = back_one(text, at);
        if (left) break;
        pos = at, ++pc;
        continue;
      }
      case Op::BehindBegin: {
        size_t at = pos, left = inst.b, floor = inst.next < 0 ? 0 : registers[inst.next];
        for (; left && at > floor; --left) at = back_one(text, at);
        if (left) break;
        registers[inst.a] = uint32_t(pos);
        if (inst.c > inst.b) push(Entry::Behind, pc, at, inst.c - inst.b);
        pos = at, ++pc;
        continue;
      }
      case Op::BehindEnd:
        if (registers[inst.a] != pos) break;
        ++pc;
        continue;
      case Op::LookSet: {
        bool found = inst.flag & 1 ? pos > 0 && program_.sets[inst.a].step(text, back_one(text, pos)) : program_.sets[inst.a].step(text, pos) > 0;
        if (found == bool(inst.flag & 2)) break;
        ++pc;
        continue;
      }
      case Op::Assert: {
        bool holds = false;
        switch (Assertion(inst.a)) {
          case Assertion::LineBegin: holds = pos == 0 || (text[pos - 1] == '\n' && pos < size); break;
          case Assertion::LineEnd: holds = pos == size || text[pos] == '\n'; break;
          case Assertion::TextBegin: holds = pos == 0; break;
          case Assertion::TextEnd: holds = pos == size; break;
          case Assertion::TextEndLine: holds = pos == size || (pos + 1 == size && text[pos] == '\n'); break;
          case Assertion::SearchBegin: holds = pos == from; break;
          case Assertion::Segment:
          case Assertion::NotSegment: {
            ClusterPlace place = cluster_place(text, pos, false);
            work.steps += place.looked >> 2;
            holds = place.edge == (Assertion(inst.a) == Assertion::Segment);
            break;
          }
          case Assertion::Word:
          case Assertion::NotWord: {
            const SetTable& words = program_.sets[inst.b];
            bool before = pos > 0 && words.step(text, back_one(text, pos)), after = words.step(text, pos) > 0;
            holds = (before != after) == (Assertion(inst.a) == Assertion::Word);
          }
        }
        if (!holds) break;
        ++pc;
        continue;
      }
      case Op::BackRef: {
        const std::vector<uint32_t>& groups = program_.references[inst.a];
        size_t at = pos;
        bool found = false;
        for (size_t i = groups.size(); i-- > 0 && !found;) {
          size_t begin = registers[groups[i] * 2], end = registers[groups[i] * 2 + 1];
          if (begin == kNone || end == kNone || begin > end) continue;
          work.steps += (end - begin) >> 4;
          if (inst.flag) {
            found = same_ignoring_case(text, begin, end, at);
          } else if (size - pos >= end - begin && std::memcmp(text.data() + begin, text.data() + pos, end - begin) == 0) {
            at += end - begin;
            found = true;
          }
        }
        if (!found) break;
        pos = at, ++pc;
        continue;
      }
      case Op::Segment: {
        if (pos >= size) break;
        ClusterPlace place = cluster_place(text, pos, false);
        work.steps += (place.looked + place.next - pos) >> 2;
        pos = place.next, ++pc;
        continue;
      }
      case Op::GroupSet: {
        bool set = false;
        for (uint32_t group : program_.references[inst.a])
          set = set || (registers[group * 2] != kNone && registers[group * 2 + 1] != kNone && registers[group * 2] <= registers[group * 2 + 1]);
        if (set == bool(inst.flag)) break;
        ++pc;
        continue;
      }
      case Op::CountBegin:
        store(inst.a, 0);
        ++pc;
        continue;
      case Op::CountLoop: {
        const Loop& loop = program_.loops[inst.a];
        uint32_t count = registers[loop.slot];
        ++work.steps;
        if (count >= loop.max) {
          pc = loop.exit;
          continue;
        }
        bool done = count >= loop.min;
        if (done && loop.mode == Mode::Lazy) {
          push(Entry::Again, inst.a, pos);
          pc = loop.exit;
          continue;
        }
        if (done) push(Entry::Choice, loop.exit, pos);
        store(loop.slot, count + 1);
        pc = loop.body;
        continue;
      }
      case Op::Match:
        match = {start, pos};
        if (program_.kept != kNone && registers[program_.kept] != kNone) match.begin = std::min<size_t>(registers[program_.kept], pos);
        return true;
      case Op::Fail: break;
    }

    // Back to the last way not yet taken.
    bool found = false;
    while (!found) {
      if (work.height == 0) return false;
      if (++work.steps > work.limit) too_hard();
      Entry& entry = work.stack[work.height - 1];
      switch (entry.what) {
        case Entry::Choice:
          pc = entry.a, pos = entry.b;
          --work.height;
          found = true;
          break;
        case Entry::List:
          pc = lists[entry.a], pos = entry.b;
          if (lists[++entry.a] == kNone) --work.height;
          found = true;
          break;
        case Entry::Shorter: {
          const Inst& run = code[entry.a];
          size_t at = entry.c;
          if (run.next < 0) {
            at = back_one(text, at);
            found = true;
          } else {
            const std::bitset<256>& next = program_.nexts[size_t(run.next)];
            while (at > entry.b && !found) {
              at = back_one(text, at);
              found = next[(unsigned char)text[at]];
            }
            work.steps += (entry.c - at) >> 4;
          }
          pc = entry.a + 1, pos = at;
          entry.c = uint32_t(at);
          if (at <= entry.b) --work.height;
          break;
        }
        case Entry::Longer: {
          size_t width = program_.sets[code[entry.a].a].step(text, entry.b);
          if (!width) {
            --work.height;
            break;
          }
          pos = entry.b += uint32_t(width);
          pc = entry.a + 1;
          if (entry.c != kNoLimit && --entry.c == 0) --work.height;
          found = true;
          break;
        }
        case Entry::Restore:
          registers[entry.a] = entry.b;
          --work.height;
          break;
        case Entry::Failed:
          for (size_t at = bit(entry.a, entry.b); at <= bit(entry.a, entry.c); ++at) work.memo[at >> 6] |= uint64_t(1) << (at & 63);
          --work.height;
          break;
        case Entry::Again: {
          const Loop& loop = program_.loops[entry.a];
          pos = entry.b, pc = loop.body;
          --work.height;
          store(loop.slot, registers[loop.slot] + 1);
          found = true;
          break;
        }
        case Entry::Behind:
          if (entry.b == (code[entry.a].next < 0 ? 0 : registers[code[entry.a].next])) {
            --work.height;
            break;
          }
          pos = entry.b = uint32_t(back_one(text, entry.b));
          pc = entry.a + 1;
          if (--entry.c == 0) --work.height;
          found = true;
          break;
      }
    }
    if (work.steps > work.easy) work.begin_memo(program_, size);
  }
}

}  // namespace enfold::regex
