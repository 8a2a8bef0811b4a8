#pragma once

#include <filesystem>
#include <span>

#include "cairn/options.h"
#include "cairn/types.h"
#include "cairn/vector_source.h"

#include "index/progress.h"

namespace cairn::index {

// ClusteredIndex::build_file: the plan (tree_plan.h) -> one more pass over the rows sorts them into
// leaf order, by way of a temporary file -> codes and vectors of a few leaves at a time go to the
// file -> calibration reads them there -> the rest of the file. If vectors are to be saved encoded,
// all that goes to a file that never gets a name, and is saved from there. The bytes are those of
// build() and save().
void build_index_file(const std::filesystem::path& path, VectorSource& source,
                      const BuildOptions& options, std::span<const VectorId> ids,
                      const SaveOptions& save, Progress& progress);

}  // namespace cairn::index
