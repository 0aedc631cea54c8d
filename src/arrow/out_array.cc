#include "arrow/out_array.h"

#include <utility>

#include "arrow/owned.h"

namespace stream_store::arrow {
namespace {

// The private_data of one exported ArrowArray. `children` releases those that the consumer has not
// moved out.
struct ArrayPrivate {
  std::shared_ptr<BatchMemory> memory;
  std::vector<const void*> buffers;
  std::vector<OwnedArrow<ArrowArray>> children;
  std::vector<ArrowArray*> pointers;
};

void ReleaseArray(ArrowArray* array) {
  delete static_cast<ArrayPrivate*>(array->private_data);
  array->release = nullptr;
}

OwnedArrow<ArrowArray> MakeArray(const std::shared_ptr<BatchMemory>& memory, OutArray&& tree) {
  auto owned = std::make_unique<ArrayPrivate>();
  owned->memory = memory;
  owned->buffers = std::move(tree.buffers);
  owned->children.reserve(tree.children.size());  // so that the pointers stay valid
  for (OutArray& child : tree.children) {
    owned->children.push_back(MakeArray(memory, std::move(child)));
    owned->pointers.push_back(owned->children.back().get());
  }
  ArrowArray array{};
  array.length = static_cast<std::int64_t>(tree.length);
  array.null_count = static_cast<std::int64_t>(tree.null_count);
  array.n_buffers = static_cast<std::int64_t>(owned->buffers.size());
  array.buffers = owned->buffers.data();
  array.n_children = static_cast<std::int64_t>(owned->pointers.size());
  array.children = owned->pointers.data();
  array.release = &ReleaseArray;
  array.private_data = owned.release();
  return OwnedArrow<ArrowArray>(&array);
}

}  // namespace

void ExportArray(const std::shared_ptr<BatchMemory>& memory, OutArray tree, ArrowArray* out) {
  out->release = nullptr;
  MakeArray(memory, std::move(tree)).MoveTo(out);
}

}  // namespace stream_store::arrow
