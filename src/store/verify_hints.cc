// The checks of hints, as a part of StoreScan.
#include "base/str_cat.h"
#include "store/verify_scan.h"

namespace stream_store::internal {

void StoreScan::OpenHints() {
  const auto open = [](std::optional<WordFile<std::uint64_t>>& hints,
                       const std::optional<KindReader>& reader) {
    hints.reset();
    if (reader) {
      hints.emplace(*reader);
    }
  };
  open(position_hints_, files_.position_hints);
  open(row_hints_, files_.row_hints);
}

// Checks the hints that refer to a record. Only the first wrong one is reported: a wrong hint costs
// a longer search but no answer depends on it, and if one is wrong usually thousands are.
void StoreScan::CheckHints(std::uint64_t record, const Record& words, std::uint64_t total,
                           bool begins_row) {
  const std::uint64_t end = words.start + total;
  for (std::uint64_t slot = (words.start + kHintStride - 1) / kHintStride; slot * kHintStride < end;
       ++slot) {
    ExpectHint(slot, Kind::kPositionHints, record);
  }
  const std::uint64_t row = RowOfRecord(words.row_session);
  if (begins_row && row % kHintStride == 0) {
    ExpectHint(row / kHintStride, Kind::kRowHints, record);
  }
}

void StoreScan::ExpectHint(std::uint64_t slot, Kind kind, std::uint64_t record) {
  std::optional<WordFile<std::uint64_t>>& hints =
      kind == Kind::kRowHints ? row_hints_ : position_hints_;
  if (hint_reported_ || !hints) {
    return;
  }
  std::uint64_t found = ~std::uint64_t{0};
  const bool there = hints->begin() <= slot && slot < hints->end();
  if (there) {
    try {
      found = *hints->At(slot, 1);
    } catch (const Error&) {
      found = ~std::uint64_t{0};
    }
  }
  if (found == record || files_.RowsWereDropped()) {
    return;  // the file of a hint may be gone
  }
  hint_reported_ = true;
  Notice(KindName(kind), slot * sizeof(std::uint64_t),
         StrCat("hint of ", kind == Kind::kRowHints ? "row " : "position ", slot * kHintStride),
         StrCat("record ", record), there ? StrCat(found) : std::string("nothing"));
}

}  // namespace stream_store::internal
