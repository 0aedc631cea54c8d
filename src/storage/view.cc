// Layouts with checked bounds, and the errors for corrupt records and layouts.
#include "storage/view.h"

#include "stream_store/error.h"

#include "base/str_cat.h"
#include "format/layout.h"

namespace stream_store::internal {
LayoutRef LayoutAt(const View& view, std::uint32_t layout) {
  if (layout == 0) {
    return {};  // the empty layout is the same in every store, so it is not loaded
  }
  const std::uint64_t word = ResolveLayout(view, layout);
  if (word >= view.layout_words) {
    ThrowCorruptLayout(
        view, layout,
        view.layout_begin == 0
            ? StrCat("expected an offset below ", view.layout_words)
            : StrCat("expected a word in [", view.layout_begin, ", ", view.layout_words, ")"));
  }
  const std::uint64_t head = LoadOnce(view.layouts[word]);
  const std::uint64_t fields = WordType(head);
  if (fields > view.store_schema->schema.size()) {
    ThrowCorruptLayout(view, layout,
                       StrCat("expected at most ", view.store_schema->schema.size(),
                              " fields but found ", fields));
  }
  const std::uint64_t room = view.layout_words - word - 1;
  if (fields > room) {
    ThrowCorruptLayout(view, layout,
                       StrCat("expected ", fields, " words to follow but found ", room));
  }
  return {fields, WordLength(head), view.layouts + word + 1};
}

void ThrowCorruptLayout(const View& view, std::uint32_t layout, const std::string& what) {
  throw Error(ErrorCode::kCorrupt, StrCat(view.store_schema->path, "/layouts: layout at word ",
                                          ResolveLayout(view, layout), ": ", what));
}

void ThrowCorruptRecord(const View& view, std::uint64_t record, const std::string& what) {
  throw Error(ErrorCode::kCorrupt,
              StrCat(view.store_schema->path, "/records: record ", record, ": ", what));
}

}  // namespace stream_store::internal
