// Fields and schemas: the meaning of a store's values.
//
//     Schema schema({{.name = "image", .dtype = DType::kUInt8, .shape = {84, 84}, .packed = true},
//                    {.name = "tokens", .dtype = DType::kInt32, .shape = {kRagged}},
//                    {.name = "reward", .dtype = DType::kFloat32}});
//
// A Field describes how one column is encoded. A Schema is the validated list of them, in declared
// order; a type id is an index into that list. Fields that are added later come after all others, so
// type ids never change. Hidden marker fields (see Field::hidden) may stand anywhere in the list.
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
  /// or non-UTF-8 name, a shape, dtype or nested type that cannot be stored. Nested types are
  /// rewritten in their canonical form.
  explicit Schema(std::vector<Field> fields);

  /// Validates the fields of a store to which fields may have been added.
  ///
  /// since     what since() returns for each type id: fields.size() numbers that never decrease.
  /// revision  what revision() returns.
  /// Throws    as above; also Error(kInvalidArgument) if `since` is not as described, or not 0
  ///           although the revision is.
  Schema(std::vector<Field> fields, std::vector<std::uint64_t> since, std::uint64_t revision);

  /// Returns this schema with more fields after the present ones, and the next revision.
  ///
  /// record  the number of the first record that may have the new fields: the number of records that
  ///         the store has now.
  /// Throws  Error(kInvalidArgument) as above; also if no declared field is among those added, or if
  ///         one has the name of a present field or belongs to a present struct.
  Schema Extended(std::vector<Field> added, std::uint64_t record) const;

  /// All fields by type id.
  const std::vector<Field>& fields() const noexcept { return fields_; }

  /// The field of a type id, which must be less than size().
  const Field& operator[](TypeId type) const noexcept { return fields_[type]; }

  /// The number of fields, hidden ones included.
  std::size_t size() const noexcept { return fields_.size(); }

  bool empty() const noexcept { return fields_.empty(); }

  /// The number of declared fields, which are those that are not hidden.
  std::size_t declared() const noexcept { return declared_types_.size(); }

  /// The type ids of the declared fields, in declared order. They have gaps if hidden fields stand
  /// between declared ones.
  const std::vector<TypeId>& declared_types() const noexcept { return declared_types_; }

  /// How often the schema of the store was replaced: 0 at creation, one more with each addition of
  /// fields.
  std::uint64_t revision() const noexcept { return revision_; }

  /// The number of the first record that may have the field of a type id, which must be less than
  /// size(): 0 for the fields with which the store was created.
  std::uint64_t since(TypeId type) const noexcept { return since_[type]; }

  /// Returns the type id of the last field, not counting hidden ones, that was declared when the
  /// record of that number was written.
  /// REQUIRES: !empty().
  TypeId LastDeclaredAt(std::uint64_t record) const noexcept;

  /// Returns the type id of the declared field of that name, if there is one. Cost: one hash
  /// look-up.
  std::optional<TypeId> find(std::string_view name) const;

  /// Whether the fields are those of `other`, followed by none or more.
  bool Extends(const Schema& other) const;

  /// Whether the fields are the same; when they were added does not matter.
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
  std::vector<std::uint64_t> since_;  // by type id
  std::uint64_t revision_ = 0;
  std::vector<TypeId> declared_types_;
  std::unordered_map<std::string, TypeId, NameHash, std::equal_to<>> by_name_;
};

}  // namespace stream_store
