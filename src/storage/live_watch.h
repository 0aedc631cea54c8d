// LiveWatch: compares a store with its state when a reader last looked at it.
//
// A reader of many stores looks at each of them before every batch, and mostly nothing has changed. Then
// the reader needs no more than three cache lines of `control`, and loads of many stores overlap. To find
// the same in the objects of the reader takes several misses for each store, one after the other.
//
// Used by Starts (src/store/window_starts.h). Thread rules: an object belongs to one thread.
#pragma once

#include <atomic>
#include <cstdint>

#include "format/control.h"
#include "storage/store_files.h"

namespace stream_store::internal {

class LiveWatch {
 public:
  /// Watches no store.
  LiveWatch() = default;

  /// Remembers the live words as they are now. Create it before the look at the store, so that a change
  /// during the look is noticed later. Does not watch a store with safe reads, whose words are a copy.
  ///
  /// control  must be mapped for as long as Unchanged() is called.
  explicit LiveWatch(const Control& control) : live_(control.mapped_words()) {
    if (live_ != nullptr) {
      seen_ = Load();
    }
  }

  /// Whether a look at the store would find the same as when this object was made. False if no store is
  /// watched. A sync alone changes nothing that a look finds.
  bool Unchanged() const noexcept { return live_ != nullptr && Load() == seen_; }

 private:
  struct Words {
    std::uint64_t published = 0;
    std::uint64_t begin = 0;
    std::uint64_t layout_begin = 0;
    std::uint64_t session = 0;
    std::uint64_t truncations = 0;
    std::uint64_t schema_revision = 0;

    friend bool operator==(const Words&, const Words&) = default;
  };

  Words Load() const noexcept {
    const auto load = [](std::uint64_t& word) {
      return std::atomic_ref(word).load(std::memory_order_acquire);
    };
    return {load(live_->published), load(live_->begin),       load(live_->layout_begin),
            load(live_->session),   load(live_->truncations), load(live_->schema_revision)};
  }

  LiveWords* live_ = nullptr;
  Words seen_;
};

}  // namespace stream_store::internal
