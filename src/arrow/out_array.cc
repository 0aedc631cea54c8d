#include "arrow/out_array.h"

#include <utility>

namespace stream_store::arrow {
namespace {

// What one exported ArrowArray owns.
struct ArrayPrivate {
  std::shared_ptr<BatchMemory> memory;
  std::vector<const void*> buffers;
  std::vector<ArrowArray> children;
  std::vector<ArrowArray*> pointers;
};

void ReleaseArray(ArrowArray* array) {
  const std::unique_ptr<ArrayPrivate> mine(static_cast<ArrayPrivate*>(array->private_data));
  for (ArrowArray& child : mine->children) {
    if (child.release != nullptr) {
      child.release(&child);
    }
  }
  array->release = nullptr;
}

void FillArray(const std::shared_ptr<BatchMemory>& memory, OutArray&& tree, ArrowArray* out) {
  auto mine = std::make_unique<ArrayPrivate>();
  mine->memory = memory;
  mine->buffers = std::move(tree.buffers);
  mine->children.resize(tree.children.size());
  mine->pointers.reserve(tree.children.size());
  for (ArrowArray& child : mine->children) {
    child.release = nullptr;
    mine->pointers.push_back(&child);
  }
  *out = ArrowArray{};
  out->length = static_cast<std::int64_t>(tree.length);
  out->null_count = static_cast<std::int64_t>(tree.null_count);
  out->n_buffers = static_cast<std::int64_t>(mine->buffers.size());
  out->buffers = mine->buffers.data();
  out->n_children = static_cast<std::int64_t>(mine->children.size());
  out->children = mine->pointers.data();
  out->release = &ReleaseArray;
  ArrayPrivate& kept = *mine;
  out->private_data = mine.release();
  for (std::size_t i = 0; i < tree.children.size(); ++i) {
    FillArray(memory, std::move(tree.children[i]), &kept.children[i]);
  }
}

}  // namespace

void ExportArray(const std::shared_ptr<BatchMemory>& memory, OutArray tree, ArrowArray* out) {
  out->release = nullptr;
  try {
    FillArray(memory, std::move(tree), out);
  } catch (...) {
    if (out->release != nullptr) {
      out->release(out);
    }
    throw;
  }
}

}  // namespace stream_store::arrow
