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

inline constexpr std::size_t kFirstFields = 4;  ///< with which a store is created
inline constexpr std::size_t kMostFields = 7;   ///< with those that may be added later
inline constexpr std::size_t kFlag = 3;         ///< of dtype bool, and one of the first fields
inline constexpr int kMissing = -1;

/// For each field that was added to a store, the number of records that it had then.
using Added = std::vector<std::uint64_t>;

/// The record of one append. Its values are computed from `seed`, so that it is small.
struct ModelRecord {
  Step step = 0;
  bool begins_row = true;
  std::array<int, kMostFields> lengths;
  std::uint64_t seed = 0;
  std::uint64_t serial = 0;  ///< no other append has the same

  ModelRecord() { lengths.fill(kMissing); }

  /// Values are 1 or 2 (0 or 1 in a bool field), so that different records often look alike.
  Value value(std::size_t field, int index) const noexcept;
  int last_field() const noexcept;  ///< -1 if it has none
};

/// The first `count` fields of the stores of the crash tests: scalar, ragged, shape [2], bool, and
/// those that may be added: scalar, ragged, bool.
std::vector<Field> ModelFields(std::size_t count = kFirstFields);

/// When the fields of a schema were added. Throws std::runtime_error unless they are the first ones
/// of ModelFields(), and its first four were there from the beginning.
Added AddedFields(const Schema& schema);

/// Returns the numbers that are left when a store lost all but `records` of its records.
Added Lowered(Added added, std::uint64_t records);

/// The values of a record in memory, and the field-writes that point to them.
class Call {
 public:
  /// With `broken`, the flag gets an invalid item.
  Call(const ModelRecord& record, bool broken);
  Call(const Call&) = delete;
  Call& operator=(const Call&) = delete;

  std::span<const FieldWrite> writes() const noexcept { return {writes_.data(), count_}; }

 private:
  std::vector<Value> values_;
  std::array<FieldWrite, kMostFields> writes_;
  std::size_t count_ = 0;
};

class Model {
 public:
  std::vector<ModelRecord> records;  ///< everything appended, in order
  std::size_t synced = 0;            ///< records that must survive a power cut
  Row first_row = 0;                 ///< the rows before it were dropped
  Added added;                       ///< the fields that the store has beyond the first ones

  /// Throws std::runtime_error, naming the place, unless `reader` has the first reader.records()
  /// records, without those before reader.first_row().
  void Check(const Reader& reader, Random& random) const;

  std::uint64_t rows(std::size_t records) const;

  /// The record that begins a row.
  std::size_t RecordOfRow(Row row) const;
  std::uint64_t values(std::size_t records) const;

  std::size_t fields() const noexcept { return kFirstFields + added.size(); }

  /// Whether any record of a row has a flag that is true.
  bool FlagOfRow(Row row) const;

 private:
  std::size_t CheckRow(const Reader& reader, Row row, std::size_t first) const;
};

}  // namespace stream_store::crash
