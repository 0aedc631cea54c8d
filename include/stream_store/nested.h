// Nested fields: cells of any Arrow type, serialised to a block of bytes.
//
//     const NestedType type = ParseNestedType("list<struct<role: string, content: string>>");
//     NestedEncoder chat(type);
//     chat.BeginList();
//     chat.BeginStruct();
//     chat.Text("user");
//     chat.Text("Hello");
//     chat.EndStruct();
//     chat.EndList();
//     store.Append(step, {{messages, chat.Finish()}});
//
//     NestedDecoder cell(type);
//     cell.Open(PackedBytes(reader.schema()[messages], words));
//     for (std::uint64_t left = cell.BeginList(); left > 0; --left) {
//       cell.BeginStruct();
//       const std::string_view role = cell.Text();
//       const std::string_view content = cell.Text();
//     }
//
// A field with Field::nested holds one such block per field-write. docs/format.md ("Nested blocks")
// specifies its bytes. A value has exactly one encoding, so equal cells have equal bytes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "stream_store/export.h"
#include "stream_store/types.h"

namespace stream_store {

struct Field;

/// The deepest nesting of a type: the number of nodes from the root to a leaf, both included.
inline constexpr int kMaxNestedDepth = 64;

/// The most nodes that a type may have.
inline constexpr std::size_t kMaxNestedNodes = 65'536;

/// The type of a nested cell, as a tree.
struct NestedType {
  /// How the elements of a node are stored.
  enum class Kind : std::uint8_t {
    kItem,       ///< items of `size` bytes each, as in Arrow; bools take one byte
    kBytes,      ///< strings and binaries of any length
    kList,       ///< lists of any length; a map is a list of entries, which are structs
    kFixedList,  ///< lists of `size` items
    kStruct      ///< one element of each child
  };

  /// The kind, which follows from `format`.
  Kind kind = Kind::kItem;

  /// The format string of the Arrow C data interface: "l", "+L", "tsu:UTC", "+m". It determines the
  /// Arrow type that the cell is exported as. The block depends on `kind` and `size` only.
  std::string format = {};

  /// The name of a struct's child; of a list's child, the name that Arrow shows.
  std::string name = {};

  /// Whether elements may be null. That of the root has no meaning: a null cell is a missing field.
  bool nullable = true;

  /// Of kItem the bytes of an item, 0 for null; of kFixedList the items of a list.
  std::uint32_t size = 0;

  /// One child of a list, which is called "item", any number of a struct's. The child of a map is a
  /// struct of a key and a value; neither it nor the key is nullable.
  std::vector<NestedType> children = {};

  /// Of a map: whether its keys are said to be sorted. They are not checked.
  bool keys_sorted = false;

  friend bool operator==(const NestedType&, const NestedType&) = default;
};

/// Parses a type in Arrow's notation, as pyarrow and `datasets` write it:
/// "list<item: struct<role: string not null, content: large_string>>", "map<string, int32>",
/// "fixed_size_list<float>[3]", "list<timestamp[us, tz=UTC]>", "decimal128(10, 2)".
///
/// A name that is not made of letters, digits, '_', '-' and '.' is written as a JSON string. Both
/// "float" and "float32" are understood, as are "double", "halffloat", "utf8" and "date32[day]".
/// "not null" may follow the type of a child. A list's child is called "item" unless it has another
/// name. Other names of the parts of a map follow in parentheses: `map<string ("k"), int32 ("v")>`.
///
/// Throws Error(kInvalidArgument) with the position of the first error; also for a type that is too
/// deep or has too many nodes, for unions, for dictionaries and run-end encoded types, whose
/// values are stored instead, and for extension types, which are stored as their storage type.
STREAM_STORE_API NestedType ParseNestedType(std::string_view text);

/// Returns the type of an Arrow format with these children, with the kind and size that follow from
/// it. Children of lists and maps that have no name get the usual one: "item", or "entries", "key"
/// and "value". Throws Error(kInvalidArgument) for a format that a nested cell cannot have, for
/// another number of children than the format needs, and for a type that is too deep or too large.
STREAM_STORE_API NestedType MakeNestedType(std::string_view format,
                                           std::vector<NestedType> children = {});

/// Writes a type so that ParseNestedType() returns it. The text is canonical: one type has one text,
/// which names items as the rest of the library does ("float32", "date32") and leaves out the
/// names "item", "key" and "value". Throws Error(kInvalidArgument) if MakeNestedType() could not
/// have made the type.
STREAM_STORE_API std::string NestedTypeText(const NestedType& type);

/// Returns the bytes of one field-write of a packed string, a packed binary or a nested field, or
/// the little-endian items of any other packed field.
///
/// words   the stored words, from RowView, RowsColumn::spans or the flat buffer.
/// Throws  Error(kCorrupt) if the number of items in the first word contradicts the number of
///         words; Error(kInvalidArgument) if the field is not packed and not nested.
STREAM_STORE_API std::span<const std::byte> PackedBytes(const Field& field,
                                                        std::span<const Value> words);

/// Builds one cell, depth first: the methods are called in the order of the values.
///
/// Every method throws Error(kInvalidArgument) if the type has another kind of node at this place,
/// or cannot hold the value. The message names the place inside the cell, such as
/// "[3].role: expected a string but found a list". After an error, call Clear() before the next
/// cell. Use an encoder from one thread at a time.
class STREAM_STORE_API NestedEncoder {
 public:
  /// Copies the parts of the type that it needs.
  explicit NestedEncoder(const NestedType& type);
  NestedEncoder(NestedEncoder&&) noexcept;
  NestedEncoder& operator=(NestedEncoder&&) noexcept;
  ~NestedEncoder();

