// Fuzz target for sequences of operations, compared with a model that is a list of rows. Each
// operation takes two bytes: its kind and its size.
#include <cerrno>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "stream_store/verify.h"

#include "base/str_cat.h"
#include "base/syscalls.h"
#include "crash/place.h"
#include "crash/rows.h"
#include "fuzz/require.h"
#include "fuzz/targets.h"

namespace stream_store::fuzz {

using namespace internal;  // the targets check the bytes of the format themselves

namespace {

namespace fs = std::filesystem;

int calls_to_failure = 0;

template <auto kEntry, int kError>
struct FailsLater;

template <class... Arguments, int (*Syscalls::*kEntry)(Arguments...), int kError>
struct FailsLater<kEntry, kError> {
  static int Call(Arguments... arguments) {
    if (calls_to_failure > 0 && --calls_to_failure == 0) {
      errno = kError;
      return -1;
    }
    return (RealSyscalls().*kEntry)(arguments...);
  }
};

class Run {
 public:
  Run() {
    static const crash::FastDirectory directory;
    place_ = directory.path();
    for (const auto& entry : fs::directory_iterator(place_)) fs::remove_all(entry);
    Open();
  }

  ~Run() { sys() = RealSyscalls(); }

  void Do(std::uint8_t what, std::uint8_t much) {
    switch (what % 11) {
      case 0:
      case 1:
        Append(much % 8);
        break;
      case 2:
        Continue();
        break;
      case 3:
        Refuse(much);
        break;
      case 4:
        Sync(0);
        break;
      case 5:
        Sync(1 + much % 5);
        break;
      case 6:
        store_->Close();
        store_.reset();
        Open();
        break;
      case 7:
        Kill();
        break;
      case 8:
        Checkpoint();
        break;
      case 9:
        GrowthFails(1 + much % 4);
        break;
      case 10:
        Extend(1 + much % 40);
        break;
    }
    Compare();
  }

 private:
  struct Model {
    Step step;
    std::vector<std::pair<TypeId, std::vector<Value>>> writes;
  };

  fs::path Path() const { return place_ / StrCat("store", life_); }

  void Open() { store_.emplace(StreamStore::Open(Path(), crash::RowOptions())); }

  Step NextStep() const { return model_.empty() ? 0 : model_.back().step + 1; }

  void Append(std::size_t length) {
    const Step step = NextStep();
    const std::vector<Value> list(length * 300, step);
    store_->Append(step, {{0, step}, {1, list}});
    model_.push_back({step, {{0, {step}}, {1, list}}});
  }

  void Continue() {
    if (model_.empty() || model_.back().writes.empty() || model_.back().writes.back().first == 2) {
      return;
    }
    store_->Append(model_.back().step, {{2, true}});
    model_.back().writes.push_back({2, {1}});
  }

  // Makes invalid calls, which must leave the store unchanged.
  void Refuse(std::uint8_t much) {
    if (model_.empty()) return;  // the first step may have any number
    const Step step = NextStep();
    const std::array<FieldWrite, 2> wrong_order = {FieldWrite{2, true}, FieldWrite{0, 1}};
    const ErrorCode code = much % 3 == 0 ? store_->TryAppend(step, wrong_order)
                           : much % 3 == 1
                               ? store_->TryAppend(step, std::array{FieldWrite{0, 1.5}})
                               : store_->TryAppend(step - 2, std::array{FieldWrite{0, 1}});
    Require(code != ErrorCode::kOk, "a call that does not fit was taken");
  }

  void Extend(std::size_t rows) {
    std::vector<Step> steps;
    std::vector<Value> values;
    for (std::size_t i = 0; i < rows; ++i) {
      steps.push_back(NextStep());
      values.push_back(steps.back() * 3);
      model_.push_back({steps.back(), {{0, {values.back()}}}});
    }
    const Column column{.type = 0, .data = values.data()};
    store_->Extend(steps, std::span(&column, 1));
  }

  // Closes the store. `failing` is the number of the fdatasync call that fails, or 0. Then a new
  // process continues.
  void Sync(int failing) {
    calls_to_failure = failing;
    sys().fdatasync = FailsLater<&Syscalls::fdatasync, EIO>::Call;
    bool failed = false;
    try {
      store_->Sync();
    } catch (const Error& error) {
      Require(failing > 0 && error.code() == ErrorCode::kIo, error.what());
      failed = true;
    }
    calls_to_failure = 0;
    sys() = RealSyscalls();
    if (!failed) return;
    Require(store_->TryAppend(NextStep(), {}) == ErrorCode::kIo, "an append after a failed sync");
    try {
      store_->Close();
    } catch (const Error&) {  // repeats the failure of the sync
    }
    store_.reset();
    Open();
  }

  // Copies the files: a killed writer would leave them like this.
  void Kill() {
    const fs::path before = Path();
    ++life_;
    fs::copy(before, Path(), fs::copy_options::recursive);
    store_->Close();
    store_.reset();
    fs::remove_all(before);
    Open();
  }

  void Checkpoint() {
    const fs::path copy = place_ / "copy";
    fs::remove_all(copy);
    store_->reader().Checkpoint(copy);
    Require(Verify(copy).findings.empty(), "a checkpoint is right");
    CompareWith(Reader::Open(copy));
  }

  void GrowthFails(int nth) {
    calls_to_failure = nth;
    sys().fallocate = FailsLater<&Syscalls::fallocate, ENOSPC>::Call;
    for (int i = 0; i < 8; ++i) {
      try {
        Append(7);
      } catch (const Error& error) {
        Require(error.code() == ErrorCode::kNoSpace, error.what());
      }
    }
    calls_to_failure = 0;
    sys() = RealSyscalls();
  }

  void Compare() {
    CompareWith(store_->reader());
    if (++compared_ % 8 == 0) {
      Require(Verify(store_->reader()).findings.empty(), "verify finds something");
      CompareWith(Reader::Open(Path()));
    }
  }

  void CompareWith(const Reader& reader) const {
    Require(reader.num_rows() == model_.size(),
            StrCat(reader.num_rows(), " rows, not ", model_.size()));
    const std::size_t first = model_.size() > 6 ? model_.size() - 6 : 0;
    for (std::size_t row = first; row < model_.size(); ++row) {
      const RowView view = reader.row(static_cast<Row>(row));
      Require(view.step() == model_[row].step && view.size() == model_[row].writes.size(),
              StrCat("row ", row, " has another step or other fields"));
      std::size_t i = 0;
      for (const auto& [type, values] : view) {
        const auto& [expected_type, expected] = model_[row].writes[i++];
        Require(type == expected_type && std::ranges::equal(values, expected),
                StrCat("row ", row, " has other values"));
      }
    }
  }

  fs::path place_;
  std::uint64_t life_ = 0;
  std::uint64_t compared_ = 0;
  std::optional<StreamStore> store_;
  std::vector<Model> model_;
};

}  // namespace

void FuzzOperations(Bytes bytes) {
  Run run;
  for (std::size_t at = 0; at + 2 <= bytes.size() && at < 200; at += 2) {
    run.Do(bytes[at], bytes[at + 1]);
  }
}

}  // namespace stream_store::fuzz
