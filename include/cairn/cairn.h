#pragma once

// Everything.

#include "cairn/clustered_index.h"
#include "cairn/compression.h"
#include "cairn/error.h"
#include "cairn/exact_search.h"
#include "cairn/filter.h"
#include "cairn/io.h"
#include "cairn/options.h"
#include "cairn/stats.h"
#include "cairn/types.h"
#include "cairn/vector_source.h"
#include "cairn/vector_store.h"
