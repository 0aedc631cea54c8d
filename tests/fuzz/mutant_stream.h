// Arrow streams made from bytes: mostly right, with a few lies of the kind that a consumer can
// find.
//
// Buffers have exactly the size that the truth needs, so that AddressSanitizer sees every read that
// believes a lie. Not among the lies: a length of an array beyond its own buffers, which nobody can
// find, since the interface tells no sizes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "stream_store/arrow.h"

namespace stream_store::fuzz {

/// Numbers drawn from bytes; zeros when they are used up.
class Draw {
 public:
  explicit Draw(std::span<const std::uint8_t> bytes) : bytes_(bytes) {}

  std::uint8_t Byte();
  std::uint64_t Below(std::uint64_t end);  ///< 0 if end is 0
  std::int64_t Odd();                      ///< some number that lies like to be

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
  std::int64_t extra_children = 0;  ///< told less than there are
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

  /// May be called once; what it fills must not outlive this.
  ArrowArrayStream stream();

  /// Fields that its columns fit, or nearly.
  std::vector<Field> Fields(Draw& draw) const;

  /// Whether everything that was handed out was released, once.
  bool AllReleased() const { return handed_out == released && !twice; }

  int handed_out = 0;
  int released = 0;
  bool twice = false;
  std::vector<std::unique_ptr<Node>> batches;
  std::size_t next = 0;
  int failure = 0;  ///< errno of get_next instead of the last batch
};

}  // namespace stream_store::fuzz
