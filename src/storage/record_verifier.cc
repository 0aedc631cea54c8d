#include "storage/record_verifier.h"

#include "base/assert.h"
#include "format/layout.h"

namespace stream_store::internal {
namespace {

// A long record is read in parts of this size.
constexpr std::uint64_t kChunkWords = (128 << 10) / 8;

template <class Word>
WordFile<Word> WordsOf(const StoreFiles& files, const DataFile& file) {
  // A reader has not mapped all chunks.
  const bool copy = files.copies() || !file.writable();
  return copy ? WordFile<Word>(KindReader(file.files())) : WordFile<Word>(file);
}

}  // namespace

RecordVerifier::RecordVerifier(const Parts& parts)
    : values_(parts.values),
      records_(parts.records),
      layouts_(parts.layouts),
      seed_(parts.seed),
      encodings_(parts.encodings),
      layout_begin_(std::max(parts.layout_begin, layouts_.begin())) {}

RecordVerifier::RecordVerifier(const StoreFiles& files, const StoreSchema& store_schema)
    : values_(WordsOf<Value>(files, files.values)),
      records_(WordsOf<Record>(files, files.records)),
      layouts_(WordsOf<std::uint64_t>(files, files.layouts)),
      seed_(files.identity().checksum_seed),
      encodings_(store_schema.encodings),
      layout_begin_(std::max(files.begin().layout_words, layouts_.begin())) {}

// The cache is direct-mapped: a store has few layouts, and most records use the one of the record
// before. Invalid layouts are cached too.
const LayoutFacts& RecordVerifier::Layout(std::uint32_t layout) {
  LayoutFacts& facts = known_[layout % known_.size()];
  if (facts.key == layout + std::uint64_t{1}) {
    return facts;
  }
  facts = LayoutFacts{.key = layout + std::uint64_t{1}};
  if (layout == 0) {  // readers do not load word 0, they assume it
    const std::uint64_t empty = 0;
    facts.digest = LayoutDigest(std::span(&empty, 1));
    if (has_layout_word(0) && layout_word(0) != 0) {
      facts.fault = "word 0 of the layouts is not the empty layout";
    }
    return facts;
  }
  const std::uint64_t word = facts.word = LayoutWordFrom(layout_begin_, layout);
  if (!has_layout_word(word)) {
    facts.fault = "its layout lies beyond the layouts file";
    return facts;
  }
  const std::uint64_t head = *layouts_.At(word, 1);
  facts.fields = WordType(head);
  facts.total = WordLength(head);
  if (facts.fields + 1 > layouts_.end() - word) {
    facts.fault = "its layout runs past the layouts file";
    return facts;
  }
  // At() may have replaced its buffer, so the head is read again together with the other words.
  const std::span<const std::uint64_t> words(layouts_.At(word, facts.fields + 1), facts.fields + 1);
  facts.fault = CheckLayout(words, encodings_);
  if (facts.fault == nullptr && facts.fields > 0) {
    facts.first_type = static_cast<std::int32_t>(WordType(words[1]));
    facts.last_type = static_cast<std::int32_t>(WordType(words[facts.fields]));
  }
  facts.digest = LayoutDigest(words);
  return facts;
}

std::uint32_t RecordVerifier::ChecksumOfLong(const Record& record, const LayoutFacts& layout) {
  std::uint32_t state = BeginChecksum(seed_, record.start, record.step, record.row_session,
                                      record.layout, layout.digest);
  for (std::uint64_t done = 0; done < layout.total;) {
    const std::uint64_t count = std::min(layout.total - done, kChunkWords);
    state = Crc32cExtendWords(state, values_.At(record.start + done, count), count);
    done += count;
  }
  return FinishChecksum(state);
}

VerifiedRecord RecordVerifier::VerifyRecord(std::uint64_t i) {
  STREAM_STORE_ASSERT(i < record_capacity());
  VerifiedRecord verified;
  verified.number = i;
  verified.record = record(i);
  verified.layout = Layout(verified.record.layout);
  verified.fault = verified.layout.fault;
  if (verified.fault != nullptr) {
    return verified;
  }
  const std::uint64_t start = verified.record.start;
  if (start < values_.begin()) {
    verified.fault = "its values were dropped";
    return verified;
  }
  if (start > value_capacity() || verified.layout.total > value_capacity() - start) {
    verified.fault = "its values run past the values file";
    return verified;
  }
  verified.checksum = ChecksumOfLong(verified.record, verified.layout);
  if (verified.checksum != verified.record.checksum) {
    verified.fault = kWrongChecksum;
  }
  return verified;
}

// A record either begins the row after the last one, at a later step, or continues the last row:
// then it has the same step, and its fields come after those of the row so far. Only the first
// record of a row may be without fields.
const char* WhyNotNext(const Cursor& cursor, const VerifiedRecord& verified) noexcept {
  const Record& record = verified.record;
  const std::uint64_t row = RowOfRecord(record.row_session);
  if (record.start != cursor.values) {
    return kWrongStart;
  }
  if (row == cursor.rows) {
    return cursor.follows_record && record.step <= cursor.step
               ? "its step does not come after the row before"
               : nullptr;
  }
  if (!cursor.follows_record || row != cursor.rows - 1 || record.step != cursor.step) {
    return "its row and step do not continue the last row";
  }
  if (verified.layout.fields == 0 || verified.layout.first_type <= cursor.last_type) {
    return "its fields do not come after those of the row so far";
  }
  return nullptr;
}

}  // namespace stream_store::internal
