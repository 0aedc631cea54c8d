#include "arrow/text_views.h"

#include <cstring>

#include "base/assert.h"

namespace stream_store::arrow {

// A view has 16 bytes: the length of the text, then the text itself if it has at most 12 bytes,
// else its first 4 bytes, the number of its buffer and its offset there.
OutArray MakeViews(BatchMemory& memory, std::uint64_t count, const std::int64_t* offsets,
                   const std::byte* data) {
  STREAM_STORE_ASSERT(offsets[0] == 0 && offsets[count] <= INT32_MAX);
  constexpr std::int64_t kInline = 12;
  constexpr std::uint64_t kView = 16;
  std::byte* views = memory.MakeZeroed(count * kView);
  for (std::uint64_t i = 0; i < count; ++i) {
    const std::int64_t begin = offsets[i];
    const std::int64_t bytes = offsets[i + 1] - begin;
    std::byte* view = views + i * kView;
    const auto short_bytes = static_cast<std::int32_t>(bytes);
    std::memcpy(view, &short_bytes, 4);
    if (bytes <= kInline) {
      std::memcpy(view + 4, data + begin, static_cast<std::size_t>(bytes));
      continue;
    }
    const auto at = static_cast<std::int32_t>(begin);
    std::memcpy(view + 4, data + begin, 4);
    std::memcpy(view + 12, &at, 4);  // bytes 8 to 11 stay 0, the number of the buffer
  }
  std::byte* sizes = memory.Make(sizeof(std::int64_t));
  std::memcpy(sizes, offsets + count, sizeof(std::int64_t));
  OutArray text;
  text.buffers = {nullptr, views, data, sizes};
  return text;
}

}  // namespace stream_store::arrow
