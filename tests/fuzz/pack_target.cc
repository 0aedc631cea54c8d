// Fuzz target for packs: changes a pack of a source, its schema or the place where a replica begins,
// and creates a replica from it, or applies it to one.
//
// The input is one byte of flags, followed by patches, see patch.h. Their target is the pack, the
// schema or the place. Checksums are recomputed if the flags say so, because a pack may come from a
// program that computes them, too.
#include <array>
#include <cstring>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "stream_store/replication.h"
#include "stream_store/verify.h"

#include "base/crc32c.h"
#include "base/str_cat.h"
#include "crash/chunk_damage.h"
#include "crash/place.h"
#include "crash/rows.h"
#include "format/bytes.h"
#include "format/control.h"
#include "format/layout.h"
#include "format/pack.h"
#include "fuzz/fixed_random.h"
#include "fuzz/patch.h"
#include "fuzz/require.h"
#include "fuzz/targets.h"

namespace stream_store::fuzz {

using namespace internal;  // the targets check the bytes of the format themselves

namespace {

namespace fs = std::filesystem;

enum Flags : std::uint8_t {
  kMendPack = 1,
  kMendSchema = 2,
  kMendRecords = 4,
  kCreate = 8,
};

constexpr Row kRows = 60;
constexpr Row kFirstRows = 25;  // of the first pack
constexpr Row kRowsOfAll = 45;  // before a field is added

const fs::path& Place() {
  static const crash::FastDirectory directory;
  return directory.path();
}

// What another host sends: a pack, the schema of its source, and the place where a replica begins.
struct Offer {
  std::vector<std::byte> pack;
  std::vector<std::byte> schema;
  RecordPlace begin;
};

// A source, in two packs, and a replica that has the first one.
struct Source {
  std::array<Offer, 2> offers;
  crash::Image replica;
  std::vector<Value> content;  // of the source
};

// The rows of a store with their steps, fields and values.
std::vector<Value> ContentOf(const Reader& reader) {
  std::vector<Value> content;
  for (auto row = static_cast<Row>(reader.first_row()); row < static_cast<Row>(reader.num_rows());
       ++row) {
    content.insert(content.end(), {row, reader.row(row).step()});
    for (const auto& [type, values] : reader.row(row)) {
      content.insert(content.end(), {type, static_cast<Value>(values.size())});
      content.insert(content.end(), values.begin(), values.end());
    }
  }
  return content;
}

void AppendRow(StreamStore& store, Row row) {
  const std::vector<Value> list(static_cast<std::size_t>(row % 7), row);
  store.Append(row, {{0, row}, {1, list}});
  store.Append(row, {{2, row % 2 == 1}});
  if (row >= kRowsOfAll) store.Append(row, {{3, row * row}});
}

Source MakeSource() {
  const FixedRandom same_bytes;
  Options options = crash::RowOptions();
  options.chunk_bytes = kMinChunkBytes;
  StreamStore store = StreamStore::Open(Place() / "source", options);
  std::uint64_t first_records = 0;
  for (Row row = 0; row < kRows; ++row) {
    if (row == kFirstRows) first_records = store.reader().records();
    if (row == kRowsOfAll) store.AddFields({Field{.name = "later"}});
    AppendRow(store, row);
  }
  store.Sync();
  const Reader reader = store.reader();
  const DurablePart part = Durable(reader);
  const std::vector<std::byte> schema = ReadSchema(reader, part.end.record);
  Source made;
  made.offers[0] = {ReadPack(reader, 0, first_records, UINT64_MAX), schema, part.begin};
  made.offers[1] = {ReadPack(reader, first_records, part.end.record, UINT64_MAX), schema, {}};
  made.content = ContentOf(reader);
  StreamStore replica = CreateReplica(Place() / "first", made.offers[0].pack, schema, part.begin,
                                      crash::RowOptions());
  replica.Close();
  made.replica = crash::LoadImage(Place() / "first");
  return made;
}

const Source& TheSource() {
  static const Source source = MakeSource();
  return source;
}

void Change(Offer& offer, const Patch& patch) {
  const std::uint64_t kind = patch.kind % Patch::kKinds;
  if (patch.target % 4 == 3) {
    const std::array words = {&offer.begin.record, &offer.begin.row, &offer.begin.position,
                              &offer.begin.field_writes};
    std::uint64_t& word = *words[patch.place % words.size()];
    word = kind < 3 ? patch.word : word + patch.word % 256 - 128;
  } else {
    ChangeBytes(patch.target % 4 == 2 ? offer.schema : offer.pack, kind, patch.place, patch.word);
  }
}

// The layouts of a pack that lie inside it, by the number that its records have.
std::map<std::uint32_t, std::span<const std::uint64_t>> LayoutsOf(
    std::span<const std::uint64_t> words) {
  std::map<std::uint32_t, std::span<const std::uint64_t>> layouts;
  while (words.size() >= 2 && WordType(words[1]) + 2 <= words.size()) {
    const std::uint64_t count = WordType(words[1]) + 1;
    layouts.emplace(static_cast<std::uint32_t>(words[0]), words.subspan(1, count));
    words = words.subspan(count + 1);
  }
  return layouts;
}

// Recomputes the checksum of every record whose layout and values lie inside the pack.
void MendRecords(std::vector<std::byte>& pack) {
  if (pack.size() < kPackHeaderBytes) return;
  const auto header = [&](std::size_t at) { return NumberAt<std::uint64_t>(pack, at); };
  std::vector<std::uint64_t> words((pack.size() - kPackHeaderBytes) / 8);
  if (words.empty()) return;
  std::memcpy(words.data(), pack.data() + kPackHeaderBytes, words.size() * 8);
  const std::uint64_t layout_words = std::min<std::uint64_t>(header(80), words.size());
  const auto layouts = LayoutsOf(std::span(words).first(layout_words));
  constexpr std::uint64_t kWords = sizeof(Record) / 8;
  const std::uint64_t records = std::min((words.size() - layout_words) / kWords, header(48));
  const auto values = std::span(words).subspan(layout_words + records * kWords);
  for (std::uint64_t i = 0; i < records; ++i) {
    std::uint64_t* const at = words.data() + layout_words + i * kWords;
    Record record{};
    std::memcpy(&record, at, sizeof(record));
    const auto layout = layouts.find(record.layout);
    if (layout == layouts.end()) continue;
    const std::uint64_t total = WordLength(layout->second[0]);
    const std::uint64_t start = record.start - header(56);
    if (start > values.size() || total > values.size() - start) continue;
    const auto seed = NumberAt<std::uint32_t>(pack, 12);
    record.checksum = ChecksumOf(seed, record, layout->second, values.subspan(start, total));
    std::memcpy(at, &record, sizeof(record));
  }
  std::memcpy(pack.data() + kPackHeaderBytes, words.data(), words.size() * 8);
}

void MendPack(std::vector<std::byte>& pack) {
  if (pack.size() < kPackHeaderBytes) return;
  constexpr std::size_t kChecksumAt = kPackHeaderBytes - sizeof(std::uint32_t);
  std::uint32_t state = Crc32cExtend(0xffffffffU, pack.data(), kChecksumAt);
  state = ~Crc32cExtend(state, pack.data() + kPackHeaderBytes, pack.size() - kPackHeaderBytes);
  std::memcpy(pack.data() + kChecksumAt, &state, sizeof(state));
}

void RequireRefusal(const Error& error) {
  Require(error.code() == ErrorCode::kCorrupt || error.code() == ErrorCode::kVersion ||
              error.code() == ErrorCode::kInvalidArgument ||
              error.code() == ErrorCode::kOutOfRange || error.code() == ErrorCode::kNoSpace,
          error.what());
}

void RequireIntact(const fs::path& path) {
  const VerifyReport report = Verify(path);
  if (!report.findings.empty()) {
    Require(false, StrCat("a replica: ", FindingText(report.findings[0])));
  }
}

void Create(const Offer& offer) {
  const fs::path folder = Place() / "created";
  fs::remove_all(folder);
  fs::create_directory(folder);
  try {
    StreamStore replica = CreateReplica(folder / "replica", offer.pack, offer.schema, offer.begin,
                                        crash::RowOptions());
    replica.Close();
  } catch (const Error& error) {
    RequireRefusal(error);
    Require(fs::is_empty(folder), "a replica that cannot be created leaves nothing");
    return;
  }
  RequireIntact(folder / "replica");
}

void Apply(const Offer& offer) {
  const Source& source = TheSource();
  const fs::path path = Place() / "replica";
  crash::WriteImage(source.replica, path);
  Options options = crash::RowOptions();
  options.fields.clear();
  StreamStore replica = StreamStore::Open(path, options);
  const Reader before = replica.reader();
  const std::vector<Value> content = ContentOf(before);
  try {
    ApplyPack(replica, offer.pack, offer.schema);
  } catch (const Error& error) {
    RequireRefusal(error);
  }
  const Reader after = replica.reader();
  const std::vector<Value> now = ContentOf(after);
  Require(now.size() >= content.size() && std::equal(content.begin(), content.end(), now.begin()),
          "a replica keeps the rows that it has");
  if (after.records() == before.records() && after.schema().size() == before.schema().size()) {
    ApplyPack(replica, source.offers[1].pack, source.offers[1].schema);
    Require(ContentOf(replica.reader()) == source.content,
            "after a pack that it refused, a replica takes the right one");
  }
  replica.Close();
  RequireIntact(path);
}

}  // namespace

void FuzzPack(Bytes bytes) {
  SmallestChunkBytes() = kMinChunkBytes;  // other targets lower it
  const std::uint8_t flags = bytes.empty() ? 0 : bytes[0];
  const bool create = (flags & kCreate) != 0;
  Offer offer = TheSource().offers[create ? 0 : 1];
  if (!bytes.empty()) {
    for (const Patch& patch : PatchesIn(bytes.subspan(1))) Change(offer, patch);
  }
  if ((flags & kMendRecords) != 0) MendRecords(offer.pack);
  if ((flags & kMendPack) != 0) MendPack(offer.pack);
  if ((flags & kMendSchema) != 0) MendBlock(offer.schema, 0, offer.schema.size());
  if (create) {
    Create(offer);
  } else {
    Apply(offer);
  }
}

}  // namespace stream_store::fuzz
