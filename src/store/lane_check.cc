#include "store/lane_check.h"

#include "stream_store/error.h"

#include "base/str_cat.h"

namespace stream_store::internal {

void RefuseAlternation(const std::optional<Alternation>& found, std::uint64_t begin,
                       std::uint64_t end, std::uint64_t lanes, const std::string& field) {
  if (!found || found->last_row < begin || found->first_row >= end) {
    return;
  }
  const std::uint64_t row = found->first_row;
  throw Error(
      ErrorCode::kInvalidArgument,
      StrCat("sampler: lanes: expected that ", lanes, " environments write their rows in ",
             "turn, but in rows ", row, ", ", row + lanes, ", ", row + 2 * lanes, " and ",
             row + 3 * lanes, " field '", field, "' alternates between ", found->one, " and ",
             found->other, ": they are of two environments; give their number, or use lane_by"));
}

}  // namespace stream_store::internal
