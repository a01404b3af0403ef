#include <map>
#include <utility>

#include "text/regex/program.hpp"

namespace enfold::regex {
namespace {

constexpr size_t kMostInstructions = 1 << 18;
constexpr size_t kMostTables = 64;  // sets with a bit for every common character

class Compiler {
 public:
  explicit Compiler(const Tree& tree) : tree_(tree) {}
  Program run();

 private:
  // Work to be done, last in first out: deep patterns need no deep stack.
  struct Task {
    enum { Visit, Emit, Bind } what;
    uint32_t value = 0;
    Inst inst{};
  };
  struct Branch {
    uint32_t label;
    bool always;
    std::bitset<256> first;
  };

  uint32_t label() {
    labels_.push_back(0);
    return uint32_t(labels_.size() - 1);
  }
  uint32_t reg(uint32_t count = 1) { return std::exchange(program_.registers, program_.registers + count); }
  uint32_t dispatch(std::vector<Branch> branches) {
    branches_.push_back(std::move(branches));
    return uint32_t(branches_.size() - 1);
  }
  Branch branch(uint32_t to, const Node& node) const { return {to, node.nullable, node.first}; }
  static Branch always(uint32_t to) { return {to, true, {}}; }
  void push(Task task) { later_.push_back(std::move(task)); }
  // Does the tasks in their order, before whatever else is left.
  void schedule() {
    tasks_.insert(tasks_.end(), std::make_move_iterator(later_.rbegin()), std::make_move_iterator(later_.rend()));
    later_.clear();
  }
  void visit(uint32_t node) { push({Task::Visit, node, {}}); }
  void emit(Op op, uint32_t a = 0, uint32_t b = 0, uint32_t c = 0, uint8_t flag = 0) {
    Inst inst{op};
    inst.a = a, inst.b = b, inst.c = c, inst.flag = flag;
    push({Task::Emit, 0, inst});
  }
  void bind(uint32_t label) { push({Task::Bind, label, {}}); }

  void expand(uint32_t index);
  void concat(const Node& node);
  void repeat(const Node& node);
  void loop(uint32_t child, Mode mode);
  void optional(uint32_t child, Mode mode, uint32_t exit);
  void look(const Node& node);
  void absent(const Node& node);
  uint32_t set_of(const Node& node);
  uint32_t add_set(const CharSet& set);
  bool single(const Node& node) const { return node.kind == Kind::Char || node.kind == Kind::Set; }
  void resolve();
  void refine();

