// BlockChecker: checks the block fields of records whose checksums are right.
//
// A checksum shows that the bytes are those that were written, not that they are valid: a program
// may write words of its own, or a store may be made by hand. Opening a store does not look at
// blocks, and reads are safe with any bytes, so only Verify() and Repair() check them.
//
// Used by verify_scan.cc. Thread rules: an object belongs to one thread.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "stream_store/types.h"

#include "format/encoding.h"
#include "storage/record_verifier.h"

namespace stream_store::internal {

/// The first invalid field-write of a record.
struct BlockFault {
  TypeId type = 0;             ///< its field
  std::uint64_t position = 0;  ///< of its first value
  std::string reason;          ///< such as "3 words with 99 items"
};

class BlockChecker {
 public:
  /// encodings  of all fields; must outlive the checker.
  explicit BlockChecker(std::span<const Encoding> encodings);

  /// Checks the field-writes of one record: the number of items against the number of words, the
  /// padding, the UTF-8 of strings, and the whole block of nested cells. It is called for records
  /// that `verifier` found valid.
  ///
  /// Cost    proportional to the bytes of its block fields; memory for the largest nested cell.
  /// Throws  Error(kIo), and std::bad_alloc if there is no memory for a nested cell.
  std::optional<BlockFault> Check(RecordVerifier& verifier, const Record& record);

 private:
  // A field-write of a block field in a layout; `begin` counts from the first value of the record.
  struct Part {
    TypeId type;
    std::uint64_t begin;
    std::uint64_t words;
  };

  struct LayoutParts {
    std::uint64_t key = 0;  // word offset of the layout + 1; 0 marks an empty entry
    std::vector<Part> parts;
  };

  const std::vector<Part>& PartsOf(RecordVerifier& verifier, std::uint32_t layout);

  std::span<const Encoding> encodings_;
  bool has_blocks_;
  std::array<LayoutParts, 64> known_{};  // layouts by the low bits of their offset
};

}  // namespace stream_store::internal
