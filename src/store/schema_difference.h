// How two schemas differ, for messages. Thread rules: pure functions.
#pragma once

#include <string>

#include "stream_store/schema.h"

namespace stream_store::internal {

/// Describes the first field that differs between two schemas.
std::string DifferenceText(const Schema& first, const Schema& other);

}  // namespace stream_store::internal