  const Tree& tree_;
  Program program_;
  std::vector<Task> tasks_, later_;
  std::vector<uint32_t> labels_;
  std::vector<std::vector<Branch>> branches_;
  std::map<std::u32string, uint32_t> sets_;
};

uint32_t Compiler::add_set(const CharSet& set) {
  std::u32string key;
  for (const CodeRange& range : set.ranges()) key.append({range.first, range.last});
  auto [found, fresh] = sets_.try_emplace(key, uint32_t(program_.sets.size()));
  if (fresh) program_.sets.emplace_back(set, program_.sets.size() < kMostTables);
  return found->second;
}

uint32_t Compiler::set_of(const Node& node) { return add_set(node.kind == Kind::Char ? CharSet(node.value) : tree_.sets[node.value]); }

void Compiler::concat(const Node& node) {
  for (size_t i = 0; i < node.children.size();) {
    std::string literal;
    size_t end = i;
    for (; end < node.children.size() && tree_.nodes[node.children[end]].kind == Kind::Char; ++end)
      utf8_append(tree_.nodes[node.children[end]].value, literal);
    if (end > i + 1) {
      emit(Op::Text, uint32_t(program_.literals.size()), uint32_t(literal.size()));
      program_.literals += literal;
      i = end;
    } else {
      visit(node.children[i++]);
    }
  }
}

// child*
void Compiler::loop(uint32_t child, Mode mode) {
  const Node& body = tree_.nodes[child];
  uint32_t top = label(), inside = label(), exit = label();
  std::vector<Branch> ways = {branch(inside, body), always(exit)};
  if (mode == Mode::Lazy) std::swap(ways[0], ways[1]);
  bind(top);
  emit(Op::Dispatch, dispatch(std::move(ways)));
  bind(inside);
  uint32_t mark = 0;
  if (body.nullable) emit(Op::EmptyMark, mark = reg());
  visit(child);
  if (body.nullable) emit(Op::EmptyCheck, mark, exit);
  emit(Op::Jump, top);
  bind(exit);
}

// child? ; `exit` is bound by the caller.
void Compiler::optional(uint32_t child, Mode mode, uint32_t exit) {
  uint32_t inside = label();
  std::vector<Branch> ways = {branch(inside, tree_.nodes[child]), always(exit)};
  if (mode == Mode::Lazy) std::swap(ways[0], ways[1]);
  emit(Op::Dispatch, dispatch(std::move(ways)));
  bind(inside);
  visit(child);
}

void Compiler::repeat(const Node& node) {
  uint32_t child = node.children[0];
  const Node& body = tree_.nodes[child];
  if (node.max == 0) return;
  if (single(body)) {
    if (node.min == 1 && node.max == 1) return visit(child);
    Inst inst{Op::Run};
    inst.a = set_of(body), inst.b = node.min, inst.c = node.max, inst.mode = node.mode;
    return push({Task::Emit, 0, inst});
  }
  if (body.kind == Kind::Empty) return;
  bool possessive = node.mode == Mode::Possessive;
  uint32_t slot = possessive ? reg() : 0;
  if (possessive) emit(Op::AtomicBegin, slot);
  if (node.expand) {
    for (uint32_t i = 0; i < node.min; ++i) visit(child);
    if (node.max == kNoLimit) {
      loop(child, node.mode);
    } else if (node.max > node.min) {
      uint32_t exit = label();
      for (uint32_t i = node.min; i < node.max; ++i) optional(child, node.mode, exit);
      bind(exit);
    }
  } else {
    uint32_t top = label(), inside = label(), exit = label();
    program_.loops.push_back({reg(), node.min, node.max, inside, exit, node.mode});
    uint32_t index = uint32_t(program_.loops.size() - 1);
    emit(Op::CountBegin, program_.loops.back().slot);
    bind(top);
    emit(Op::CountLoop, index);
    bind(inside);
    visit(child);
    emit(Op::Jump, top);
    bind(exit);
    program_.memoizable = false;
  }
  if (possessive) emit(Op::AtomicEnd, slot);
}

void Compiler::look(const Node& node) {
  uint32_t child = node.children[0];
  const Node& body = tree_.nodes[child];
  if (single(body)) return emit(Op::LookSet, set_of(body), 0, 0, uint8_t((node.ahead ? 0 : 1) | (node.negative ? 2 : 0)));
  uint32_t slot = reg(2), after = label();
  if (node.negative) emit(Op::NotBegin, slot, after);
  else emit(Op::LookBegin, slot);
  uint32_t target = 0;
  bool varies = !node.ahead && body.least != body.most;
  if (varies) {
    target = reg();
    emit(Op::BehindBegin, target, body.least, body.most);
    program_.memoizable = false;
  } else if (!node.ahead && body.least) {
    emit(Op::Back, body.least);
  }
  visit(child);
  if (varies) emit(Op::BehindEnd, target);
  emit(node.negative ? Op::NotEnd : Op::LookEnd, slot);
  bind(after);
}

// (?~|absent|expression): the expression, unless a match of `absent` begins within what it took.
void Compiler::absent(const Node& node) {
  uint32_t begin = reg(), slot = reg(2), target = reg(), after = label();
  program_.memoizable = false;
  emit(Op::EmptyMark, begin);
  visit(node.children[1]);
  emit(Op::NotBegin, slot, after);
  Inst from{Op::BehindBegin};
  from.a = target, from.b = 1, from.c = kNoLimit, from.next = int32_t(begin);
  push({Task::Emit, 0, from});
  visit(node.children[0]);
  emit(Op::NotEnd, slot);
  bind(after);
}

void Compiler::expand(uint32_t index) {
  const Node& node = tree_.nodes[index];
  switch (node.kind) {
    case Kind::Empty: break;
    case Kind::Char:
      if (node.value < 128) {
        emit(Op::Byte, node.value);
      } else {
        std::string bytes;
        utf8_append(node.value, bytes);
        emit(Op::Text, uint32_t(program_.literals.size()), uint32_t(bytes.size()));
        program_.literals += bytes;
      }
      break;
    case Kind::Set: emit(Op::Set, set_of(node)); break;
    case Kind::Concat: concat(node); break;
    case Kind::Alternate: {
      uint32_t end = label();
      std::vector<Branch> ways;
      for (uint32_t child : node.children) ways.push_back(branch(label(), tree_.nodes[child]));
      std::vector<uint32_t> at;
      for (const Branch& way : ways) at.push_back(way.label);
      emit(Op::Dispatch, dispatch(std::move(ways)));
      for (size_t i = 0; i < at.size(); ++i) {
        bind(at[i]);
        visit(node.children[i]);
        if (i + 1 < at.size()) emit(Op::Jump, end);
      }
      bind(end);
      break;
    }
    case Kind::Repeat: repeat(node); break;
    case Kind::Capture:
      // Where a group lies matters to back-references alone.
      if (tree_.back_references) emit(Op::Store, node.value * 2);
      visit(node.children[0]);
      if (tree_.back_references) emit(Op::Store, node.value * 2 + 1);
      break;
    case Kind::Atomic: {
      uint32_t slot = reg();
      emit(Op::AtomicBegin, slot);
      visit(node.children[0]);
      emit(Op::AtomicEnd, slot);
      break;
    }
    case Kind::Look: look(node); break;
    case Kind::Assert: {
      uint32_t words = 0;
      if (Assertion(node.value) == Assertion::Word || Assertion(node.value) == Assertion::NotWord) {
        CharSet set = escape_class('w');
        if (node.ascii) set.intersect(CharSet(0, 127));
        words = add_set(set);
      }
      if (Assertion(node.value) == Assertion::SearchBegin) program_.memoizable = false;
      emit(Op::Assert, node.value, words);
      break;
    }
    case Kind::BackRef:
      program_.references.push_back(node.children);
      program_.memoizable = false;
      emit(Op::BackRef, uint32_t(program_.references.size() - 1), 0, 0, node.fold);
      break;
    case Kind::GroupSet:
      program_.references.push_back(node.children);
      program_.memoizable = false;
      emit(Op::GroupSet, uint32_t(program_.references.size() - 1), 0, 0, node.negative);
      break;
    case Kind::Absent: absent(node); break;
    case Kind::Segment: emit(Op::Segment); break;
    case Kind::Keep:
      if (program_.kept == kNone) program_.kept = reg();
      emit(Op::Keep, program_.kept);
      break;
    case Kind::Fail: emit(Op::Fail); break;
  }
  schedule();
}

Program Compiler::run() {
  program_.registers = tree_.back_references ? (tree_.groups + 1) * 2 : 0;
  visit(tree_.root);
  emit(Op::Match);
  schedule();
  while (!tasks_.empty()) {
    Task task = std::move(tasks_.back());
    tasks_.pop_back();
    switch (task.what) {
      case Task::Visit: expand(task.value); break;
      case Task::Bind: labels_[task.value] = uint32_t(program_.code.size()); break;
      case Task::Emit:
        if (program_.code.size() >= kMostInstructions) throw SyntaxError("regular expression: it is too large");
        if (task.inst.op == Op::Run || task.inst.op == Op::Dispatch) task.inst.id = program_.ids++;
        program_.code.push_back(task.inst);
        break;
    }
  }
  resolve();
  refine();
  program_.nullable = tree_.nodes[tree_.root].nullable;
  program_.first = tree_.nodes[tree_.root].first;
  return std::move(program_);
}

// Labels become places.
void Compiler::resolve() {
  for (Inst& inst : program_.code) {
    if (inst.op == Op::Jump) inst.a = labels_[inst.a];
    if (inst.op == Op::NotBegin || inst.op == Op::EmptyCheck) inst.b = labels_[inst.b];
  }
  for (Loop& loop : program_.loops) loop.body = labels_[loop.body], loop.exit = labels_[loop.exit];
  for (const std::vector<Branch>& branches : branches_) {
    Dispatch made;
    std::map<std::vector<uint32_t>, uint32_t> known;
    for (unsigned byte = 0; byte <= 256; ++byte) {
      std::vector<uint32_t> list;
      for (const Branch& way : branches)
        if (way.always || (byte < 256 && way.first[byte])) list.push_back(labels_[way.label]);
      list.push_back(kNone);
      auto [found, fresh] = known.try_emplace(list, uint32_t(program_.lists.size()));
      if (fresh) program_.lists.insert(program_.lists.end(), list.begin(), list.end());
      made.list[byte] = found->second;
    }
    program_.dispatches.push_back(made);
  }
}

// What must follow a run says where it can end, and often that it can end in one place only.
void Compiler::refine() {
  for (size_t i = 0; i < program_.code.size(); ++i) {
    Inst& run = program_.code[i];
    if (run.op != Op::Run || run.mode != Mode::Greedy) continue;
    size_t to = i + 1;
    for (int hops = 0; hops < 8 && program_.code[to].op == Op::Jump; ++hops) to = program_.code[to].a;
    const Inst& after = program_.code[to];
    std::bitset<256> next;
    CharSet shared = program_.sets[run.a].set;
    switch (after.op) {
      case Op::Match: run.mode = Mode::Possessive; continue;
      case Op::Byte:
        next.set(after.a);
        shared.intersect(CharSet(after.a));
        break;
      case Op::Text: {
        size_t at = after.a;
        next.set((unsigned char)program_.literals[at]);
        shared.intersect(CharSet(utf8_next(program_.literals, at)));
        break;
      }
      case Op::Run:
        if (after.b == 0) continue;
        [[fallthrough]];
      case Op::Set:
        next = program_.sets[after.a].set.first_bytes();
        shared.intersect(program_.sets[after.a].set);
        break;
      default: continue;
    }
    if (shared.empty()) {
      run.mode = Mode::Possessive;
    } else if (program_.nexts.size() < kMostTables) {
      run.next = int32_t(program_.nexts.size());
      program_.nexts.push_back(next);
    }
  }
}

}  // namespace

SetTable::SetTable(CharSet members, bool with_bits) : set(std::move(members)) {
  bool ask = false;
  for (unsigned lead = 0; lead < 256; ++lead) {
    char32_t first, last;
    if (lead < 0x80) first = last = lead;
    else if (lead < 0xC2) continue;
    else if (lead < 0xE0) first = (lead & 0x1F) << 6, last = first + 0x3F;
    else if (lead < 0xF0) first = std::max(0x800u, (lead & 0x0F) << 12), last = lead == 0xED ? 0xD7FF : ((lead & 0x0F) << 12) + 0xFFF;
    else if (lead < 0xF5) first = std::max(0x10000u, (lead & 7) << 18), last = std::min<char32_t>(kLastCode, ((lead & 7) << 18) + 0x3FFFF);
    else continue;
    CharSet common(first, last);
    common.intersect(set);
    if (common.empty()) byte[lead] = kOut;
    else if (common.ranges().size() == 1 && common.ranges()[0] == CodeRange{first, last}) byte[lead] = lead < 0x80 ? kIn : kInWide;
    else byte[lead] = kAsk, ask = true;
  }
  if (!ask || !with_bits) return;
  bits.resize(0x20000 / 64);
  for (const CodeRange& range : set.ranges())
    for (char32_t code = range.first; code <= range.last && code < 0x20000; ++code) bits[code >> 6] |= uint64_t(1) << (code & 63);
}

Program compile(const Tree& tree) { return Compiler(tree).run(); }

}  // namespace enfold::regex
