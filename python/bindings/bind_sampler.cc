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
  auto sampler =
      nb::class_<SamplerObject>(module, "Sampler", "The compiled part of WindowSampler.");
  sampler.def("__init__", &MakeSampler, "stores"_a, "group"_a.none(), "options"_a);
  sampler.def("sample", &SamplerObject::Sample);
  sampler.def("next_batch", &SamplerObject::NextBatch, "iteration"_a);
  sampler.def("begin_iteration", &SamplerObject::BeginIteration);
  sampler.def("read_starts", &SamplerObject::ReadStarts, "indices"_a);
  sampler.def("read_indices", &SamplerObject::ReadIndices, "indices"_a);
  sampler.def("draw_indices", &SamplerObject::DrawIndices);
  sampler.def("num_starts", &SamplerObject::NumStarts);
  sampler.def("epoch_batches", &SamplerObject::EpochBatches);
  sampler.def("wait", &SamplerObject::WaitForStart, "seconds"_a);
  sampler.def("state", &SamplerObject::State);
  sampler.def("restore", &SamplerObject::Restore, "state"_a);
  sampler.def("update_priorities", &SamplerObject::UpdatePriorities, "indices"_a, "priorities"_a);
  sampler.def("set_powers", &SamplerObject::SetPowers, "alpha"_a.none(), "beta"_a.none());
  sampler.def("store_ids", &SamplerObject::StoreIds);
  sampler.def("priority_rows", &SamplerObject::PriorityRows, "store"_a);
  sampler.def("read_priorities", &SamplerObject::ReadPriorities, "store"_a, "first_row"_a,
              "count"_a);
  sampler.def("load_priorities", &SamplerObject::LoadPriorities, "store"_a, "first_row"_a,
              "priorities"_a);

  auto prefetch = nb::class_<Prefetch>(module, "Prefetch", "Batches that are read ahead.");
  prefetch.def(nb::init<nb::handle_t<SamplerObject>, std::uint64_t>(), "sampler"_a, "ahead"_a);
  prefetch.def("next_batch", &NextPrefetched);
  prefetch.def("close", &Prefetch::Close);
}

}  // namespace stream_store::python
