// A store in plain vectors, written from a list of rows that also serves as the model to compare
// with.
//
// Used by the read tests. The model never looks at records, layouts or hints: it keeps one flat
// list per column, as docs/design.md defines them. Arrays have exactly the sizes that the View
// states, so that AddressSanitizer sees every load beyond their end.
//
// A store can have dropped its first rows: its View then begins at a later row, and all memory
// before that is inaccessible, so that a load from it ends the test. The model keeps all rows.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <limits>
#include <map>
#include <memory>
#include <new>
#include <random>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <sys/mman.h>

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

/// A copy of the items from number `first` on. data() is indexed with the numbers of all items.
///
/// If `first` is 0, the memory has exactly the size of the items. Else it begins at a page, and the
/// pages before it, as many as the items before `first` would take, are inaccessible.
template <class T>
class RetainedCopy {
 public:
  RetainedCopy() = default;

  RetainedCopy(const std::vector<T>& items, std::size_t first) {
    const std::span<const T> kept(items.data() + first, items.size() - first);
    if (first == 0) {
      exact_.reset(new T[kept.size()]);
      std::ranges::copy(kept, exact_.get());
      data_ = exact_.get();
      return;
    }
    constexpr std::size_t kPage = 4096;
    const auto pages = [](std::size_t bytes) { return (bytes + kPage - 1) / kPage * kPage; };
    const std::size_t before = pages(first * sizeof(T));
    bytes_ = before + pages(kept.size_bytes() + 1);
    auto* all = static_cast<std::byte*>(
        ::mmap(nullptr, bytes_, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    if (all == MAP_FAILED || ::mprotect(all + before, bytes_ - before, PROT_READ | PROT_WRITE)) {
      throw std::bad_alloc();
    }
    mapped_ = all;
    std::memcpy(all + before, kept.data(), kept.size_bytes());
    data_ = reinterpret_cast<T*>(all + before) - first;
  }

  RetainedCopy(RetainedCopy&& other) noexcept { *this = std::move(other); }

  RetainedCopy& operator=(RetainedCopy&& other) noexcept {
    std::swap(exact_, other.exact_);
    std::swap(mapped_, other.mapped_);
    std::swap(bytes_, other.bytes_);
    std::swap(data_, other.data_);
    return *this;
  }

  ~RetainedCopy() {
    if (mapped_ != nullptr) {
      ::munmap(mapped_, bytes_);
    }
  }

  T* data() const { return data_; }

 private:
  std::unique_ptr<T[]> exact_;
  std::byte* mapped_ = nullptr;
  std::size_t bytes_ = 0;
  T* data_ = nullptr;
};

class FakeStore {
 public:
  /// The model: one element per value.
  std::vector<Value> values;
  std::vector<std::int64_t> types;
  std::vector<Step> steps;
  std::vector<std::int64_t> offsets;
  std::vector<Row> rows_of;

  /// first_row  rows before it were dropped.
  FakeStore(std::vector<Field> fields, std::vector<FakeRow> rows,
            FakeHints hint_kind = FakeHints::kRight, std::uint64_t seed = 1, Row first_row = 0)
      : rows_(std::move(rows)), first_row_(static_cast<std::size_t>(first_row)) {
    auto store_schema = std::make_shared<StoreSchema>();
    store_schema->schema = Schema(std::move(fields));
    store_schema->encodings = MakeEncodings(store_schema->schema);
    store_schema->path = "runs/a";
    store_schema_ = std::move(store_schema);
    for (std::size_t row = 0; row < rows_.size(); ++row) {
      if (row == first_row_) {
        BeginHere();
      }
      WriteRow(static_cast<Row>(row));
    }
    if (first_row_ >= rows_.size()) {
      BeginHere();
    }
    WriteHints(hint_kind, seed);
    Freeze();
  }

  const View& view() const { return view_; }

  /// The first row and position that are retained.
  Row first_row() const { return static_cast<Row>(first_row_); }

  Position first_position() const { return static_cast<Position>(first_position_); }

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
  std::vector<std::uint64_t> position_hints;
  std::vector<std::uint64_t> row_hints;

  void Freeze() {
    static std::uint64_t next_key = 1;
    view_.begin_record = std::min<std::uint64_t>(begin_record_, records.size());
    view_.first_row = first_row_;
    view_.first_position = first_position_;
    view_.layout_begin = std::min<std::uint64_t>(layout_begin_, layouts.size());
    frozen_values_ = {values, view_.first_position};
    frozen_records_ = {records, view_.begin_record};
    frozen_layouts_ = {layouts, view_.layout_begin};
    frozen_position_hints_ = {position_hints,
                              std::min(position_hints.size(), first_position_ / kHintStride)};
    frozen_row_hints_ = {row_hints, std::min(row_hints.size(), first_row_ / kHintStride)};
    view_.values = frozen_values_.data();
    view_.records = frozen_records_.data();
    view_.layouts = frozen_layouts_.data();
    view_.position_hints = frozen_position_hints_.data();
    view_.row_hints = frozen_row_hints_.data();
    view_.value_count = values.size();
    view_.record_count = records.size();
    view_.row_count = rows_.size();
    view_.layout_words = layouts.size();
    view_.position_hint_end = position_hints.size();
    view_.row_hint_end = row_hints.size();
    view_.mapping_key = next_key++;
    view_.store_schema = store_schema_;
  }

 private:
  // The next row is the first that is retained. It and later ones refer to layouts written from
  // here on, as in a store.
  void BeginHere() {
    begin_record_ = records.size();
    first_position_ = values.size();
    if (first_row_ > 0) {
      layout_begin_ = layouts.size();
      known_layouts_.clear();
    }
  }

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
    std::mt19937_64 random(seed);
    const auto fill = [&](std::vector<std::uint64_t>& hints, std::size_t items, auto right) {
      const std::size_t slots = items / kHintStride + 1;
      hints.resize(kind == FakeHints::kShort ? slots / 2 : slots);
      for (std::size_t slot = 0; slot < hints.size(); ++slot) {
        hints[slot] = kind == FakeHints::kZero ? 0 : right(slot);
        if (kind == FakeHints::kRandom) {
          const std::uint64_t bound =
              slot % 3 == 0 ? std::numeric_limits<std::uint64_t>::max() : records.size() + 2;
          hints[slot] = random() % bound;
        }
      }
    };
    fill(position_hints, values.size(), [&](std::size_t slot) { return RightPosition(slot); });
    fill(row_hints, rows_.size(), [&](std::size_t slot) { return RightRow(slot); });
  }

  std::uint64_t RightPosition(std::size_t slot) const {
    std::uint64_t hint = 0;
    for (std::size_t i = 0; i < records.size(); ++i) {
      if (records[i].start <= slot * kHintStride) {
        hint = i;
      }
    }
    return hint;
  }

  std::uint64_t RightRow(std::size_t slot) const {
    std::uint64_t hint = 0;
    for (std::size_t i = records.size(); i-- > 0;) {
      if (RowOfRecord(records[i].row_session) == slot * kHintStride) {
        hint = i;
      }
    }
    return hint;
  }

  std::vector<FakeRow> rows_;
  std::shared_ptr<const StoreSchema> store_schema_;
  std::vector<Position> row_starts_;
  std::map<std::vector<std::uint64_t>, std::uint32_t> known_layouts_;
  std::size_t first_row_;
  std::size_t begin_record_ = 0;
  std::size_t first_position_ = 0;
  std::size_t layout_begin_ = 0;
  RetainedCopy<Value> frozen_values_;
  RetainedCopy<Record> frozen_records_;
  RetainedCopy<std::uint64_t> frozen_layouts_;
  RetainedCopy<std::uint64_t> frozen_position_hints_;
  RetainedCopy<std::uint64_t> frozen_row_hints_;
  View view_;
};

}  // namespace stream_store::internal
