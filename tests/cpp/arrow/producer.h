// A producer of Arrow batches for the tests to import. Written from the specification alone; it can
// also produce arrays that contradict themselves.
#pragma once

#include <cstdint>
#include <cstring>
#include <deque>
#include <string>
#include <utility>
#include <vector>

#include "stream_store/arrow.h"

namespace stream_store::testing {

/// One array with its schema. Buffers are not padded, so that sanitizers find reads past their end.
struct Column {
  std::string format;
  std::string name = {};
  std::int64_t length = 0;
  std::vector<std::vector<std::uint8_t>> buffers = {};  ///< empty: a null pointer
  std::vector<Column> children = {};
  std::int64_t offset = 0;
  std::int64_t null_count = -1;
  std::vector<Column> dictionary = {};  ///< at most one: the values that this array refers to
  std::int64_t flags = ARROW_FLAG_NULLABLE;
};

template <class Item>
std::vector<std::uint8_t> Bytes(std::initializer_list<Item> items) {
  std::vector<std::uint8_t> bytes(items.size() * sizeof(Item));
  if (!bytes.empty()) {
    std::memcpy(bytes.data(), std::data(items), bytes.size());
  }
  return bytes;
}

inline Column Int64s(std::string name, std::initializer_list<std::int64_t> items) {
  return {.format = "l",
          .name = std::move(name),
          .length = static_cast<std::int64_t>(items.size()),
          .buffers = {{}, Bytes(items)}};
}

/// Produces a stream of batches that have the same columns. Must outlive the readers of the stream.
class Producer {
 public:
  explicit Producer(std::vector<std::vector<Column>> batches) : batches_(std::move(batches)) {}

  ArrowArrayStream stream() {
    ArrowArrayStream made{};
    made.private_data = this;
    made.get_schema = [](ArrowArrayStream* self, ArrowSchema* out) {
      auto& mine = *static_cast<Producer*>(self->private_data);
      *out = mine.SchemaOf({.format = "+s", .children = mine.batches_.front()});
      return 0;
    };
    made.get_next = [](ArrowArrayStream* self, ArrowArray* out) {
      auto& mine = *static_cast<Producer*>(self->private_data);
      *out = ArrowArray{};
      if (mine.next_ < mine.batches_.size()) {
        const std::vector<Column>& columns = mine.batches_[mine.next_++];
        const std::int64_t rows = columns.empty() ? 0 : columns.front().length;
        *out = mine.ArrayOf({.format = "+s", .length = rows, .buffers = {{}}, .children = columns});
      }
      return 0;
    };
    made.get_last_error = [](ArrowArrayStream*) -> const char* { return nullptr; };
    made.release = [](ArrowArrayStream* self) { self->release = nullptr; };
    return made;
  }

 private:
  ArrowSchema SchemaOf(const Column& column) {
    const Column& kept = columns_.emplace_back(column);
    std::vector<ArrowSchema*>& pointers = schema_pointers_.emplace_back();
    for (const Column& child : kept.children) {
      schemas_.push_back(SchemaOf(child));
      pointers.push_back(&schemas_.back());
    }
    ArrowSchema made{};
    if (!kept.dictionary.empty()) {
      schemas_.push_back(SchemaOf(kept.dictionary.front()));
      made.dictionary = &schemas_.back();
    }
    made.format = kept.format.c_str();
    made.name = kept.name.c_str();
    made.flags = kept.flags;
    made.n_children = static_cast<std::int64_t>(pointers.size());
    made.children = pointers.data();
    made.release = [](ArrowSchema* self) { self->release = nullptr; };
    return made;
  }

  ArrowArray ArrayOf(const Column& column) {
    const Column& kept = columns_.emplace_back(column);
    std::vector<ArrowArray*>& pointers = array_pointers_.emplace_back();
    for (const Column& child : kept.children) {
      arrays_.push_back(ArrayOf(child));
      pointers.push_back(&arrays_.back());
    }
    std::vector<const void*>& buffers = buffers_.emplace_back();
    for (const std::vector<std::uint8_t>& buffer : kept.buffers) {
      buffers.push_back(buffer.empty() ? nullptr : buffer.data());
    }
    ArrowArray made{};
    if (!kept.dictionary.empty()) {
      arrays_.push_back(ArrayOf(kept.dictionary.front()));
      made.dictionary = &arrays_.back();
    }
    made.length = kept.length;
    made.offset = kept.offset;
    made.null_count = kept.null_count;
    made.n_buffers = static_cast<std::int64_t>(buffers.size());
    made.buffers = buffers.data();
    made.n_children = static_cast<std::int64_t>(pointers.size());
    made.children = pointers.data();
    made.release = [](ArrowArray* self) { self->release = nullptr; };
    return made;
  }

  std::vector<std::vector<Column>> batches_;
  std::size_t next_ = 0;
  // Deques, because exported structs point to their elements, which must not move.
  std::deque<Column> columns_;
  std::deque<ArrowSchema> schemas_;
  std::deque<std::vector<ArrowSchema*>> schema_pointers_;
  std::deque<ArrowArray> arrays_;
  std::deque<std::vector<ArrowArray*>> array_pointers_;
  std::deque<std::vector<const void*>> buffers_;
};

}  // namespace stream_store::testing
