#include "storage/copy_range.h"

#include <algorithm>
#include <array>
#include <span>
#include <utility>
#include <vector>

#include "base/assert.h"
#include "base/str_cat.h"

namespace stream_store::internal {
namespace {

constexpr std::uint64_t kBlockRecords = kCopyBlockBytes / sizeof(Record);

}  // namespace

void ThrowDamagedRecord(const DamagedFiles& source, std::uint64_t record, std::uint64_t records,
                        const char* fault) {
  throw Error(
      ErrorCode::kCorrupt,
      StrCat(source.path, "/records: record ", record, " of ", records, ": ", fault,
             "; nothing was copied; stream_store.repair() can salvage the rows that are intact"));
}

void PrepareFirstChunks(const ChunkSet& files, const Begin& begin) {
  const KindBytes first_bytes = FirstBytes(begin);
  for (const Kind kind : kAllKinds) {
    const ChunkFiles& chunks = files[kind];
    const std::uint64_t byte = first_bytes[Index(kind)];
    const std::uint64_t first = FirstChunk(byte, chunks.chunk_bytes());
    const File file = chunks.OpenOrCreate(first);
    const std::uint64_t needed = byte - first * chunks.chunk_bytes();
    if (file.Size() < needed) {
      file.Truncate(needed);
    }
  }
}

void CopyBytes(const KindReader& from, const ChunkFiles& to, std::uint64_t at, std::uint64_t end,
               ProgressMeter& meter) {
  std::vector<std::byte> block(std::min(end - std::min(at, end), kCopyBlockBytes));
  while (at < end) {
    const auto part = std::span(block).first(std::min<std::uint64_t>(block.size(), end - at));
    if (const std::size_t there = from.ReadAt(part, at); there != part.size()) {
      throw Error(ErrorCode::kCorrupt,
                  StrCat(from.path(), ": expected ", end, " bytes but found ", at + there));
    }
    to.WriteAt(part, at);
    at += part.size();
    meter.Add(part.size());
  }
}

Cursor CopyRecords(const DamagedFiles& source, RecordVerifier& verifier, Cursor cursor,
                   std::uint64_t records, const CopyOutput& out) {
  STREAM_STORE_ASSERT(records <= verifier.record_capacity());
  const ChunkSet& files = out.files;
  HintWriter hints(files);
  std::vector<Record> block;
  for (std::uint64_t i = cursor.records; i < records; ++i) {
    VerifiedRecord verified;
    verified.record = verifier.record(i);
    verified.layout = verifier.Layout(verified.record.layout);
    verified.fault = verified.layout.fault;
    if (verified.fault == nullptr) {
      verified.fault = WhyNotNext(cursor, verified);
    }
    if (verified.fault != nullptr) {
      ThrowDamagedRecord(source, i, records, verified.fault);
    }
    hints.Pass(i, verified, cursor);
    Advance(verified, cursor);
    block.push_back(verified.record);
    if (block.size() == kBlockRecords || i + 1 == records) {
      const std::uint64_t bytes = block.size() * sizeof(Record);
      files[Kind::kRecords].WriteAt(std::as_bytes(std::span(block)),
                                    (i + 1) * sizeof(Record) - bytes);
      out.meter.Add(bytes);
      block.clear();
    }
  }
  hints.Finish();
  const Record sentinel{
      .start = cursor.values, .step = 0, .row_session = 0, .layout = 0, .checksum = 0};
  files[Kind::kRecords].WriteAt(std::as_bytes(std::span(&sentinel, 1)), records * sizeof(Record));
  return cursor;
}

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

void VerifyCopy(const DamagedFiles& source, Cursor cursor, std::uint64_t records, ChunkSet& files,
                ProgressMeter& meter, const CopyFault& fail) {
  RecordVerifier::Parts parts = source.verifier_parts();
  parts.layout_begin = 0;  // a repair numbers its layouts from the first on
  for (const auto& [kind, place] : {std::pair{Kind::kValues, &RecordVerifier::Parts::values},
                                    {Kind::kRecords, &RecordVerifier::Parts::records},
                                    {Kind::kLayouts, &RecordVerifier::Parts::layouts}}) {
    files[kind].Refresh();
    parts.*place = KindReader(files[kind]);
  }
  RecordVerifier copy(parts);
  while (cursor.records < records) {
    const std::uint64_t before = cursor.records * sizeof(Record) + cursor.values * sizeof(Value);
    const std::uint64_t stop = std::min(records, cursor.records + kBlockRecords);
    const std::uint64_t i =
        copy.VerifyRun(cursor.records, stop, cursor,
                       [](std::uint64_t, const Record&, std::uint64_t, bool) { return true; });
    if (i < stop) {
      const VerifiedRecord verified = copy.VerifyRecord(i);
      const char* fault = verified.fault != nullptr ? verified.fault : WhyNotNext(cursor, verified);
      if (fault != nullptr) {
        fail(i, fault);
      }
      Advance(verified, cursor);
    }
    meter.Add(cursor.records * sizeof(Record) + cursor.values * sizeof(Value) - before);
  }
}

}  // namespace stream_store::internal
