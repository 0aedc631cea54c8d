// The functions of interop.h. They forward to the private parts of Reader and WindowSampler.
#include "stream_store/interop.h"

#include <utility>

#include "base/assert.h"
#include "base/crc32c.h"
#include "base/freed_space.h"
#include "base/str_cat.h"
#include "storage/fork_guard.h"
#include "storage/read_source.h"
#include "storage/safe_copy.h"
#include "store/read_functions.h"
#include "store/read_via.h"
#include "store/sampler_access.h"
#include "store/store_impl.h"
#include "store/time_index.h"
#include "store/window_index.h"

namespace stream_store::interop {

using internal::FetchRange;
using internal::LoadOnce;
using internal::ReaderAccess;
using internal::ReadSource;
using internal::ReadVia;
using internal::SamplerAccess;
using internal::StoreAccess;
using internal::StrCat;
using internal::View;

std::filesystem::path HandOver(const Reader& reader) {
  const internal::StoreFiles& files = ReaderAccess::SourceOf(reader)->files();
  if (files.persistent()) {
    throw Error(ErrorCode::kInvalidArgument,
                StrCat(internal::PathText(reader.path()),
                       ": handing it over: expected a temporary store but found one with a "
                       "path; open that path in the other process"));
  }
  return files.directory().path();
}

Reader TakeOver(const std::filesystem::path& directory) {
  return ReaderAccess::Make(ReadSource::TakeOver(directory));
}

StreamStore OpenWithoutDropping(const std::filesystem::path& path, const Options& options) {
  return StoreAccess::Open(path, options, /*drops=*/false);
}

void StartDropping(StreamStore& store) {
  auto& impl = StoreAccess::Of(store);
  if (!std::exchange(impl.drops, true) && impl.writer != nullptr) {
    impl.Limit(*impl.writer, impl.writer->retention());
  }
}

void OnDrop(StreamStore& store, std::function<bool()> dropped) {
  auto& impl = StoreAccess::Of(store);
  STREAM_STORE_ASSERT(!impl.drops || impl.writer == nullptr || store.reader().size() == 0);
  impl.dropped = std::move(dropped);
}

NoWaiting::NoWaiting() noexcept { internal::WaitPermit::Set(/*allowed=*/false); }

NoWaiting::~NoWaiting() { internal::WaitPermit::Set(/*allowed=*/true); }

// NOLINTNEXTLINE(readability-convert-member-functions-to-static): of this object, to its users
bool NoWaiting::refused() const noexcept { return internal::WaitPermit::asked(); }

void ScanRows(const Reader& reader, Row begin, Row end,
              const std::function<bool(const interop::RecordRun&)>& visit) {
  ReadSource& source = *ReaderAccess::SourceOf(reader);
  internal::ReadInParts(source, ReaderAccess::ViewOf(reader), begin, end,
                        [&](const View& view, Row first, Row last) {
                          return internal::ScanRows(view, first, last, visit);
                        });
  source.CheckNotTruncated();
}

std::uint64_t CountIndex(const Reader& reader, Row begin, Row end) {
  return ReadVia(*ReaderAccess::SourceOf(reader), ReaderAccess::ViewOf(reader),
                 FetchRange(begin, end, /*values=*/false),
                 [&](const View& view) { return internal::CountIndex(view, begin, end); });
}

void ReadIndex(const Reader& reader, Row begin, Row end, std::span<IndexEntry> out) {
  ReadSource& source = *ReaderAccess::SourceOf(reader);
  ReadVia(source, ReaderAccess::ViewOf(reader), FetchRange(begin, end, /*values=*/false),
          [&](const View& view) { internal::ReadIndex(view, begin, end, out); });
  source.CheckNotTruncated();
}

void FindTimes(const Reader& reader, std::span<const std::int64_t> times,
               std::span<const std::uint8_t> rests, TypeId field, Side side, std::span<Row> out) {
  if (rests.size() != times.size() || out.size() != times.size()) {
    throw Error(ErrorCode::kInvalidArgument,
                StrCat("row_at: expected as many rests and rows as times, ", times.size(),
                       ", but found ", rests.size(), " and ", out.size()));
  }
  internal::FindTimes(ReaderAccess::SourceOf(reader), ReaderAccess::ViewOf(reader),
                      {.data = times.data(), .rests = rests.data()}, field, side, out);
}

const std::atomic<int>& Forks() noexcept { return internal::Forks(); }

std::array<std::uint8_t, 16> ParentId(const Reader& reader) noexcept {
  return ReaderAccess::SourceOf(reader)->files().identity().parent;
}

std::uint64_t FirstRecord(const Reader& reader) noexcept {
  return ReaderAccess::ViewOf(reader).begin_record;
}

std::uint32_t Checksum(std::span<const std::byte> bytes) noexcept {
  return internal::Crc32c(bytes.data(), bytes.size());
}

std::uint32_t LastChecksum(const Reader& reader) {
  if (!internal::HasRecords(ReaderAccess::ViewOf(reader))) {
    return 0;
  }
  const auto rows = static_cast<Row>(reader.num_rows());
  return ReadVia(*ReaderAccess::SourceOf(reader), ReaderAccess::ViewOf(reader),
                 FetchRange(rows - 1, rows, /*values=*/false), [](const View& view) {
                   return LoadOnce(view.records[view.record_count - 1].checksum);
                 });
}

std::uint64_t UnscannedRows(WindowSampler& sampler) {
  return SamplerAccess::UnscannedRows(sampler);
}

void SetPrefetched(WindowSampler& sampler, std::uint64_t batches, bool end) noexcept {
  SamplerAccess::SetPrefetched(sampler, batches, end);
}

std::uint64_t Prefetched(const WindowSampler& sampler) noexcept {
  return SamplerAccess::Prefetched(sampler);
}

void ReturnPrefetched(WindowSampler& sampler) noexcept { SamplerAccess::ReturnPrefetched(sampler); }

void ReadStarts(WindowSampler& sampler, std::span<const std::uint64_t> indices,
                WindowBatch& batch) {
  SamplerAccess::ReadStarts(sampler, indices, batch);
}

std::uint64_t StoreOfIndex(std::int64_t index) noexcept {
  return internal::WindowIndex(index).store();
}

void LookForStores(WindowSampler& sampler) { internal::SamplerAccess::LookForStores(sampler); }

}  // namespace stream_store::interop
