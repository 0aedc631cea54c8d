// stream_store._core.Sampler and Prefetch: the compiled parts of WindowSampler in sampler.py.

#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>

#include "bindings/bind.h"
#include "convert/prefetch.h"
#include "convert/sampler.h"
#include "convert/sampler_options.h"

namespace stream_store::python {

using nanobind::literals::operator""_a;

void BindSampler(nb::module_& module) {
  auto sampler = nb::class_<Sampler>(module, "Sampler", "The compiled part of WindowSampler.");
  sampler.def("__init__", &MakeSampler, "stores"_a, "options"_a);
  sampler.def("sample", &Sampler::Sample);
  sampler.def("next_batch", &Sampler::NextBatch);
  sampler.def("begin_iteration", &Sampler::BeginIteration);
  sampler.def_prop_ro("iteration", &Sampler::iteration);
  sampler.def("read_starts", &Sampler::ReadStarts, "indices"_a);
  sampler.def("num_starts", &Sampler::NumStarts);
  sampler.def("epoch_batches", &Sampler::EpochBatches);
  sampler.def("wait", &Sampler::WaitForStart, "seconds"_a);
  sampler.def("state", &Sampler::State);
  sampler.def("restore", &Sampler::Restore, "state"_a);

  auto prefetch = nb::class_<Prefetch>(module, "Prefetch", "Batches that are read ahead.");
  prefetch.def(nb::init<nb::handle_t<Sampler>, std::uint64_t>(), "sampler"_a, "ahead"_a);
  prefetch.def("next_batch", &NextPrefetched);
  prefetch.def("close", &Prefetch::Close);
}

}  // namespace stream_store::python
