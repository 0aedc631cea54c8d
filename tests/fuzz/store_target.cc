// Fuzz target for complete stores: applies patches to the files of an intact one.
//
// The input is one byte of flags, followed by patches, see patch.h. Their target is a file. Patches of
// the last kinds damage chunks: a file is missing, has the name of another, or a wrong number or size.
#include <algorithm>
#include <array>
#include <cstring>
#include <filesystem>
#include <string>
#include <vector>

#include "stream_store/interop.h"
#include "stream_store/verify.h"

#include "base/str_cat.h"
#include "crash/chunk_damage.h"
#include "crash/place.h"
#include "crash/rows.h"
#include "format/control.h"
#include "format/layout.h"
#include "fuzz/fixed_random.h"
#include "fuzz/patch.h"
#include "fuzz/require.h"
#include "fuzz/targets.h"

namespace stream_store::fuzz {

using namespace internal;  // the targets check the bytes of the format themselves

namespace {

namespace fs = std::filesystem;
using crash::Image;

enum Flags : std::uint8_t {
  kMendControl = 1,
  kMendSchema = 2,
  kMendRecords = 4,
  kDied = 8,
  kManyChunks = 16,
};

constexpr std::uint64_t kChunkBytes = 4096;

const fs::path& Place() {
  static const crash::FastDirectory directory;
  return directory.path();
}

// The kinds of files, in the order in which a patch names them. The rest of the chunks come after
// the first one of each kind.
constexpr const char* kKinds[] = {"values", "records", "layouts",        "hints",
                                  "schema", "control", "position_hints", "row_hints"};

std::vector<std::string> FilesOf(const Image& image) {
  std::vector<std::string> names;
  for (const char* kind : kKinds) {
    const std::vector<std::string> files = crash::FilesOfKind(image, kind);
    if (!files.empty()) names.push_back(files.front());
  }
  for (const auto& [name, bytes] : image) {
    if (std::ranges::find(names, name) == names.end()) names.push_back(name);
  }
  return names;
}

// Removes most of the zeros that growth left at the end of each kind, so that images are small.
void Shorten(Image& image) {
  for (const char* kind : kKinds) {
    const std::vector<std::string> files = crash::FilesOfKind(image, kind);
    if (files.empty() || files.back() == "schema" || files.back() == "control") continue;
    std::vector<std::byte>& last = image[files.back()];
    last.resize(std::min<std::size_t>(last.size(), 4096));
  }
}

// Makes a store, and takes its image as a dead writer leaves it and after it was closed.
std::array<Image, 2> MakeTemplates(const Options& options, Row rows) {
  const fs::path path = Place() / "template";
  fs::remove_all(path);
  std::array<Image, 2> made;
  StreamStore store = StreamStore::Open(path, options);
  for (Row row = 0; row < rows; ++row) {
    const std::vector<Value> list(static_cast<std::size_t>(row % 7), row);
    store.Append(row, {{0, row}, {1, list}, {2, row % 2 == 1}});
    if (row == rows - 5) store.Sync();
  }
  store.Append(rows, {{0, rows}});
  store.Append(rows, {{2, true}});
  made[1] = crash::LoadImage(path);
  Shorten(made[1]);
  store.Close();
  made[0] = crash::LoadImage(path);
  return made;
}

// Returns the store that is patched: closed or as a dead writer leaves it, with one chunk of each
// kind or with several; always the same bytes.
const Image& Template(bool died, bool many) {
  static const std::array<std::array<Image, 2>, 2> images = [] {
    const FixedRandom same_bytes;
    Options small = crash::RowOptions();
    small.chunk_bytes = kChunkBytes;
    return std::array{MakeTemplates(crash::RowOptions(), 12), MakeTemplates(small, 150)};
  }();
  return images[many ? 1 : 0][died ? 1 : 0];
}

void PatchImage(Image& image, const Patch& patch) {
  const std::vector<std::string> names = FilesOf(image);
  if (names.empty()) return;
  const std::string& name = names[patch.target % names.size()];
  const std::uint64_t kind = patch.kind % (Patch::kKinds + crash::kChunkDamages);
  if (kind >= Patch::kKinds) {
    const auto damage = static_cast<crash::ChunkDamage>(kind - Patch::kKinds);
    crash::DamageChunk(image, name, damage, patch.word);
    return;
  }
  std::uint64_t at = patch.place;
  if (name == "control") at = (at >> 14) * kControlRegion + at % 512;
  ChangeBytes(image[name], kind, at, patch.word);
}

// Recomputes the checksum of every record whose layout and values lie inside the files.
void MendRecords(Image& image) {
  std::vector<std::byte> records = crash::JoinKind(image, "records");
  const std::vector<std::byte> values = crash::JoinKind(image, "values");
  const std::vector<std::byte> layouts = crash::JoinKind(image, "layouts");
  std::uint32_t seed = 0;
  if (image["control"].size() >= 52) std::memcpy(&seed, image["control"].data() + 48, sizeof(seed));
  std::vector<std::uint64_t> words(layouts.size() / 8);
  if (!words.empty()) {
    std::memcpy(words.data(), layouts.data(), words.size() * 8);
  }
  for (std::size_t at = 0; at + sizeof(Record) <= records.size(); at += sizeof(Record)) {
    Record record{};
    std::memcpy(&record, records.data() + at, sizeof(record));
    if (record.layout >= words.size()) continue;
    const std::uint64_t fields = WordType(words[record.layout]);
    const std::uint64_t total = WordLength(words[record.layout]);
    if (fields + 1 > words.size() - record.layout || record.start > values.size() / 8 ||
        total > values.size() / 8 - record.start) {
      continue;
    }
    std::vector<std::uint64_t> own(total);
    if (total > 0) {
      std::memcpy(own.data(), values.data() + record.start * 8, total * 8);
    }
    record.checksum =
        ChecksumOf(seed, record, std::span(words).subspan(record.layout, fields + 1), own);
    std::memcpy(records.data() + at, &record, sizeof(record));
  }
  crash::SplitKind(image, "records", records);
}

bool Refused(const Error& error) {
  return error.code() == ErrorCode::kCorrupt || error.code() == ErrorCode::kVersion ||
         error.code() == ErrorCode::kNotFound;
}

// Calls every read function, which may throw only errors of the right kind.
void ReadAll(const Reader& reader) {
  try {
    const auto rows = static_cast<Row>(std::min<std::uint64_t>(reader.num_rows(), 64));
    for (Row row = 0; row < rows; ++row) reader.row(row);
    const std::uint64_t size = std::min<std::uint64_t>(reader.size(), 4096);
    std::vector<Value> values(size);
    std::vector<float> numbers(size);
    if (size > 0) {
      const std::array<Position, 1> start = {0};
      reader.ReadWindows(start, size, {.values = values.data(), .number = numbers.data()});
    }
    std::vector<IndexEntry> entries(interop::CountIndex(reader, 0, rows));
    interop::ReadIndex(reader, 0, rows, entries);
    reader.RowAt(5, Side::kLeft);
    reader.field_writes();
    reader.complete_rows();
    if (reader.schema().size() > 2 && reader.schema()[2].dtype == DType::kBool) {
      const std::array<TypeId, 1> by = {2};
      reader.Segments(by);
    }
  } catch (const Error& error) {
    Require(Refused(error) || error.code() == ErrorCode::kInvalidArgument, error.what());
  }
}

void AppendAndReopen(const fs::path& path) {
  std::uint64_t rows = 0;
  {
    StreamStore store = StreamStore::Open(path, Options{.sync_interval = {}, .sync_bytes = 0});
    rows = store.reader().num_rows();
    Step step = 0;
    try {
      step = rows == 0 ? 0 : store.reader().row(static_cast<Row>(rows) - 1).step();
      if (step == INT64_MAX) return;
      store.Append(step + 1, {});
    } catch (const Error& error) {
      // The last row cannot be read, or steps or rows have reached their limit.
      Require(Refused(error) || error.code() == ErrorCode::kInvalidArgument ||
                  error.code() == ErrorCode::kNoSpace,
              error.what());
      return;
    }
    store.Close();
  }
  Require(Reader::Open(path).num_rows() == rows + 1,
          "what was appended is there after opening again");
}

}  // namespace

void FuzzStore(Bytes bytes) {
  SmallestChunkBytes() = kChunkBytes;  // so that small stores have many chunks
  const std::uint8_t flags = bytes.empty() ? 0 : bytes[0];
  Image image = Template((flags & kDied) != 0, (flags & kManyChunks) != 0);
  if (!bytes.empty()) {
    for (const Patch& patch : PatchesIn(bytes.subspan(1))) PatchImage(image, patch);
  }
  if ((flags & kMendControl) != 0) {
    MendBlock(image["control"], 0, kIdentityBytes);
    for (const std::uint64_t slot : kSlotOffset) MendBlock(image["control"], slot, kSlotBytes);
  }
  if ((flags & kMendSchema) != 0) MendBlock(image["schema"], 0, image["schema"].size());
  if ((flags & kMendRecords) != 0) MendRecords(image);
  const fs::path path = Place() / "store";
  crash::WriteImage(image, path);
  fs::remove_all(Place() / "repaired");
  bool right = false;
  try {
    right = Verify(path).ok();
  } catch (const Error& error) {
    Require(Refused(error), error.what());
  }
  for (const bool safe : {false, true}) {
    try {
      const Reader reader = Reader::Open(path, {.safe_reads = safe});
      ReadAll(reader);
    } catch (const Error& error) {
      Require(Refused(error), error.what());
      Require(!right, StrCat("verify found no damage, but opening says: ", error.what()));
    }
  }
  try {
    const RepairReport report = Repair(path, Place() / "repaired");
    const VerifyReport after = Verify(Place() / "repaired");
    if (!after.findings.empty()) Require(false, "repaired: " + FindingText(after.findings[0]));
    Require(after.rows == report.rows, "a repaired store has the rows it says");
  } catch (const Error& error) {
    Require(Refused(error), error.what());
  }
  try {
    AppendAndReopen(path);
  } catch (const Error& error) {
    Require(Refused(error), error.what());
  }
}

}  // namespace stream_store::fuzz
