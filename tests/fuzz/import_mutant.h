// ImportMutant(): one round of fuzzing the importer. Imports a mutant stream into a store and
// checks the promises that hold for every stream.
#pragma once

#include <cstdint>
#include <span>

namespace stream_store::fuzz {

enum class Outcome { kNoFields, kRefused, kImported };

/// Aborts with a message if a promise is broken.
Outcome ImportMutant(std::span<const std::uint8_t> bytes);

}  // namespace stream_store::fuzz
