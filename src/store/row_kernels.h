// The inner loops of decoded rows: one field's words of many rows become items.
//
// Who uses it: row_columns.h. A kernel is chosen once per column, so that the loops over rows hold
// no choice. Each comes twice: for rows at equal distances (a run of equal records), and for rows
// anywhere, where a missing one must not cost a branch that nobody could predict.
#pragma once

#include <cstddef>
#include <cstdint>

#include "format/encoding.h"

namespace stream_store::internal {

/// Where one field of one row lies. A missing one has zeros to read instead, or no words if its
/// fixed field is too long for that.
struct FieldSource {
  const Value* words = nullptr;
  std::int64_t units = -1;  ///< items of a ragged field, 1 of a fixed one, -1 of a missing one
};

/// Room for the items of rows: place_bytes each at `out`, of which a unit takes unit_bytes.
struct KernelRoom {
  std::byte* out = nullptr;
  std::uint64_t place_bytes = 0;
  std::uint64_t unit_bytes = 0;
  std::uint64_t unit_words = 0;
  std::uint64_t most_units = 0;
};

/// Row i of the run has `units` units at `first + i * stride`; what its place has left becomes
/// zeros.
using RunKernel = void (*)(const Encoding& encoding, const KernelRoom& room, const Value* first,
                           std::uint64_t stride, std::uint64_t units, std::uint64_t rows);

/// Row i has sources[i].
using ScatterKernel = void (*)(const Encoding& encoding, const KernelRoom& room,
                               const FieldSource* sources, std::uint64_t rows);

struct Kernels {
  RunKernel run = nullptr;
  ScatterKernel scatter = nullptr;
};

/// Words that missing rows of a fixed field are read from: fields of more words get nullptr.
inline constexpr std::uint64_t kZeroWords = 64;
const Value* ZeroSource(std::uint64_t words) noexcept;

/// The kernels of a field with values.
Kernels KernelsOf(const Encoding& encoding);

}  // namespace stream_store::internal
