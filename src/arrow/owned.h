// OwnedArrow: owns one struct of the Arrow C interfaces and releases it.
//
// Used wherever a struct is received from a consumer or producer, or is built before it is handed
// out. The interfaces allow these structs to be moved by copying their bytes, provided that the
// source is marked as released; every move here does so.
#pragma once

namespace stream_store::arrow {

/// Owner of an ArrowSchema, ArrowArray or ArrowArrayStream. Empty if its `release` is null.
template <class Struct>
class OwnedArrow {
 public:
  OwnedArrow() = default;

  /// Takes ownership of `*from` and marks it as released.
  explicit OwnedArrow(Struct* from) : held_(*from) { from->release = nullptr; }

  OwnedArrow(OwnedArrow&& other) noexcept : OwnedArrow(&other.held_) {}

  OwnedArrow& operator=(OwnedArrow&&) = delete;
  OwnedArrow(const OwnedArrow&) = delete;
  OwnedArrow& operator=(const OwnedArrow&) = delete;

  ~OwnedArrow() {
    if (held_.release != nullptr) {
      held_.release(&held_);
    }
  }

  bool empty() const noexcept { return held_.release == nullptr; }

  /// The struct, to be read, or filled by a producer. Valid while this object is neither moved nor
  /// destroyed.
  Struct* get() noexcept { return &held_; }

  const Struct& operator*() const noexcept { return held_; }

  Struct* operator->() noexcept { return &held_; }

  /// Moves the struct to `*out`, which must hold nothing that is still to be released.
  void MoveTo(Struct* out) noexcept {
    *out = held_;
    held_.release = nullptr;
  }

 private:
  Struct held_{};
};

}  // namespace stream_store::arrow
