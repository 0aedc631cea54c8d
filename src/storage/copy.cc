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
#include "storage/copy_range.h"
#include "storage/open.h"
#include "storage/record_copier.h"
#include "storage/record_verifier.h"

namespace stream_store::internal {
namespace {

void WriteControl(const DamagedFiles& source, const Begin& begin, const Cursor& end,
                  const StoreFiles::Parts& parts) {
  const std::uint64_t session = SessionOf(source);
  LiveWords live{};
  live.published = end.records;
  live.begin = begin.records;
  live.layout_begin = begin.layout_words;
  live.session = session;
  live.state = kLiveClosed;
  live.durable = end.records;
  live.schema_revision = parts.schema.revision();
  parts.control.WriteAt(std::as_bytes(std::span(&live, 1)), kLiveOffset);
  Slot slot = MakeSlot(parts.identity.id, session, end, /*clean=*/true);
  slot.begin = begin;
  WriteFirstSlots(parts.control, slot);
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

// How a copy is made.
struct CopyWay {
  Begin begin;  // of the copy
  // Writes values, records, layouts and hints, and chooses the schema; returns the end.
  std::function<Cursor(StoreFiles::Parts&, const ChunkSet&)> write;
  std::function<void(const Cursor&, std::uint64_t, const char*)> fail;
};

// Creates the copy, in the steps that all copies share.
Cursor CreateCopy(const DamagedFiles& source, const std::filesystem::path& path,
                  ProgressMeter& meter, const CopyWay& way) {
  CheckTarget(source, path);
  Cursor end;
  const Begin& begin = way.begin;
  const auto fill = [&](StoreFiles::Parts& parts, ChunkSet& files) {
    PrepareFirstChunks(files, begin);
    end = way.write(parts, files);
    parts.control.Allocate(0, kControlBytes);
    parts.control.WriteAt(EncodeIdentity(parts.identity), kIdentityOffset);
    WriteControl(source, begin, end, parts);
    VerifyCopy(source, CursorAt(begin), end.records, files, meter,
               [&](std::uint64_t record, const char* fault) { way.fail(end, record, fault); });
  };
  NewStore copy{.schema = *source.schema,
                .identity = NewIdentity(source.identity->chunk_bytes),
                .begin = begin};
  copy.identity.parent = source.identity->id;
  // Records are copied together with their checksums, so the copy needs the same seed.
  copy.identity.checksum_seed = source.identity->checksum_seed;
  CreateClosedStore(path, copy, fill);
  return end;
}

}  // namespace

Cursor CopyStore(const DamagedFiles& source, std::uint64_t records,
                 const std::filesystem::path& path, const Progress& progress) {
  STREAM_STORE_ASSERT(source.verifiable());
  RecordVerifier verifier(source.verifier_parts());
  const Begin& begin = source.begin;
  const bool there = begin.records <= records && records <= verifier.record_capacity();
  // Only for the total of the progress: this record may be damaged.
  const std::uint64_t values = records == begin.records || !there
                                   ? begin.values
                                   : std::clamp(verifier.record(records).start, begin.values,
                                                std::max(begin.values, verifier.value_capacity()));
  ProgressMeter meter(progress, 2 * ((records - std::min(records, begin.records)) * sizeof(Record) +
                                     (values - begin.values) * sizeof(Value)));
  const auto write = [&](StoreFiles::Parts& parts, const ChunkSet& files) {
    if (!there) {
      throw Error(ErrorCode::kCorrupt, StrCat(source.path, "/records: expected ", records,
                                              " records but found ", verifier.record_capacity()));
    }
    Cursor end = CopyRecords(source, verifier, CursorAt(begin), records, {files, meter});
    parts.schema = SinceAtMost(*source.schema, end.records, source.schema->revision());
    CopyBytes(*source.values, files[Kind::kValues], begin.values * sizeof(Value),
              end.values * sizeof(Value), meter);
    end.layout_words = std::max(end.layout_words, begin.layout_words);
    constexpr std::uint64_t kWord = sizeof(std::uint64_t);
    CopyBytes(*source.layouts, files[Kind::kLayouts], begin.layout_words * kWord,
              end.layout_words * kWord, meter);
    if (begin.layout_words == 0) {
      // No record refers to word 0 through the file, so damage to it would be copied unnoticed.
      const std::array<std::byte, kWord> empty_layout{};
      files[Kind::kLayouts].WriteAt(empty_layout, 0);
    }
    return end;
  };
  const auto fail = [&](const Cursor&, std::uint64_t record, const char* fault) {
    ThrowDamagedRecord(source, record, records, fault);
  };
  return CreateCopy(source, path, meter, {.begin = begin, .write = write, .fail = fail});
}

Cursor CopyChosen(const DamagedFiles& source, const CopyPlan& plan,
                  const std::filesystem::path& path, const Progress& progress) {
  STREAM_STORE_ASSERT(source.verifiable());
  ProgressMeter meter(progress, 2 * plan.most_bytes);
  const auto write = [&](StoreFiles::Parts& parts, const ChunkSet& files) {
    RecordCopier copier(source, files, meter);
    plan.choose(copier);
    const Cursor end = copier.Finish();
    parts.schema = copier.schema();
    return end;
  };
  const auto fail = [&](const Cursor& all, std::uint64_t record, const char* fault) {
    throw Error(ErrorCode::kCorrupt,
                StrCat(PathText(path), "/records: record ", record, " of ", all.records,
                       ", read back after writing: ", fault, "; the copy was removed"));
  };
  const Cursor end =
      CreateCopy(source, path, meter, {.begin = Begin{}, .write = write, .fail = fail});
  meter.Finish();
  return end;
}

}  // namespace stream_store::internal
