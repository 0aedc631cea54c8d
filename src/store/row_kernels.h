// The inner loops of decoded rows: one field's words of many rows become items.
//
// A kernel is chosen once per column, so that the loops over rows decide nothing. Each exists
// twice: for rows at equal distances (a run of records of one layout), and for rows anywhere, where
// a missing field must not cost a branch, since it could not be predicted.
//
// Used by row_columns.h. Thread rules: pure functions.
#pragma once

#include <cstddef>
#include <cstdint>

#include "format/encoding.h"

namespace stream_store::internal {

/// Where one field of one row lies. A missing field points to zeros, so that kernels need not test
/// for it, or is null if it is fixed and longer than kZeroWords.
struct FieldSource {
  const Value* words = nullptr;
  /// Items of a ragged field, words of a block field, 1 for a fixed field, -1 for a missing one.
  std::int64_t units = -1;
};

/// The output of a kernel: place_bytes per row at `out`, with room for most_units units. A unit is
/// an item of a ragged field or a whole fixed field: unit_words in the store, unit_bytes in the
/// output.
///
/// Block fields (see Encoding) differ. The store has one unit per word, and the kernel finds the
/// number of items in the first of them; in the output, unit_bytes and most_units count items of
/// the outermost dimension.
struct KernelRoom {
  std::byte* out = nullptr;
  std::uint64_t place_bytes = 0;
  std::uint64_t unit_bytes = 0;
  std::uint64_t unit_words = 0;
  std::uint64_t most_units = 0;
};

/// Row i of the run has `units` units at `first + i * stride`. The rest of its place becomes zeros.
using RunKernel = void (*)(const Encoding& encoding, const KernelRoom& room, const Value* first,
                           std::uint64_t stride, std::uint64_t units, std::uint64_t rows);

/// Row i has the words and units of sources[i].
using ScatterKernel = void (*)(const Encoding& encoding, const KernelRoom& room,
                               const FieldSource* sources, std::uint64_t rows);

struct Kernels {
  RunKernel run = nullptr;
  ScatterKernel scatter = nullptr;
};

/// Zeros to read a missing fixed field of `words` words from; null if it has more than kZeroWords.
inline constexpr std::uint64_t kZeroWords = 64;
const Value* ZeroSource(std::uint64_t words) noexcept;

/// The length of one field-write of a block field: its items of the outermost dimension. A missing
/// one, of -1 words, has none.
inline std::int64_t LengthOfBlock(const Encoding& encoding, const Value* words,
                                  std::int64_t count) noexcept {
  if (count <= 0) {
    return 0;
  }
  const BlockItems block = ItemsOfBlock(encoding, {words, static_cast<std::size_t>(count)});
  return static_cast<std::int64_t>(block.count / encoding.items);
}

/// The kernels of a field, for this processor.
Kernels KernelsOf(const Encoding& encoding);

}  // namespace stream_store::internal
