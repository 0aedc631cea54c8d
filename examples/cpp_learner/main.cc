// Follows a store by its path and samples from it, like a learner in C++.
//
//   cpp_learner <store> [field] [seconds]
//
// Waits until the store exists. Ten times per second, it then samples 64 windows of 128 values and
// 64 row windows of 16 rows of one scalar or fixed-shape float field (by default the first one). It
// ends when the time is over or the writer has closed the store. It then reads the whole store once
// and prints the numbers of rows, values and field-writes, the sum of all stored words (modulo
// 2^64) and the mean of the field.
#include <chrono>
#include <cstdint>
#include <iostream>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "stream_store/reader.h"

namespace {

using namespace stream_store;
using Clock = std::chrono::steady_clock;

constexpr std::uint64_t kWindows = 64;
constexpr std::uint64_t kWidth = 128;
constexpr std::uint64_t kLength = 16;

bool FixedFloat(const Field& field) {
  const bool floating = field.dtype == DType::kFloat32 || field.dtype == DType::kFloat64;
  return floating && (field.shape.empty() || field.shape.front() != kRagged);
}

TypeId FieldToRead(const Schema& schema, const std::string& name) {
  for (std::size_t type = 0; type < schema.declared(); ++type) {
    const Field& field = schema.fields()[type];
    if (FixedFloat(field) && (name.empty() || field.name == name)) {
      return static_cast<TypeId>(type);
    }
  }
  throw std::runtime_error("no float field of a fixed shape called '" + name + "'");
}

// Sum and number of the items of the field in these row windows. Missing fields do not count.
class Mean {
 public:
  Mean(const Reader& reader, TypeId type) : type_(type), dtype_(reader.schema()[type].dtype) {
    for (const std::uint32_t axis : reader.schema()[type].shape) items_ *= axis;
  }

  void Add(const Reader& reader, std::span<const Row> rows, std::uint64_t length) {
    dtype_ == DType::kFloat32 ? AddAs<float>(reader, rows, length)
                              : AddAs<double>(reader, rows, length);
  }

  double value() const { return count_ == 0 ? 0 : sum_ / static_cast<double>(count_); }

 private:
  template <class T>
  void AddAs(const Reader& reader, std::span<const Row> rows, std::uint64_t length) {
    const std::size_t places = rows.size() * static_cast<std::size_t>(length);
    std::vector<T> out(places * items_);
    std::vector<std::uint8_t> present(places);
    reader.ReadRows<T>(rows, length, type_, out, present);
    for (std::size_t i = 0; i < out.size(); ++i) {
      if (present[i / items_] == 0) continue;
      sum_ += static_cast<double>(out[i]);
      ++count_;
    }
  }

  TypeId type_;
  DType dtype_;
  std::size_t items_ = 1;
  double sum_ = 0;
  std::uint64_t count_ = 0;
};

// Samples one batch of flat windows and one of row windows from the current content of the store.
void Sample(const Reader& reader, TypeId type, std::mt19937_64& random) {
  const auto draw = [&random](std::uint64_t room, std::vector<std::int64_t>& out) {
    for (std::int64_t& one : out) one = static_cast<std::int64_t>(random() % (room + 1));
  };
  if (reader.size() >= kWidth) {
    std::vector<Position> starts(kWindows);
    draw(reader.size() - kWidth, starts);
    std::vector<Value> values(kWindows * kWidth);
    std::vector<std::int64_t> types(values.size());
    reader.ReadWindows(starts, kWidth, {.values = values.data(), .types = types.data()});
  }
  if (reader.num_rows() >= kLength) {
    std::vector<Row> rows(kWindows);
    draw(reader.num_rows() - kLength, rows);
    Mean mean(reader, type);
    mean.Add(reader, rows, kLength);
    std::cout << reader.num_rows() << " rows; mean of '" << reader.schema()[type].name
              << "' in a batch: " << mean.value() << std::endl;
  }
}

void ReadAll(const Reader& reader, TypeId type) {
  std::uint64_t sum = 0;
  std::uint64_t values = 0;
  std::uint64_t writes = 0;
  Mean mean(reader, type);
  for (Row row = 0; row < static_cast<Row>(reader.num_rows()); ++row) {
    const RowView view = reader.row(row);
    for (const auto& [field, words] : view) {
      for (const Value word : words) sum += static_cast<std::uint64_t>(word);
      values += words.size();
      ++writes;
    }
    mean.Add(reader, std::span<const Row>(&row, 1), 1);
  }
  std::cout.precision(17);
  std::cout << "rows " << reader.num_rows() << " values " << values << " field-writes " << writes
            << " sum " << sum << " mean " << mean.value() << '\n';
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) {
    std::cerr << "usage: cpp_learner <store> [field] [seconds]\n";
    return 2;
  }
  try {
    const std::string name = argc > 2 ? argv[2] : "";
    const double seconds = argc > 3 ? std::stod(argv[3]) : 60;
    Reader reader = Reader::Open(argv[1], {.wait = std::chrono::seconds(10)});
    const TypeId type = FieldToRead(reader.schema(), name);
    std::mt19937_64 random(0);
    const Clock::time_point end = Clock::now() + std::chrono::duration_cast<Clock::duration>(
                                                     std::chrono::duration<double>(seconds));
    while (Clock::now() < end && reader.live()) {
      reader.Refresh();
      Sample(reader, type, random);
      std::this_thread::sleep_for(std::chrono::milliseconds(100));
    }
    reader.Refresh();
    ReadAll(reader, type);
  } catch (const std::exception& error) {
    std::cerr << error.what() << '\n';
    return 1;
  }
  return 0;
}
