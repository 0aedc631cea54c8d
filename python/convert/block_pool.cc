// The pool that NumPy's PyDataMem_Handler allocates from.
//
// NumPy passes no reliable size when it frees memory, so each block has a header with its capacity.

#include "convert/block_pool.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <vector>

namespace stream_store::python {
namespace {

constexpr std::size_t kAlignment = 64;
constexpr std::size_t kPage = 4096;
constexpr std::size_t kMostBlocks = 32;
constexpr std::size_t kMostBytes = std::size_t{256} << 20;

// Stored before the data, in the 64 bytes that keep the data aligned.
struct Header {
  std::size_t capacity;
};

static_assert(sizeof(Header) <= kAlignment);

Header* HeaderOf(void* data) {
  return reinterpret_cast<Header*>(static_cast<std::byte*>(data) - kAlignment);
}

class BlockPool {
 public:
  // Takes the smallest free block that is large enough, but none of more than twice the size, which
  // would waste memory for as long as the array is kept. Null if there is no memory.
  void* Take(std::size_t bytes) {
    {
      const std::scoped_lock lock(mutex_);
      auto best = free_.end();
      for (auto block = free_.begin(); block != free_.end(); ++block) {
        const std::size_t capacity = HeaderOf(*block)->capacity;
        if (capacity >= bytes && capacity / 2 <= bytes &&
            (best == free_.end() || capacity < HeaderOf(*best)->capacity)) {
          best = block;
        }
      }
      if (best != free_.end()) {
        void* data = *best;
        free_bytes_ -= HeaderOf(data)->capacity;
        free_.erase(best);
        return data;
      }
    }
    return Allocate(bytes);
  }

  // Keeps the block, after freeing the oldest ones if there would be too many. Blocks that are too
  // small or too large to be worth keeping are freed.
  void Give(void* data) {
    const std::size_t capacity = HeaderOf(data)->capacity;
    if (capacity < kPooledBytes || capacity > kMostBytes) {
      return Release(data);
    }
    const std::scoped_lock lock(mutex_);
    while (!free_.empty() && (free_.size() >= kMostBlocks || free_bytes_ + capacity > kMostBytes)) {
      free_bytes_ -= HeaderOf(free_.front())->capacity;
      Release(free_.front());
      free_.erase(free_.begin());
    }
    free_.push_back(data);
    free_bytes_ += capacity;
  }

  std::size_t free_bytes() {
    const std::scoped_lock lock(mutex_);
    return free_bytes_;
  }

 private:
  static void* Allocate(std::size_t bytes) {
    const std::size_t capacity = std::max((bytes + kPage - 1) / kPage * kPage, kAlignment);
    void* start = capacity < bytes || capacity + kAlignment < capacity
                      ? nullptr
                      : std::aligned_alloc(kAlignment, capacity + kAlignment);
    if (start == nullptr) {
      return nullptr;
    }
    void* data = static_cast<std::byte*>(start) + kAlignment;
    HeaderOf(data)->capacity = capacity;
    return data;
  }

  static void Release(void* data) { std::free(HeaderOf(data)); }

  std::mutex mutex_;
  std::vector<void*> free_;  // oldest first
  std::size_t free_bytes_ = 0;
};

BlockPool& Pool() {
  static auto* const pool = new BlockPool;  // never destroyed: see invariant 3 in block_pool.h
  return *pool;
}

void* HandlerMalloc(void* /*context*/, std::size_t bytes) { return Pool().Take(bytes); }

void* HandlerCalloc(void* /*context*/, std::size_t count, std::size_t size) {
  void* data = size != 0 && count > SIZE_MAX / size ? nullptr : Pool().Take(count * size);
  return data == nullptr ? nullptr : std::memset(data, 0, count * size);
}

void HandlerFree(void* /*context*/, void* data, std::size_t /*bytes*/) {
  if (data != nullptr) {
    Pool().Give(data);
  }
}

// NumPy calls this for arrays that resize() enlarges or shrinks.
void* HandlerRealloc(void* context, void* data, std::size_t bytes) {
  void* grown = Pool().Take(bytes);
  if (grown != nullptr && data != nullptr) {
    std::memcpy(grown, data, std::min(bytes, HeaderOf(data)->capacity));
    HandlerFree(context, data, 0);
  }
  return grown;
}

PyObject* HandlerCapsule() {
  static PyDataMem_Handler handler = {
      "stream_store_pool", 1, {nullptr, HandlerMalloc, HandlerCalloc, HandlerRealloc, HandlerFree}};
  static PyObject* const capsule = PyCapsule_New(&handler, "mem_handler", nullptr);
  return capsule;
}

}  // namespace

PooledArrays::PooledArrays() : previous_(PyDataMem_SetHandler(HandlerCapsule())) {
  if (previous_ == nullptr) {
    nb::raise_python_error();
  }
}

PooledArrays::~PooledArrays() {
  PyObject* type = nullptr;
  PyObject* value = nullptr;
  PyObject* trace = nullptr;
  // The destructor may run while the MemoryError of a failed allocation is set, which must be the
  // one that is reported.
  PyErr_Fetch(&type, &value, &trace);
  PyObject* ours = PyDataMem_SetHandler(previous_);
  if (ours == nullptr) {
    PyErr_Clear();
  }
  Py_XDECREF(ours);
  Py_DECREF(previous_);
  PyErr_Restore(type, value, trace);
}

std::size_t PooledFreeBytes() { return Pool().free_bytes(); }

}  // namespace stream_store::python
