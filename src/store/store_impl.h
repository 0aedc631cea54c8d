// What a StreamStore is made of: nothing yet, or a Writer and where its Readers come from.
//
// Who uses it: store.cc, and staged_rows.cc, which builds a second one and puts it in the place of
// the first.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <utility>

#include "stream_store/store.h"

#include "base/str_cat.h"
#include "storage/open.h"
#include "storage/read_source.h"
#include "storage/writer.h"

namespace stream_store {

struct StreamStore::Impl {
  std::filesystem::path path;  // empty for a temporary store
  Options options;
  std::unique_ptr<internal::Writer> writer;  // null until fields are declared
  std::shared_ptr<internal::ReadSource> source;
  Recovery recovery;
  bool closed_undeclared = false;

  internal::Writer& Declared(const char* doing) const {
    if (closed_undeclared) {
      throw Error(ErrorCode::kClosed,
                  internal::StrCat(Name(), ": ", doing, " on a store that is closed"));
    }
    if (writer == nullptr) {
      throw Error(ErrorCode::kState,
                  internal::StrCat(Name(), ": ", doing,
                                   " needs declared fields: call define_fields() first"));
    }
    return *writer;
  }

  std::string Name() const { return path.empty() ? "temporary store" : internal::PathText(path); }

  void Start(internal::OpenedStore opened) {
    opened.options.capacity_values = options.capacity_values;
    opened.options.grow_ahead = options.grow_ahead;
    opened.options.sync_interval = options.sync_interval;
    opened.options.sync_bytes = options.sync_bytes;
    recovery = opened.recovery;
    source = std::make_shared<internal::ReadSource>(opened.files, recovery, opened.cursor);
    writer = std::make_unique<internal::Writer>(opened.files, opened.cursor, opened.options);
  }

  void Create(std::vector<Field> fields) {
    Schema schema(std::move(fields));
    Start(path.empty()
              ? internal::CreateTemporaryStore(options.temporary_directory, std::move(schema))
              : internal::CreateStore(path, schema));
  }
};

}  // namespace stream_store
