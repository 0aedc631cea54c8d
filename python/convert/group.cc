#include "convert/group.h"

#include <algorithm>
#include <chrono>
#include <utility>
#include <vector>

#include "convert/errors.h"
#include "convert/ids.h"
#include "convert/schema.h"
#include "convert/store.h"

namespace stream_store::python {
namespace {

// Waits in slices of 50 ms, so that Ctrl-C can end the wait. Opening many stores takes a while, too.
StoreGroup Open(const std::filesystem::path& path, const GroupOptions& options, double wait) {
  using std::chrono::steady_clock;
  const auto until = steady_clock::now() + std::chrono::duration_cast<steady_clock::duration>(
                                               std::chrono::duration<double>(std::min(wait, 1e9)));
  GroupOptions slice = options;
  while (true) {
    slice.wait = std::clamp<std::chrono::nanoseconds>(
        until - steady_clock::now(), std::chrono::nanoseconds(0), std::chrono::milliseconds(50));
    try {
      const MaybeWithoutGil released(true);
      return StoreGroup::Open(path, slice);
    } catch (const Error& error) {
      if (error.code() != ErrorCode::kNotFound || steady_clock::now() >= until) {
        throw;
      }
    }
    Check(PyErr_CheckSignals());
  }
}

GroupOptions OptionsOf(const nb::object& specs, const std::tuple<bool, bool>& reads) {
  GroupOptions options{.skip_damaged = std::get<0>(reads), .safe_reads = std::get<1>(reads)};
  if (!specs.is_none()) {
    options.fields = FieldsFromSpecs(specs);
  }
  return options;
}

nb::object Text(const std::string& text) {
  return Own(PyUnicode_DecodeFSDefaultAndSize(text.data(), static_cast<Py_ssize_t>(text.size())));
}

}  // namespace

GroupObject& GroupOf(const nb::object& group) { return *nb::cast<GroupObject*>(group); }

GroupObject::GroupObject(const nb::object& path, const nb::object& specs,
                         std::tuple<bool, bool> reads, double wait)
    : group_(Open(NativePath(path), OptionsOf(specs, reads), wait)) {}

nb::object GroupObject::FieldsPath() const { return Text(group_.fields_path().string()); }

nb::object GroupObject::StorePath(nb::handle name) const {
  return Text(group_.StorePath(NativePath(name).string()).string());
}

bool GroupObject::Refresh() {
  const GilMutex::Hold hold(mutex_,
                            "StoreGroup: called while the same thread is inside a call of it");
  StoreGroup now = group_;
  bool changed = false;
  {
    const MaybeWithoutGil released(true);
    changed = now.Refresh();
  }
  std::swap(group_, now);
  return changed;
}

nb::list GroupObject::Names() const {
  nb::list names;
  for (const GroupStore& store : group_.stores()) {
    names.append(Text(store.name));
  }
  return names;
}

nb::list GroupObject::Ids() const {
  nb::list ids;
  for (const GroupStore& store : group_.stores()) {
    const std::string id = HexOf(store.reader.id());
    ids.append(nb::str(id.data(), id.size()));
  }
  return ids;
}

std::optional<Reader> GroupObject::ReaderOf(nb::handle name) const {
  const std::string wanted = NativePath(name).string();
  const std::vector<GroupStore>& stores = group_.stores();
  const auto found = std::ranges::lower_bound(stores, wanted, {}, &GroupStore::name);
  if (found == stores.end() || found->name != wanted) {
    return std::nullopt;
  }
  return found->reader;
}

std::uint64_t GroupObject::KeptRows() const {
  std::uint64_t rows = 0;
  for (const GroupStore& store : group_.stores()) {
    Reader reader = store.reader;
    reader.Refresh();
    rows += reader.kept_rows();
  }
  return rows;
}

nb::list GroupObject::Skipped() const {
  nb::list skipped;
  for (const SkippedStore& store : group_.skipped()) {
    skipped.append(nb::make_tuple(Text(store.name), Text(store.reason)));
  }
  return skipped;
}

}  // namespace stream_store::python
