// A consumer of Arrow streams, with which the tests read exports. Written from the specification
// alone, without code of the library, so that a common mistake cannot hide.
#pragma once

#include <cstdint>
#include <cstring>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "stream_store/arrow.h"

namespace stream_store::testing {

/// Owns an ArrowSchema, ArrowArray or ArrowArrayStream.
template <class Struct>
class Owned {
 public:
  Owned() = default;
  Owned(const Owned&) = delete;
  Owned& operator=(const Owned&) = delete;

  Owned(Owned&& other) noexcept : held_(other.held_) { other.held_.release = nullptr; }

  Owned& operator=(Owned&& other) noexcept {
    Release();
    held_ = other.held_;
    other.held_.release = nullptr;
    return *this;
  }

  ~Owned() { Release(); }

  void Release() {
    if (held_.release != nullptr) {
      held_.release(&held_);
    }
  }

  Struct* get() { return &held_; }

  Struct* operator->() { return &held_; }

  Struct& operator*() { return held_; }

 private:
  Struct held_{};
};

using Schemas = Owned<ArrowSchema>;
using Arrays = Owned<ArrowArray>;

inline Owned<ArrowArrayStream> Export(const Reader& reader,
                                      const ArrowExportOptions& options = {}) {
  Owned<ArrowArrayStream> stream;
  ExportArrow(reader, options, stream.get());
  return stream;
}

/// The next batch; none at the end. Throws std::runtime_error with errno and the text of the
/// stream.
inline std::optional<Arrays> Next(Owned<ArrowArrayStream>& stream) {
  Arrays batch;
  if (const int code = stream->get_next(stream.get(), batch.get()); code != 0) {
    throw std::runtime_error(std::to_string(code) + ": " + stream->get_last_error(stream.get()));
  }
  if (batch->release == nullptr) {
    return std::nullopt;
  }
  return batch;
}

inline std::vector<Arrays> All(Owned<ArrowArrayStream>& stream) {
  std::vector<Arrays> batches;
  while (auto batch = Next(stream)) {
    batches.push_back(std::move(*batch));
  }
  return batches;
}

/// Whether element `i` is not null.
inline bool Valid(const ArrowArray& array, std::int64_t i) {
  const auto* bits = static_cast<const std::uint8_t*>(array.buffers[0]);
  i += array.offset;
  return bits == nullptr || (bits[i / 8] >> (i % 8) & 1) != 0;
}

/// Item `i` of a fixed-width array.
template <class Item>
Item At(const ArrowArray& array, std::int64_t i) {
  Item item{};
  std::memcpy(&item,
              static_cast<const char*>(array.buffers[1]) +
                  static_cast<std::size_t>(array.offset + i) * sizeof(Item),
              sizeof(Item));
  return item;
}

/// The items of row `i` of a list<Item> array with 32-bit offsets.
template <class Item>
std::vector<Item> ListAt(const ArrowArray& array, std::int64_t i) {
  std::vector<Item> items;
  for (auto at = At<std::int32_t>(array, i); at < At<std::int32_t>(array, i + 1); ++at) {
    items.push_back(At<Item>(*array.children[0], at));
  }
  return items;
}

/// Element `i` of a string array with 32-bit offsets.
inline std::string TextAt(const ArrowArray& array, std::int64_t i) {
  const auto begin = At<std::int32_t>(array, i);
  const auto end = At<std::int32_t>(array, i + 1);
  return {static_cast<const char*>(array.buffers[2]) + begin,
          static_cast<std::size_t>(end - begin)};
}

inline bool BoolAt(const ArrowArray& array, std::int64_t i) {
  i += array.offset;
  return (static_cast<const std::uint8_t*>(array.buffers[1])[i / 8] >> (i % 8) & 1) != 0;
}

/// Schema metadata of one key and value, as the specification encodes it.
inline std::string Metadata(const std::string& key, const std::string& value) {
  std::string out;
  for (const std::string& part : {std::string(), key, value}) {
    const auto number = static_cast<std::int32_t>(part.empty() ? 1 : part.size());
    out.append(reinterpret_cast<const char*>(&number), sizeof(number));
    out += part;
  }
  return out;
}

}  // namespace stream_store::testing
