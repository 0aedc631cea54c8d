// Layouts with checked bounds, and the errors for corrupt records and layouts.
#include "storage/view.h"

#include "stream_store/error.h"

#include "base/str_cat.h"
#include "format/layout.h"

namespace stream_store::internal {
namespace {

// The errors of LayoutAt() have functions of their own, so that it needs no stack for their texts.
[[noreturn, gnu::noinline]] void ThrowLayoutOutside(const View& view, std::uint32_t layout) {
  ThrowCorruptLayout(view, layout,
                     view.layout_begin == 0 ? StrCat("expected an offset below ", view.layout_words)
                                            : StrCat("expected a word in [", view.layout_begin,
                                                     ", ", view.layout_words, ")"));
}

[[noreturn, gnu::noinline]] void ThrowTooManyFields(const View& view, std::uint32_t layout,
                                                    std::uint64_t fields) {
  const std::uint64_t most = view.store_schema->schema.size();
  ThrowCorruptLayout(view, layout, StrCat("expected at most ", most, " fields but found ", fields));
}

[[noreturn, gnu::noinline]] void ThrowLayoutCut(const View& view, std::uint32_t layout,
                                                std::uint64_t fields, std::uint64_t room) {
  ThrowCorruptLayout(view, layout,
                     StrCat("expected ", fields, " words to follow but found ", room));
}

}  // namespace

LayoutRef LayoutAt(const View& view, std::uint32_t layout) {
  if (layout == 0) {
    return {};  // the empty layout is the same in every store, so it is not loaded
  }
  const std::uint64_t word = ResolveLayout(view, layout);
  if (word >= view.layout_words) {
    ThrowLayoutOutside(view, layout);
  }
  const std::uint64_t head = LoadOnce(view.layouts[word]);
  const std::uint64_t fields = WordType(head);
  if (fields > view.store_schema->schema.size()) {
    ThrowTooManyFields(view, layout, fields);
  }
  const std::uint64_t room = view.layout_words - word - 1;
  if (fields > room) {
    ThrowLayoutCut(view, layout, fields, room);
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
