#include "storage/tail_walk.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <exception>
#include <thread>
#include <vector>

#include "base/assert.h"
#include "base/threads.h"

namespace stream_store::internal {
namespace {

constexpr std::uint64_t kSerialRecords = 32;  // between two looks at the bytes of the serial part
constexpr std::uint64_t kMostRanges = 4096;   // bounds the memory for the results
constexpr unsigned kMostThreads = 4;          // unless the caller names a number
constexpr std::size_t kMostHelpers = 15;

// Walks up to `limit` with one thread. Returns why it stopped, or null at the limit.
//
// Valid records that were never published may lie in the tail: those that an earlier recovery
// removed, or those of an abandoned import. They carry an earlier session, because a new session
// writes a slot before its first record.
const char* WalkSerially(RecordVerifier& verifier, std::uint16_t session, std::uint64_t limit,
                         Cursor& cursor) {
  const auto of_session = [session](std::uint64_t, const Record& record, std::uint64_t, bool) {
    return SessionOfRecord(record.row_session) == session;
  };
  while (cursor.records < limit) {
    // VerifyRun() also stops at a record that is valid but long, so a stop is not yet a fault.
    const std::uint64_t i = verifier.VerifyRun(cursor.records, limit, cursor, of_session);
    if (i == limit) {
      break;
    }
    const VerifiedRecord verified = verifier.VerifyRecord(i);
    const char* fault = verified.fault;
    if (fault == nullptr && SessionOfRecord(verified.record.row_session) != session) {
      fault = "it was written by another session";
    }
    if (fault == nullptr) {
      fault = WhyNotNext(cursor, verified);
    }
    if (fault != nullptr) {
      return fault;
    }
    Advance(verified, cursor);
  }
  return nullptr;
}

// The result of one range. Where a walk from record to record would reach the range, `end` is
// its cursor, except that layout words and field-writes are counted from the begin of the range.
struct Range {
  Cursor end;
  const char* fault = nullptr;
  std::exception_ptr error;
};

// The ranges of one tail, and the threads that verify them.
class RangeWalk {
 public:
  RangeWalk(const UnsyncedTail& tail, const Cursor& base, std::uint64_t range_records)
      : tail_(tail),
        base_(base),
        range_records_(range_records),
        ranges_((tail.limit - base.records + range_records - 1) / range_records),
        ended_(ranges_.size()) {}

  // Verifies all ranges with up to that many threads, then advances `cursor`, which is the base, to
  // the first record that is not valid. Returns its fault.
  const char* Run(unsigned threads, RecordVerifier& verifier, Cursor& cursor) {
    std::array<std::thread, kMostHelpers> helpers;
    const std::size_t wanted =
        std::min({std::size_t{threads}, ranges_.size(), kMostHelpers + 1}) - 1;
    for (std::size_t i = 0; i < wanted; ++i) {
      try {
        helpers[i] = StartThreadWithoutSignals([this] { Help(); });
      } catch (const std::exception&) {
        break;  // the ranges are taken by the threads that there are
      }
    }
    TakeRanges(verifier);
    for (std::thread& helper : helpers) {
      if (helper.joinable()) {
        helper.join();
      }
    }
    return Join(cursor);
  }

 private:
  // What each thread but the caller's runs. A RecordVerifier belongs to one thread. Without memory for
  // it, this thread takes no range.
  void Help() noexcept {
    std::optional<RecordVerifier> verifier;
    try {
      NameThisThread("ss-open");
      verifier.emplace(tail_.files, tail_.store_schema);
    } catch (const std::exception&) {
      return;
    }
    TakeRanges(*verifier);
  }

  void TakeRanges(RecordVerifier& verifier) noexcept {
    for (;;) {
      const std::size_t range = next_.fetch_add(1, std::memory_order_relaxed);
      if (range >= ended_.load(std::memory_order_relaxed)) {
        return;  // all are taken, or an earlier one has ended early
      }
      if (!Verify(range, verifier)) {
        std::size_t ended = ended_.load(std::memory_order_relaxed);
        while (range < ended && !ended_.compare_exchange_weak(ended, range)) {
        }
      }
    }
  }

