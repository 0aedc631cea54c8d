// Schema: the checks of declared fields, and the text of features.

#include "stream_store/schema.h"

#include <algorithm>
#include <iterator>
#include <unordered_set>
#include <utility>

#include "stream_store/error.h"
#include "stream_store/nested.h"

#include "base/assert.h"
#include "base/str_cat.h"
#include "format/layout.h"
#include "format/utf8.h"

namespace stream_store {

using internal::FirstInvalidUtf8;
using internal::kAllUtf8;
using internal::kMaxWriteValues;
using internal::StrCat;

namespace {

constexpr std::size_t kMaxDimensions = 32;     // as many as NumPy 1 supports
constexpr std::uint64_t kMaxDecimalWords = 4;  // words of the widest item, decimal256

[[noreturn]] void Refuse(const Field& field, std::size_t type, const std::string& why) {
  throw Error(ErrorCode::kInvalidArgument,
              StrCat("field '", field.name, "' (type id ", type, "): ", why));
}

void CheckText(const Field& field, std::size_t type, const char* what, const std::string& text) {
  if (text.size() > kMaxNameBytes) {
    Refuse(field, type,
           StrCat(what, " is too long: expected at most ", kMaxNameBytes, " bytes but found ",
                  text.size()));
  }
  if (FirstInvalidUtf8(text.data(), text.size()) != kAllUtf8) {
    Refuse(field, type, StrCat(what, " is not valid UTF-8"));
  }
}

void CheckNames(const Field& field, std::size_t type) {
  CheckText(field, type, "its name", field.name);
  for (const std::string& part : field.path) {
    CheckText(field, type, "a part of its path", part);
  }
}

void CheckShape(const Field& field, std::size_t type) {
  if (field.shape.size() > kMaxDimensions) {
    Refuse(
        field, type,
        StrCat("expected at most ", kMaxDimensions, " dimensions but found ", field.shape.size()));
  }
  std::uint64_t items = 1;
  for (std::size_t i = 0; i < field.shape.size(); ++i) {
    const std::uint32_t dimension = field.shape[i];
    if (dimension == 0) {
      Refuse(field, type, StrCat("dimension ", i, " of its shape is 0"));
    }
    if (dimension == kRagged && i > 0) {
      Refuse(field, type, StrCat("only the first dimension may vary in length, not dimension ", i));
    }
    if (dimension == kRagged) {
      continue;
    }
    // Even items of four words must not exceed the values of a field-write. The division cannot
    // overflow, as a product could.
    if (items > kMaxWriteValues / kMaxDecimalWords / dimension) {
      Refuse(field, type, "its shape has too many items");
    }
    items *= dimension;
  }
}

bool CanBePacked(DType dtype) noexcept {
  const DTypeInfo& info = InfoOf(dtype);
  return (dtype == DType::kBool || IsInteger(dtype) || IsFloat(dtype)) && info.item_bytes <= 4;
}

void CheckDType(const Field& field, std::size_t type) {
  const auto number = static_cast<int>(field.dtype);
  if (number >= kDTypeCount) {
    Refuse(field, type, StrCat("dtype ", number, " does not exist"));
  }
  const std::string_view name = DTypeName(field.dtype);
  const bool ragged = !field.shape.empty() && field.shape.front() == kRagged;
  const bool text = field.dtype == DType::kString || field.dtype == DType::kBinary;
  if (text && !field.shape.empty()) {
    Refuse(field, type, StrCat("a list of ", name, " cannot be stored: its values vary in length"));
  }
  if (field.dtype == DType::kFixedBinary && (field.shape.size() != 1 || ragged)) {
    Refuse(field, type, "fixed_binary expects a shape of one number, its bytes");
  }
  if (field.packed && !text && !CanBePacked(field.dtype)) {
    Refuse(field, type,
           StrCat("packed expects items of 1, 2 or 4 bytes, strings or binaries but found ", name));
  }
  if ((field.dtype == DType::kNested) != !field.nested.empty()) {
    Refuse(field, type, "expected a nested type for the dtype nested, and for no other");
  }
  if (field.dtype == DType::kNested && (!field.shape.empty() || field.packed)) {
    Refuse(field, type, "a nested field has no shape and is not packed");
  }
  if (field.hidden && (field.dtype != DType::kNull || !field.shape.empty())) {
    Refuse(field, type, StrCat("a hidden field is a null scalar but found ", name));
  }
}

// The name that a field, or the struct that it belongs to, has at the top level.
const std::string& OuterName(const Field& field) noexcept {
  return field.path.empty() ? field.name : field.path.front();
}

void CheckSince(const std::vector<std::uint64_t>& since, std::size_t fields,
                std::uint64_t revision) {
  if (since.size() != fields || !std::ranges::is_sorted(since)) {
    throw Error(ErrorCode::kInvalidArgument,
                StrCat("declaring fields: expected ", fields,
                       " numbers of first records that never decrease"));
  }
  if (revision == 0 && fields > 0 && since.back() != 0) {
    throw Error(
        ErrorCode::kInvalidArgument,
        StrCat("declaring fields: expected no field that was added in revision 0 but found ",
               "one of record ", since.back()));
  }
}

// Writes the nested type as every part of the store expects it, so that equal types are equal texts.
void NormaliseNested(Field& field, std::size_t type) {
  if (field.nested.empty()) {
    return;
  }
  try {
    field.nested = NestedTypeText(ParseNestedType(field.nested));
  } catch (const Error& error) {
    Refuse(field, type, error.what());
  }
}

}  // namespace

std::string FieldText(const Field& field) {
  if (field.hidden) {
    return "struct";
  }
  if (field.dtype == DType::kNested) {
    return StrCat("nested ", field.nested);
  }
  std::string dimensions;
  for (std::size_t i = 0; i < field.shape.size(); ++i) {
    dimensions += i == 0 ? "" : ",";
    dimensions += field.shape[i] == kRagged ? "None" : StrCat(field.shape[i]);
  }
  if (field.shape == std::vector{kRagged}) {
    dimensions.clear();  // a list of scalars is declared as "float32[]"
  }
  return StrCat(field.packed ? "packed " : "", DTypeName(field.dtype),
                field.shape.empty() ? "" : StrCat("[", dimensions, "]"));
}

Schema::Schema(std::vector<Field> fields) : Schema(std::move(fields), {}, 0) {}

Schema::Schema(std::vector<Field> fields, std::vector<std::uint64_t> since, std::uint64_t revision)
    : fields_(std::move(fields)), since_(std::move(since)), revision_(revision) {
  if (fields_.size() > kMaxFields) {
    throw Error(ErrorCode::kInvalidArgument, StrCat("declaring fields: expected at most ",
                                                    kMaxFields, " but found ", fields_.size()));
  }
  if (since_.empty()) {
    since_.resize(fields_.size());
  }
  CheckSince(since_, fields_.size(), revision_);
  for (std::size_t type = 0; type < fields_.size(); ++type) {
    const Field& field = fields_[type];
    CheckNames(field, type);
    CheckShape(field, type);
    CheckDType(field, type);
    NormaliseNested(fields_[type], type);
    if (field.hidden) {
      continue;
    }
    const auto [at, fresh] = by_name_.try_emplace(field.name, static_cast<TypeId>(type));
    if (!fresh) {
      Refuse(field, type, StrCat("duplicate name, already that of type id ", at->second));
    }
    declared_types_.push_back(static_cast<TypeId>(type));
  }
  if (declared_types_.empty()) {
    throw Error(ErrorCode::kInvalidArgument,
                "declaring fields: expected at least one but found none");
  }
  if (since_[declared_types_.front()] != 0) {
    Refuse(fields_[declared_types_.front()], declared_types_.front(),
           "the first declared field cannot have been added later");
  }
}

// A struct is complete when it is declared: its marker tells a null from a struct of nulls for the
// leaves that it had then.
Schema Schema::Extended(std::vector<Field> added, std::uint64_t record) const {
  std::unordered_set<std::string_view> outer;
  for (const Field& field : fields_) {
    outer.insert(OuterName(field));
  }
  bool declares = false;
  for (const Field& field : added) {
    if (find(field.name) || outer.contains(OuterName(field))) {
      throw Error(ErrorCode::kInvalidArgument,
                  StrCat("adding fields: field '", OuterName(field), "' exists already"));
    }
    declares = declares || !field.hidden;
  }
  if (!declares) {
    throw Error(ErrorCode::kInvalidArgument, "adding fields: expected at least one but found none");
  }
  std::vector<Field> fields = fields_;
  std::ranges::move(added, std::back_inserter(fields));
  std::vector<std::uint64_t> since = since_;
  since.resize(fields.size(), record);
  return {std::move(fields), std::move(since), revision_ + 1};
}

bool Schema::Extends(const Schema& other) const {
  return size() >= other.size() &&
         std::equal(other.fields_.begin(), other.fields_.end(), fields_.begin());
}

TypeId Schema::LastDeclaredAt(std::uint64_t record) const noexcept {
  STREAM_STORE_ASSERT(!empty());
  const auto after = std::ranges::partition_point(
      declared_types_, [&](TypeId type) { return since_[type] <= record; });
  return *std::prev(after);  // the first declared field is there from record 0 on
}

std::optional<TypeId> Schema::find(std::string_view name) const {
  const auto found = by_name_.find(name);
  if (found == by_name_.end()) {
    return std::nullopt;
  }
  return found->second;
}

}  // namespace stream_store
