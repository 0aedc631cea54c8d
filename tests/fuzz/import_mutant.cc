#include "fuzz/import_mutant.h"

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <optional>
#include <vector>

#include "stream_store/arrow.h"
#include "stream_store/error.h"
#include "stream_store/interop.h"
#include "stream_store/store.h"

#include "fuzz/mutant_stream.h"

namespace stream_store::fuzz {
namespace {

void Require(bool holds, const char* what) {
  if (!holds) {
    std::fprintf(stderr, "broken promise: %s\n", what);
    std::abort();
  }
}

// Reads everything twice: with ScanRows(), and as an exported stream.
std::uint64_t ReadAll(const Reader& reader) {
  std::uint64_t sum = 0;
  interop::ScanRows(reader, 0, static_cast<Row>(reader.num_rows()),
                    [&](const interop::RecordRun& run) {
                      for (std::uint64_t i = 0; i < run.count * run.stride; ++i) {
                        sum += static_cast<std::uint64_t>(run.values[i]);
                      }
                      return true;
                    });
  ArrowArrayStream stream{};
  ExportArrow(reader, {}, &stream);
  std::int64_t rows = 0;
  while (true) {
    ArrowArray batch{};
    Require(stream.get_next(&stream, &batch) == 0, "what was imported can be exported");
    if (batch.release == nullptr) {
      break;
    }
    rows += batch.length;
    batch.release(&batch);
  }
  stream.release(&stream);
  Require(rows == static_cast<std::int64_t>(reader.num_rows()), "an export has every row");
  return sum;
}

}  // namespace

Outcome ImportMutant(std::span<const std::uint8_t> bytes) {
  Draw draw(bytes);
  MutantStream mutant(draw);
  std::optional<StreamStore> store;
  Options options;
  options.grow_ahead = false;
  options.capacity_values = 1000;
  const std::filesystem::path memory =
      "/dev/shm";  // not on a disk, because there are thousands of stores
  if (std::filesystem::is_directory(memory)) {
    options.temporary_directory = memory;
  }
  options.fields = mutant.Fields(draw);
  try {
    store.emplace(StreamStore::Temporary(options));
  } catch (const Error&) {
    return Outcome::kNoFields;
  }
  store->Append(0, {});
  const std::uint64_t before = ReadAll(store->reader());
  const bool keep = draw.Below(3) == 0;
  Outcome outcome = Outcome::kImported;
  {
    ArrowArrayStream stream = mutant.stream();
    StagedRows staged = store->Stage();
    try {
      if (keep) {
        ArrowSchema schema{};
        Require(stream.get_schema(&stream, &schema) == 0, "get_schema");
        ArrowImporter importer(staged, schema);
        ArrowArray batch{};
        while (stream.get_next(&stream, &batch) == 0 && batch.release != nullptr) {
          importer.Keep(&batch);
          batch = {};
        }
        std::vector<std::uint64_t> picks;
        for (std::uint64_t i = 0; i < importer.kept_rows() && i < 40; ++i) {
          picks.push_back(draw.Below(importer.kept_rows() + (draw.Chance(50) ? 1 : 0)));
        }
        importer.AppendKept(picks);
        stream.release(&stream);
      } else {
        ImportArrow(staged, &stream);
      }
      staged.Commit();
    } catch (const Error&) {
      outcome = Outcome::kRefused;
      if (stream.release != nullptr) {
        stream.release(&stream);
      }
    }
  }
  Require(mutant.AllReleased(), "every array and the stream are released once");
  const std::uint64_t after = ReadAll(store->reader());
  if (outcome == Outcome::kRefused) {
    Require(store->reader().num_rows() == 1 && after == before, "a refused import changes nothing");
  }
  store->AppendStep({});
  return outcome;
}

}  // namespace stream_store::fuzz
