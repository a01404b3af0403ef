#include "arrow/strings.hpp"

#include <cstring>
#include <stdexcept>
#include <string>
#include <utility>

namespace enfold {
namespace {

bool is_null(const ArrowArray& array, int64_t row) {
  if (array.null_count == 0 || array.n_buffers == 0 || !array.buffers[0]) return false;
  row += array.offset;
  return !(static_cast<const uint8_t*>(array.buffers[0])[row >> 3] >> (row & 7) & 1);
}

template <class Offset>
void read_offsets(const ArrowArray& array, std::vector<std::string_view>& out) {
  const auto* offsets = static_cast<const Offset*>(array.buffers[1]) + array.offset;
  const auto* bytes = static_cast<const char*>(array.buffers[2]);
  for (int64_t i = 0; i < array.length; ++i) out.emplace_back(bytes + offsets[i], size_t(offsets[i + 1] - offsets[i]));
}

// String views: 16 bytes a row, short strings inline, long ones as (length, prefix, buffer, offset).
void read_views(const ArrowArray& array, std::vector<std::string_view>& out) {
  const auto* rows = static_cast<const char*>(array.buffers[1]) + array.offset * 16;
  for (int64_t i = 0; i < array.length; ++i, rows += 16) {
    int32_t head[4];
    std::memcpy(head, rows, 16);
    if (head[0] <= 12) out.emplace_back(rows + 4, size_t(head[0]));
    else out.emplace_back(static_cast<const char*>(array.buffers[2 + head[2]]) + head[3], size_t(head[0]));
  }
}

int64_t read_index(const ArrowArray& array, char format, int64_t row) {
  row += array.offset;
  const void* p = array.buffers[1];
  switch (format) {
    case 'c': return static_cast<const int8_t*>(p)[row];
    case 'C': return static_cast<const uint8_t*>(p)[row];
    case 's': return static_cast<const int16_t*>(p)[row];
    case 'S': return static_cast<const uint16_t*>(p)[row];
    case 'i': return static_cast<const int32_t*>(p)[row];
    case 'I': return static_cast<const uint32_t*>(p)[row];
    case 'l': return static_cast<const int64_t*>(p)[row];
    case 'L': return int64_t(static_cast<const uint64_t*>(p)[row]);
    default: throw std::invalid_argument("an Arrow dictionary's indices must be integers");
  }
}

// The strings of an array; null rows come out empty.
void read(const ArrowSchema& schema, const ArrowArray& array, std::vector<std::string_view>& out) {
  std::string_view format = schema.format;
  if (array.length == 0) return;
  if (schema.dictionary && array.dictionary) {
    std::vector<std::string_view> values;
    read(*schema.dictionary, *array.dictionary, values);
    for (int64_t i = 0; i < array.length; ++i) {
      if (is_null(array, i)) {
        out.emplace_back();
        continue;
      }
      int64_t index = read_index(array, format[0], i);
      if (index < 0 || size_t(index) >= values.size()) throw std::invalid_argument("an Arrow dictionary index is out of range");
      out.push_back(values[size_t(index)]);
    }
    return;
  }
  if (format == "u") return read_offsets<int32_t>(array, out);
  if (format == "U") return read_offsets<int64_t>(array, out);
  if (format == "vu") return read_views(array, out);
  throw std::invalid_argument("expected an Arrow column of strings (utf8, large_utf8, string_view or a dictionary of them), got format \"" +
                              std::string(format) + "\"");
}

struct Exported {
  std::shared_ptr<const void> owner;
  const void* buffers[2];
  ArrowArray* child;
};

void release_child(ArrowArray* array) {
  delete static_cast<Exported*>(array->private_data);
  array->release = nullptr;
}

void release_list(ArrowArray* array) {
  auto* held = static_cast<Exported*>(array->private_data);
  if (held->child->release) held->child->release(held->child);
  delete held->child;
  delete held;
  array->release = nullptr;
}

void release_schema(ArrowSchema* schema) {
  for (int64_t i = 0; i < schema->n_children; ++i) {
    if (schema->children[i]->release) schema->children[i]->release(schema->children[i]);
    delete schema->children[i];
  }
  delete[] schema->children;
  delete static_cast<std::string*>(schema->private_data);  // the format, where it is not a constant
  schema->release = nullptr;
}

}  // namespace

void ArrowStrings::add(const ArrowSchema& schema, ArrowArray&& array) {
  auto held = std::shared_ptr<ArrowArray>(new ArrowArray(array), [](ArrowArray* p) {
    if (p->release) p->release(p);
    delete p;
  });
  array.release = nullptr;  // moved
  arrays_.push_back(held);
  size_t before = views_.size();
  for (int64_t i = 0; i < held->length; ++i)
    if (is_null(*held, i)) throw std::invalid_argument("row " + std::to_string(before + size_t(i)) + " is null; only strings can be encoded");
  read(schema, *held, views_);
}

void ArrowStrings::add(ArrowArrayStream& stream) {
  auto check = [&](int code) {
    if (code == 0) return;
    const char* message = stream.get_last_error ? stream.get_last_error(&stream) : nullptr;
    throw std::invalid_argument(std::string("the Arrow stream failed: ") + (message ? message : std::strerror(code)));
  };
  ArrowSchema schema{};
  check(stream.get_schema(&stream, &schema));
  std::shared_ptr<ArrowSchema> held(&schema, [](ArrowSchema* p) {
    if (p->release) p->release(p);
  });
  for (;;) {
    ArrowArray array{};
    check(stream.get_next(&stream, &array));
    if (!array.release) return;
    add(schema, std::move(array));
  }
}

void export_lists(const int32_t* offsets, const int32_t* values, int64_t begin, int64_t length, int64_t total_rows,
                  std::shared_ptr<const void> owner, ArrowSchema* schema, ArrowArray* array) {
  auto* item_schema = new ArrowSchema{"i", "item", nullptr, ARROW_FLAG_NULLABLE, 0, nullptr, nullptr, release_schema, nullptr};
  *schema = {"+l", "", nullptr, ARROW_FLAG_NULLABLE, 1, new ArrowSchema* [1] { item_schema }, nullptr, release_schema, nullptr};
  auto* items = new Exported{owner, {nullptr, values}, nullptr};
  auto* child = new ArrowArray{offsets[total_rows], 0, 0, 2, 0, items->buffers, nullptr, nullptr, release_child, items};
  auto* list = new Exported{std::move(owner), {nullptr, offsets}, child};
  *array = {length, 0, begin, 2, 1, list->buffers, &list->child, nullptr, release_list, list};
}

void export_fixed_lists(const int32_t* values, int64_t width, int64_t rows, std::shared_ptr<const void> owner, ArrowSchema* schema,
                        ArrowArray* array) {
  auto* format = new std::string("+w:" + std::to_string(width));
  auto* item_schema = new ArrowSchema{"i", "item", nullptr, ARROW_FLAG_NULLABLE, 0, nullptr, nullptr, release_schema, nullptr};
  *schema = {format->c_str(), "", nullptr, ARROW_FLAG_NULLABLE, 1, new ArrowSchema* [1] { item_schema }, nullptr, release_schema, format};
  auto* items = new Exported{owner, {nullptr, values}, nullptr};
  auto* child = new ArrowArray{rows * width, 0, 0, 2, 0, items->buffers, nullptr, nullptr, release_child, items};
  auto* list = new Exported{std::move(owner), {nullptr, nullptr}, child};
  *array = {rows, 0, 0, 1, 1, list->buffers, &list->child, nullptr, release_list, list};
}

}  // namespace enfold
