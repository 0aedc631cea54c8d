#include "storage/copy.h"

#include <algorithm>
#include <array>
#include <span>
#include <utility>
#include <vector>

#include "base/assert.h"
#include "base/str_cat.h"
#include "storage/open.h"
#include "storage/record_verifier.h"

namespace stream_store::internal {
namespace {

constexpr std::uint64_t kBlockBytes = 1 << 20;
constexpr std::uint64_t kBlockRecords = kBlockBytes / sizeof(Record);

// Adds up the bytes of all passes of one copy and reports them.
class ProgressMeter {
 public:
  ProgressMeter(const Progress& progress, std::uint64_t total)
      : progress_(progress), total_(total) {}

  void Add(std::uint64_t bytes) {
    done_ += bytes;
    if (progress_) {
      progress_(std::min(done_, total_), total_);
    }
  }

 private:
  const Progress& progress_;
  std::uint64_t total_;
  std::uint64_t done_ = 0;
};

[[noreturn]] void ThrowRecord(const DamagedFiles& source, std::uint64_t record,
                              std::uint64_t records, const char* fault) {
  throw Error(
      ErrorCode::kCorrupt,
      StrCat(source.path, "/records: record ", record, " of ", records, ": ", fault,
             "; nothing was copied; stream_store.repair() can salvage the records before it"));
}

void CopyBytes(const File& from, const File& to, std::uint64_t bytes, ProgressMeter& meter) {
  std::vector<std::byte> block(std::min(bytes, kBlockBytes));
  for (std::uint64_t at = 0; at < bytes;) {
    const auto part = std::span(block).first(std::min<std::uint64_t>(block.size(), bytes - at));
    if (from.ReadAt(part, at) != part.size()) {
      throw Error(ErrorCode::kCorrupt,
                  StrCat(from.path(), ": expected ", bytes, " bytes but found ", from.Size()));
    }
    to.WriteAt(part, at);
    at += part.size();
    meter.Add(part.size());
  }
}

// Buffers one member of the hints. Position hints and row hints are produced at different rates, so
// each member is buffered separately and merged into the file by Flush().
template <std::uint64_t Hint::* kWord>
class HintWords {
 public:
  explicit HintWords(const File& file) : file_(file) {}

  void Set(std::uint64_t slot, std::uint64_t record) {
    if (slot >= first_ + kMost) {
      Flush();
      first_ = slot;
    }
    words_.resize(slot - first_ + 1);
    words_.back() = record;
  }

  // The other member of these hints may be in the file already, so they are read before they are
  // written.
  void Flush() {
    std::vector<Hint> hints(words_.size(), Hint{});
    const auto bytes = std::as_writable_bytes(std::span(hints));
    file_.ReadAt(bytes, first_ * sizeof(Hint));
    for (std::size_t i = 0; i < words_.size(); ++i) {
      hints[i].*kWord = words_[i];
    }
    file_.WriteAt(bytes, first_ * sizeof(Hint));
    words_.clear();
  }

 private:
  static constexpr std::uint64_t kMost = 1 << 14;
  const File& file_;
  std::uint64_t first_ = 0;
  std::vector<std::uint64_t> words_;
};

// Writes the hints of records that are given to it in order.
class HintWriter {
 public:
  explicit HintWriter(const File& file) : positions_(file), rows_(file) {}

  void Pass(std::uint64_t record, const VerifiedRecord& verified, const Cursor& before) {
    const std::uint64_t end = before.values + verified.layout.total;
    ForEachHintSlot(before.values, end, [&](std::uint64_t slot) { positions_.Set(slot, record); });
    const std::uint64_t row = RowOfRecord(verified.record.row_session);
    if (row == before.rows && row % kHintStride == 0) {
      rows_.Set(row / kHintStride, record);
    }
  }

  void Finish() {
    positions_.Flush();
    rows_.Flush();
  }

