// The state of a sampler as a dict, and back.

#include <array>
#include <charconv>
#include <map>
#include <optional>
#include <string>
#include <system_error>
#include <vector>

#include "convert/arguments.h"
#include "convert/errors.h"
#include "convert/group.h"
#include "convert/ids.h"
#include "convert/sampler.h"

namespace stream_store::python {
namespace {

[[noreturn]] void RefuseState(const std::string& problem) {
  Throw(PyExc_ValueError, "load_state_dict: " + problem);
}

nb::object Item(const nb::dict& state, const char* key) {
  PyObject* item = PyDict_GetItemString(state.ptr(), key);
  if (item == nullptr) {
    RefuseState(std::string("expected the state of a WindowSampler but it has no '") + key + "'");
  }
  return Borrow(item);
}

std::uint64_t Count(PyObject* item, const char* key) {
  const std::int64_t count = PyLong_Check(item) ? AsInt64(item, key) : -1;  // C++ checks the range
  if (count < 0) {
    RefuseState(std::string("'") + key + "' must be an int >= 0, not " + ShortRepr(item));
  }
  return static_cast<std::uint64_t>(count);
}

std::vector<std::uint64_t> Counts(const nb::dict& state, const char* key) {
  const nb::object list = Item(state, key);
  if (!PyList_Check(list.ptr()) && !PyTuple_Check(list.ptr())) {
    RefuseState(std::string("'") + key + "' must be a list, not " + ShortRepr(list.ptr()));
  }
  const nb::object items = Own(PySequence_List(list.ptr()));
  std::vector<std::uint64_t> counts;
  counts.reserve(static_cast<std::size_t>(PyList_GET_SIZE(items.ptr())));
  for (Py_ssize_t i = 0; i < PyList_GET_SIZE(items.ptr()); ++i) {
    counts.push_back(Count(PyList_GET_ITEM(items.ptr(), i), key));
  }
  return counts;
}

// The id that a text of 32 hex digits gives.
std::array<std::uint8_t, 16> IdOf(PyObject* text, const std::string& expected) {
  std::array<std::uint8_t, 16> id{};
  Py_ssize_t size = 0;
  const char* digits = PyUnicode_Check(text) ? PyUnicode_AsUTF8AndSize(text, &size) : nullptr;
  bool valid = size == 32;
  for (std::size_t i = 0; valid && i < id.size(); ++i) {
    const auto [end, error] = std::from_chars(digits + 2 * i, digits + 2 * i + 2, id[i], 16);
    valid = error == std::errc() && end == digits + 2 * i + 2;
  }
  if (!valid) {
    PyErr_Clear();
    RefuseState("the state is of another store: expected id " + expected + " but found " +
                ShortRepr(text));
  }
  return id;
}

// Two numbers for each store. States of earlier versions have none.
std::vector<StoreCheck> ChecksOf(const nb::dict& state) {
  const std::vector<std::uint64_t> numbers =
      state.contains("checks") ? Counts(state, "checks") : std::vector<std::uint64_t>{};
  std::vector<StoreCheck> checks;
  for (std::size_t i = 0; i + 1 < numbers.size(); i += 2) {
    checks.push_back({numbers[i], static_cast<std::uint32_t>(numbers[i + 1])});
  }
  return checks;
}

// Three numbers, of a sampler with priorities.
std::optional<PriorityState> PrioritiesOf(const nb::dict& state) {
  if (!state.contains("priority_state")) {
    return std::nullopt;
  }
  const nb::object list = Item(state, "priority_state");
  std::array<double, 3> numbers{};
  bool valid = PyList_Check(list.ptr()) && PyList_GET_SIZE(list.ptr()) == 3;
  for (std::size_t i = 0; valid && i < numbers.size(); ++i) {
    numbers[i] = PyFloat_AsDouble(PyList_GET_ITEM(list.ptr(), static_cast<Py_ssize_t>(i)));
    valid = PyErr_Occurred() == nullptr;
  }
  if (!valid) {
    PyErr_Clear();
    RefuseState("'priority_state' must be a list of three numbers, not " + ShortRepr(list.ptr()));
  }
  return PriorityState{.alpha = numbers[0], .beta = numbers[1], .largest = numbers[2]};
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
  const ChooseLock lock(*this);
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
  nb::list tails;
  for (const EpochExtent& extent : state.extents) {
    tails.append(static_cast<std::uint64_t>(extent.last_row));
  }
  dict["tails"] = tails;
  dict["first_rows"] = ListOf(state.extents, &EpochExtent::first_row);
  nb::list checks;
  for (const StoreCheck& check : state.checks) {
    checks.append(check.rows);
    checks.append(check.checksum);
  }
  dict["checks"] = checks;
  if (state.priorities) {
    nb::list numbers;
    numbers.append(state.priorities->alpha);
    numbers.append(state.priorities->beta);
    numbers.append(state.priorities->largest);
    dict["priority_state"] = numbers;
  }
  return dict;
}

nb::list SamplerObject::StoreIds() {
  const ChooseLock lock(*this);
  WindowSampler& sampler = core();
  sampler.NumStarts();  // takes the stores that a group has by now
  std::map<std::array<std::uint8_t, 16>, std::array<std::uint8_t, 16>> parents;
  for (std::size_t i = 0; i < stores_.size(); ++i) {
    if (const std::shared_ptr<Reader> reader = StoreAt(i).Refresh()) {
      parents[reader->id()] = interop::ParentId(*reader);
    }
  }
  if (group_.is_valid()) {
    for (const GroupStore& store : GroupOf(group_).group().stores()) {
      parents[store.reader.id()] = interop::ParentId(store.reader);
    }
  }
  nb::list ids;
  for (const auto& id : sampler.store_ids()) {
    const std::string own = HexOf(id);
    const std::string parent = HexOf(parents[id]);
    ids.append(
        nb::make_tuple(nb::str(own.data(), own.size()), nb::str(parent.data(), parent.size())));
  }
  return ids;
}

// Converts the whole state before it changes anything. C++ compares the ids of the stores.
void SamplerObject::Restore(const nb::dict& state_dict) {
  const ChooseLock lock(*this);
  WindowSampler& sampler = core();
  SamplerState state = sampler.state();
  const nb::object ids = Own(PySequence_List(Item(state_dict, "stores").ptr()));
  if (group_.is_valid()) {
    state.stores.resize(static_cast<std::size_t>(PyList_GET_SIZE(ids.ptr())));
  } else if (PyList_GET_SIZE(ids.ptr()) != static_cast<Py_ssize_t>(state.stores.size())) {
    RefuseState("expected the state of a sampler of " + std::to_string(state.stores.size()) +
                " stores but found one of " + std::to_string(PyList_GET_SIZE(ids.ptr())) +
                " stores");
  }
  for (std::size_t i = 0; i < state.stores.size(); ++i) {
    const nb::object id = Borrow(PyList_GET_ITEM(ids.ptr(), static_cast<Py_ssize_t>(i)));
    state.stores[i] = IdOf(id.ptr(), HexOf(state.stores[i]));
  }
  state.checks = ChecksOf(state_dict);
  state.seed = Count(Item(state_dict, "seed").ptr(), "seed");
  state.epoch = Count(Item(state_dict, "epoch").ptr(), "epoch");
  state.batches = Count(Item(state_dict, "batches").ptr(), "batches");
  state.finished = Count(Item(state_dict, "finished").ptr(), "finished") != 0;
  const std::vector<std::uint64_t> rows = Counts(state_dict, "rows");
  const std::vector<std::uint64_t> values = Counts(state_dict, "values");
  const std::vector<std::uint64_t> tails = Counts(state_dict, "tails");
  // Samplers of stores that dropped nothing had no such key, and it would hold zeros.
  const std::vector<std::uint64_t> first_rows = state_dict.contains("first_rows")
                                                    ? Counts(state_dict, "first_rows")
                                                    : std::vector<std::uint64_t>(rows.size());
  if (rows.size() != values.size() || rows.size() != tails.size() ||
      rows.size() != first_rows.size()) {
    RefuseState("'rows', 'values', 'tails' and 'first_rows' must have equal lengths");
  }
  state.extents.clear();
  for (std::size_t i = 0; i < rows.size(); ++i) {
    state.extents.push_back({rows[i], values[i], static_cast<LastRow>(tails[i]), first_rows[i]});
  }
  state.priorities = PrioritiesOf(state_dict);
  {
    const MaybeWithoutGil released(HasManyUnscannedRows());
    sampler.Restore(state);
  }
  options_.priorities = sampler.options().priorities;
  in_epoch_ = false;
  EndIterations();
}

}  // namespace stream_store::python
