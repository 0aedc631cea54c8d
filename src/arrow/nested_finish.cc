// The end of a batch of a NestedBuilder: its buffers as arrays.

#include "arrow/nested_builder.h"
#include "arrow/offsets.h"
#include "arrow/text_views.h"
#include "base/assert.h"

namespace stream_store::arrow {

namespace {

using Form = NestedNodePlan::Form;

}  // namespace

const std::uint8_t* NestedBuilder::validity() const noexcept {
  const Node& root = nodes_[0];
  return root.nulls == 0 ? nullptr : reinterpret_cast<const std::uint8_t*>(root.validity.data());
}

OutArray NestedBuilder::Finish(std::uint64_t rows) {
  STREAM_STORE_ASSERT(rows >= next_row_);
  SkipTo(rows);
  return FinishNode(0);
}

OutArray NestedBuilder::FinishNode(std::size_t i) {
  const NestedNodePlan& plan = plan_.nodes[i];
  const Node& node = nodes_[i];
  OutArray out = FinishBuffers(i);
  out.length = node.length;
  if (plan.form == Form::kNull) {
    out.null_count = node.length;
  } else {
    out.null_count = node.nulls;
    out.buffers[0] = node.nulls == 0 ? nullptr : node.validity.data();
  }
  for (std::size_t child = i + 1; child < plan.end; child = plan_.nodes[child].end) {
    out.children.push_back(FinishNode(child));
  }
  return out;
}

// The buffers of a node, without the validity, for which the first place is left free.
OutArray NestedBuilder::FinishBuffers(std::size_t i) {
  const NestedNodePlan& plan = plan_.nodes[i];
  const Node& node = nodes_[i];
  OutArray out;
  switch (plan.form) {
    case Form::kNull:
      break;
    case Form::kBools:
    case Form::kItems:
      out.buffers = {nullptr, node.data.data()};
      break;
    case Form::kText:
      if (plan.offset_bits == 0) {
        return MakeViews(*memory_, node.length,
                         reinterpret_cast<const std::int64_t*>(node.offsets.data()),
                         node.data.data());
      }
      out.buffers = {nullptr, node.offsets.data(), node.data.data()};
      break;
    case Form::kList:
      out.buffers = {nullptr, node.offsets.data()};
      break;
    case Form::kListView:
      out.buffers = {nullptr, node.offsets.data(), ListSizes(i)};
      break;
    case Form::kFixedList:
    case Form::kStruct:
      out.buffers = {nullptr};
      break;
  }
  return out;
}

// The sizes of list views, which have as many bits as the offsets.
const std::byte* NestedBuilder::ListSizes(std::size_t i) {
  const Node& node = nodes_[i];
  const bool wide = plan_.nodes[i].offset_bits == 64;
  std::byte* sizes = memory_->Make(node.length * (wide ? 8 : 4));
  FillSizesOf(wide, node.offsets.data(), node.length, sizes);
  return sizes;
}

}  // namespace stream_store::arrow
