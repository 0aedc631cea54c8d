// Model: the records that a store should have, as a plain list. Shares no code with the library.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "stream_store/reader.h"
#include "stream_store/store.h"

#include "crash/random.h"

namespace stream_store::crash {

inline constexpr std::size_t kFields = 4;
inline constexpr int kMissing = -1;

/// The record of one append. Its values are computed from `seed`, so that it is small.
struct ModelRecord {
  Step step = 0;
  bool begins_row = true;
  std::array<int, kFields> lengths{kMissing, kMissing, kMissing, kMissing};
  std::uint64_t seed = 0;

  /// Values are 1 or 2 (0 or 1 in the bool field), so that different records often look alike.
  Value value(std::size_t field, int index) const noexcept;
  int first_field() const noexcept;  ///< kFields if it has none
  int last_field() const noexcept;   ///< -1 if it has none
};

/// The fields of every store of the crash tests: scalar, ragged, shape [2], bool.
std::vector<Field> ModelFields();

/// The values of a record in memory, and the field-writes that point to them.
class Call {
 public:
  /// With `broken`, the last field-write gets an invalid item.
  Call(const ModelRecord& record, bool broken);
  Call(const Call&) = delete;
  Call& operator=(const Call&) = delete;

  std::span<const FieldWrite> writes() const noexcept { return {writes_.data(), count_}; }

 private:
  std::vector<Value> values_;
  std::array<FieldWrite, kFields> writes_;
  std::size_t count_ = 0;
};

class Model {
 public:
  std::vector<ModelRecord> records;  ///< everything appended, in order
  std::size_t synced = 0;            ///< records that must survive a power cut
  Row first_row = 0;                 ///< the rows before it were dropped

  /// Throws std::runtime_error, naming the place, unless `reader` has the first reader.records()
  /// records, without those before reader.first_row().
  void Check(const Reader& reader, Random& random) const;

  std::uint64_t rows(std::size_t records) const;

  /// The record that begins a row.
  std::size_t RecordOfRow(Row row) const;
  std::uint64_t values(std::size_t records) const;

 private:
  std::size_t CheckRow(const Reader& reader, Row row, std::size_t first) const;
};

}  // namespace stream_store::crash
