// The options of a WindowSampler across the border.
#pragma once

#include "convert/prefetch.h"
#include "convert/python.h"
#include "convert/sampler.h"

namespace stream_store::python {

/// Sampler.__init__: `options` is a dict of all of them, checked by sampler.py.
void MakeSampler(SamplerObject* where, nb::list stores, const nb::dict& options);

/// Prefetch::Next(), None at the end.
nb::object NextPrefetched(Prefetch& prefetch);

}  // namespace stream_store::python
