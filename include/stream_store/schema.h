// Fields and schemas: the meaning of a store's values.
//
//     Schema schema({{.name = "image", .dtype = DType::kUInt8, .shape = {84, 84}, .packed = true},
//                    {.name = "tokens", .dtype = DType::kInt32, .shape = {kRagged}},
//                    {.name = "reward", .dtype = DType::kFloat32}});
//
// A Field describes how one column is encoded. A Schema is the validated list of them, in declared
// order; a type id is an index into that list. Hidden marker fields (see Field::hidden) come after
// all declared ones.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "stream_store/dtype.h"
#include "stream_store/export.h"
#include "stream_store/types.h"

namespace stream_store {

/// The first entry of the shape of a ragged field, whose length varies from step to step.
inline constexpr std::uint32_t kRagged = 0xffffffffU;

/// One declared column.
struct Field {
  /// The name that users see. A leaf of a struct is called "outer.inner".
  std::string name;

  /// The type of one item.
  DType dtype = DType::kInt64;

  /// The shape of one field-write: {} for a scalar, {3}, {84, 84, 3}; {kRagged} for a list of any
  /// length, {kRagged, 3} for a list of triples.
  std::vector<std::uint32_t> shape = {};

  /// Whether items of 1, 2 or 4 bytes share words, eight bytes to a word, instead of taking one
  /// word each: an 84 × 84 image of bytes then takes 7,056 bytes instead of 56,448. Strings,
  /// binaries and ragged shapes can be packed too; each of their field-writes begins with a word
  /// that holds its number of items.
  bool packed = false;

  /// The declaration in Python's terms, kept verbatim; empty for fields declared in C++.
  std::string feature_json = {};

  /// The place of a leaf in its struct, such as {"outer", "inner"}; empty means {name}.
  std::vector<std::string> path = {};

  /// Whether this is the marker of a struct, which is written where all leaves of the struct are
  /// missing although the struct itself is not. Users do not see markers.
  bool hidden = false;

  /// The type of the cells if `dtype` is kNested, as NestedTypeText() writes it, such as
  /// "list<struct<role: string, content: string>>"; empty otherwise. The shape is then {}, and
  /// `packed` is false. See nested.h.
  std::string nested = {};

  friend bool operator==(const Field&, const Field&) = default;
};

/// Returns the feature of a field for messages, as it could be declared in Python: "float32[]",
/// "int8[3]", "packed uint8[84,84,4]", "float32[None,3]"; "struct" for a hidden field.
STREAM_STORE_API std::string FieldText(const Field& field);

/// The limits of a schema; beyond them Schema() throws Error(kInvalidArgument).
inline constexpr std::uint64_t kMaxFields = 65'536;
inline constexpr std::uint64_t kMaxNameBytes = 255;

/// The fields of a store, in declared order.
class STREAM_STORE_API Schema {
 public:
  Schema() = default;

  /// Validates the fields.
  ///
  /// Throws Error(kInvalidArgument) naming the field: no fields, too many, a duplicate, too long
  /// or non-UTF-8 name, a shape, dtype or nested type that cannot be stored, a declared field
  /// after a hidden one. Nested types are rewritten in their canonical form.
  explicit Schema(std::vector<Field> fields);

  /// All fields by type id, hidden ones last.
  const std::vector<Field>& fields() const noexcept { return fields_; }

  /// The field of a type id, which must be less than size().
  const Field& operator[](TypeId type) const noexcept { return fields_[type]; }

  /// The number of fields, hidden ones included.
  std::size_t size() const noexcept { return fields_.size(); }

  bool empty() const noexcept { return fields_.empty(); }

  /// The number of declared fields. Hidden fields have the type ids from here on.
  std::size_t declared() const noexcept { return declared_; }

  /// Returns the type id of the declared field of that name, if there is one. Cost: one hash
  /// look-up.
  std::optional<TypeId> find(std::string_view name) const;

  friend bool operator==(const Schema& a, const Schema& b) { return a.fields_ == b.fields_; }

 private:
  // Lets find() hash a std::string_view without copying it into a std::string.
  struct NameHash {
    using is_transparent = void;

    std::size_t operator()(std::string_view name) const noexcept {
      return std::hash<std::string_view>{}(name);
    }
  };

  std::vector<Field> fields_;
  std::size_t declared_ = 0;
  std::unordered_map<std::string, TypeId, NameHash, std::equal_to<>> by_name_;
};

}  // namespace stream_store
