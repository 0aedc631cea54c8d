#include "convert/sampler.h"

#include <algorithm>
#include <chrono>
#include <cmath>

#include "convert/arguments.h"
#include "convert/arrays.h"
#include "convert/errors.h"
#include "convert/store.h"

namespace stream_store::python {
namespace {

constexpr const char* kCall = "WindowSampler";
constexpr std::uint64_t kManyRows = 4096;  // to look at with the GIL held

// The rows of a batch that a sampler chose.
class SampledRows : public RowsReader {
 public:
  explicit SampledRows(std::shared_ptr<const WindowBatch> batch) : batch_(std::move(batch)) {}

  std::uint64_t Longest(TypeId type) const override { return batch_->LongestInRows(type); }

  std::shared_ptr<const void> Read(std::span<const RowsColumn> columns,
                                   Step* steps) const override {
    return batch_->ReadRows(columns, steps, valid);
  }

  std::uint8_t* valid = nullptr;

 private:
  std::shared_ptr<const WindowBatch> batch_;
};

Shape PlacesOf(const WindowBatch& batch) {
  return Shape{static_cast<npy_intp>(batch.size()), static_cast<npy_intp>(batch.length())};
}

}  // namespace

// --- one batch ---

PendingBatch::PendingBatch(WindowBatch batch, bool with_stores)
    : batch_(std::make_shared<WindowBatch>(std::move(batch))), with_stores_(with_stores) {}

void PendingBatch::MakeWindows(const std::vector<ColumnId>& columns) {
  const Shape places = PlacesOf(*batch_);
  windows_.emplace();
  for (const ColumnId id : columns) {
    windows_->Add(id, places, places.places(), nullptr);
  }
  bytes_ = windows_->bytes;
}

void PendingBatch::MakeRows(PyObject* store, std::shared_ptr<const FieldTable> fields,
                            const std::vector<TypeId>& types, PyObject* max_length) {
  const Shape places = PlacesOf(*batch_);
  auto source = std::make_unique<SampledRows>(batch_);
  valid_ = NewArray(NPY_BOOL, places);
  source->valid = DataAs<std::uint8_t>(valid_);
  rows_.emplace(std::move(source),
                RowsRequest{store, kCall, std::move(fields), types, places, nullptr, max_length});
  bytes_ = rows_->bytes();
}

void PendingBatch::Read() {
  if (rows_) {
    rows_->Read();
  } else {
    batch_->ReadWindows(windows_->out);
  }
}

nb::object PendingBatch::Finish() {
  nb::object dict = rows_ ? rows_->Finish() : windows_->dict;
  if (rows_) {
    Check(PyDict_SetItemString(dict.ptr(), "_valid", valid_.ptr()));
  }
  if (with_stores_) {
    const nb::object which = NewArray(NPY_INT64, Shape{static_cast<npy_intp>(batch_->size())});
    std::ranges::copy(batch_->stores(), DataAs<std::int64_t>(which));
    Check(PyDict_SetItemString(dict.ptr(), "_store", which.ptr()));
  }
  return dict;
}

// --- the sampler ---

// The turn of a call that chooses windows. Where the fork of another thread has cut such a call
// short, this process's copy of the C++ sampler may be half changed: it is left alone for ever, and
// core() makes another that stands where that call began.
class SamplerObject::TurnToChoose {
 public:
  explicit TurnToChoose(SamplerObject& sampler)
      : turn_(sampler.turn_, "WindowSampler: called while the same thread is inside a call of it") {
    if (turn_.was_lost()) {
      // NOLINTNEXTLINE(bugprone-unused-return-value): nobody may touch it
      (void)sampler.core_.release();
    }
  }

