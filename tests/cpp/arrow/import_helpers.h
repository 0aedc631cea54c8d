// Short calls for the tests of imports.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "stream_store/error.h"
#include "stream_store/store.h"

#include "arrow/producer.h"
#include "arrow/stores.h"
#include "support/scratch.h"

namespace stream_store::testing {

/// A column x of lists with these offsets.
inline Column Lists(std::initializer_list<std::int32_t> offsets, Column items,
                    std::vector<std::uint8_t> validity = {}) {
  return {.format = "+l",
          .name = "x",
          .length = static_cast<std::int64_t>(offsets.size()) - 1,
          .buffers = {std::move(validity), Bytes(offsets)},
          .children = {std::move(items)}};
}

/// A column x of structs.
inline Column Structs(std::int64_t length, std::vector<Column> children,
                      std::vector<std::uint8_t> validity = {}) {
  return {.format = "+s",
          .name = "x",
          .length = length,
          .buffers = {std::move(validity)},
          .children = std::move(children)};
}

inline std::uint64_t Import(StreamStore& store, std::vector<std::vector<Column>> batches,
                            const ArrowImportOptions& options = {}) {
  Producer producer(std::move(batches));
  ArrowArrayStream stream = producer.stream();
  StagedRows staged = store.Stage();
  const std::uint64_t rows = ImportArrow(staged, &stream, options);
  staged.Commit();
  return rows;
}

/// Imports chosen rows.
inline void ImportPicks(StreamStore& store, std::vector<std::vector<Column>> batches,
                        std::initializer_list<std::int64_t> rows) {
  Producer producer(std::move(batches));
  Column numbers = Int64s("i", rows);
  numbers.format = "L";
  Producer picks({{numbers}});
  ArrowArrayStream stream = producer.stream();
  ArrowArrayStream pick_stream = picks.stream();
  StagedRows staged = store.Stage();
  ImportArrowRows(staged, &stream, &pick_stream);
  staged.Commit();
}

/// The message of an import that is refused, after which the store must be empty.
inline std::string Refusal(const std::vector<Field>& fields, std::vector<Column> columns,
                           const ArrowImportOptions& options = {}) {
  StreamStore store = StoreOf(fields);
  const Error error = internal::ErrorOf([&] { Import(store, {std::move(columns)}, options); });
  EXPECT_EQ(error.code(), ErrorCode::kInvalidArgument);
  EXPECT_EQ(store.reader().num_rows(), 0U);
  return error.what();
}

inline std::vector<Value> Values(const StreamStore& store) {
  std::vector<Value> values;
  const Reader reader = store.reader();
  for (Row row = 0; row < static_cast<Row>(reader.num_rows()); ++row) {
    for (const auto& [type, words] : reader.row(row)) {
      values.insert(values.end(), words.begin(), words.end());
    }
  }
  return values;
}

}  // namespace stream_store::testing
