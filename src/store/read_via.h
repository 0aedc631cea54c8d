// Reading through a View, or through a copy of what one call needs where mappings are not to be
// trusted. Who uses it: reader.cc, and the sampler, which looks into Readers beside their public face.
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <span>

#include "storage/read_source.h"
#include "storage/safe_copy.h"
#include "storage/view.h"

namespace stream_store::internal {

/// read(view); of a source that copies, read(copy of what `fetch` asked the SafeCopy for).
template <class Fetch, class Read>
auto ReadVia(const ReadSource& source, const View& view, const Fetch& fetch, const Read& read) {
  if (!source.copies()) [[likely]] {
    return read(view);
  }
  SafeCopy copy(source.files(), view);
  fetch(copy);
  return read(copy.view());
}

/// The same for reads that hand out places in the store: what they lie in, null for the mappings.
template <class Fetch, class Read>
std::shared_ptr<const SafeCopy> ReadViaKept(const ReadSource& source, const View& view,
                                            const Fetch& fetch, const Read& read) {
  if (!source.copies()) [[likely]] {
    read(view);
    return nullptr;
  }
  auto copy = std::make_shared<SafeCopy>(source.files(), view);
  fetch(*copy);
  read(copy->view());
  return copy;
}

/// Asks for rows [begin, end) with or without their values; what lies outside is left to the read.
inline auto FetchRange(Row begin, Row end, bool values) {
  return [=](SafeCopy& copy) {
    if (begin < end) {
      copy.FetchRows(std::span<const Row>(&begin, 1), static_cast<std::uint64_t>(end - begin),
                     values);
    }
  };
}

/// read(view, part_begin, part_end) for parts of rows [begin, end) in order, until it returns false:
/// one part, or where it is copied as many as keep a copy at about 64 MiB.
template <class Read>
void ThroughParts(const ReadSource& source, const View& view, Row begin, Row end,
                  const Read& read) {
  constexpr std::uint64_t kValuesAtOnce = std::uint64_t{8} << 20;
  if (!source.copies()) [[likely]] {
    read(view, begin, end);
    return;
  }
  const std::uint64_t values_a_row = view.value_count / std::max<std::uint64_t>(view.row_count, 1);
  const auto rows =
      static_cast<Row>(std::max<std::uint64_t>(kValuesAtOnce / (values_a_row + 4), 1));
  bool more = true;
  do {
    const Row part_end = end - begin > rows ? begin + rows : end;
    more = ReadVia(source, view, FetchRange(begin, part_end, /*values=*/true),
                   [&](const View& copy) { return read(copy, begin, part_end); });
    begin = part_end;
  } while (more && begin < end);
}

}  // namespace stream_store::internal
