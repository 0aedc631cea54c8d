// SharedIndexes: the indexes of one kind that the samplers of a process share.
//
// An index belongs to a source and to the rules it was made for. The first sampler with these rules
// makes it, and it lives as long as one of its samplers.
//
// Used by segment_index.cc and lane_index.cc. Thread rules: every function may be called from any
// thread.
#pragma once

#include <memory>
#include <mutex>
#include <vector>

#include "base/fork_mutex.h"

namespace stream_store::internal {

/// What is to become of an index that was made for the same source and rules.
enum class IndexUse {
  kKeep,     ///< it is for other Readers
  kShare,    ///< it is the one
  kReplace,  ///< the new one takes its place; those that use it keep it
};

/// `Index` has a mutex() that is a ForkMutex of the inner rank; `Rules` can be compared.
template <class Index, class Rules>
class SharedIndexes {
 public:
  /// The list of this process. It is never destroyed: samplers may outlive the static objects. To be
  /// called while the library is loaded, before there are threads. Otherwise a process could fork
  /// while another thread is inside the initialisation, and the child would wait for it forever.
  static SharedIndexes& Get() {
    static auto* indexes = new SharedIndexes;
    return *indexes;
  }

  /// Returns the index for which judge(index) is kShare, or adds `made`. judge() is called for those
  /// of this source and these rules, and holds their mutex.
  template <class Judge>
  std::shared_ptr<Index> FindOrAdd(const std::shared_ptr<const void>& source, const Rules& rules,
                                   const std::shared_ptr<Index>& made, const Judge& judge) {
    // Declared before the lock so that it is destroyed after it: dropping the last reference to an
    // index destroys its ForkMutex, which must not happen while one is held.
    std::vector<std::shared_ptr<Index>> alive;
    const std::scoped_lock lock(mutex_);
    std::shared_ptr<Index> found;
    std::erase_if(known_, [&](const Known& known) {
      alive.push_back(known.index.lock());
      Index* index = alive.back().get();
      if (index == nullptr) {
        return true;
      }
      const bool same_source =
          !known.source.owner_before(source) && !source.owner_before(known.source);
      if (!same_source || known.rules != rules) {
        return false;
      }
      const std::scoped_lock index_lock(index->mutex());
      const IndexUse use = judge(*index);
      if (use == IndexUse::kShare) {
        found = alive.back();
      }
      return use == IndexUse::kReplace;
    });
    if (found == nullptr) {
      found = made;
      known_.push_back({source, rules, found});
    }
    return found;
  }

 private:
  // The source is identified by the control block of its shared pointer; the weak pointer keeps that
  // block from being reused for another source.
  struct Known {
    std::weak_ptr<const void> source;
    Rules rules;
    std::weak_ptr<Index> index;
  };

  ForkMutex mutex_{ForkMutex::Rank::kOuter};
  std::vector<Known> known_;
};

}  // namespace stream_store::internal
