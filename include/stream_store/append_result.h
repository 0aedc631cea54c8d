// The result of TryAppend() and TryAppendStep(): whether the step was stored, and if not, the rule
// that it broke.
//
//     std::array<char, 160> text;
//     if (const AppendResult result = store.TryAppend(tick, {{position, angles}}); !result) {
//       log.Write(result.Message(text, store.schema()));  // no allocation
//     }
//
// It is a plain value: it owns nothing, and refers neither to the store nor to what was passed.
// docs/reference/error-codes.md is the table of all reasons, with what to do about each.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "stream_store/error.h"
#include "stream_store/export.h"
#include "stream_store/types.h"

namespace stream_store {

class Schema;

/// Why an append stored nothing. Persistent: programs keep these numbers in logs, so that of an
/// existing reason never changes, and new reasons get new numbers.
enum class AppendReason : std::uint8_t {
  kOk = 0,             ///< the step was stored
  kUnknownField = 1,   ///< there is no field of that type id
  kWrongOrder = 2,     ///< a field is repeated, or comes before one that the row already has
  kTooManyFields = 3,  ///< more field-writes than a record can have, 65,535
  kWrongLength = 4,    ///< the field does not accept that number of items
  kInvalidValue = 5,   ///< the field cannot hold an item: out of range, not integral, not UTF-8
  kStepDecreases = 6,  ///< the step is less than the last one
  kStepLimit = 7,      ///< TryAppendStep(): the last step is the largest one
  kRowLimit = 8,       ///< the store has as many rows as the format can count
  kNoFields = 20,      ///< fields were not declared yet
  kClosed = 21,        ///< the store was closed
  kForked = 22,        ///< this is a forked child of the process that opened the store
  kStaging = 23,       ///< rows are being staged
  kSyncFailed = 24,    ///< an earlier sync failed, or the store is no longer at its path: permanent
  kNoSpace = 40,       ///< no disk space, quota or address space is left
  kNoMemory = 41,      ///< no memory is left
  kIo = 42,            ///< the operating system reported another error while the files grew
};

namespace internal {
struct AppendResultAccess;
}  // namespace internal

/// What TryAppend() and TryAppendStep() return. True if the step was stored.
class STREAM_STORE_API AppendResult {
 public:
  /// A step that was not stored, for no reason yet.
  AppendResult() = default;

  /// Whether the step was stored.
  explicit operator bool() const noexcept { return reason_ == AppendReason::kOk; }

  /// Which rule the call broke.
  AppendReason reason() const noexcept { return reason_; }

  /// The code of the Error that Append() throws for this reason; kOk if the step was stored.
  ErrorCode code() const noexcept;

  /// As code(), so that a result can be compared with an ErrorCode or assigned to one.
  operator ErrorCode() const noexcept { return code(); }  // NOLINT(*-explicit-constructor)

  /// The row that was stored or continued; -1 if none was.
  Row row() const noexcept { return reason_ == AppendReason::kOk ? first_ : -1; }

  /// The field that was refused, for kUnknownField, kWrongOrder, kWrongLength and kInvalidValue.
  TypeId field() const noexcept { return field_; }

  /// The index of its field-write in the call, for these reasons and kTooManyFields.
  std::uint32_t write() const noexcept { return write_; }

  /// The index of the first invalid item of that field-write, for kInvalidValue.
  std::int64_t item() const noexcept { return reason_ == AppendReason::kInvalidValue ? first_ : 0; }

  /// Writes a message into `buffer`, such as "append: type id 3: expected 7 items but found 6", and
  /// returns it as a part of `buffer`.
  ///
  /// buffer  of any size; 160 bytes hold every message about a field with a short name. A message
  ///         that is too long is cut. A zero byte follows the message, for functions of C.
  /// Cost    some tens of nanoseconds; no allocation, no lock and no system call.
  std::string_view Message(std::span<char> buffer) const noexcept;

  /// As above, with the names of fields and their types.
  std::string_view Message(std::span<char> buffer, const Schema& schema) const noexcept;

 private:
  friend struct internal::AppendResultAccess;

  // How first_ and second_ are to be read: for kWrongLength whether the length is a multiple, for
  // kInvalidValue the type of the item.
  enum class Detail : std::uint8_t { kNone, kMultiple, kWords, kBool, kSigned, kUnsigned, kFloat };

  std::string_view Format(std::span<char> buffer, const Schema* schema) const noexcept;

  AppendReason reason_ = AppendReason::kNoFields;
  Detail detail_ = Detail::kNone;
  TypeId field_ = 0;
  std::uint32_t write_ = 0;
  std::int64_t first_ = 0;   // the row; the number of items found; the bad item; the step
  std::int64_t second_ = 0;  // the number expected; the bits of the item; the last step or field
};

/// The name of a reason, such as "kWrongLength". It is valid forever.
STREAM_STORE_API std::string_view AppendReasonName(AppendReason reason) noexcept;

}  // namespace stream_store
