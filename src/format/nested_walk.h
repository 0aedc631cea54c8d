// NestedWalk: the place of the next value in the type of a cell, while a cell is built or read.
//
// Used by the encoder and the decoder of nested cells. Thread rules: an object belongs to one thread.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "stream_store/error.h"
#include "stream_store/nested.h"

#include "base/assert.h"
#include "format/nested_block.h"

namespace stream_store::internal {

/// The nodes of a type, with the texts that messages need.
class NestedNodes {
 public:
  explicit NestedNodes(const NestedType& type);

  const NestedPlan& plan() const noexcept { return plan_; }

  std::size_t size() const noexcept { return plan_.size(); }

  const NestedNode& operator[](std::size_t i) const noexcept { return plan_[i]; }

  /// The name of node i.
  const std::string& name(std::size_t i) const noexcept { return names_[i]; }

  /// Node i for messages: "a list", "a string", "an int32".
  std::string_view description(std::size_t i) const noexcept { return descriptions_[i]; }

  /// NestedType::size of a kItem: 0 for items whose one byte is not a part of the value.
  std::uint32_t value_bytes(std::size_t i) const noexcept {
    return plan_[i].is_zero ? 0 : plan_[i].item_bytes;
  }

 private:
  NestedPlan plan_;
  std::vector<std::string> names_;
  std::vector<std::string> descriptions_;
};

/// The lists and structs around the next value, outermost first.
class NestedWalk {
 public:
  /// `nodes` must outlive the walk.
  explicit NestedWalk(const NestedNodes& nodes) noexcept : nodes_(&nodes) {}

  /// No node: the cell is complete, or a list or struct must end first.
  static constexpr std::uint32_t kNoNode = 0xffffffffU;

  struct Frame {
    std::uint32_t node = 0;   ///< the list or struct
    std::uint32_t next = 0;   ///< the node of the next value in it; kNoNode if it is full
    std::uint64_t count = 0;  ///< values in it so far
    std::uint64_t limit = 0;  ///< the most values that it holds
  };

  /// The node of the next value, or kNoNode.
  std::uint32_t next() const noexcept { return depth_ == 0 ? root_ : Top().next; }

  /// The innermost list or struct. REQUIRES: depth() > 0.
  const Frame& Top() const noexcept {
    STREAM_STORE_ASSERT(depth() > 0);
    return frames_[depth_ - 1];
  }

  std::size_t depth() const noexcept { return depth_; }

  /// Whether the cell is complete.
  bool done() const noexcept { return depth_ == 0 && root_ == kNoNode; }

  /// Returns to the root.
  void Reset() noexcept {
    depth_ = 0;
    root_ = 0;
  }

  /// Enters the list or struct of the next value, which holds at most `limit` values.
  /// REQUIRES: next() != kNoNode.
  void Enter(std::uint64_t limit) noexcept {
    STREAM_STORE_ASSERT(next() != kNoNode);
    Frame& frame = frames_[depth_];
    frame.node = next();
    frame.next = limit == 0 ? kNoNode : frame.node + 1;
    frame.count = 0;
    frame.limit = limit;
    ++depth_;
  }

  /// Leaves the innermost list or struct, which is then a value that is complete.
  /// REQUIRES: depth() > 0.
  void Leave() noexcept {
    STREAM_STORE_ASSERT(depth() > 0);
    --depth_;
    Pass(1);
  }

  /// Goes on after `count` values. More than one must be in a list.
  void Pass(std::uint64_t count) noexcept {
    if (depth_ == 0) {
      root_ = kNoNode;
      return;
    }
    Frame& frame = frames_[depth_ - 1];
    frame.count += count;
    const NestedNode& node = (*nodes_)[frame.node];
    if (frame.count == frame.limit) {
      frame.next = kNoNode;
    } else if (node.kind == NestedType::Kind::kStruct) {
      frame.next = (*nodes_)[frame.next].end;
    }
  }

  /// The place of the next value: "[3].role"; "" at the root.
  std::string Place() const { return PlaceAt(depth_); }

  /// The place of the innermost list or struct. REQUIRES: depth() > 0.
  std::string PlaceOfTop() const {
    STREAM_STORE_ASSERT(depth() > 0);
    return PlaceAt(depth_ - 1);
  }

 private:
  std::string PlaceAt(std::size_t depth) const;

  const NestedNodes* nodes_;
  std::array<Frame, kMaxNestedDepth> frames_;
  std::size_t depth_ = 0;
  std::uint32_t root_ = 0;
};

/// Throws Error(kInvalidArgument) with the place of a value: "[3].role: expected a string but found
/// a list".
[[noreturn]] void FailAt(const std::string& place, std::string_view expected,
                         std::string_view found);

}  // namespace stream_store::internal
