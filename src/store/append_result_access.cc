#include "store/append_result_access.h"

#include <bit>

#include "format/float_bits.h"
#include "format/item.h"
#include "format/layout.h"

namespace stream_store::internal {

AppendResult AppendResultAccess::Because(ErrorCode code) noexcept {
  switch (code) {
    case ErrorCode::kNoSpace:
      return Because(AppendReason::kNoSpace);
    case ErrorCode::kClosed:
      return Because(AppendReason::kClosed);
    case ErrorCode::kReadOnly:
      return Because(AppendReason::kForked);
    case ErrorCode::kState:
      return Because(AppendReason::kStaging);
    default:
      return Because(AppendReason::kIo);
  }
}

// The items are the caller's and may be gone when the message is asked for, so the invalid one is
// copied. Bytes and stored words are invalid as a whole.
void AppendResultAccess::SetItem(const FieldWrite& write, std::uint64_t item,
                                 AppendResult& result) noexcept {
  using Detail = AppendResult::Detail;
  const auto set = [&](Detail detail, std::int64_t bits) {
    result.detail_ = detail;
    result.second_ = bits;
  };
  const auto set_float = [&](double number) {
    set(Detail::kFloat, std::bit_cast<std::int64_t>(number));
  };
  const void* items = write.data();
  switch (write.source()) {
    case Source::kBool:
      return set(Detail::kBool, ItemAt<std::uint8_t>(items, item));
    case Source::kInt8:
      return set(Detail::kSigned, ItemAt<std::int8_t>(items, item));
    case Source::kInt16:
      return set(Detail::kSigned, ItemAt<std::int16_t>(items, item));
    case Source::kInt32:
      return set(Detail::kSigned, ItemAt<std::int32_t>(items, item));
    case Source::kInt64:
      return set(Detail::kSigned, ItemAt<std::int64_t>(items, item));
    case Source::kUInt8:
      return set(Detail::kUnsigned, ItemAt<std::uint8_t>(items, item));
    case Source::kUInt16:
      return set(Detail::kUnsigned, ItemAt<std::uint16_t>(items, item));
    case Source::kUInt32:
      return set(Detail::kUnsigned, ItemAt<std::uint32_t>(items, item));
    case Source::kUInt64:
      return set(Detail::kUnsigned,
                 std::bit_cast<std::int64_t>(ItemAt<std::uint64_t>(items, item)));
    case Source::kFloat16:
      return set_float(std::bit_cast<double>(WidenFloat16(ItemAt<std::uint16_t>(items, item))));
    case Source::kFloat32:
      return set_float(static_cast<double>(ItemAt<float>(items, item)));
    case Source::kFloat64:
      return set_float(ItemAt<double>(items, item));
    case Source::kBytes:
    case Source::kWords:
      return;
  }
}

AppendResult AppendResultAccess::Of(const Refusal& refusal, Step step,
                                    std::span<const FieldWrite> writes) noexcept {
  using Rule = Refusal::Rule;
  AppendResult result;
  const auto set = [&](AppendReason reason) { result.reason_ = reason; };
  result.write_ = static_cast<std::uint32_t>(refusal.write);
  if (refusal.write < writes.size()) {
    result.field_ = writes[refusal.write].type();
  }
  switch (refusal.rule) {
    case Rule::kUnknownType:
      set(AppendReason::kUnknownField);
      break;
    case Rule::kOrder:
      set(refusal.write >= kLayoutMaxFields ? AppendReason::kTooManyFields
                                            : AppendReason::kWrongOrder);
      result.second_ = static_cast<std::int64_t>(refusal.item);
      break;
    case Rule::kLength:
      set(AppendReason::kWrongLength);
      result.detail_ = refusal.row != 0 ? AppendResult::Detail::kMultiple
                       : writes[refusal.write].source() == Source::kWords
                           ? AppendResult::Detail::kWords
                           : AppendResult::Detail::kNone;
      result.first_ = static_cast<std::int64_t>(writes[refusal.write].count());
      result.second_ = static_cast<std::int64_t>(refusal.item);
      break;
    case Rule::kValue:
      set(AppendReason::kInvalidValue);
      result.first_ = static_cast<std::int64_t>(refusal.item);
      SetItem(writes[refusal.write], refusal.item, result);
      break;
    case Rule::kStepDecreases:
      set(AppendReason::kStepDecreases);
      result.first_ = step;
      result.second_ = static_cast<std::int64_t>(refusal.item);
      break;
    case Rule::kStepNotAfter:
      set(AppendReason::kStepLimit);
      break;
    case Rule::kTooManyRows:
      set(AppendReason::kRowLimit);
      break;
    case Rule::kClosed:
      set(AppendReason::kClosed);
      break;
    case Rule::kForked:
      set(AppendReason::kForked);
      break;
    case Rule::kSyncFailed:
      set(AppendReason::kSyncFailed);
      break;
    case Rule::kStaging:
      set(AppendReason::kStaging);
      break;
    case Rule::kNone:
      break;
  }
  return result;
}

}  // namespace stream_store::internal