  /// A null. The root of a cell cannot be null; leave the field out instead.
  void Null();

  /// A list; its elements follow, then EndList(). EndList() checks the length of a fixed-size list.
  void BeginList();
  void EndList();

  /// A struct; one value for each child follows in their order, then EndStruct(). The entries of a
  /// map are structs of a key and a value.
  void BeginStruct();
  void EndStruct();

  void Bool(bool value);

  /// A number for any integer, date, time, timestamp or duration, in the unit of the type. Checked
  /// against the range of the type.
  void Int(std::int64_t value);
  void UInt(std::uint64_t value);

  /// A number for any float; rounded to the nearest value of the type. A finite number beyond its
  /// range is an error.
  void Float(double value);

  /// A string, which must be UTF-8, or a binary of varying or fixed size.
  void Text(std::string_view bytes);

  /// The little-endian bytes of an item of any type with items of fixed size, such as a decimal.
  void Item(std::span<const std::byte> bytes);

  /// `count` items that follow each other, as Item() for each. Any bits are accepted, except that a
  /// bool must be 0 or 1.
  void Items(const void* items, std::uint64_t count);

  /// Returns the block and begins the next cell. The bytes are valid until the next call.
  std::string_view Finish();

  /// Forgets the cell that was begun.
  void Clear() noexcept;

  /// The place of the next value inside the cell, for messages: "[3].role"; "" at the root.
  std::string Place() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// Reads one cell, depth first: the methods are called in the order of the values.
///
/// Open() checks the whole block, so the methods below can fail only if the caller asks for
/// another kind of value than the type has: they then throw Error(kInvalidArgument). Use a decoder
/// from one thread at a time.
class STREAM_STORE_API NestedDecoder {
 public:
  /// Copies the parts of the type that it needs.
  explicit NestedDecoder(const NestedType& type);
  NestedDecoder(NestedDecoder&&) noexcept;
  NestedDecoder& operator=(NestedDecoder&&) noexcept;
  ~NestedDecoder();

  /// Begins to read a block, which must stay valid meanwhile.
  ///
  /// Cost    proportional to the size of the block and the number of nodes, whatever its content.
  /// Throws  Error(kCorrupt) if the block is not one of this type.
  void Open(std::span<const std::byte> block);

  /// Whether the next value is null. If so, it is read; if not, nothing is.
  bool Null();

  /// Enters a list and returns the number of its elements, which follow.
  std::uint64_t BeginList();

  /// Enters a struct; the values of its children follow.
  void BeginStruct();

  bool Bool();

  /// An integer, date, time, timestamp or duration. UInt() is for uint64; both return the same bits.
  std::int64_t Int();
  std::uint64_t UInt();

  double Float();

  /// A string or a binary of varying or fixed size. It points into the block.
  std::string_view Text();

  /// The little-endian bytes of an item of fixed size. They point into the block.
  std::span<const std::byte> Item();

  /// The next `count` items of fixed size, as `count` calls of Item(): none may be null, and the
  /// list must have as many elements left.
  std::span<const std::byte> Items(std::uint64_t count);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace stream_store
