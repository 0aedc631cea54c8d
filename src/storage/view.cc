// Layouts with checked bounds, and the errors for corrupt records and layouts.
#include "storage/view.h"

#include "stream_store/error.h"

#include "base/str_cat.h"
#include "format/layout.h"

namespace stream_store::internal {
LayoutRef LayoutAt(const View& view, std::uint32_t offset) {
  if (offset == 0) {
    return {};  // word 0 is the empty layout in every store, so it is not loaded
  }
  if (offset >= view.layout_words) {
    ThrowCorruptLayout(view, offset, StrCat("expected an offset below ", view.layout_words));
  }
  const std::uint64_t head = LoadOnce(view.layouts[offset]);
  const std::uint64_t fields = WordType(head);
  if (fields > view.store_schema->schema.size()) {
    ThrowCorruptLayout(view, offset,
                       StrCat("expected at most ", view.store_schema->schema.size(),
                              " fields but found ", fields));
  }
  const std::uint64_t room = view.layout_words - offset - 1;
  if (fields > room) {
    ThrowCorruptLayout(view, offset,
                       StrCat("expected ", fields, " words to follow but found ", room));
  }
  return {fields, WordLength(head), view.layouts + offset + 1};
}

void ThrowCorruptLayout(const View& view, std::uint32_t offset, const std::string& what) {
  throw Error(ErrorCode::kCorrupt,
              StrCat(view.store_schema->path, "/layouts: layout at word ", offset, ": ", what));
}

void ThrowCorruptRecord(const View& view, std::uint64_t record, const std::string& what) {
  throw Error(ErrorCode::kCorrupt,
              StrCat(view.store_schema->path, "/records: record ", record, ": ", what));
}

}  // namespace stream_store::internal
