// SamplerObject: the calls that concern priorities.

#include <string>

#include "convert/arrays.h"
#include "convert/errors.h"
#include "convert/sampler.h"

namespace stream_store::python {
namespace {

// The numbers of a float64 array in C order, which Python has made.
std::span<const double> Doubles(nb::handle array) {
  auto* const numbers = reinterpret_cast<PyArrayObject*>(array.ptr());
  if (PyArray_Check(array.ptr()) == 0 || PyArray_TYPE(numbers) != NPY_DOUBLE ||
      PyArray_ISCARRAY_RO(numbers) == 0) {
    Throw(PyExc_TypeError, "priorities: expected a float64 array in C order");
  }
  return {static_cast<const double*>(PyArray_DATA(numbers)),
          static_cast<std::size_t>(PyArray_SIZE(numbers))};
}

}  // namespace

std::uint64_t SamplerObject::UpdatePriorities(nb::handle indices, nb::handle priorities) {
  const Int64s given(indices.ptr(), "index", PyExc_ValueError);
  const std::span<const double> numbers = Doubles(priorities);
  const ChooseLock lock(*this);
  return core().UpdatePriorities(given.values(), numbers);
}

void SamplerObject::SetPowers(std::optional<double> alpha, std::optional<double> beta) {
  const ChooseLock lock(*this);
  WindowSampler& sampler = core();
  if (alpha) {
    sampler.SetAlpha(*alpha);
  }
  if (beta) {
    sampler.SetBeta(*beta);
  }
  options_.priorities = sampler.options().priorities;
}

nb::object SamplerObject::PriorityRows(std::uint64_t store) {
  const ChooseLock lock(*this);
  const RowRange rows = core().PriorityRows(store);
  return nb::make_tuple(rows.begin, rows.end);
}

nb::object SamplerObject::ReadPriorities(std::uint64_t store, std::int64_t first_row,
                                         std::uint64_t count) {
  const nb::object array = NewArray(NPY_DOUBLE, Shape{static_cast<npy_intp>(count)});
  const ChooseLock lock(*this);
  core().ReadPriorities(store, first_row, std::span(DataAs<double>(array), count));
  return array;
}

void SamplerObject::LoadPriorities(std::uint64_t store, std::int64_t first_row,
                                   nb::handle priorities) {
  const std::span<const double> numbers = Doubles(priorities);
  const ChooseLock lock(*this);
  core().LoadPriorities(store, first_row, numbers);
}

}  // namespace stream_store::python
