#include "storage/copy.h"

#include <algorithm>
#include <array>
#include <functional>
#include <span>
#include <system_error>
#include <utility>
#include <vector>

#include "base/assert.h"
#include "base/str_cat.h"
#include "format/schema_since.h"
#include "storage/copy_parts.h"
#include "storage/open.h"
#include "storage/record_copier.h"
#include "storage/record_verifier.h"

namespace stream_store::internal {
namespace {

constexpr std::uint64_t kBlockRecords = kCopyBlockBytes / sizeof(Record);

using Fail = std::function<void(std::uint64_t record, const char* fault)>;

[[noreturn]] void ThrowRecord(const DamagedFiles& source, std::uint64_t record,
                              std::uint64_t records, const char* fault) {
  throw Error(
      ErrorCode::kCorrupt,
      StrCat(source.path, "/records: record ", record, " of ", records, ": ", fault,
             "; nothing was copied; stream_store.repair() can salvage the rows that are intact"));
}

void CopyBytes(const File& from, const File& to, std::uint64_t bytes, ProgressMeter& meter) {
  std::vector<std::byte> block(std::min(bytes, kCopyBlockBytes));
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
                       .durable = end.records,
                       .schema_revision = parts.schema.revision()};
  parts.control.WriteAt(std::as_bytes(std::span(&live, 1)), kLiveOffset);
  WriteFirstSlots(parts.control, MakeSlot(parts.identity.id, session, end, /*clean=*/true));
}

// Verifies the copy from the bytes that were written. Calls `fail`, which throws, with the first
// invalid record and the reason.
void VerifyCopy(const DamagedFiles& source, const StoreFiles::Parts& parts, std::uint64_t records,
                ProgressMeter& meter, const Fail& fail) {
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
      const char* fault = verified.fault != nullptr ? verified.fault : WhyNotNext(cursor, verified);
      if (fault != nullptr) {
        fail(i, fault);
      }
      Advance(verified, cursor);
    }
    meter.Add(cursor.records * sizeof(Record) + cursor.values * sizeof(Value) - before);
  }
}

// Refuses a target that is in use, or that lies inside the source: a store directory contains only
// the files of the store, and deleting the source would delete the copy.
void CheckTarget(const DamagedFiles& source, const std::filesystem::path& path) {
  const PathState there = InspectPath(path);
  if (there == PathState::kStore || there == PathState::kSomethingElse) {
    throw Error(ErrorCode::kAlreadyExists,
                StrCat(PathText(path), ": copying ", source.path,
                       " there: expected nothing or an empty directory but found ",
                       there == PathState::kStore ? "a store" : "something else"));
  }
  std::error_code ignored;  // a path that cannot be resolved cannot be created either
  std::filesystem::path above =
      std::filesystem::weakly_canonical(std::filesystem::absolute(path, ignored), ignored);
  while (source.persistent && above.has_relative_path()) {
    above = above.parent_path();
    if (std::filesystem::equivalent(above, source.path, ignored)) {
      throw Error(ErrorCode::kInvalidArgument,
                  StrCat(PathText(path), ": copying ", source.path,
                         " there: expected a path outside the store but found one inside it"));
    }
  }
}

// Creates the copy. `write` writes its values, records and hints, and returns its end; the rest is
// the same for all copies.
Cursor CreateCopy(const DamagedFiles& source, const std::filesystem::path& path,
                  ProgressMeter& meter, const std::function<Cursor(StoreFiles::Parts&)>& write,
                  const std::function<void(const Cursor&, std::uint64_t, const char*)>& fail) {
  CheckTarget(source, path);
  Cursor end;
  const auto fill = [&](StoreFiles::Parts& parts) {
    parts.identity.parent = source.identity->id;
    // Records are copied together with their checksums, so the copy needs the same seed.
    parts.identity.checksum_seed = source.identity->checksum_seed;
    end = write(parts);
    CopyBytes(*source.layouts, parts.layouts, end.layout_words * sizeof(std::uint64_t), meter);
    // No record refers to word 0 through the file, so damage to it would be copied unnoticed.
    const std::array<std::byte, sizeof(std::uint64_t)> empty_layout{};
    parts.layouts.WriteAt(empty_layout, 0);
    parts.control.Allocate(0, kControlBytes);
    parts.control.WriteAt(EncodeIdentity(parts.identity), kIdentityOffset);
    WriteControl(source, end, parts);
    VerifyCopy(source, parts, end.records, meter,
               [&](std::uint64_t record, const char* fault) { fail(end, record, fault); });
  };
  CreateClosedStore(path, *source.schema, fill);
  return end;
}

}  // namespace

Cursor CopyStore(const DamagedFiles& source, std::uint64_t records,
                 const std::filesystem::path& path, const Progress& progress) {
  STREAM_STORE_ASSERT(source.verifiable());
  RecordVerifier verifier({.values = source.values,
                           .records = source.records,
                           .layouts = source.layouts,
                           .seed = source.identity->checksum_seed,
                           .encodings = source.encodings});
  const bool there = records <= verifier.record_capacity();
  // Only for the total of the progress: this record may be damaged.
  const std::uint64_t values =
      records == 0 || !there ? 0
                             : std::min(verifier.record(records).start, verifier.value_capacity());
  ProgressMeter meter(progress, 2 * (records * sizeof(Record) + values * sizeof(Value)));
  const auto write = [&](StoreFiles::Parts& parts) {
    if (!there) {
      throw Error(ErrorCode::kCorrupt, StrCat(source.path, "/records: expected ", records,
                                              " records but found ", verifier.record_capacity()));
    }
    const Cursor end = CopyRecords(source, verifier, records, parts, meter);
    parts.schema = SinceAtMost(*source.schema, end.records, source.schema->revision());
    CopyBytes(*source.values, parts.values, end.values * sizeof(Value), meter);
    return end;
  };
  return CreateCopy(source, path, meter, write,
                    [&](const Cursor&, std::uint64_t record, const char* fault) {
                      ThrowRecord(source, record, records, fault);
                    });
}

Cursor CopyChosen(const DamagedFiles& source, const CopyPlan& plan,
                  const std::filesystem::path& path, const Progress& progress) {
  STREAM_STORE_ASSERT(source.verifiable());
  ProgressMeter meter(progress, 2 * plan.most_bytes);
  const auto write = [&](StoreFiles::Parts& parts) {
    RecordCopier copier(source, parts, meter);
    plan.choose(copier);
    const Cursor end = copier.Finish();
    parts.schema = copier.schema();
    return end;
  };
  const Cursor end = CreateCopy(
      source, path, meter, write, [&](const Cursor& all, std::uint64_t record, const char* fault) {
        throw Error(ErrorCode::kCorrupt,
                    StrCat(PathText(path), "/records: record ", record, " of ", all.records,
                           ", read back after writing: ", fault, "; the copy was removed"));
      });
  meter.Finish();
  return end;
}

}  // namespace stream_store::internal
