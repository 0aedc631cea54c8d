// The importer as a fuzz target.
#include "fuzz/import_mutant.h"
#include "fuzz/targets.h"

namespace stream_store::fuzz {

void FuzzImport(Bytes bytes) { ImportMutant(bytes); }

}  // namespace stream_store::fuzz