 private:
  HintWords<&Hint::position_record> positions_;
  HintWords<&Hint::row_record> rows_;
};

// Copies the records and writes their hints. Checks that each record follows the one before; its
// values are only counted here and verified by VerifyCopy().
Cursor CopyRecords(const DamagedFiles& source, RecordVerifier& verifier, std::uint64_t records,
                   const StoreFiles::Parts& parts, ProgressMeter& meter) {
  Cursor cursor;
  HintWriter hints(parts.hints);
  std::vector<Record> block;
  for (std::uint64_t i = 0; i < records; ++i) {
    VerifiedRecord verified;
    verified.record = verifier.record(i);
    verified.layout = verifier.Layout(verified.record.layout);
    verified.fault = verified.layout.fault;
    if (verified.fault == nullptr) {
      verified.fault = WhyNotNext(cursor, verified);
    }
    if (verified.fault != nullptr) {
      ThrowRecord(source, i, records, verified.fault);
    }
    hints.Pass(i, verified, cursor);
    Advance(verified, cursor);
    block.push_back(verified.record);
    if (block.size() == kBlockRecords || i + 1 == records) {
      const std::uint64_t bytes = block.size() * sizeof(Record);
      parts.records.WriteAt(std::as_bytes(std::span(block)), (i + 1) * sizeof(Record) - bytes);
      meter.Add(bytes);
      block.clear();
    }
  }
  hints.Finish();
  const Record sentinel{
      .start = cursor.values, .step = 0, .row_session = 0, .layout = 0, .checksum = 0};
  parts.records.WriteAt(std::as_bytes(std::span(&sentinel, 1)), records * sizeof(Record));
  return cursor;
}

// The highest session number of the source, so that the copy's next session is newer than all
// records.
std::uint64_t SessionOf(const DamagedFiles& source) {
  std::uint64_t session = source.Live(&LiveWords::session);
  for (const int which : {0, 1}) {
    std::array<std::byte, kSlotBytes> bytes{};
    source.control->ReadAt(bytes, kSlotOffset[which]);
    if (const auto slot = DecodeSlot(bytes, source.identity->id)) {
      session = std::max(session, slot->session);
    }
  }
  return session;
}

void WriteControl(const DamagedFiles& source, const Cursor& end, const StoreFiles::Parts& parts) {
  const std::uint64_t session = SessionOf(source);
  const LiveWords live{.published = end.records,
                       .session = session,
                       .truncations = 0,
                       .state = kLiveClosed,
                       .durable = end.records};
  parts.control.WriteAt(std::as_bytes(std::span(&live, 1)), kLiveOffset);
  WriteFirstSlots(parts.control, MakeSlot(parts.identity.id, session, end, /*clean=*/true));
}

// Verifies the copy from the bytes that were written.
void VerifyCopy(const DamagedFiles& source, const StoreFiles::Parts& parts, std::uint64_t records,
                ProgressMeter& meter) {
  RecordVerifier copy({.values = &parts.values,
                       .records = &parts.records,
                       .layouts = &parts.layouts,
                       .seed = parts.identity.checksum_seed,
                       .encodings = source.encodings});
  Cursor cursor;
  while (cursor.records < records) {
    const std::uint64_t before = cursor.records * sizeof(Record) + cursor.values * sizeof(Value);
    const std::uint64_t stop = std::min(records, cursor.records + kBlockRecords);
    const std::uint64_t i =
        copy.VerifyRun(cursor.records, stop, cursor,
                       [](std::uint64_t, const Record&, std::uint64_t, bool) { return true; });
    if (i < stop) {
      const VerifiedRecord verified = copy.VerifyRecord(i);
      if (verified.fault != nullptr) {
        ThrowRecord(source, i, records, verified.fault);
      }
      Advance(verified, cursor);
    }
    meter.Add(cursor.records * sizeof(Record) + cursor.values * sizeof(Value) - before);
  }
}

}  // namespace

Cursor CopyStore(const DamagedFiles& source, std::uint64_t records,
                 const std::filesystem::path& path, const Progress& progress) {
  STREAM_STORE_ASSERT(source.verifiable());
  const PathState there = InspectPath(path);
  if (there == PathState::kStore || there == PathState::kSomethingElse) {
    throw Error(ErrorCode::kAlreadyExists,
                StrCat(PathText(path), ": copying ", source.path,
                       " there: expected nothing or an empty directory but found ",
                       there == PathState::kStore ? "a store" : "something else"));
  }
  Cursor end;
  const auto fill = [&](StoreFiles::Parts& parts) {
    parts.identity.parent = source.identity->id;
    // Records are copied together with their checksums, so the copy needs the same seed.
    parts.identity.checksum_seed = source.identity->checksum_seed;
    RecordVerifier verifier({.values = source.values,
                             .records = source.records,
                             .layouts = source.layouts,
                             .seed = parts.identity.checksum_seed,
                             .encodings = source.encodings});
    if (records > verifier.record_capacity()) {
      throw Error(ErrorCode::kCorrupt, StrCat(source.path, "/records: expected ", records,
                                              " records but found ", verifier.record_capacity()));
    }
    // Only for the total of the progress: this record may be damaged.
    const std::uint64_t values =
        records == 0 ? 0 : std::min(verifier.record(records).start, verifier.value_capacity());
    ProgressMeter meter(progress, 2 * (records * sizeof(Record) + values * sizeof(Value)));
    end = CopyRecords(source, verifier, records, parts, meter);
    CopyBytes(*source.values, parts.values, end.values * sizeof(Value), meter);
    CopyBytes(*source.layouts, parts.layouts, end.layout_words * sizeof(std::uint64_t), meter);
    // No record refers to word 0 through the file, so damage to it would be copied unnoticed.
    const std::array<std::byte, sizeof(std::uint64_t)> empty_layout{};
    parts.layouts.WriteAt(empty_layout, 0);
    parts.control.Allocate(0, kControlBytes);
    parts.control.WriteAt(EncodeIdentity(parts.identity), kIdentityOffset);
    WriteControl(source, end, parts);
    VerifyCopy(source, parts, records, meter);
  };
  CreateClosedStore(path, *source.schema, fill);
  return end;
}

}  // namespace stream_store::internal
