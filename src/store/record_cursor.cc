// The messages of records that do not continue where the last one ended. They are apart from the
// checks so that hot loops hold no code that builds text.
#include "store/record_cursor.h"

#include "base/str_cat.h"

namespace stream_store::internal {
namespace {

[[noreturn]] void ThrowNoRecord(const View& view, std::uint64_t record, std::uint64_t position) {
  ThrowCorruptRecord(view, record,
                     StrCat("expected to start at position ", position, " but the store has only ",
                            view.record_count, " records"));
}

}  // namespace

void ThrowWrongStart(const View& view, std::uint64_t record, std::uint64_t position) {
  if (record >= view.record_count) {
    ThrowNoRecord(view, record, position);
  }
  ThrowCorruptRecord(view, record,
                     StrCat("expected to start at position ", position, " but found ",
                            LoadOnce(view.records[record].start)));
}

void ThrowEndsBefore(const View& view, std::uint64_t record, std::uint64_t position) {
  ThrowCorruptRecord(view, record,
                     StrCat("expected to hold position ", position, " but it ends before"));
}

void ThrowStartsOutside(const View& view, std::uint64_t record, std::uint64_t start) {
  ThrowCorruptRecord(view, record,
                     view.first_position == 0
                         ? StrCat("expected to start at or before position ", view.value_count,
                                  " but found ", start)
                         : StrCat("expected to start at a position in [", view.first_position, ", ",
                                  view.value_count, "] but found ", start));
}

void ThrowEndsOutside(const View& view, std::uint64_t record, std::uint64_t start,
                      std::uint64_t total) {
  if (start < view.first_position) {
    ThrowStartsOutside(view, record, start);
  }
  ThrowCorruptRecord(view, record,
                     StrCat("expected to end at or before position ", view.value_count,
                            " but found ", total, " values from position ", start, " on"));
}

void ThrowTooManyRecords(const View& view, std::uint64_t record, std::uint64_t most) {
  ThrowCorruptRecord(view, record, StrCat("expected at most ", most, " records in its row"));
}

void RecordCursor::ThrowNotNext(const RecordHead& found) const {
  if (AtEnd()) {
    ThrowNoRecord(*view, record, position);
  }
  ThrowCorruptRecord(*view, record,
                     StrCat("expected row ", row, " at position ", position, " but found row ",
                            found.row, " at position ", found.start));
}

}  // namespace stream_store::internal
