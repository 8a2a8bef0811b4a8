#pragma once

// Everything.

#include "cairn/clustered_index.h"
#include "cairn/compression.h"
#include "cairn/error.h"
#include "cairn/exact_search.h"
#include "cairn/filter.h"
#include "cairn/io.h"
#include "cairn/options.h"
#include "cairn/payload.h"
#include "cairn/result_cache.h"
#include "cairn/search_pool.h"
#include "cairn/share.h"
#include "cairn/stats.h"
#include "cairn/tiered_vector_store.h"
#include "cairn/typed_matrix.h"
#include "cairn/types.h"
#include "cairn/vector_source.h"
#include "cairn/vector_store.h"
