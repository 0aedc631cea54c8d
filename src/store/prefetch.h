// Loops over many places of a store that wait for memory as little as they can. A place is a
// window, a row window or a position of the call.
//
// Reading one window takes so many instructions that the processor cannot look ahead to the next
// one, so a plain loop waits for each window's cache misses in turn. ForEachBlock() overlaps them:
//   1. Before a batch whose pages are not in memory, it asks the kernel for the pages of many
//      places at once (read_ahead.h).
//   2. It prefetches the hints of the next block of places.
//   3. For each place of a block it touches one word of every page that the place needs. Walking
//      the page tables is the longest wait in a large store, and these tight loops overlap the
//      walks. Words that are found through a touched record are touched in a second loop.
//   4. It reads place by place, prefetching all cache lines of the place kLinesAhead further on.
//
// Used by windows.cc, and through row_windows.h by rows.cc and index.cc. gather.cc uses only
// ForEachPart(): reading one scattered value takes so little time that it has a pipeline of its
// own.
#pragma once

#include <algorithm>
#include <cstdint>

#include "storage/read_ahead.h"
#include "storage/record_hints.h"
#include "storage/view.h"
#include "store/vector_copy.h"

namespace stream_store::internal {

inline constexpr std::uint64_t kBlock = 32;      ///< places whose pages are touched together
inline constexpr std::uint64_t kLinesAhead = 4;  ///< places between prefetching lines and reading
inline constexpr std::uint64_t kMostLines = 20;  ///< cache lines prefetched per place and array

/// Calls read(part_begin, part_end) for the parts of places [begin, end), `part` places each.
/// Before a part whose pages may not be in memory, calls ask_kernel(from, to), which calls
/// ReadAhead::Ask() for the memory of those places.
template <class AskKernel, class Read>
STREAM_STORE_INLINE void ForEachPart(const View& view, std::uint64_t begin, std::uint64_t end,
                                     std::uint64_t part, const AskKernel& ask_kernel,
                                     const Read& read) {
  ReadAhead read_ahead(view);
  for (std::uint64_t next = begin; begin < end; begin = next) {
    read_ahead.Before(begin, end, ask_kernel);
    next = std::min(end, begin + part);
    read(begin, next);
    read_ahead.After(next - begin);
  }
}

/// Calls visit(i, record) for each place i in [0, count) in order, where `record` is the guess that
/// TouchRecords() returned. `places` has these functions, all of which may only guess, but must
/// stay inside the View:
///
///   PrefetchHint(i)           prefetches the hint that TouchRecords(i) will load
///   TouchRecords(i)           returns a guess of the first record of place i, after touching its
///                             records and all other words whose address it knows
///   TouchValues(i, record)    touches words whose address is in a touched record
///   PrefetchLines(i, record)  prefetches all cache lines of place i
///   AskKernel(begin, end)     calls ReadAhead::Ask() for all memory of the places [begin, end)
///
/// Always inlined, so that the caller's instruction set applies to everything in the loop.
template <class Places, class Visit>
STREAM_STORE_INLINE void ForEachBlock(const View& view, std::uint64_t count, const Places& places,
                                      const Visit& visit) {
  std::uint64_t guess[kBlock];
  const auto read_block = [&](std::uint64_t begin, std::uint64_t end) STREAM_STORE_INLINE_LAMBDA {
    const std::uint64_t block = end - begin;
    for (std::uint64_t i = end; i < std::min(count, end + kBlock); ++i) {
      places.PrefetchHint(i);
    }
    for (std::uint64_t i = 0; i < block; ++i) {
      guess[i] = places.TouchRecords(begin + i);
    }
    for (std::uint64_t i = 0; i < block; ++i) {
      places.TouchValues(begin + i, guess[i]);
    }
    for (std::uint64_t i = 0; i < block; ++i) {
      if (i + kLinesAhead < block) {
        places.PrefetchLines(begin + i + kLinesAhead, guess[i + kLinesAhead]);
      }
      visit(begin + i, guess[i]);
    }
  };
  ForEachPart(
      view, 0, count, kBlock,
      [&](std::uint64_t from, std::uint64_t to) { places.AskKernel(from, to); }, read_block);
}

}  // namespace stream_store::internal
