// For bindings, exporters and data loaders that build on StreamStore: access below the public API.
//
// This header may change in any version; programs that read and write stores do not need it. It
// serves the Python package, the Arrow export and readers of other processes. Everything is in
// namespace stream_store::interop. Thread rules are those of the Reader or WindowSampler that a
// function is given.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <functional>
#include <memory>
#include <span>

#include "stream_store/export.h"
#include "stream_store/reader.h"
#include "stream_store/sampler.h"
#include "stream_store/store.h"
#include "stream_store/types.h"

namespace stream_store::interop {

// -- Temporary stores in another process

/// Returns the hidden directory of a temporary store, with which another process of the same host
/// and user can read it by TakeOver(). It exists as long as the writer is open, or a Reader in the
/// process of the writer.
///
/// Throws Error(kInvalidArgument) for a persistent store, which any process can open by its path.
STREAM_STORE_API std::filesystem::path HandOver(const Reader& reader);

/// Returns a Reader of another process's temporary store, which follows the writer while that is
/// open. Afterwards the Reader keeps all rows.
///
/// directory  the result of HandOver().
/// Throws     Error: kNotFound (the store was closed, or its process ended), kCorrupt, kVersion,
///            kIo.
STREAM_STORE_API Reader TakeOver(const std::filesystem::path& directory);

// -- Writers of a binding

/// As StreamStore::Open(), but drops no rows before StartDropping(): the caller can check the store
/// and change its limits first. Without StartDropping(), Close() drops nothing either.
STREAM_STORE_API StreamStore OpenWithoutDropping(const std::filesystem::path& path,
                                                 const Options& options);

/// Drops rows from now on, as the limits of the store demand. Does nothing the second time. Throws
/// as StreamStore::SetRetention().
STREAM_STORE_API void StartDropping(StreamStore& store);

/// Sets the function that is called whenever rows were dropped in the background. It runs on the
/// thread that dropped them, must not throw, and may be called until Close() has returned. If it
/// returns false, it is called again in a moment.
///
/// REQUIRES: no rows are dropped yet: it is a new store, or one of OpenWithoutDropping().
STREAM_STORE_API void OnDrop(StreamStore& store, std::function<bool()> dropped);

/// While it exists, appends of this thread do not wait, neither for rows to be dropped nor for disk space
/// that was freed a moment ago. An append that would have to wait throws Error(kNoSpace), and the
/// store is as it was: the caller can release a lock of its own, and try again without this object.
class STREAM_STORE_API NoWaiting {
 public:
  NoWaiting() noexcept;
  ~NoWaiting();
  NoWaiting(const NoWaiting&) = delete;
  NoWaiting& operator=(const NoWaiting&) = delete;

  /// Whether an append of this thread would have had to wait.
  bool refused() const noexcept;
};

/// The Reader that a writer keeps for itself from call to call. While no call uses it, the thread
/// that drops rows can take it away: the disk space of the rows would not be free otherwise, until
/// the next call refreshes the Reader.
///
/// Thread rules: LetGo() may be called from any thread, all other functions from one at a time.
class STREAM_STORE_API KeptReader {
 public:
  KeptReader();  ///< without a Reader
  ~KeptReader();
  KeptReader(const KeptReader&) = delete;
  KeptReader& operator=(const KeptReader&) = delete;

  /// Replaces the Reader.
  void Set(Reader reader);

  /// Leaves it without a Reader.
  void Reset() noexcept;

  /// Returns the Reader, refreshed to the rows stored now; null without one. It stays as it is until
  /// the next Use(), at least while the caller keeps the pointer. Throws as Reader::Refresh().
  std::shared_ptr<Reader> Use();

  /// As Use(), but does not refresh a Reader that is there.
  std::shared_ptr<Reader> Last();

  /// Lets the Reader go, and with it the rows that it holds; Use() makes it again. Returns false if
  /// a call is using it: then nothing has changed.
  bool LetGo() noexcept;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// -- Whole stores, without a copy

/// A run of consecutive records of one layout, in place: record i of `count` has its values at
/// values + i * stride.
///
/// Each record begins a new row, the one after the row of the record before it; or the run is a
/// single record that continues the row of the record before it.
struct RecordRun {
  /// A field-write that every record of the run has: `length` words that begin `begin` words into
  /// the record. The length is one that the field can have.
  struct Part {
    TypeId type;
    std::uint64_t begin;
    std::uint64_t length;
  };

  Row row = 0;  ///< of the first record
  std::uint64_t count = 0;
  bool begins_row = true;
  const Value* values = nullptr;
  std::uint64_t stride = 0;          ///< in values
  std::span<const Part> parts = {};  ///< by rising type id; valid during the visit only

