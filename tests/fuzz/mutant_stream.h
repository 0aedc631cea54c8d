// MutantStream: Arrow streams made from random bytes. They are mostly valid, with a few lies of
// kinds that a consumer can detect.
//
// Buffers have exactly the size that the valid values need, so that AddressSanitizer detects every
// read that relies on a lie. An array length beyond the array's own buffers is not among the lies:
// a consumer cannot detect it, because the interface does not give the sizes of buffers.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "stream_store/arrow.h"
#include "stream_store/schema.h"

namespace stream_store::fuzz {

/// Draws numbers from bytes; returns zeros when they are used up.
class Draw {
 public:
  explicit Draw(std::span<const std::uint8_t> bytes) : bytes_(bytes) {}

  std::uint8_t Byte();
  std::uint64_t Below(std::uint64_t end);  ///< 0 if end is 0
  std::int64_t Odd();                      ///< a number that is typical for a lie

  bool Chance(unsigned in) { return Below(in) == 1; }

  bool empty() const { return bytes_.empty(); }

 private:
  std::span<const std::uint8_t> bytes_;
};

/// One array and its schema.
struct Node {
  std::string format;
  std::string name;
  std::int64_t length = 0;
  std::int64_t offset = 0;
  std::int64_t null_count = -1;
  std::vector<std::unique_ptr<std::uint8_t[]>> owned;
  std::vector<std::size_t> sizes;
  std::vector<const void*> buffers;
  std::vector<std::unique_ptr<Node>> children;
  std::unique_ptr<Node> dictionary;
  bool drop_dictionary = false;
  std::int64_t extra_children = 0;  ///< children that n_children does not count
  std::vector<ArrowArray> arrays;
  std::vector<ArrowArray*> array_pointers;
  ArrowArray dictionary_array{};
  std::vector<ArrowSchema> schemas;
  std::vector<ArrowSchema*> schema_pointers;
  ArrowSchema dictionary_schema{};
};

/// A stream of one to three batches of one schema.
class MutantStream {
 public:
  explicit MutantStream(Draw& draw);
  MutantStream(const MutantStream&) = delete;
  MutantStream& operator=(const MutantStream&) = delete;
  ~MutantStream();

  /// Fills the C stream. May be called once; the stream must not outlive this object.
  ArrowArrayStream stream();

  /// Returns fields that match its columns, or almost match them.
  std::vector<Field> Fields(Draw& draw) const;

  /// Whether every struct that was handed out was released exactly once.
  bool AllReleased() const { return handed_out == released && !twice; }

  int handed_out = 0;
  int released = 0;
  bool twice = false;
  std::vector<std::unique_ptr<Node>> batches;
  std::size_t next = 0;
  int failure = 0;  ///< errno of get_next instead of the last batch
};

}  // namespace stream_store::fuzz