  // Returns whether the range was verified to its end.
  bool Verify(std::size_t number, RecordVerifier& verifier) noexcept {
    Range& range = ranges_[number];
    const std::uint64_t begin = base_.records + number * range_records_;
    const std::uint64_t end = std::min(tail_.limit, begin + range_records_);
    try {
      const std::optional<Cursor> cursor = number == 0 ? Counted(base_) : After(begin, verifier);
      if (!cursor.has_value()) {
        range.fault = "the record before it is not valid";
        return false;
      }
      range.end = *cursor;
      range.fault = WalkSerially(verifier, tail_.session, end, range.end);
    } catch (...) {
      range.error = std::current_exception();
    }
    return range.fault == nullptr && range.error == nullptr;
  }

  // A cursor from which the words of layouts and the field-writes of a range are counted.
  static Cursor Counted(Cursor cursor) noexcept {
    cursor.layout_words = 0;
    cursor.field_writes = 0;
    return cursor;
  }

  // The cursor at record `begin` if the record before is valid. Nothing if it cannot be: the walk would
  // then read values that the files do not have.
  std::optional<Cursor> After(std::uint64_t begin, RecordVerifier& verifier) const {
    const Record record = verifier.record(begin - 1);
    const LayoutFacts& layout = verifier.Layout(record.layout);
    const std::uint64_t most = verifier.value_capacity();
    if (layout.fault != nullptr || record.start < base_.values || record.start > most ||
        layout.total > most - record.start) {
      return std::nullopt;
    }
    Cursor cursor = Counted(base_);
    cursor.records = begin - 1;
    cursor.values = record.start;
    Advance(record, layout, cursor);
    return Counted(cursor);
  }

  const char* Join(Cursor& cursor) const {
    for (const Range& range : ranges_) {
      if (range.error != nullptr) {
        std::rethrow_exception(range.error);
      }
      const Cursor before = cursor;
      cursor = range.end;
      cursor.layout_words = std::max(before.layout_words, range.end.layout_words);
      cursor.field_writes += before.field_writes;
      if (range.fault != nullptr) {
        return range.fault;
      }
    }
    return nullptr;
  }

  const UnsyncedTail& tail_;
  const Cursor base_;
  const std::uint64_t range_records_;
  std::vector<Range> ranges_;
  std::atomic<std::size_t> next_ = 0;
  std::atomic<std::size_t> ended_;  // the first range that ended early, or their number
};

std::uint64_t BytesBetween(const Cursor& begin, const Cursor& end) noexcept {
  return (end.records - begin.records) * sizeof(Record) +
         (end.values - begin.values) * sizeof(Value);
}

}  // namespace

const char* WalkTail(const UnsyncedTail& tail, RecordVerifier& verifier, Cursor& cursor,
                     const TailWalkOptions& options) {
  const std::uint64_t limit = tail.limit;
  STREAM_STORE_ASSERT(limit <= verifier.record_capacity());
  if (options.threads == 1 || cursor.records >= limit) {
    return WalkSerially(verifier, tail.session, limit, cursor);
  }
  const Cursor first = cursor;
  while (cursor.records < limit && BytesBetween(first, cursor) < options.serial_bytes) {
    const std::uint64_t end = std::min(limit, cursor.records + kSerialRecords);
    if (const char* fault = WalkSerially(verifier, tail.session, end, cursor)) {
      return fault;
    }
  }
  const unsigned threads =
      options.threads.value_or(std::min(std::thread::hardware_concurrency(), kMostThreads));
  if (cursor.records == limit || threads <= 1) {
    return WalkSerially(verifier, tail.session, limit, cursor);
  }
  const std::uint64_t left = limit - cursor.records;
  const std::uint64_t walked = cursor.records - first.records;
  const std::uint64_t bytes_each =
      walked == 0 ? sizeof(Record) : BytesBetween(first, cursor) / walked;
  const std::uint64_t range_records =
      std::max({options.range_bytes / bytes_each, left / kMostRanges + 1, std::uint64_t{1}});
  RangeWalk walk(tail, cursor, range_records);
  return walk.Run(threads, verifier, cursor);
}

}  // namespace stream_store::internal
