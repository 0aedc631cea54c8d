#include "storage/record_copier.h"

#include <algorithm>
#include <span>
#include <utility>

#include "base/assert.h"
#include "base/str_cat.h"
#include "format/checksum.h"

namespace stream_store::internal {
namespace {

constexpr std::uint64_t kBlockRecords = kCopyBlockBytes / sizeof(Record);
constexpr std::uint64_t kBlockValues = kCopyBlockBytes / sizeof(Value);
constexpr std::uint64_t kChunkValues = (128 << 10) / sizeof(Value);  // read at a time

std::uint32_t BeginChecksumOf(std::uint32_t seed, const Record& record, std::uint32_t digest) {
  return BeginChecksum(seed, record.start, record.step, record.row_session, record.layout, digest);
}

}  // namespace

RecordCopier::RecordCopier(const DamagedFiles& source, const ChunkSet& files, ProgressMeter& meter)
    : source_(source),
      files_(files),
      meter_(meter),
      verifier_(source.verifier_parts()),
      hints_(files),
      chunk_records_(source.identity->chunk_bytes / sizeof(Record)) {
  STREAM_STORE_ASSERT(source.verifiable());
}

void RecordCopier::Append(const VerifiedRecord& verified, std::uint64_t row) {
  STREAM_STORE_ASSERT(verified.fault == nullptr);
  STREAM_STORE_ASSERT(row == cursor_.rows || row + 1 == cursor_.rows);
  VerifiedRecord copy = verified;
  copy.layout.word = CopyLayout(verified.layout);
  copy.record.layout = static_cast<std::uint32_t>(copy.layout.word);
  copy.record.start = cursor_.values;
  copy.record.row_session = (verified.record.row_session & ~kRowMask) | row;
  copy.record.checksum = CopyValues(verified, copy.record);
  NoteSince(verified.number);
  hints_.Pass(cursor_.records, copy, cursor_);
  Advance(copy, cursor_);
  records_.push_back(copy.record);
  if (records_.size() == kBlockRecords) {
    FlushRecords();
  }
}

// Returns where the layout is in the copy. Records of a chunk use layouts after those of the chunk
// before, so that old layouts can be dropped.
std::uint64_t RecordCopier::CopyLayout(const LayoutFacts& layout) {
  if (layout.fields == 0) {
    return 0;
  }
  const std::uint64_t chunk = cursor_.records / chunk_records_;
  if (chunk != layouts_chunk_) {
    layouts_chunk_ = chunk;
    copied_.clear();
  }
  const auto [place, added] = copied_.try_emplace(layout.word, written_layouts_ + layouts_.size());
  if (added) {
    for (std::uint64_t k = 0; k <= layout.fields; ++k) {
      layouts_.push_back(verifier_.layout_word(layout.word + k));
    }
    if (layouts_.size() >= kBlockValues) {
      FlushLayouts();
    }
  }
  return place->second;
}

// The records before `number` that were left out move the first record of each added field.
void RecordCopier::NoteSince(std::uint64_t number) {
  while (since_.size() < source_.schema->size() &&
         source_.schema->since(static_cast<TypeId>(since_.size())) <= number) {
    since_.push_back(cursor_.records);
  }
}

Schema RecordCopier::schema() const {
  std::vector<std::uint64_t> since = since_;
  since.resize(source_.schema->size(), cursor_.records);
  return {source_.schema->fields(), std::move(since), source_.schema->revision()};
}

// Copies the values of a record and returns the checksum of the copy. The old checksum is computed
// again from the very bytes that the new one covers: otherwise bytes that changed since they were
// verified would get a checksum that confirms them.
std::uint32_t RecordCopier::CopyValues(const VerifiedRecord& verified, const Record& copy) {
  const std::uint32_t seed = source_.identity->checksum_seed;
  const std::uint32_t digest = verified.layout.digest;
  std::uint32_t before = BeginChecksumOf(seed, verified.record, digest);
  std::uint32_t after = BeginChecksumOf(seed, copy, digest);
  for (std::uint64_t done = 0; done < verified.layout.total;) {
    const std::uint64_t count = std::min(verified.layout.total - done, kChunkValues);
    const Value* values = verifier_.values(verified.record.start + done, count);
    before = ExtendChecksum(before, values, count);
    after = ExtendChecksum(after, values, count);
    values_.insert(values_.end(), values, values + count);
    if (values_.size() >= kBlockValues) {
      FlushValues();
    }
    done += count;
  }
  if (FinishChecksum(before) != verified.record.checksum) {
    throw Error(
        ErrorCode::kCorrupt,
        StrCat(source_.path, "/values: copying row ", RowOfRecord(verified.record.row_session),
               ": expected the bytes that were verified but found others"));
  }
  return FinishChecksum(after);
}

void RecordCopier::FlushValues() {
  files_[Kind::kValues].WriteAt(std::as_bytes(std::span(values_)), written_values_ * sizeof(Value));
  written_values_ += values_.size();
  meter_.Add(values_.size() * sizeof(Value));
  values_.clear();
}

void RecordCopier::FlushRecords() {
  const std::uint64_t first = cursor_.records - records_.size();
  files_[Kind::kRecords].WriteAt(std::as_bytes(std::span(records_)), first * sizeof(Record));
  meter_.Add(records_.size() * sizeof(Record));
  records_.clear();
}

void RecordCopier::FlushLayouts() {
  files_[Kind::kLayouts].WriteAt(std::as_bytes(std::span(layouts_)),
                                 written_layouts_ * sizeof(std::uint64_t));
  written_layouts_ += layouts_.size();
  layouts_.clear();
}

Cursor RecordCopier::Finish() {
  FlushValues();
  FlushRecords();
  hints_.Finish();
  FlushLayouts();
  const Record sentinel{
      .start = cursor_.values, .step = 0, .row_session = 0, .layout = 0, .checksum = 0};
  files_[Kind::kRecords].WriteAt(std::as_bytes(std::span(&sentinel, 1)),
                                 cursor_.records * sizeof(Record));
  return cursor_;
}

}  // namespace stream_store::internal