 private:
  GilMutex::Hold turn_;
};

SamplerObject::SamplerObject(const Arguments& arguments)
    : options_(arguments.options),
      max_length_(arguments.max_length),
      with_stores_(arguments.with_stores) {
  for (const nb::handle store : arguments.stores) {
    stores_.push_back(nb::borrow(store));
  }
  if (stores_.empty()) {
    Throw(PyExc_ValueError, "WindowSampler: expected at least one store");
  }
  StoreObject& first = StoreAt(0);
  first.Refresh();
  fields_ = first.shared_fields();
  const nb::object names = Own(PySequence_List(arguments.segment_by.ptr()));
  for (Py_ssize_t i = 0; i < PyList_GET_SIZE(names.ptr()); ++i) {
    options_.segment_by.push_back(fields_->Require(PyList_GET_ITEM(names.ptr(), i)));
  }
  types_ = WantedTypes(*fields_, arguments.fields.ptr(), kCall);
  const bool all_columns = arguments.columns.is_none();
  columns_ = WantedColumns(all_columns ? nullptr : arguments.columns.ptr(), kCall);
  MakeCore();
  if (options_.unit == SampleUnit::kRow && !max_length_.is_none()) {
    Prepare(WindowBatch()).reset();  // says what is wrong with max_length
  }
}

SamplerObject::~SamplerObject() {
  if (turn_.lost()) {
    // NOLINTNEXTLINE(bugprone-unused-return-value): it may be half changed
    (void)core_.release();
  }
}

StoreObject& SamplerObject::StoreAt(std::size_t i) const { return StoreOf(stores_[i].ptr()); }

void SamplerObject::MakeCore() {
  std::vector<Reader> readers;
  std::vector<std::uint64_t> generations;
  for (std::size_t i = 0; i < stores_.size(); ++i) {
    StoreObject& store = StoreAt(i);
    Reader* reader = store.Refresh();
    if (reader == nullptr) {
      Throw(PyExc_ValueError,
            "WindowSampler: store " + std::to_string(i) +
                " has no fields yet; call define_fields() before sampling from it");
    }
    readers.push_back(*reader);
    generations.push_back(store.generation());
  }
  if (!generations_.empty() && !(readers[0].schema() == schema_)) {
    Throw(PyExc_RuntimeError,
          "WindowSampler: the fields of its store were declared anew; make another sampler");
  }
  const Schema schema = readers[0].schema();
  // May throw: then all is as it was.
  core_ = std::make_unique<WindowSampler>(std::move(readers), options_);
  schema_ = schema;
  generations_ = std::move(generations);
}

// The C++ sampler, over what its stores are now.
WindowSampler& SamplerObject::core() {
  bool same = true;
  for (std::size_t i = 0; i < stores_.size(); ++i) {
    StoreObject& store = StoreAt(i);
    store.RequireOpen();
    same = same && store.generation() == generations_[i];
  }
  if (core_ == nullptr && same) {
    MakeCore();
    core_->Restore(before_);
    if (in_epoch_ && !before_.extents.empty() && !before_.finished) {
      core_->BeginEpoch();  // goes on with that one
    }
  } else if (!same) {
    const SamplerState state = core_ == nullptr ? before_ : core_->state();
    MakeCore();
    SamplerState again = core_->state();  // of the new ids, without the old extents
    again.seed = state.seed;
    again.epoch = state.epoch;
    again.batches = options_.replacement ? state.batches : 0;
    core_->Restore(again);
    if (!state.extents.empty() && !state.finished) {
      Throw(PyExc_RuntimeError,
            "WindowSampler: its store was cleared or filled anew in the middle of an epoch");
    }
  }
  return *core_;
}

// Whether the next look takes so long that the GIL is better released; if so, a fork may find it
// under way.
bool SamplerObject::ManyRowsBehind() {
  const bool many = interop::UnscannedRows(*core_) > kManyRows;
  if (many) {
    before_ = core_->state();
  }
  return many;
}

template <class Choose>
bool SamplerObject::ChooseBatch(WindowBatch& batch, Choose&& choose) {
  const TurnToChoose turn(*this);
  WindowSampler& sampler = core();
  const MaybeWithoutGil released(ManyRowsBehind());
  return choose(sampler, batch);
}

std::unique_ptr<PendingBatch> SamplerObject::Prepare(WindowBatch batch) {
  auto pending = std::make_unique<PendingBatch>(std::move(batch), with_stores_);
  if (options_.unit == SampleUnit::kRow) {
    pending->MakeRows(stores_[0].ptr(), fields_, types_, max_length_.ptr());
  } else {
    pending->MakeWindows(columns_);
  }
  return pending;
}

nb::object SamplerObject::Complete(std::unique_ptr<PendingBatch> pending) {
  {
    const MaybeWithoutGil released(pending->bytes() >= kReleaseBytes);
    pending->Read();
  }
  return pending->Finish();
}

std::unique_ptr<PendingBatch> SamplerObject::Draw() {
  WindowBatch batch;
  const bool there = ChooseBatch(batch, [this](WindowSampler& sampler, WindowBatch& chosen) {
    if (!options_.replacement) {
      return sampler.Next(chosen);
    }
    sampler.Sample(chosen);
    return true;
  });
  return there ? Prepare(std::move(batch)) : nullptr;
}

nb::object SamplerObject::Sample() {
  if (core_ != nullptr && interop::Prefetched(*core_) > 0) {
    ++iteration_;  // ends who reads ahead, and draws that again
    Rewind();
  }
  WindowBatch batch;
  ChooseBatch(batch, [](WindowSampler& sampler, WindowBatch& chosen) {
    sampler.Sample(chosen);
    return true;
  });
  return Complete(Prepare(std::move(batch)));
}

nb::object SamplerObject::NextBatch() {
  std::unique_ptr<PendingBatch> pending = Draw();
  return pending == nullptr ? nb::object(nb::none()) : Complete(std::move(pending));
}

void SamplerObject::BeginEpoch() {
  WindowBatch none;
  ChooseBatch(none, [](WindowSampler& sampler, WindowBatch&) {
    sampler.BeginEpoch();
    return true;
  });
  in_epoch_ = true;
}

nb::object SamplerObject::ReadStarts(nb::handle indices) {
  const Int64s given(indices.ptr(), "indices");
  std::vector<std::uint64_t> numbers;
  numbers.reserve(given.size());
  std::int64_t starts = 0;
  std::optional<std::int64_t> wrong;
  WindowBatch batch;
  ChooseBatch(batch, [&](WindowSampler& sampler, WindowBatch& chosen) {
    starts = static_cast<std::int64_t>(sampler.NumStarts());
    for (const std::int64_t number : given.values()) {
      if (number < -starts || number >= starts) {
        wrong = number;
        return false;
      }
      numbers.push_back(static_cast<std::uint64_t>(number < 0 ? number + starts : number));
    }
    interop::ReadStarts(sampler, numbers, chosen);
    return true;
  });
  if (wrong) {
    Throw(PyExc_IndexError, "window " + std::to_string(*wrong) + " is outside [" +
                                std::to_string(-starts) + ", " + std::to_string(starts) + ")");
  }
  return Complete(Prepare(std::move(batch)));
}

std::uint64_t SamplerObject::NumStarts() {
  WindowBatch none;
  std::uint64_t starts = 0;
  ChooseBatch(none, [&](WindowSampler& sampler, WindowBatch&) {
    starts = sampler.NumStarts();
    return true;
  });
  return starts;
}

std::uint64_t SamplerObject::EpochBatches() {
  WindowBatch none;
  std::uint64_t batches = 0;
  ChooseBatch(none, [&](WindowSampler& sampler, WindowBatch&) {
    batches = sampler.EpochBatches();
    return true;
  });
  return batches;
}

// Waits in short turns, so that Ctrl-C ends it and other threads get theirs.
bool SamplerObject::WaitForStart(double seconds) {
  constexpr std::chrono::nanoseconds kTurn = std::chrono::milliseconds(50);
  const auto until = std::chrono::steady_clock::now() +
                     std::chrono::duration_cast<std::chrono::steady_clock::duration>(
                         std::chrono::duration<double>(std::min(seconds, 1e9)));
  while (true) {
    const auto left = until - std::chrono::steady_clock::now();
    {
      const TurnToChoose turn(*this);
      WindowSampler& sampler = core();
      before_ = sampler.state();
      const MaybeWithoutGil released(true);
      if (sampler.WaitForStart(
              std::clamp<std::chrono::nanoseconds>(left, std::chrono::nanoseconds(0), kTurn))) {
        return true;
      }
    }
    if (left <= std::chrono::nanoseconds(0)) {
      return false;
    }
    Check(PyErr_CheckSignals());
  }
}

std::uint64_t SamplerObject::BeginIteration() {
  Rewind();
  if (!options_.replacement) {
    BeginEpoch();
  }
  return ++iteration_;
}

void SamplerObject::Rewind() {
  const TurnToChoose turn(*this);
  if (core_ != nullptr) {  // else `before_` counts nothing that was not handed out
    interop::ReturnPrefetched(*core_);
  }
}

// --- its state ---

namespace {

std::string HexOf(const std::array<std::uint8_t, 16>& id) {
  constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  for (const std::uint8_t byte : id) {
    text += kDigits[byte >> 4];
    text += kDigits[byte & 15];
  }
  return text;
}

[[noreturn]] void RefuseState(const std::string& what) {
  Throw(PyExc_ValueError, "load_state_dict: " + what);
}

nb::object Item(const nb::dict& state, const char* key) {
  PyObject* item = PyDict_GetItemString(state.ptr(), key);
  if (item == nullptr) {
    RefuseState(std::string("expected a state of a WindowSampler but it has no '") + key + "'");
  }
  return Borrow(item);
}

std::uint64_t Count(PyObject* item, const char* key) {
  const std::int64_t count =
      PyLong_Check(item) ? AsInt64(item, key) : -1;  // what may be is checked by C++
  if (count < 0) {
    RefuseState(std::string("'") + key + "' must be an int from 0 on, found " + ShortRepr(item));
  }
  return static_cast<std::uint64_t>(count);
}

std::vector<std::uint64_t> Counts(const nb::dict& state, const char* key) {
  const nb::object list = Item(state, key);
  if (!PyList_Check(list.ptr()) && !PyTuple_Check(list.ptr())) {
    RefuseState(std::string("'") + key + "' must be a list, found " + ShortRepr(list.ptr()));
  }
  const nb::object items = Own(PySequence_List(list.ptr()));
  std::vector<std::uint64_t> counts;
  counts.reserve(static_cast<std::size_t>(PyList_GET_SIZE(items.ptr())));
  for (Py_ssize_t i = 0; i < PyList_GET_SIZE(items.ptr()); ++i) {
    counts.push_back(Count(PyList_GET_ITEM(items.ptr(), i), key));
  }
  return counts;
}

nb::list ListOf(const std::vector<EpochExtent>& extents, std::uint64_t EpochExtent::* member) {
  nb::list list;
  for (const EpochExtent& extent : extents) {
    list.append(extent.*member);
  }
  return list;
}

}  // namespace

nb::dict SamplerObject::State() {
  const TurnToChoose turn(*this);
  const SamplerState state = core().state();
  nb::list ids;
  for (const auto& id : state.stores) {
    const std::string text = HexOf(id);
    ids.append(nb::str(text.data(), text.size()));
  }
  nb::dict dict;
  dict["stores"] = ids;
  dict["seed"] = state.seed;
  dict["epoch"] = state.epoch;
  dict["batches"] = state.batches;
  dict["finished"] = state.finished ? 1 : 0;
  dict["rows"] = ListOf(state.extents, &EpochExtent::rows);
  dict["values"] = ListOf(state.extents, &EpochExtent::values);
  dict["tails"] = ListOf(state.extents, &EpochExtent::tail);
  return dict;
}

void SamplerObject::Restore(const nb::dict& state_dict) {
  const TurnToChoose turn(*this);
  WindowSampler& sampler = core();
  SamplerState state = sampler.state();
  const nb::object ids = Own(PySequence_List(Item(state_dict, "stores").ptr()));
  if (PyList_GET_SIZE(ids.ptr()) != static_cast<Py_ssize_t>(state.stores.size())) {
    RefuseState("the state is of " + std::to_string(PyList_GET_SIZE(ids.ptr())) +
                " stores, this sampler of " + std::to_string(state.stores.size()));
  }
  for (std::size_t i = 0; i < state.stores.size(); ++i) {
    const nb::object id = Borrow(PyList_GET_ITEM(ids.ptr(), static_cast<Py_ssize_t>(i)));
    const std::string here = HexOf(state.stores[i]);
    if (!PyUnicode_Check(id.ptr()) ||
        PyUnicode_CompareWithASCIIString(id.ptr(), here.c_str()) != 0) {
      RefuseState("the state is of another store: expected id " + here + " but found " +
                  ShortRepr(id.ptr()));
    }
  }
  state.seed = Count(Item(state_dict, "seed").ptr(), "seed");
  state.epoch = Count(Item(state_dict, "epoch").ptr(), "epoch");
  state.batches = Count(Item(state_dict, "batches").ptr(), "batches");
  state.finished = Count(Item(state_dict, "finished").ptr(), "finished") != 0;
  const std::vector<std::uint64_t> rows = Counts(state_dict, "rows");
  const std::vector<std::uint64_t> values = Counts(state_dict, "values");
  const std::vector<std::uint64_t> tails = Counts(state_dict, "tails");
  if (rows.size() != values.size() || rows.size() != tails.size()) {
    RefuseState("'rows', 'values' and 'tails' differ in length");
  }
  state.extents.clear();
  for (std::size_t i = 0; i < rows.size(); ++i) {
    state.extents.push_back({rows[i], values[i], tails[i]});
  }
  ++iteration_;  // iterators of before do not go on
  const MaybeWithoutGil released(ManyRowsBehind());
  sampler.Restore(state);
  in_epoch_ = false;
}

}  // namespace stream_store::python
