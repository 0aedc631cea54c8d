// WindowSampler: the state of a sampler, and going on from it.
#include <algorithm>
#include <map>
#include <utility>

#include "stream_store/error.h"
#include "stream_store/interop.h"
#include "stream_store/sampler.h"

#include "base/str_cat.h"
#include "format/control.h"
#include "storage/read_source.h"
#include "storage/record_hints.h"
#include "storage/safe_copy.h"
#include "storage/store_files.h"
#include "store/read_functions.h"
#include "store/read_via.h"
#include "store/sampler_priorities.h"
#include "store/window_starts.h"

namespace stream_store {

using internal::IdText;
using internal::Starts;
using internal::StoreId;
using internal::StrCat;

namespace {

[[noreturn]] void Refuse(const std::string& reason) {
  throw Error(ErrorCode::kInvalidArgument, StrCat("sampler: ", reason));
}

// The checksum of the first record of a row, which stays if the row is continued.
std::uint32_t HeadChecksum(const Reader& reader, Row row) {
  using internal::ReaderAccess;
  return internal::ReadVia(
      *ReaderAccess::SourceOf(reader), ReaderAccess::ViewOf(reader),
      internal::FetchRange(row, row + 1, /*values=*/false), [row](const internal::View& view) {
        const std::uint64_t first = internal::SearchRow(view, static_cast<std::uint64_t>(row));
        return internal::LoadOnce(view.records[first].checksum);
      });
}

// Of the first `rows` rows. Empty for a store whose rows cannot be read any more: such a state loads
// on the store only.
StoreCheck CheckOf(const Reader& reader, std::uint64_t rows) try {
  StoreCheck check;
  if (rows > reader.first_row() && rows <= reader.num_rows()) {
    check = {rows, HeadChecksum(reader, static_cast<Row>(rows) - 1)};
  }
  return check;
} catch (const Error&) {
  return {};
}

// Rows are compared only if the store is a copy: a store may have lost rows that a state saw.
void CheckStore(const Reader& reader, const SamplerState& state, std::size_t i) {
  const std::array<std::uint8_t, 16>& id = state.stores[i];
  if (id == reader.id()) {
    return;
  }
  const internal::Identity& here = internal::ReaderAccess::SourceOf(reader)->files().identity();
  if (id != here.parent) {
    Refuse(StrCat("state: the state is of another store: expected id ", IdText(here.id),
                  " but found ", IdText(id)));
  }
  const StoreCheck check = i < state.checks.size() ? state.checks[i] : StoreCheck{};
  if (check.rows <= reader.first_row() || check.rows > reader.num_rows()) {
    Refuse(StrCat("state: expected row ", check.rows == 0 ? 0 : check.rows - 1,
                  " of the store that this one is a copy of, but the copy has rows ",
                  reader.first_row(), " to ", reader.num_rows(),
                  "; bring it up to date with checkpoint(…, update=True)"));
  }
  if (HeadChecksum(reader, static_cast<Row>(check.rows) - 1) != check.checksum) {
    Refuse(StrCat("state: row ", check.rows - 1,
                  " differs from that of the store that this one is a copy of"));
  }
}

}  // namespace

SamplerState WindowSampler::state() const {
  SamplerState state;
  state.seed = options_.seed;
  state.epoch = epoch_;
  state.batches = batches_ - prefetched_;
  state.finished = EndSeen();
  state.stores = ids_;
  for (const auto& store : stores_) {
    // In an epoch, later rows do not matter, so the state does not change with them.
    std::uint64_t rows = store->reader().num_rows();
    if (in_epoch_ || restored_) {
      state.extents.push_back(store->extent());
      rows = state.extents.back().rows;
    }
    state.checks.push_back(CheckOf(store->reader(), rows));
  }
  if (priorities_ != nullptr) {
    state.priorities = {.alpha = priorities_->options().alpha,
                        .beta = priorities_->options().beta,
                        .largest = priorities_->largest()};
  }
  return state;
}

namespace {

// For each of the stores its number in another list, or nothing.
std::vector<std::optional<std::size_t>> NumbersIn(const std::vector<StoreId>& list,
                                                  const std::vector<StoreId>& stores) {
  std::map<StoreId, std::size_t> numbers;
  for (std::size_t i = 0; i < list.size(); ++i) {
    numbers.emplace(list[i], i);
  }
  std::vector<std::optional<std::size_t>> found;
  for (const StoreId& id : stores) {
    const auto number = numbers.find(id);
    found.push_back(number == numbers.end() ? std::nullopt : std::optional(number->second));
  }
  return found;
}

}  // namespace

// Finds the Reader of each store of a state. In a group, nothing for a store that has left it.
std::vector<std::optional<Reader>> WindowSampler::FindStores(const SamplerState& state) const {
  std::vector<std::optional<Reader>> found;
  if (!group_ && state.stores.size() != stores_.size()) {
    Refuse(StrCat("state: expected ", stores_.size(), " stores but found ", state.stores.size()));
  }
  if (group_) {
    std::map<StoreId, const Reader*> members;
    for (const GroupStore& member : group_->stores()) {
      members.emplace(interop::ParentId(member.reader), &member.reader);
    }
    for (const GroupStore& member : group_->stores()) {
      members.insert_or_assign(member.reader.id(), &member.reader);
    }
    for (const StoreId& id : state.stores) {
      const auto member = members.find(id);
      found.push_back(member == members.end() ? std::nullopt : std::optional(*member->second));
    }
  } else {
    for (const auto& store : stores_) {
      found.emplace_back(store->reader());
    }
  }
  for (std::size_t i = 0; i < found.size(); ++i) {
    if (found[i]) {
      CheckStore(*found[i], state, i);
    }
  }
  return found;
}

void WindowSampler::CheckState(const SamplerState& state) const {
  const bool of_epoch = !state.extents.empty();
  if (of_epoch && (options_.replacement || state.extents.size() != state.stores.size())) {
    Refuse(
        options_.replacement
            ? std::string("state: expected one of a sampler with replacement but it has an epoch")
            : StrCat("state: expected one extent per store, ", state.stores.size(), ", but found ",
                     state.extents.size()));
  }
  if (state.priorities.has_value() != options_.priorities.has_value()) {
    Refuse(StrCat("state: expected one of a sampler with", options_.priorities ? "" : "out",
                  " priorities"));
  }
}

void WindowSampler::Restore(const SamplerState& state) {
  if (group_) {
    group_->Refresh();
  }
  const std::vector<std::optional<Reader>> readers = FindStores(state);
  CheckState(state);
  const bool of_epoch = !state.extents.empty();
  // Restored into new objects, so that nothing has changed if one of them throws.
  std::vector<std::unique_ptr<Starts>> restored;
  std::vector<StoreId> ids;
  std::vector<bool> gone;
  for (std::size_t i = 0; i < readers.size(); ++i) {
    ids.push_back(readers[i] ? readers[i]->id() : state.stores[i]);
    gone.push_back(!readers[i]);
    restored.push_back(readers[i] ? internal::MakeStarts(*readers[i], options_) : NoStarts());
    if (!of_epoch) {
      continue;
    }
    if (readers[i]) {
      restored.back()->Restore(state.extents[i]);
    } else if (state.extents[i].rows > state.extents[i].first_row) {
      Refuse(StrCat("state: its epoch covers rows of store ", i, " with id ", IdText(ids[i]),
                    ", which is not in the group ", internal::PathText(group_->path())));
    }
  }
  if (priorities_ != nullptr) {
    priorities_->Restore(*state.priorities);
    options_.priorities = priorities_->options();
    priorities_->Rearrange(NumbersIn(ids_, ids));
    for (std::size_t i = 0; i < gone.size(); ++i) {
      if (gone[i]) {
        priorities_->Leave(i);
      }
    }
  }
  stores_ = std::move(restored);
  ids_ = std::move(ids);
  gone_ = std::move(gone);
  group_version_ = 0;
  options_.seed = state.seed;
  epoch_ = state.epoch;
  batches_ = state.batches;
  prefetched_ = 0;
  end_prefetched_ = false;
  finished_ = state.finished;
  restored_ = of_epoch;
  in_epoch_ = false;
}

}  // namespace stream_store
