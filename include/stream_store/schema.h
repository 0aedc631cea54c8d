// Fields and schemas: what a store's values mean.
//
// A Field says how one column is encoded; a Schema is the checked, ordered list of them. Type ids
// are places in that list. Hidden marker fields (see Field::hidden) follow all declared ones.
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

/// As the first entry of Field::shape: the length varies from step to step.
inline constexpr std::uint32_t kRagged = 0xffffffffU;

/// One declared column.
struct Field {
  std::string name;                       ///< as shown; a struct's leaf as "outer.inner"
  DType dtype = DType::kInt64;            ///< of one item
  std::vector<std::uint32_t> shape = {};  ///< {} scalar, {3}, {84, 84, 3}, {kRagged}, {kRagged, 3}
  bool packed = false;                    ///< fixed shape of 1-, 2- or 4-byte items kept as bytes
  std::string feature_json = {};          ///< what Python declared, kept verbatim; may be empty
  std::vector<std::string> path = {};     ///< where a struct's leaf lives; empty means {name}
  bool hidden = false;  ///< marker of a struct: present when all its leaves are null

  friend bool operator==(const Field&, const Field&) = default;
};

/// The feature of a field for messages, as it could be declared in Python: "float32[]", "int8[3]",
/// "packed uint8[84,84,4]", "float32[None,3]"; "struct" for a hidden field.
STREAM_STORE_API std::string FieldText(const Field& field);

/// Limits of a schema; more is kInvalidArgument.
inline constexpr std::uint64_t kMaxFields = 65'536;
inline constexpr std::uint64_t kMaxNameBytes = 255;

/// The fields of a store, in declared order.
class STREAM_STORE_API Schema {
 public:
  Schema() = default;

  /// Throws Error(kInvalidArgument) naming the field: no fields, a repeated ("duplicate"), empty,
  /// too long or non-UTF-8 name, a top-level name that begins with '_', a shape or dtype that
  /// cannot be stored, a declared field after a hidden one.
  explicit Schema(std::vector<Field> fields);

  /// All fields, hidden ones last.
  const std::vector<Field>& fields() const noexcept { return fields_; }

  const Field& operator[](TypeId type) const noexcept { return fields_[type]; }

  std::size_t size() const noexcept { return fields_.size(); }

  bool empty() const noexcept { return fields_.empty(); }

  /// How many fields were declared: the hidden ones are numbered from here on.
  std::size_t declared() const noexcept { return declared_; }

  /// The declared field of that shown name. One hash look-up.
  std::optional<TypeId> find(std::string_view name) const;

  friend bool operator==(const Schema& a, const Schema& b) { return a.fields_ == b.fields_; }

 private:
  // Hashes without making a std::string of what is looked for.
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