  /// The step of record `i`.
  Step step(std::uint64_t i) const noexcept {
    Step step = 0;
    std::memcpy(&step, steps + i * step_stride_bytes, sizeof(step));
    return step;
  }

  const std::byte* steps = nullptr;     ///< the step of the first record
  std::uint64_t step_stride_bytes = 0;  ///< from the step of one record to that of the next
};

/// Calls visit(run) for all records of rows [begin, end), in order, until it returns false.
///
/// Cost    one comparison for each record and one call for each run; nothing is copied, except by a
///         safe reader.
/// Throws  Error: kOutOfRange, kCorrupt, and at the end kCutBack: the visited runs are then void.
STREAM_STORE_API void ScanRows(const Reader& reader, Row begin, Row end,
                               const std::function<bool(const RecordRun&)>& visit);

// -- Functions of the public API, without their allocations

/// Returns the number of field-writes of rows [begin, end). Throws Error(kOutOfRange).
STREAM_STORE_API std::uint64_t CountIndex(const Reader& reader, Row begin, Row end);

/// Writes the entries that Reader::IndexTable() returns to `out`, which has CountIndex(reader,
/// begin, end) elements. Throws Error(kOutOfRange), and Error(kCorrupt) for another number of
/// elements.
STREAM_STORE_API void ReadIndex(const Reader& reader, Row begin, Row end,
                                std::span<IndexEntry> out);

/// As Reader::RowAt() for many times, with fractions that no number holds exactly: those of times in
/// a finer unit than that of the field.
///
/// rests   one for each time, which it makes larger: 0 by nothing, 1 by up to a half, 2 by more than
///         a half but less than 1; 3 stands for a time that is less than any other. Only for a field of
///         integers or times.
STREAM_STORE_API void FindTimes(const Reader& reader, std::span<const std::int64_t> times,
                                std::span<const std::uint8_t> rests, TypeId field, Side side,
                                std::span<Row> out);

/// How many forks lie between the process that loaded the library and this one. A binding compares
/// it with the number at opening, to refuse a call in a forked child before it converts arguments.
STREAM_STORE_API const std::atomic<int>& Forks() noexcept;

/// Returns the checksum of the last record, over its values, layout, position and session; 0 if
/// there is no record. Two snapshots with equal id(), records() and checksum hold the same rows.
STREAM_STORE_API std::uint32_t LastChecksum(const Reader& reader);

/// Returns the number of the first record that is retained.
STREAM_STORE_API std::uint64_t FirstRecord(const Reader& reader) noexcept;

/// Returns the CRC32C of some bytes.
STREAM_STORE_API std::uint32_t Checksum(std::span<const std::byte> bytes) noexcept;

/// Returns the id of the store that this one is a checkpoint or a replica of, or zeros.
STREAM_STORE_API std::array<std::uint8_t, 16> ParentId(const Reader& reader) noexcept;

// -- Samplers that read ahead

/// Returns how many rows the sampler has not scanned for segments yet; its next call scans them
/// first. 0 without `segment_by`. A caller that must not be delayed can make that call on another
/// thread.
STREAM_STORE_API std::uint64_t UnscannedRows(WindowSampler& sampler);

/// Declares that the last `batches` batches, and if `end` is true also the end of the epoch, were
/// drawn but not yet handed to the user: state() does not count them.
STREAM_STORE_API void SetPrefetched(WindowSampler& sampler, std::uint64_t batches,
                                    bool end = false) noexcept;

/// The number of batches that SetPrefetched() set.
STREAM_STORE_API std::uint64_t Prefetched(const WindowSampler& sampler) noexcept;

/// Returns the prefetched batches to the sampler, which draws them again.
STREAM_STORE_API void ReturnPrefetched(WindowSampler& sampler) noexcept;

/// Fills `batch` with the starts of the given numbers.
///
/// indices  the numbers of starts: below the number of starts of the epoch under way, or else below
///          NumStarts(). While the store of a sampler grows a number keeps its start, unless lanes
///          are combined with segments, or first_row counts from the end. With several stores, the
///          starts of each store follow those of the stores before it.
/// Throws   Error(kOutOfRange) naming the first bad number.
STREAM_STORE_API void ReadStarts(WindowSampler& sampler, std::span<const std::uint64_t> indices,
                                 WindowBatch& batch);

// -- Samplers of a group

/// The number of the store in a number of WindowBatch::ReadIndices().
STREAM_STORE_API std::uint64_t StoreOfIndex(std::int64_t index) noexcept;

/// Looks for stores that have come or gone, and takes them into the sampler unless it is in an epoch.
/// Throws as StoreGroup::Refresh().
STREAM_STORE_API void LookForStores(WindowSampler& sampler);

}  // namespace stream_store::interop
