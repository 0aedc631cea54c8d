// Messages of refused appends for callers that must not allocate. store/refusal_text.cc has those of
// exceptions, which name the path and more of what was found.
#include "stream_store/append_result.h"

#include <array>
#include <bit>
#include <charconv>
#include <cstring>

#include "stream_store/schema.h"

#include "store/append_result_access.h"

namespace stream_store {
namespace {

using Reason = AppendReason;

// A text in memory of fixed size. What does not fit is left out, with everything after it.
class Text {
 public:
  explicit Text(std::span<char> buffer) noexcept
      : buffer_(buffer.empty() ? buffer : buffer.first(buffer.size() - 1)) {}

  Text& operator<<(std::string_view part) noexcept {
    std::size_t bytes = part.size();
    if (bytes > buffer_.size() - size_) {
      bytes = buffer_.size() - size_;
      while (bytes > 0 && (static_cast<unsigned char>(part[bytes]) & 0xc0U) == 0x80U) {
        --bytes;  // not inside a character of UTF-8
      }
      buffer_ = buffer_.first(size_ + bytes);
    }
    if (bytes > 0) {
      std::memcpy(buffer_.data() + size_, part.data(), bytes);
      size_ += bytes;
    }
    return *this;
  }

  template <class Number>
    requires std::is_arithmetic_v<Number>
  Text& operator<<(Number number) noexcept {
    std::array<char, 32> digits;
    const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), number).ptr;
    return *this << std::string_view(digits.data(), static_cast<std::size_t>(end - digits.data()));
  }

  // The text, after which Finish() wrote a zero byte if `whole` has room for it.
  std::string_view Finish(std::span<char> whole) noexcept {
    if (!whole.empty()) {
      whole[size_] = '\0';
    }
    return {whole.data(), size_};
  }

 private:
  std::span<char> buffer_;
  std::size_t size_ = 0;
};

struct FieldName {
  const Schema* schema;
  TypeId type;
};

Text& operator<<(Text& text, const FieldName& field) noexcept {
  if (field.schema == nullptr || field.type >= field.schema->size()) {
    return text << "type id " << field.type;
  }
  return text << "field '" << (*field.schema)[field.type].name << "' (type id " << field.type
              << ")";
}

// The reasons for which there is nothing more to say.
std::string_view TextOf(Reason reason) noexcept {
  switch (reason) {
    case Reason::kTooManyFields:
      return "more field-writes than a record can have, 65535";
    case Reason::kStepLimit:
      return "the last step is the largest: no step can follow";
    case Reason::kRowLimit:
      return "the store has as many rows as it can hold";
    case Reason::kNoFields:
      return "fields were not declared yet";
    case Reason::kClosed:
      return "the store is closed";
    case Reason::kForked:
      return "in a forked child: only the process that opened the store may write to it";
    case Reason::kStaging:
      return "rows are being staged";
    case Reason::kSyncFailed:
      return "after a failed sync: this writer never appends again";
    case Reason::kNoSpace:
      return "no disk space, quota or address space is left";
    case Reason::kNoMemory:
      return "no memory is left";
    case Reason::kIo:
      return "the operating system reported an error";
    default:
      return "refused";
  }
}

}  // namespace

std::string_view AppendReasonName(AppendReason reason) noexcept {
  switch (reason) {
    case Reason::kOk:
      return "kOk";
    case Reason::kUnknownField:
      return "kUnknownField";
    case Reason::kWrongOrder:
      return "kWrongOrder";
    case Reason::kTooManyFields:
      return "kTooManyFields";
    case Reason::kWrongLength:
      return "kWrongLength";
    case Reason::kInvalidValue:
      return "kInvalidValue";
    case Reason::kStepDecreases:
      return "kStepDecreases";
    case Reason::kStepLimit:
      return "kStepLimit";
    case Reason::kRowLimit:
      return "kRowLimit";
    case Reason::kNoFields:
      return "kNoFields";
    case Reason::kClosed:
      return "kClosed";
    case Reason::kForked:
      return "kForked";
    case Reason::kStaging:
      return "kStaging";
    case Reason::kSyncFailed:
      return "kSyncFailed";
    case Reason::kNoSpace:
      return "kNoSpace";
    case Reason::kNoMemory:
      return "kNoMemory";
    case Reason::kIo:
      return "kIo";
  }
  return "unknown";
}

ErrorCode AppendResult::code() const noexcept {
  switch (reason_) {
    case Reason::kOk:
      return ErrorCode::kOk;
    case Reason::kUnknownField:
    case Reason::kWrongOrder:
    case Reason::kTooManyFields:
    case Reason::kWrongLength:
    case Reason::kInvalidValue:
    case Reason::kStepDecreases:
    case Reason::kStepLimit:
      return ErrorCode::kInvalidArgument;
    case Reason::kNoFields:
    case Reason::kStaging:
      return ErrorCode::kState;
    case Reason::kClosed:
      return ErrorCode::kClosed;
    case Reason::kForked:
      return ErrorCode::kReadOnly;
    case Reason::kRowLimit:
    case Reason::kNoSpace:
    case Reason::kNoMemory:
      return ErrorCode::kNoSpace;
    case Reason::kSyncFailed:
    case Reason::kIo:
      return ErrorCode::kIo;
  }
  return ErrorCode::kIo;
}

std::string_view AppendResult::Message(std::span<char> buffer) const noexcept {
  return Format(buffer, nullptr);
}

std::string_view AppendResult::Message(std::span<char> buffer,
                                       const Schema& schema) const noexcept {
  return Format(buffer, &schema);
}

std::string_view AppendResult::Format(std::span<char> buffer, const Schema* schema) const noexcept {
  Text text(buffer);
  text << "append: ";
  const FieldName field{schema, field_};
  switch (reason_) {
    case Reason::kOk:
      text << "stored row " << first_;
      break;
    case Reason::kUnknownField:
      text << "unknown field: type id " << field_;
      if (schema != nullptr) {
        text << " of " << schema->size();
      }
      break;
    case Reason::kWrongOrder:
      text << field;
      if (second_ == field_) {
        text << " appears twice in one step";
      } else {
        text << " came after " << FieldName{schema, static_cast<TypeId>(second_)};
      }
      text << ": fields come in declared order, each at most once";
      break;
    case Reason::kWrongLength:
      text << field << ": expected " << (detail_ == Detail::kMultiple ? "a multiple of " : "")
           << second_ << (detail_ == Detail::kWords ? " words" : " items") << " but found "
           << first_;
      break;
    case Reason::kInvalidValue:
      text << field << ": ";
      switch (detail_) {
        case Detail::kBool:
          text << (second_ != 0 ? "true" : "false");
          break;
        case Detail::kSigned:
          text << second_;
          break;
        case Detail::kUnsigned:
          text << static_cast<std::uint64_t>(second_);
          break;
        case Detail::kFloat:
          text << std::bit_cast<double>(second_);
          break;
        default:
          text << "the content";
      }
      text << " (item " << first_ << ")";
      text << " is not a valid "
           << (schema != nullptr && field_ < schema->size() ? DTypeName((*schema)[field_].dtype)
                                                            : "value of this field");
      break;
    case Reason::kStepDecreases:
      text << "step " << first_ << " after step " << second_ << ": steps never decrease";
      break;
    default:
      text << TextOf(reason_);
  }
  return text.Finish(buffer);
}

}  // namespace stream_store
