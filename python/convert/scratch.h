// Memory for the conversions of one append call, kept from call to call: an append must not
// allocate.
//
// Used by append.cc, extend.cc and column.cc. The GIL guards it.
#pragma once

#include <algorithm>
#include <cstddef>
#include <memory>
#include <vector>

#include "stream_store/store.h"

#include "convert/python.h"

namespace stream_store::python {

/// Memory that is allocated piece by piece and freed all at once. A piece is valid, and does not
/// move, until Reset().
class Arena {
 public:
  /// Memory for `count` items, not initialised.
  template <class T>
  T* Take(std::size_t count) {
    const std::size_t bytes = (std::max<std::size_t>(count, 1) * sizeof(T) + 7) / 8 * 8;
    if (bytes > end_ - at_) {
      Grow(bytes);
    }
    std::byte* start = chunks_.back().get() + at_;
    at_ += bytes;
    return reinterpret_cast<T*>(start);
  }

  /// Frees all pieces. Keeps one chunk for the next call, unless it is larger than kKeptBytes.
  void Reset() noexcept {
    at_ = 0;
    if (chunks_.size() > 1 || end_ > kKeptBytes) {
      chunks_.clear();
      end_ = 0;
    }
  }

 private:
  static constexpr std::size_t kFirstBytes = 4096;
  static constexpr std::size_t kKeptBytes = std::size_t{1} << 20;

  void Grow(std::size_t bytes) {
    const std::size_t wanted = std::max({bytes, kFirstBytes, std::min(2 * end_, kKeptBytes)});
    chunks_.push_back(std::make_unique_for_overwrite<std::byte[]>(wanted));
    end_ = wanted;
    at_ = 0;
  }

  std::vector<std::unique_ptr<std::byte[]>> chunks_;
  std::size_t at_ = 0;   // of the last chunk: bytes in use
  std::size_t end_ = 0;  // and its size
};

/// The converted arguments of one append call.
struct Scratch {
  std::vector<Step> steps;
  std::vector<FieldWrite> writes;
  std::vector<nb::object> kept;  ///< owners of memory that `writes` points into
  Arena arena;
  bool busy = false;  ///< in use by a call

  void Reset() noexcept {
    steps.clear();
    writes.clear();
    kept.clear();
    arena.Reset();
    busy = false;
  }
};

/// Borrows the scratch of the store for one call, or creates one if that is in use: foreign code
/// that runs in the conversions of an append may append to the same store.
class ScratchLease {
 public:
  explicit ScratchLease(Scratch& own)
      : scratch_(own.busy ? (extra_ = std::make_unique<Scratch>()).get() : &own) {
    scratch_->busy = true;
  }

  ~ScratchLease() { scratch_->Reset(); }

  ScratchLease(const ScratchLease&) = delete;
  ScratchLease& operator=(const ScratchLease&) = delete;

  Scratch& operator*() const noexcept { return *scratch_; }

  Scratch* operator->() const noexcept { return scratch_; }

 private:
  std::unique_ptr<Scratch> extra_;
  Scratch* scratch_;
};

/// The names of the last append and their type ids. A loop passes the same str objects in every
/// iteration, so comparing pointers finds the field without hashing. The cache holds references, so
/// that no other str can get the address of a known one.
class NameCache {
 public:
  static constexpr std::size_t kMost = 256;

  /// The type id of the `place`-th name if it is the same object as in the last call, else -1.
  int Find(std::size_t place, PyObject* name) const noexcept {
    return place < known_.size() && known_[place].name.ptr() == name ? known_[place].type : -1;
  }

  /// Remembers the `place`-th name.
  void Learn(std::size_t place, PyObject* name, TypeId type) {
    if (place < known_.size()) {
      known_[place] = {Borrow(name), type};
    } else if (place == known_.size() && place < kMost) {
      known_.push_back({Borrow(name), type});
    }
  }

  void Clear() noexcept { known_.clear(); }

 private:
  struct Known {
    nb::object name;
    int type;
  };

  std::vector<Known> known_;
};

}  // namespace stream_store::python
