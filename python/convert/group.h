// GroupObject: the C++ part of a StoreGroup of Python.
//
// It is the class _core.Group, which the Python class StoreGroup has as a member. Its lists are plain
// Python values: group.py opens stores by their paths.
//
// Thread rules: the GIL guards every member; looking for stores releases it.
#pragma once

#include <cstdint>
#include <optional>
#include <tuple>

#include "stream_store/group.h"

#include "convert/gil_mutex.h"
#include "convert/python.h"

namespace stream_store::python {

class GroupObject {
 public:
  /// Opens a group.
  ///
  /// path    str or os.PathLike.
  /// specs   FieldSpecs of the fields of a new group, or None.
  /// reads   (skip_damaged, safe_reads); see GroupOptions.
  /// wait    seconds to wait for the group to have fields.
  GroupObject(const nb::object& path, const nb::object& specs, std::tuple<bool, bool> reads,
              double wait);

  /// The path of the store that has the fields.
  nb::object FieldsPath() const;

  /// The path of a store to be written, by its name or with a new one if that is empty.
  nb::object StorePath(nb::handle name) const;

  /// Looks for stores that have come or gone, and returns whether there were any.
  bool Refresh();

  /// The names of the stores, sorted.
  nb::list Names() const;

  /// Their ids, in the order of the names.
  nb::list Ids() const;

  /// The Reader of the store of a name, as it was found; nothing if there is none.
  std::optional<Reader> ReaderOf(nb::handle name) const;

  /// The number of rows that all stores retain now.
  std::uint64_t KeptRows() const;

  /// For each store that is left out its name and the reason.
  nb::list Skipped() const;

  const StoreGroup& group() const noexcept { return group_; }

 private:
  StoreGroup group_;
  GilMutex mutex_;  // held while group_ changes
};

/// The GroupObject in a Python object. Throws TypeError for another one.
GroupObject& GroupOf(const nb::object& group);

}  // namespace stream_store::python
