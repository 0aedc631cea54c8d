// Schema: the checks of declared fields, and the names of dtypes.

#include "stream_store/schema.h"

#include <array>
#include <utility>

#include "stream_store/error.h"

#include "base/str_cat.h"
#include "format/layout.h"
#include "format/utf8.h"

namespace stream_store {

using internal::FirstInvalidUtf8;
using internal::kAllUtf8;
using internal::kMaxWriteValues;
using internal::StrCat;

namespace {

constexpr std::array<std::string_view, kDTypeCount> kDTypeNames = {
    "null",        "bool",        "int8",         "int16",        "int32",        "int64",
    "uint8",       "uint16",      "uint32",       "uint64",       "float16",      "float32",
    "float64",     "date32",      "date64",       "time32_s",     "time32_ms",    "time64_us",
    "time64_ns",   "timestamp_s", "timestamp_ms", "timestamp_us", "timestamp_ns", "duration_s",
    "duration_ms", "duration_us", "duration_ns",  "decimal128",   "decimal256",   "string",
    "binary",      "fixed_binary"};

constexpr std::size_t kMaxDimensions = 32;
constexpr std::uint64_t kMaxDecimalWords = 4;

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
  if (field.name.empty()) {
    Refuse(field, type, "expected a name but found an empty one");
  }
  CheckText(field, type, "its name", field.name);
  for (const std::string& part : field.path) {
    CheckText(field, type, "a part of its path", part);
  }
  const std::string& top = field.path.empty() ? field.name : field.path.front();
  if (top.starts_with('_')) {
    Refuse(field, type, "names that begin with '_' are kept for the keys of batches");
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
    if (items > kMaxWriteValues / kMaxDecimalWords / dimension) {
      Refuse(field, type, "its shape has too many items");
    }
    items *= dimension;
  }
}

bool CanBePacked(DType dtype) noexcept {
  switch (dtype) {
    case DType::kBool:
    case DType::kInt8:
    case DType::kInt16:
    case DType::kInt32:
    case DType::kUInt8:
    case DType::kUInt16:
    case DType::kUInt32:
    case DType::kFloat16:
    case DType::kFloat32:
      return true;
    default:
      return false;
  }
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
  if (field.packed && (ragged || !CanBePacked(field.dtype))) {
    Refuse(field, type,
           StrCat("packed expects a fixed shape of items of 1, 2 or 4 bytes but found ",
                  ragged ? "a varying length of " : "", name));
  }
  if (field.hidden && (field.dtype != DType::kNull || !field.shape.empty())) {
    Refuse(field, type, StrCat("a hidden field is a null scalar but found ", name));
  }
}

}  // namespace

std::string_view DTypeName(DType dtype) noexcept {
  const auto number = static_cast<std::size_t>(dtype);
  return number < kDTypeNames.size() ? kDTypeNames[number] : "unknown";
}

Schema::Schema(std::vector<Field> fields) : fields_(std::move(fields)) {
  if (fields_.size() > kMaxFields) {
    throw Error(ErrorCode::kInvalidArgument, StrCat("declaring fields: expected at most ",
                                                    kMaxFields, " but found ", fields_.size()));
  }
  for (std::size_t type = 0; type < fields_.size(); ++type) {
    const Field& field = fields_[type];
    CheckNames(field, type);
    CheckShape(field, type);
    CheckDType(field, type);
    if (field.hidden) {
      continue;
    }
    if (declared_ != type) {
      Refuse(field, type, "a declared field came after a hidden one");
    }
    const auto [at, fresh] = by_name_.try_emplace(field.name, static_cast<TypeId>(type));
    if (!fresh) {
      Refuse(field, type, StrCat("duplicate name, already that of type id ", at->second));
    }
    ++declared_;
  }
  if (declared_ == 0) {
    throw Error(ErrorCode::kInvalidArgument,
                "declaring fields: expected at least one but found none");
  }
}

std::optional<TypeId> Schema::find(std::string_view name) const {
  const auto found = by_name_.find(name);
  if (found == by_name_.end()) {
    return std::nullopt;
  }
  return found->second;
}

}  // namespace stream_store
