// GroupAccess: the private parts of StoreGroup that samplers use.
#pragma once

#include "stream_store/group.h"

#include "store/group_listing.h"

namespace stream_store::internal {

struct GroupAccess {
  /// As StoreGroup::Refresh(), but mostly without a look at the directory. Returns what there is.
  static const Listing& Follow(StoreGroup& group);

  /// A Reader of a store with the fields of the group, which may have rows.
  static const Reader& FieldsOf(const StoreGroup& group);
};

}  // namespace stream_store::internal
