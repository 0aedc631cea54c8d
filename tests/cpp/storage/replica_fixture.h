// Shared by the tests of replicas: a source with many small chunks, its packs, and its replica.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "stream_store/interop.h"
#include "stream_store/replication.h"

#include "base/crc32c.h"
#include "format/bytes.h"
#include "format/layout.h"
#include "format/pack.h"
#include "storage/chunks_fixture.h"

namespace stream_store::internal {

using Pack = std::vector<std::byte>;

class ReplicaTest : public ChunksTest {
 protected:
  std::filesystem::path replica_ = Scratch("replica");

  static constexpr std::uint64_t kAll = ~std::uint64_t{0};

  /// Appends rows of Fill() and syncs.
  static void FillAndSync(StreamStore& store, Step end) {
    Fill(store, end);
    store.Sync();
  }

  static Pack SchemaOf(const Reader& reader) {
    return ReadSchema(reader, Durable(reader).end.record);
  }

  /// The packs of the durable records from `first` on, of at most `most` bytes each.
  static std::vector<Pack> PacksOf(const Reader& reader, std::uint64_t first,
                                   std::uint64_t most = kAll) {
    std::vector<Pack> packs;
    const std::uint64_t end = Durable(reader).end.record;
    const Pack schema = SchemaOf(reader);
    while (first < end) {
      packs.push_back(ReadPack(reader, first, end, most));
      first = VerifyPack(packs.back(), schema, "a test").end.record;
    }
    return packs;
  }

  /// A replica of the durable records of a source, of packs of at most `most` bytes.
  StreamStore Replicate(const Reader& source, std::uint64_t most = kAll) const {
    const DurablePart part = Durable(source);
    const Pack schema = SchemaOf(source);
    const std::vector<Pack> packs = PacksOf(source, part.begin.record, most);
    StreamStore replica = CreateReplica(replica_, packs.at(0), schema, part.begin, options_);
    for (const Pack& pack : packs) ApplyPack(replica, pack, schema);
    return replica;
  }

  /// Every record with its row, step, place and values, which a replica and its source share.
  static std::string Records(const Reader& reader) {
    std::string text;
    const std::uint64_t begin = Durable(reader).begin.record;
    for (std::uint64_t i = begin; i < reader.records(); ++i) {
      const RecordFacts facts = RecordAt(reader, i);
      text += StrCat(i, ":", facts.row, ":", facts.step, ":", facts.position, " ");
    }
    for (auto row = static_cast<Row>(reader.first_row()); row < static_cast<Row>(reader.num_rows());
         ++row) {
      for (const auto& [type, values] : reader.row(row)) {
        text += StrCat("\n", row, " ", type, ":");
        for (const Value value : values) text += StrCat(" ", value);
      }
    }
    return text;
  }

  /// Writes the checksum that the bytes of a pack must have.
  static void Forge(Pack& pack) {
    constexpr std::size_t kAt = kPackHeaderBytes - sizeof(std::uint32_t);
    std::uint32_t state = Crc32cExtend(0xffffffffU, pack.data(), kAt);
    state = ~Crc32cExtend(state, pack.data() + kPackHeaderBytes, pack.size() - kPackHeaderBytes);
    std::memcpy(pack.data() + kAt, &state, sizeof(state));
  }

  /// Whether a byte is one of the upper four of the number of a layout, which have no meaning.
  static bool NumberOfLayout(const Pack& pack, std::size_t byte) {
    std::size_t at = kPackHeaderBytes;
    const std::size_t end = at + NumberAt<std::uint64_t>(pack, 80) * sizeof(std::uint64_t);
    while (at < end) {
      if (byte >= at + 4 && byte < at + 8) return true;
      at += (WordType(NumberAt<std::uint64_t>(pack, at + 8)) + 2) * sizeof(std::uint64_t);
    }
    return false;
  }

  /// The replica has the records of the source, and both are whole on disk.
  void ExpectEqual() const {
    EXPECT_EQ(Records(Reader::Open(replica_)), Records(Reader::Open(path_)));
    for (const std::filesystem::path& path : {path_, replica_}) {
      const VerifyReport report = Verify(path);
      EXPECT_TRUE(report.ok());
      for (const Finding& finding : report.findings) ADD_FAILURE() << FindingText(finding);
    }
  }
};

}  // namespace stream_store::internal
