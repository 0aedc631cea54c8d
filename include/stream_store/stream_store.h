// The whole public API in one include: writing, reading, sampling, verifying, exchange with Arrow.
//
// interop.h, for bindings and exporters, is not part of it. A library that was built with the CMake
// option STREAMSTORE_WITH_ARROW=OFF has no arrow.h; its targets define STREAM_STORE_WITHOUT_ARROW.
#pragma once

#include "stream_store/append_result.h"
#ifndef STREAM_STORE_WITHOUT_ARROW
#include "stream_store/arrow.h"
#endif
#include "stream_store/columns.h"
#include "stream_store/dtype.h"
#include "stream_store/error.h"
#include "stream_store/field_write.h"
#include "stream_store/group.h"
#include "stream_store/nested.h"
#include "stream_store/options.h"
#include "stream_store/priorities.h"
#include "stream_store/priority_tree.h"
#include "stream_store/reader.h"
#include "stream_store/recovery.h"
#include "stream_store/replication.h"
#include "stream_store/sampler.h"
#include "stream_store/sampler_options.h"
#include "stream_store/schema.h"
#include "stream_store/statistics.h"
#include "stream_store/store.h"
#include "stream_store/types.h"
#include "stream_store/verify.h"
#include "stream_store/version.h"
