// Converts the options of a WindowSampler from Python. Bound by bind_sampler.cc.
#pragma once

#include "convert/prefetch.h"
#include "convert/python.h"
#include "convert/sampler.h"

namespace stream_store::python {

/// Sampler.__init__(stores, group, options). `group` is a Group or None. `options` is a dict with all options, which sampler.py has
/// checked.
void MakeSampler(SamplerObject* where, nb::list stores, nb::object group,
                 const nb::dict& options);

/// Prefetch.next_batch(): returns the next batch, or None at the end.
nb::object NextPrefetched(Prefetch& prefetch);

}  // namespace stream_store::python
