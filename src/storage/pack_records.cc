#include "storage/pack_records.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <unordered_map>
#include <unordered_set>

#include "base/str_cat.h"
#include "format/layout.h"

namespace stream_store::internal {
namespace {

constexpr std::uint64_t kWord = sizeof(std::uint64_t);

// The bytes, or if they are not aligned, `copy` after copying them there.
std::span<const std::byte> Aligned(std::span<const std::byte> bytes,
                                   std::vector<std::uint64_t>& copy) {
  // NOLINTNEXTLINE(performance-no-int-to-ptr): only compared
  if (reinterpret_cast<std::uintptr_t>(bytes.data()) % kWord == 0) {
    return bytes;
  }
  copy.resize((bytes.size() + kWord - 1) / kWord);
  std::memcpy(copy.data(), bytes.data(), bytes.size());
  return std::as_bytes(std::span(copy)).first(bytes.size());
}

std::uint32_t ContentChecksum(const Record& record, const LayoutFacts& layout,
                              const Value* values) noexcept {
  return FinishChecksum(
      ExtendChecksum(BeginContentChecksum(record, layout.digest), values, layout.total));
}

}  // namespace

PackRecords::PackRecords(std::span<const std::byte> bytes, const Schema& schema,
                         std::span<const Encoding> encodings, const std::string& name)
    : name_(name), parts_(DecodePack(Aligned(bytes, copy_), name)) {
  TakeLayouts(encodings);
  VerifyRecords(schema);
}

void PackRecords::Throw(std::uint64_t record, const char* fault) const {
  throw Error(ErrorCode::kCorrupt, StrCat(name_, ": record ", record, ": ", fault));
}

void PackRecords::TakeLayouts(std::span<const Encoding> encodings) {
  const auto corrupt = [&](const char* fault) {
    throw Error(ErrorCode::kCorrupt, StrCat(name_, ": layout ", layouts_.size(), ": ", fault));
  };
  std::span<const std::uint64_t> left = parts_.layouts;
  std::unordered_set<std::uint32_t> seen;
  while (!left.empty()) {
    if (left.size() < 2 || WordType(left[1]) + 2 > left.size()) {
      corrupt("it runs past the layouts");
    }
    const auto key = static_cast<std::uint32_t>(left[0]);
    const std::uint64_t fields = WordType(left[1]);
    Layout layout{.words = left.subspan(1, fields + 1), .facts = {}};
    LayoutFacts& facts = layout.facts;
    facts.fault = CheckLayout(layout.words, encodings);
    if (facts.fault != nullptr) {
      corrupt(facts.fault);
    }
    if ((key == 0) != (fields == 0) || !seen.insert(key).second) {
      corrupt("its number is not valid");
    }
    facts.fields = fields;
    facts.total = WordLength(left[1]);
    facts.digest = LayoutDigest(layout.words);
    if (fields > 0) {
      facts.first_type = static_cast<std::int32_t>(WordType(layout.words[1]));
      facts.last_type = static_cast<std::int32_t>(WordType(layout.words[fields]));
    }
    layouts_.push_back(layout);
    keys_.push_back(key);
    left = left.subspan(fields + 2);
  }
}

// Throws unless the record can come next and is what the source has written.
void PackRecords::VerifyRecord(const Schema& schema, std::uint64_t i,
                               const LayoutFacts& layout) const {
  const PackHeader& header = parts_.header;
  const Record& now = record(i);
  const bool follows = BeginsRow(end_, now) || ContinuesRow(end_, now, layout);
  if (now.start != end_.values || !follows) {
    Throw(i, WhyNotNext(end_, {.number = i, .record = now, .layout = layout}));
  }
  if (layout.total > header.first_position + header.values - end_.values) {
    Throw(i, "its values run past those of the pack");
  }
  if (layout.fields > 0 && schema.since(static_cast<TypeId>(layout.last_type)) > i) {
    Throw(i, "it has a field that was added later");
  }
  const std::uint32_t head = BeginChecksum(header.checksum_seed, now.start, now.step,
                                           now.row_session, now.layout, layout.digest);
  if (FinishChecksum(ExtendChecksum(head, values(i), layout.total)) != now.checksum) {
    Throw(i, kWrongChecksum);
  }
}

void PackRecords::VerifyRecords(const Schema& schema) {
  std::unordered_map<std::uint32_t, std::uint32_t> places;
  for (std::uint32_t i = 0; i < keys_.size(); ++i) {
    places.emplace(keys_[i], i);
  }
  const PackHeader& header = parts_.header;
  end_ = Cursor{
      .records = header.first_record, .values = header.first_position, .rows = header.rows_before};
  const Record& front = parts_.records[0];
  if (header.has_previous && RowOfRecord(front.row_session) + 1 == header.rows_before) {
    end_.follows_record = true;  // the row began in the record before the pack
    end_.step = front.step;
  }
  layout_of_.reserve(header.records);
  std::uint32_t place = 0;
  std::uint32_t key = keys_.empty() ? 0 : keys_[0];
  for (std::uint64_t i = header.first_record; i < end_record(); ++i) {
    const Record& now = record(i);
    if (keys_.empty() || now.layout != key) {
      const auto found = places.find(now.layout);
      if (found == places.end()) {
        Throw(i, "its layout is not in the pack");
      }
      key = found->first;
      place = found->second;
    }
    const LayoutFacts& layout = layouts_[place].facts;
    VerifyRecord(schema, i, layout);
    layout_of_.push_back(place);
    Advance(now, layout, end_);
  }
  if (end_.values != header.first_position + header.values) {
    throw Error(ErrorCode::kCorrupt, StrCat(name_, ": it has values of no record"));
  }
}

PackRecords::Previous PackRecords::PreviousOf(std::uint64_t number) const noexcept {
  STREAM_STORE_ASSERT(first_record() <= number && number <= end_record());
  if (number == first_record()) {
    return {header().has_previous, header().previous};
  }
  const std::uint64_t before = number - 1;
  return {true, ContentChecksum(record(before), layouts_[layout_of(before)].facts, values(before))};
}

namespace {

// Reads bytes into their place in the pack.
void ReadInto(const KindReader& from, std::span<std::byte> out, std::uint64_t at) {
  if (const std::size_t there = from.ReadAt(out, at); there != out.size()) {
    throw Error(ErrorCode::kCorrupt, StrCat(from.path(), ": expected ", at + out.size(),
                                            " bytes but found ", at + there));
  }
}

// The content checksum of a record, whose values may be many.
std::uint32_t ContentChecksumOf(RecordVerifier& verifier, const DamagedFiles& source,
                                std::uint64_t number) {
  constexpr std::uint64_t kPart = (128 << 10) / sizeof(Value);
  const VerifiedRecord verified = verifier.VerifyRecord(number);
  if (verified.fault != nullptr) {
    throw Error(ErrorCode::kCorrupt,
                StrCat(source.path, "/records: record ", number, ": ", verified.fault));
  }
  std::uint32_t state = BeginContentChecksum(verified.record, verified.layout.digest);
  for (std::uint64_t done = 0; done < verified.layout.total;) {
    const std::uint64_t count = std::min(verified.layout.total - done, kPart);
    state = ExtendChecksum(state, verifier.values(verified.record.start + done, count), count);
    done += count;
  }
  return FinishChecksum(state);
}

// The layouts of a pack, each once.
class LayoutCollector {
 public:
  explicit LayoutCollector(RecordVerifier& verifier) : verifier_(verifier) {}

