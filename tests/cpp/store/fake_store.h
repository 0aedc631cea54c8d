// A store in plain vectors, written from a list of rows that also serves as the model to compare
// with.
//
// Used by the read tests. The model never looks at records, layouts or hints: it keeps one flat
// list per column, as docs/design.md defines them. Arrays have exactly the sizes that the View
// states, so that AddressSanitizer sees every load beyond their end.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <limits>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "stream_store/types.h"

#include "format/layout.h"
#include "storage/view.h"

namespace stream_store::internal {

/// One field-write.
struct FakeWrite {
  TypeId type = 0;
  std::vector<Value> values = {};
};

/// One row: its step and its records, each a list of field-writes.
struct FakeRow {
  Step step = 0;
  std::vector<std::vector<FakeWrite>> records = {};
};

enum class FakeHints { kRight, kAbsent, kShort, kRandom, kZero };

/// Memory of exactly the asked size.
template <class T>
std::unique_ptr<T[]> ExactCopy(const std::vector<T>& items) {
  std::unique_ptr<T[]> copy(new T[items.size()]);
  std::copy(items.begin(), items.end(), copy.get());
  return copy;
}

class FakeStore {
 public:
  /// The model: one element per value.
  std::vector<Value> values;
  std::vector<std::int64_t> types;
  std::vector<Step> steps;
  std::vector<std::int64_t> offsets;
  std::vector<Row> rows_of;

  FakeStore(std::vector<Field> fields, std::vector<FakeRow> rows,
            FakeHints hint_kind = FakeHints::kRight, std::uint64_t seed = 1)
      : rows_(std::move(rows)) {
    auto store_schema = std::make_shared<StoreSchema>();
    store_schema->schema = Schema(std::move(fields));
    store_schema->encodings = MakeEncodings(store_schema->schema);
    store_schema->path = "runs/a";
    store_schema_ = std::move(store_schema);
    for (std::size_t row = 0; row < rows_.size(); ++row) {
      WriteRow(static_cast<Row>(row));
    }
    WriteHints(hint_kind, seed);
    Freeze();
  }

  const View& view() const { return view_; }

  const std::vector<FakeRow>& rows() const { return rows_; }

  const Schema& schema() const { return store_schema_->schema; }

  /// The position of a row: where its values start, or would.
  Position StartOf(Row row) const { return row_starts_[static_cast<std::size_t>(row)]; }

  /// The field-write of a row, or null.
  const FakeWrite* Find(Row row, TypeId type) const {
    for (const auto& record : rows_[static_cast<std::size_t>(row)].records) {
      for (const FakeWrite& write : record) {
        if (write.type == type) {
          return &write;
        }
      }
    }
    return nullptr;
  }

  /// Words of the arrays, to be damaged by tests; Freeze() makes them the View's.
  std::vector<Record> records;
  std::vector<std::uint64_t> layouts = {0};
  std::vector<Hint> hints;

  void Freeze() {
    static std::uint64_t next_key = 1;
    frozen_values_ = ExactCopy(values);
    frozen_records_ = ExactCopy(records);
    frozen_layouts_ = ExactCopy(layouts);
    frozen_hints_ = ExactCopy(hints);
    view_.values = frozen_values_.get();
    view_.records = frozen_records_.get();
    view_.layouts = frozen_layouts_.get();
    view_.hints = frozen_hints_.get();
    view_.value_count = values.size();
    view_.record_count = records.size();
    view_.row_count = rows_.size();
    view_.layout_words = layouts.size();
    view_.hint_slots = hints.size();
    view_.mapping_key = next_key++;
    view_.store_schema = store_schema_;
  }

 private:
  void WriteRow(Row row) {
    row_starts_.push_back(static_cast<Position>(values.size()));
    const FakeRow& content = rows_[static_cast<std::size_t>(row)];
    for (const std::vector<FakeWrite>& record : content.records) {
      WriteRecord(row, content.step, record);
    }
  }

  void WriteRecord(Row row, Step step, const std::vector<FakeWrite>& writes) {
    Record record{};
    record.start = values.size();
    record.step = step;
    record.row_session = PackRowSession(static_cast<std::uint64_t>(row), 0xbeef);
    record.layout = LayoutOf(writes);
    record.checksum = 0xdeadbeef;
    records.push_back(record);
    for (const FakeWrite& write : writes) {
      for (std::size_t i = 0; i < write.values.size(); ++i) {
        values.push_back(write.values[i]);
        types.push_back(write.type);
        steps.push_back(step);
        offsets.push_back(static_cast<std::int64_t>(i));
        rows_of.push_back(row);
      }
    }
  }

  std::uint32_t LayoutOf(const std::vector<FakeWrite>& writes) {
    if (writes.empty()) {
      return 0;
    }
    std::vector<std::uint64_t> words = {0};
    std::uint64_t total = 0;
    for (const FakeWrite& write : writes) {
      words.push_back(LayoutWord(write.type, write.values.size()));
      total += write.values.size();
    }
    words[0] = LayoutHead(writes.size(), total);
    const auto [known, added] =
        known_layouts_.try_emplace(words, static_cast<std::uint32_t>(layouts.size()));
    if (added) {
      layouts.insert(layouts.end(), words.begin(), words.end());
    }
    return known->second;
  }

  void WriteHints(FakeHints kind, std::uint64_t seed) {
    if (kind == FakeHints::kAbsent) {
      return;
    }
    const std::size_t slots = std::max(values.size(), rows_.size()) / kHintStride + 1;
    hints.resize(kind == FakeHints::kShort ? slots / 2 : slots);
    std::mt19937_64 random(seed);
    for (std::size_t slot = 0; slot < hints.size(); ++slot) {
      hints[slot] = RightHint(slot);
      if (kind == FakeHints::kZero) {
        hints[slot] = {};
      }
      if (kind == FakeHints::kRandom) {
        const std::uint64_t bound =
            slot % 3 == 0 ? std::numeric_limits<std::uint64_t>::max() : records.size() + 2;
        hints[slot] = {random() % bound, random() % bound};
      }
    }
  }

  Hint RightHint(std::size_t slot) const {
    Hint hint{};
    for (std::size_t i = 0; i < records.size(); ++i) {
      if (records[i].start <= slot * kHintStride) {
        hint.position_record = i;
      }
    }
    for (std::size_t i = records.size(); i-- > 0;) {
      if (RowOfRecord(records[i].row_session) == slot * kHintStride) {
        hint.row_record = i;
      }
    }
    return hint;
  }

  std::vector<FakeRow> rows_;
  std::shared_ptr<const StoreSchema> store_schema_;
  std::vector<Position> row_starts_;
  std::map<std::vector<std::uint64_t>, std::uint32_t> known_layouts_;
  std::unique_ptr<Value[]> frozen_values_;
  std::unique_ptr<Record[]> frozen_records_;
  std::unique_ptr<std::uint64_t[]> frozen_layouts_;
  std::unique_ptr<Hint[]> frozen_hints_;
  View view_;
};

}  // namespace stream_store::internal
