// WindowSampler: the stores that it draws from. Those of a group come and go; each keeps its number.
#include <map>
#include <utility>

#include "stream_store/error.h"
#include "stream_store/sampler.h"

#include "base/str_cat.h"
#include "format/control.h"
#include "store/group_access.h"
#include "store/indexed_starts.h"
#include "store/read_functions.h"
#include "store/sampler_check.h"
#include "store/sampler_priorities.h"
#include "store/window_index.h"
#include "store/window_starts.h"

namespace stream_store {

using internal::GroupAccess;
using internal::PathText;
using internal::StoreId;
using internal::StrCat;

WindowSampler::WindowSampler(StoreGroup group, SamplerOptions options)
    : options_(std::move(options)), group_(std::move(group)) {
  internal::CheckSamplerOptions(options_);
  internal::CheckOffsets(group_->schema(), options_);
  NoStarts();  // checks the fields that the options name
  if (options_.priorities) {
    priorities_ = std::make_unique<internal::SamplerPriorities>(*options_.priorities, 0);
  }
  group_->Refresh();
  FollowGroup();
}

// The starts of a store that has left the group: there are none, and nothing of the store is held.
std::unique_ptr<internal::Starts> WindowSampler::NoStarts() const {
  const Reader& fields = GroupAccess::FieldsOf(*group_);
  return internal::MakeStarts(fields.Snapshot(fields.first_row()), options_);
}

// Takes the stores that have come, and leaves those that have gone.
void WindowSampler::FollowGroup() {
  if (!group_) {
    return;
  }
  const internal::Listing& listing = GroupAccess::Follow(*group_);
  if (listing.version == group_version_) {
    return;
  }
  std::map<StoreId, std::size_t> numbers;
  for (std::size_t i = 0; i < ids_.size(); ++i) {
    numbers.emplace(ids_[i], i);
  }
  std::vector<bool> present(stores_.size(), false);
  for (const GroupStore& member : listing.stores) {
    const auto known = numbers.find(member.reader.id());
    if (known == numbers.end()) {
      Add(member);
    } else {
      present[known->second] = true;
      Replace(known->second, member.reader);
    }
  }
  for (std::size_t i = 0; i < present.size(); ++i) {
    if (!present[i] && !gone_[i]) {
      Leave(i);
    }
  }
  group_version_ = listing.version;
}

void WindowSampler::LookForStores() {
  if (group_ && !in_epoch_ && !restored_) {
    group_->Refresh();
    FollowGroup();
  }
}

void WindowSampler::Add(const GroupStore& member) {
  if (stores_.size() == internal::WindowIndex::kMostStores) {
    throw Error(ErrorCode::kState,
                StrCat("sampler: store ", member.name, " of the group ", PathText(group_->path()),
                       ": a sampler can tell ", stores_.size(),
                       " stores apart, and has seen as many; create another one"));
  }
  stores_.reserve(stores_.size() + 1);
  ids_.reserve(ids_.size() + 1);
  gone_.reserve(gone_.size() + 1);
  std::unique_ptr<internal::Starts> starts = internal::MakeStarts(member.reader, options_);
  if (priorities_ != nullptr) {
    priorities_->AddStore();
  }
  stores_.push_back(std::move(starts));
  ids_.push_back(member.reader.id());
  gone_.push_back(false);
}

// Goes on with a store that was opened again: it had been gone, or rows were removed from its end.
void WindowSampler::Replace(std::size_t store, const Reader& reader) {
  const auto source_of = [](const Reader& of) { return internal::ReaderAccess::SourceOf(of); };
  if (source_of(stores_[store]->reader()) != source_of(reader)) {
    stores_[store] = internal::MakeStarts(reader, options_);
    gone_[store] = false;
    if (priorities_ != nullptr) {
      priorities_->Reopen(store);
    }
  }
}

void WindowSampler::Leave(std::size_t store) {
  stores_[store] = NoStarts();
  gone_[store] = true;
  if (priorities_ != nullptr) {
    priorities_->Leave(store);
  }
}

const std::vector<SkippedStore>& WindowSampler::skipped() const noexcept {
  static const std::vector<SkippedStore> none;
  return group_ ? group_->skipped() : none;
}

void WindowSampler::FollowStores() {
  for (std::size_t i = 0; i < stores_.size(); ++i) {
    if (gone_[i]) {
      continue;
    }
    stores_[i]->Follow();
    if (priorities_ != nullptr) {
      priorities_->Follow(i, static_cast<internal::IndexedStarts&>(*stores_[i]));
    }
  }
}

// Calls look(), which looks at all stores. If one cannot be read any more, tries again: the group opens
// a store again whose rows were removed, and leaves out one that is damaged.
template <class Look>
auto WindowSampler::LookAtStores(const Look& look) {
  try {
    return look();
  } catch (const Error&) {
    if (!group_) {
      throw;
    }
  }
  group_->Refresh();
  FollowGroup();
  return look();
}

std::uint64_t WindowSampler::Refresh() {
  FollowGroup();
  LookAtStores([this] { FollowStores(); });
  return Total();
}

std::uint64_t WindowSampler::UnscannedRows() {
  const auto count = [this] {
    std::uint64_t rows = 0;
    for (const auto& store : stores_) {
      rows += store->UnscannedRows();
    }
    return rows;
  };
  if (in_epoch_ || restored_) {
    return count();
  }
  FollowGroup();
  return LookAtStores(count);
}

std::uint64_t WindowSampler::NumStarts() {
  if (!in_epoch_ && !restored_) {
    return Refresh();
  }
  // The epoch keeps its stores and extents, so the starts stored now are counted apart.
  std::uint64_t count = 0;
  if (!group_) {
    for (const auto& store : stores_) {
      count += store->CountNow();
    }
    return count;
  }
  for (const GroupStore& member : GroupAccess::Follow(*group_).stores) {
    count += internal::MakeStarts(member.reader, options_)->CountNow();
  }
  return count;
}

}  // namespace stream_store