  /// How many words the pack needs for this layout, if it does not have it yet.
  std::uint64_t WordsFor(const LayoutFacts& layout) const {
    return layout.word == last_ || numbers_.contains(layout.word) ? 0 : layout.fields + 2;
  }

  void Add(const LayoutFacts& layout) {
    if (layout.word == last_) {
      return;
    }
    last_ = layout.word;
    if (!numbers_.insert(layout.word).second) {
      return;
    }
    words_.push_back(layout.word);
    if (layout.fields == 0) {
      words_.push_back(0);  // word 0 may have been dropped
      return;
    }
    for (std::uint64_t k = 0; k <= layout.fields; ++k) {
      words_.push_back(verifier_.layout_word(layout.word + k));
    }
  }

  const std::vector<std::uint64_t>& words() const noexcept { return words_; }

 private:
  RecordVerifier& verifier_;
  std::unordered_set<std::uint64_t> numbers_;
  std::uint64_t last_ = ~std::uint64_t{0};  // the number that was added last
  std::vector<std::uint64_t> words_;
};

}  // namespace

// The records are read twice: first to decide where the pack ends, then into the pack. Only the
// bytes in the pack are verified.
std::vector<std::byte> CollectPack(const DamagedFiles& source, std::uint64_t first,
                                   std::uint64_t end, std::uint64_t most_bytes) {
  STREAM_STORE_ASSERT(source.verifiable() && source.begin.records <= first && first < end);
  RecordVerifier verifier(source.verifier_parts());
  if (end > verifier.record_capacity()) {
    throw Error(ErrorCode::kCorrupt, StrCat(source.path, "/records: expected ", end,
                                            " records but found ", verifier.record_capacity()));
  }
  PackHeader header{.checksum_seed = source.identity->checksum_seed,
                    .id = source.identity->id,
                    .chunk_bytes = source.identity->chunk_bytes,
                    .first_record = first};
  const Record front = verifier.record(first);
  header.first_position = front.start;
  header.rows_before = RowOfRecord(front.row_session);
  if (first > source.begin.records) {
    header.has_previous = true;
    header.previous = ContentChecksumOf(verifier, source, first - 1);
    header.rows_before = RowOfRecord(verifier.record(first - 1).row_session) + 1;
  }
  LayoutCollector layouts(verifier);
  std::uint64_t bytes = kPackHeaderBytes;
  for (std::uint64_t i = first; i < end; ++i) {
    const LayoutFacts& layout = verifier.Layout(verifier.record(i).layout);
    if (layout.fault != nullptr) {
      throw Error(ErrorCode::kCorrupt,
                  StrCat(source.path, "/records: record ", i, ": ", layout.fault));
    }
    bytes += sizeof(Record) + (layouts.WordsFor(layout) + layout.total) * kWord;
    if (header.records > 0 && bytes > most_bytes) {
      break;
    }
    layouts.Add(layout);
    header.records += 1;
    header.values += layout.total;
  }
  header.layout_words = layouts.words().size();
  if (header.values >
      verifier.value_capacity() - std::min(header.first_position, verifier.value_capacity())) {
    throw Error(ErrorCode::kCorrupt,
                StrCat(source.path, "/records: records ", first, " to ", first + header.records,
                       ": their values run past the values file"));
  }
  std::vector<std::byte> pack(PackBytes(header));
  std::span<std::byte> left = std::span(pack).subspan(kPackHeaderBytes);
  const auto take = [&](std::uint64_t size) {
    const std::span<std::byte> part = left.first(size);
    left = left.subspan(size);
    return part;
  };
  std::ranges::copy(std::as_bytes(std::span(layouts.words())),
                    take(header.layout_words * kWord).begin());
  ReadInto(*source.records, take(header.records * sizeof(Record)), first * sizeof(Record));
  ReadInto(*source.values, take(header.values * sizeof(Value)),
           header.first_position * sizeof(Value));
  WritePackHeader(header, pack);
  const PackRecords verified(pack, *source.schema, source.encodings,
                             StrCat(source.path, ": reading records from ", first, " on"));
  return pack;
}

}  // namespace stream_store::internal
