#include "convert/sampler.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <utility>

#include "convert/arguments.h"
#include "convert/arrays.h"
#include "convert/errors.h"
#include "convert/group.h"
#include "convert/prefetch.h"
#include "convert/store.h"

namespace stream_store::python {
namespace {

constexpr const char* kSamplerCall = "WindowSampler";
constexpr std::uint64_t kManyRows = 4096;  // too many to scan with the GIL held

}  // namespace

SamplerObject::SamplerObject(const Arguments& arguments)
    : options_(arguments.options), with_stores_(arguments.with_stores) {
  for (const nb::handle store : arguments.stores) {
    stores_.push_back(nb::borrow(store));
  }
  if (!arguments.group.is_none()) {
    group_ = arguments.group;
  }
  if (stores_.empty()) {
    Throw(PyExc_ValueError, "WindowSampler: expected at least one store");
  }
  StoreObject& first = StoreAt(0);
  first.Refresh();
  fields_ = first.shared_fields();
  TakeFields(arguments);
  tree_ = std::make_shared<const BatchTree>(stores_[0].ptr(), *fields_, arguments.fields.ptr(),
                                            kSamplerCall);
  first.RequireFields(*fields_);
  fields_ = first.shared_fields();  // the tree may have fields that were added meanwhile
  max_length_ = tree_->FlatLengths(arguments.max_length.ptr());
  const bool all_columns = arguments.columns.is_none();
  columns_ = WantedColumns(all_columns ? nullptr : arguments.columns.ptr(), kSamplerCall);
  MakeCore();
  if (options_.unit == SampleUnit::kRow && !max_length_.is_none()) {
    Prepare(WindowBatch(), false).reset();  // checks max_length now rather than in the first batch
  }
}

SamplerObject::~SamplerObject() {
  if (mutex_.lost()) {
    // NOLINTNEXTLINE(bugprone-unused-return-value): leaked, because it may be half changed
    (void)core_.release();
  }
}

std::vector<TypeId> SamplerObject::TypesOf(const nb::object& names) const {
  std::vector<TypeId> types;
  const nb::object list = Own(PySequence_List(names.ptr()));
  types.reserve(static_cast<std::size_t>(PyList_GET_SIZE(list.ptr())));
  for (Py_ssize_t i = 0; i < PyList_GET_SIZE(list.ptr()); ++i) {
    types.push_back(fields_->Require(PyList_GET_ITEM(list.ptr(), i)));
  }
  return types;
}

// Finds the type ids of the fields that the options name. A struct stands for its leaves in
// `require` and `offsets`.
void SamplerObject::TakeFields(const Arguments& arguments) {
  options_.segment_by = TypesOf(arguments.segment_by);
  options_.lane_by = TypesOf(arguments.lane_by);
  if (!arguments.where.is_none()) {
    options_.where = fields_->Require(arguments.where.ptr());
  }
  if (!arguments.time_field.is_none()) {
    options_.time_field = fields_->Require(arguments.time_field.ptr());
  }
  if (PyList_GET_SIZE(arguments.require.ptr()) > 0) {
    options_.require =
        BatchTree(stores_[0].ptr(), *fields_, arguments.require.ptr(), "require").types();
  }
  for (Py_ssize_t i = 0; i < PyList_GET_SIZE(arguments.offsets.ptr()); ++i) {
    PyObject* pair = PyList_GET_ITEM(arguments.offsets.ptr(), i);
    const nb::object name = Borrow(PyTuple_GetItem(pair, 0));
    const Int64s offsets(PyTuple_GetItem(pair, 1), "offsets", PyExc_ValueError);
    const nb::object names = Own(PyList_New(0));
    Check(PyList_Append(names.ptr(), name.ptr()));
    const BatchTree tree(stores_[0].ptr(), *fields_, names.ptr(), "offsets");
    const bool is_field = fields_->Find(name.ptr()).has_value();
    offsets_->push_back({is_field ? (*fields_)[tree.types()[0]].key : name, tree.types()});
    for (const TypeId type : tree.types()) {
      options_.offsets.push_back({type, {offsets.values().begin(), offsets.values().end()}});
    }
  }
}

StoreObject& SamplerObject::StoreAt(std::size_t i) const { return StoreOf(stores_[i].ptr()); }

// Creates the C++ sampler on the rows that the stores have now. Other rows and more fields are
// accepted, other fields are not: the type ids that this object has resolved would be wrong.
void SamplerObject::MakeCore() {
  std::vector<Reader> readers;
  std::vector<std::uint64_t> generations;
  for (std::size_t i = 0; i < stores_.size(); ++i) {
    StoreObject& store = StoreAt(i);
    const std::shared_ptr<Reader> reader = store.Refresh();
    if (reader == nullptr) {
      Throw(PyExc_ValueError,
            "WindowSampler: store " + std::to_string(i) +
                " has no fields yet; call define_fields() before sampling from it");
    }
    readers.push_back(*reader);
    generations.push_back(store.generation());
  }
  if (!generations_.empty() && !readers[0].schema().Extends(schema_)) {
    Throw(PyExc_RuntimeError,
          "WindowSampler: other fields were declared in its store; create another sampler");
  }
  const Schema schema = readers[0].schema();
  // May throw, so the members are changed only afterwards.
  core_ = group_.is_valid() ? std::make_unique<WindowSampler>(GroupOf(group_).group(), options_)
                            : std::make_unique<WindowSampler>(std::move(readers), options_);
  schema_ = schema;
  generations_ = std::move(generations);
}

// The C++ sampler, recreated if a fork has made it unusable, or if a store was cleared or its rows
// were replaced. In the second case the numbers of the old windows mean nothing, so an epoch cannot
// continue: the exception reports that once, and afterwards the sampler draws from the new rows.
WindowSampler& SamplerObject::core() {
  bool same = true;
  for (std::size_t i = 0; i < stores_.size(); ++i) {
    StoreObject& store = StoreAt(i);
    store.RequireOpen();
    same = same && store.generation() == generations_[i];
  }
  if (core_ == nullptr && same) {
    RequirePrioritiesKept();
    MakeCore();
    core_->Restore(saved_state_);
    if (in_epoch_ && !saved_state_.extents.empty() && !saved_state_.finished) {
      core_->BeginEpoch();  // continues the restored epoch
    }
  } else if (!same) {
    const SamplerState state = core_ == nullptr ? saved_state_ : core_->state();
    MakeCore();
    EndIterations();
    SamplerState again = core_->state();  // has the ids of the new stores and no extents
    again.seed = state.seed;
    again.epoch = state.epoch;
    again.batches = options_.replacement ? state.batches : 0;
    again.priorities = state.priorities;
    core_->Restore(again);
    if (!state.extents.empty() && !state.finished) {
      Throw(PyExc_RuntimeError,
            "WindowSampler: its store was cleared or truncated, or its rows were replaced, in the "
            "middle of an epoch");
    }
  }
  if (std::exchange(return_ahead_, false)) {
    interop::ReturnPrefetched(*core_);
  }
  return *core_;
}

// Priorities cannot be read from a sampler that a fork interrupted.
void SamplerObject::RequirePrioritiesKept() const {
  if (options_.priorities) {
    Throw(PyExc_RuntimeError,
          "WindowSampler: this process was forked while the sampler was in use, so its priorities "
          "are lost here; draw in the parent process, or start workers with 'spawn'");
  }
}

// Whether the next call has so many rows to scan that it should release the GIL. If so, saves the
// state, because a fork may then happen during that call.
bool SamplerObject::HasManyUnscannedRows() {
  const bool many = interop::UnscannedRows(*core_) > kManyRows;
  if (many) {
    saved_state_ = core_->state();
  }
  return many;
}

// Warns of stores of a group that are left out, once for each reason.
void SamplerObject::ReportSkipped(const WindowSampler& sampler) {
  for (const SkippedStore& store : sampler.skipped()) {
    if (reported_.insert(store.name + ": " + store.reason).second) {
      Check(PyErr_WarnFormat(PyExc_RuntimeWarning, 1, "the group leaves out store %s: %s",
                             store.name.c_str(), store.reason.c_str()));
    }
  }
}

// Runs `choose` on the C++ sampler, without the GIL if it has many rows to scan.
template <class Choose>
bool SamplerObject::ChooseBatch(WindowBatch& batch, Choose&& choose) {
  const ChooseLock lock(*this);
  WindowSampler& sampler = core();
  bool chosen = false;
  {
    const MaybeWithoutGil released(HasManyUnscannedRows());
    chosen = choose(sampler, batch);
  }
  ReportSkipped(sampler);
  return chosen;
}

std::unique_ptr<PendingBatch> SamplerObject::Prepare(WindowBatch batch, bool with_priorities) {
  auto pending = std::make_unique<PendingBatch>(std::move(batch), with_stores_);
  if (options_.unit == SampleUnit::kRow) {
    pending->MakeRows(
        {stores_[0].ptr(), fields_, tree_, max_length_.ptr(), offsets_, with_priorities});
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

// Windows are chosen, and counted, under the lock. The outputs are allocated without it, because
// that may run foreign code, which may call the sampler.
std::unique_ptr<PendingBatch> SamplerObject::Draw(const Prefetch* by) {
  WindowBatch batch;
  {
    const ChooseLock lock(*this);
    WindowSampler& sampler = core();
    if (prefetch_ != by) {
      return nullptr;
    }
    bool more = true;
    {
      const MaybeWithoutGil released(HasManyUnscannedRows());
      if (options_.replacement) {
        sampler.Sample(batch);
      } else {
        more = sampler.Next(batch);
      }
    }
    if (by != nullptr) {
      interop::SetPrefetched(sampler, interop::Prefetched(sampler) + (more ? 1 : 0), !more);
    }
    if (!more) {
      return nullptr;
    }
    ReportSkipped(sampler);
  }
  return Prepare(std::move(batch), options_.priorities.has_value());
}

bool SamplerObject::HandOut(const Prefetch* by, std::uint64_t left, bool end_left) {
  const ChooseLock lock(*this);
  WindowSampler& sampler = core();  // turns away from `by` if a store was cleared
  if (prefetch_ != by) {
    return false;
  }
  interop::SetPrefetched(sampler, left, end_left);
  return true;
}

nb::object SamplerObject::Sample() {
  if (options_.replacement) {
    return NextInSequence();
  }
  WindowBatch none;
  ChooseBatch(none, [](WindowSampler& sampler, WindowBatch& chosen) {
    sampler.Sample(chosen);  // throws the error for such a sampler
    return true;
  });
  return nb::none();
}

nb::object SamplerObject::NextBatch(std::uint64_t iteration) {
  if (options_.replacement) {
    return NextInSequence();
  }
  RequireIteration(iteration);
  std::unique_ptr<PendingBatch> pending = Draw(nullptr);
  return pending == nullptr ? nb::object(nb::none()) : Complete(std::move(pending));
}

// The next batch of the sequence. If a prefetch has drawn it, it is taken from there. A prefetch
// gives none if it is closed, or replaced by another, while this waits for it.
nb::object SamplerObject::NextInSequence() {
  while (true) {
    if (prefetch_ != nullptr && prefetch_->forked()) {
      SetPrefetch(nullptr);  // this process does not have the thread that reads its batches
    }
    if (prefetch_ != nullptr) {
      const nb::object kept = nb::find(prefetch_);
      nb::object batch = prefetch_->NextReadAhead();
      if (batch.is_valid()) {
        return batch;
      }
    } else if (std::unique_ptr<PendingBatch> pending = Draw(nullptr)) {
      return Complete(std::move(pending));
    }
  }
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
  if (const std::size_t dimensions = given.shape().size(); dimensions != 1) {
    Throw(PyExc_IndexError, "indices must be ints in a list or an array of one dimension, found " +
                                std::to_string(dimensions) + " dimensions");
  }
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
  return Complete(Prepare(std::move(batch), false));
}

nb::object SamplerObject::ReadIndices(nb::handle indices) {
  const Int64s given(indices.ptr(), "index", PyExc_ValueError);
  WindowBatch batch;
  ChooseBatch(batch, [&](WindowSampler& sampler, WindowBatch& chosen) {
    sampler.Read(given.values(), chosen);
    return true;
  });
  return Complete(Prepare(std::move(batch), false));
}

// Batches that a prefetch has drawn and not handed out are drawn again, so that all uses take them in
// turn.
nb::object SamplerObject::DrawIndices() {
  if (prefetch_ != nullptr) {
    SetPrefetch(nullptr);
  }
  WindowBatch batch;
  ChooseBatch(batch, [](WindowSampler& sampler, WindowBatch& chosen) {
    sampler.Sample(chosen);
    return true;
  });
  const auto size = static_cast<npy_intp>(batch.size());
  const nb::object indices = NewArray(NPY_INT64, Shape{size});
  batch.ReadIndices(std::span(DataAs<std::int64_t>(indices), batch.size()));
  if (!options_.priorities) {
    return nb::make_tuple(indices, nb::none(), nb::none());
  }
  const nb::object weights = NewArray(NPY_FLOAT, Shape{size});
  const nb::object probabilities = NewArray(NPY_DOUBLE, Shape{size});
  std::ranges::copy(batch.weights(), DataAs<float>(weights));
  std::ranges::copy(batch.probabilities(), DataAs<double>(probabilities));
  return nb::make_tuple(indices, weights, probabilities);
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

// Waits in slices of 50 ms, so that Ctrl-C can end the wait and other threads can use the sampler.
bool SamplerObject::WaitForStart(double seconds) {
  constexpr std::chrono::nanoseconds kSlice = std::chrono::milliseconds(50);
  const auto until = std::chrono::steady_clock::now() +
                     std::chrono::duration_cast<std::chrono::steady_clock::duration>(
                         std::chrono::duration<double>(std::min(seconds, 1e9)));
  while (true) {
    const auto left = until - std::chrono::steady_clock::now();
    {
      const ChooseLock lock(*this);
      WindowSampler& sampler = core();
      saved_state_ = sampler.state();
      const MaybeWithoutGil released(true);
      if (sampler.WaitForStart(
              std::clamp<std::chrono::nanoseconds>(left, std::chrono::nanoseconds(0), kSlice))) {
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
  if (!options_.replacement) {
    SetPrefetch(nullptr);
    BeginEpoch();
    ++iteration_;
  }
  return iteration_;
}

// Ends all iterations, after core_ was replaced or has got another state. With replacement they
// continue from there.
void SamplerObject::EndIterations() {
  prefetch_ = nullptr;
  return_ahead_ = false;
  iteration_ += options_.replacement ? 0 : 1;
}

void SamplerObject::RequireIteration(std::uint64_t iteration) const {
  if (iteration != iteration_) {
    Throw(PyExc_RuntimeError,
          "WindowSampler: this iteration has ended, because a newer one was begun, set_epoch() or "
          "load_state_dict() was called, or the store was cleared or truncated: a sampler with "
          "replacement=False is in one epoch at a time; use the newer iterator, or a sampler for "
          "each");
  }
}

}  // namespace stream_store::python
