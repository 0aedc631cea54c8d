// NestedWriter: writes the elements of a foreign nested column as blocks of cells.
//
// Used by leaf_cells.cc, which has one writer for each nested column. A block has the layout that
// docs/format.md ("Nested blocks") specifies. The elements of a node are given as ranges of the
// foreign array, because those that follow each other there are copied at once: without nulls, all
// elements of a node in one cell are one range.
// Thread rules: one thread at a time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <exception>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "arrow/cell_buffer.h"
#include "arrow/nested_view.h"

namespace stream_store::arrow {

/// The most bytes of a block, and the most elements of a node in a block.
inline constexpr std::uint64_t kMostCellBytes = std::uint64_t{1} << 31;

/// Thrown if a cell cannot be stored. Caught by leaf_cells.cc, which adds column and row.
struct CellError : std::exception {
  CellError(std::uint64_t at, std::string reason, bool null = false)
      : slot(at), problem(std::move(reason)), is_null(null) {}

  std::uint64_t slot;      ///< of the node that is being written: the element with the problem
  std::string place = {};  ///< from that element on: "[3].role"
  std::string problem;
  bool is_null;  ///< the problem is a null
};

class NestedWriter {
 public:
  NestedWriter();

  /// Appends the block of element `element` of a column to `out`. Returns false, having written
  /// nothing, if the element is null. Throws CellError with the place inside the cell; `out` has
  /// unspecified bytes at its end then.
  bool Write(const NestedView& root, std::uint64_t element, CellBuffer& out);

  /// Whether an element of a struct is present, and so are those of its first children further in.
  /// Throws CellError.
  static bool IsPresent(const NestedView& view, std::uint64_t element);

 private:
  /// Elements [begin, end) of an array.
  struct Range {
    std::uint64_t begin = 0;
    std::uint64_t end = 0;
  };

  /// The elements of a node in one cell.
  struct Elements {
    std::span<const Range> ranges;
    std::uint64_t count = 0;
  };

  /// Ranges of the nodes at one depth. Only one of them is being written at a time.
  struct Frame {
    std::vector<Range> present;  ///< elements of the node that are not null
    std::vector<Range> inner;    ///< elements of its lists, or bytes of its texts
  };

  std::byte* Extend(std::uint64_t count) {
    if (count > kMostCellBytes - (out_->size() - begin_)) {
      RefuseSize();
    }
    return out_->Extend(count);
  }

  void ExtendZeros(std::uint64_t count) {
    std::byte* zeros = Extend(count);
    for (std::uint64_t i = 0; i < count; ++i) {
      zeros[i] = std::byte{0};
    }
  }

  [[noreturn]] static void RefuseSize();

  static bool Follow(const NestedView& view, std::uint64_t slot, std::uint64_t& element);
  void WriteNode(const NestedView& view, Elements slots, std::size_t depth);
  Elements FindPresent(const NestedView& view, Elements slots, std::size_t header, Frame& frame);
  Elements Filter(const NestedView& view, Elements slots, std::size_t header, Frame& frame);
  void WritePresent(const NestedView& view, Elements present, std::size_t header,
                    std::size_t depth);

  void WriteItems(const NestedView& view, Elements present, std::size_t header);
  void WriteStruct(const NestedView& view, Elements present, std::size_t header, std::size_t depth);
  void WriteLists(const NestedView& view, Elements present, std::size_t header, std::size_t depth);
  void WriteTexts(const NestedView& view, Elements present, std::size_t header, Frame& frame);
  void WriteTextViews(const ArrayView& array, Elements present, std::size_t header);
  void CheckTexts(std::size_t begin, std::uint64_t count, std::size_t header);

  void ReadLengths(const ArrayView& array, Elements present, std::uint64_t most, std::size_t header,
                   Frame& frame);
  template <class Offset>
  void ReadOffsets(const ArrayView& array, Elements present, std::uint64_t most, std::size_t header,
                   Frame& frame);
  void ReadListViews(const ArrayView& array, Elements present, std::uint64_t most,
                     std::size_t header, Frame& frame);
  void ReadFixedLists(const ArrayView& array, Elements present, Frame& frame);
  void WriteLengths(std::uint64_t count, std::size_t header);
  void CheckListLengths(std::uint32_t size, std::uint64_t count, std::size_t header);

  [[noreturn]] void Refuse(std::uint64_t present, std::size_t header,
                           const std::string& problem) const;
  std::uint64_t SlotOf(std::uint64_t present, std::size_t header) const;

  CellBuffer* out_ = nullptr;
  std::size_t begin_ = 0;  // of the block in out_
  std::vector<Frame> frames_;
  // Of the lists or texts that were read last:
  std::vector<std::uint64_t> lengths_;
  std::uint64_t all_lengths_ = 0;  // bitwise or of the lengths, which needs as many bytes as the
                                   // largest of them
  std::uint64_t total_ = 0;        // sum of the lengths
};

}  // namespace stream_store::arrow
