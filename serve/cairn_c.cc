// The C interface: every function converts its arguments, calls the C++ one and turns what that
// throws into a status. Nothing else happens here.

#include "cairn/cairn_c.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <limits>
#include <new>
#include <optional>
#include <string>
#include <vector>

#include "cairn/clustered_index.h"
#include "cairn/error.h"
#include "cairn/payload.h"

struct cairn_index {
  cairn::ClusteredIndex index;
};

namespace cairn {
namespace {

struct LastError {
  cairn_status status = CAIRN_OK;
  std::string message;
};

LastError& last_error() noexcept {
  thread_local LastError error;
  return error;
}

cairn_status fail(cairn_status status, const char* message) noexcept {
  LastError& error = last_error();
  error.status = status;
  try {
    error.message = message;
  } catch (...) {  // no memory for the message
    error.message.clear();
  }
  return status;
}

// Runs `body`, which returns a status, so that no exception leaves.
template <typename Body>
cairn_status guarded(Body&& body) noexcept {
  try {
    return body();
  } catch (const Error& error) {
    return fail(static_cast<cairn_status>(error.code()), error.what());
  } catch (const std::bad_alloc&) {
    return fail(CAIRN_OUT_OF_MEMORY, "out of memory");
  } catch (const std::exception& error) {
    return fail(CAIRN_OTHER, error.what());
  } catch (...) {
    return fail(CAIRN_OTHER, "unknown exception");
  }
}

void require(const void* pointer, const char* name) {
  if (pointer != nullptr) return;
  throw Error(ErrorCode::invalid_argument, std::string(name) + ": expected a pointer, found null");
}

const ClusteredIndex& index_of(const cairn_index* handle) {
  require(handle, "index");
  return handle->index;
}

// The caller's structure may be of another version: what it has not is as `defaults` say, and what
// it has beyond them is not looked at.
template <typename Options>
Options read_options(const Options* given, const Options& defaults) {
  Options options = defaults;
  if (given == nullptr) return options;
  if (given->struct_size < sizeof given->struct_size) {
    throw Error(ErrorCode::invalid_argument,
                "options: struct_size is " + std::to_string(given->struct_size) +
                    "; expected options that began with their initialiser");
  }
  std::memcpy(&options, given, std::min(given->struct_size, sizeof options));
  return options;
}

[[noreturn]] void cancelled_by(const char* callback) {
  throw Error(ErrorCode::cancelled,
              std::string("build cancelled by the ") + callback + " callback");
}

// Payloads of a C callback.
class CallbackPayloads final : public PayloadSource {
 public:
  CallbackPayloads(std::size_t rows, cairn_payload_callback callback, void* user)
      : rows_(rows), callback_(callback), user_(user) {}

  std::size_t rows() const noexcept override { return rows_; }
  void read(std::size_t row, std::string& out) override {
    const char* bytes = nullptr;
    std::size_t size = 0;
    if (callback_(user_, row, &bytes, &size) != 0) cancelled_by("payload");
    if (size > 0) require(bytes, "payload");
    out.assign(size > 0 ? bytes : "", size);
  }

 private:
  std::size_t rows_;
  cairn_payload_callback callback_;
  void* user_;
};

// Build options and what they point to.
class BuildArguments {
 public:
  BuildArguments(const cairn_build_options* given, std::size_t rows)
      : given_(read_options<cairn_build_options>(given, CAIRN_BUILD_OPTIONS)),
        payloads_(rows, given_.payload, given_.payload_user) {
    if (given_.metric < 0 || given_.metric > CAIRN_COSINE) {
      throw Error(ErrorCode::invalid_argument,
                  "metric: expected 0 to 2, found " + std::to_string(given_.metric));
    }
    options_.metric = static_cast<Metric>(given_.metric);
    options_.branching_factor = given_.branching_factor;
    options_.max_leaf_size = given_.max_leaf_size;
    options_.max_iterations = given_.max_iterations;
    options_.refine_bits = given_.refine_bits;
    options_.seed = given_.seed;
    options_.threads = given_.threads;
    options_.memory_limit_bytes = given_.memory_limit_bytes;
    if (given_.payload != nullptr) options_.payloads = &payloads_;
    if (given_.on_progress != nullptr) {
      options_.on_progress = [this](const BuildProgress& at) {
        return given_.on_progress(given_.progress_user, at.phase, at.done, at.total) != 0;
      };
    }
  }
  BuildArguments(const BuildArguments&) = delete;
  BuildArguments& operator=(const BuildArguments&) = delete;

  const BuildOptions& options() const noexcept { return options_; }

 private:
  cairn_build_options given_;
  CallbackPayloads payloads_;
  BuildOptions options_;
};

// Options of a search, and the filter that they point to.
class SearchArguments {
 public:
  explicit SearchArguments(const cairn_search_options* given) {
    const auto from = read_options<cairn_search_options>(given, CAIRN_SEARCH_OPTIONS);
    options_ = {.k = from.k,
                .target_recall = from.target_recall,
                .probes = from.probes,
                .rerank_factor = from.rerank_factor,
                .threads = from.threads,
                .max_distance = from.max_distance,
                .max_microseconds = from.max_microseconds};
    if (from.allowed_ids == nullptr) return;
    filter_ = Filter::from_ids({from.allowed_ids, from.num_allowed_ids});
    options_.filter = &*filter_;
  }
  SearchArguments(const SearchArguments&) = delete;
  SearchArguments& operator=(const SearchArguments&) = delete;

  const SearchOptions& options() const { return options_; }

 private:
  std::optional<Filter> filter_;
  SearchOptions options_;
};

// Neighbours to the caller's arrays.
struct ResultArrays {
  std::uint64_t* ids;
  float* distances;
  std::size_t* found;

  void require_all() const {
    require(ids, "ids");
    require(distances, "distances");
    require(found, "found");
  }
  void take(const std::vector<Neighbor>& hits) const {
    for (std::size_t i = 0; i < hits.size(); ++i) {
      ids[i] = hits[i].id;
      distances[i] = hits[i].distance;
    }
    *found = hits.size();
  }
};

cairn_status not_found(std::uint64_t id, const char* what) {
  return fail(CAIRN_NOT_FOUND, ("id " + std::to_string(id) + ": " + what).c_str());
}

}  // namespace
}  // namespace cairn

using cairn::guarded;
using cairn::index_of;
using cairn::require;

extern "C" {

cairn_status cairn_build(const float* vectors, size_t rows, size_t dim, const uint64_t* ids,
                         const cairn_build_options* options, cairn_index** index) {
  return guarded([&] {
    require(index, "index");
    const cairn::BuildArguments arguments(options, rows);
    const std::span<const cairn::VectorId> all_ids(ids, ids != nullptr ? rows : 0);
    *index = new cairn_index{
        cairn::ClusteredIndex::build({vectors, rows, dim}, arguments.options(), all_ids)};
    return CAIRN_OK;
  });
}

cairn_status cairn_build_file(const char* vectors_path, const char* index_path, const uint64_t* ids,
                              size_t num_ids, const cairn_build_options* options,
                              cairn_index** index) {
  return guarded([&] {
    require(vectors_path, "vectors_path");
    require(index_path, "index_path");
    require(index, "index");
    if (num_ids > 0) require(ids, "ids");
    cairn::FileVectorSource source(vectors_path);
    const cairn::BuildArguments arguments(options, source.rows());
    *index = new cairn_index{cairn::ClusteredIndex::build_file(
        index_path, source, arguments.options(), std::span(ids, num_ids))};
    return CAIRN_OK;
  });
}

cairn_status cairn_open(const char* path, const cairn_open_options* options, cairn_index** index) {
  return guarded([&] {
    require(path, "path");
    require(index, "index");
    const auto given = cairn::read_options<cairn_open_options>(options, CAIRN_OPEN_OPTIONS);
    *index = new cairn_index{cairn::ClusteredIndex::open(
        path, {.verify = given.verify != 0, .safe_reads = given.safe_reads != 0})};
    return CAIRN_OK;
  });
}

cairn_status cairn_save(const cairn_index* index, const char* path) {
  return guarded([&] {
    require(path, "path");
    index_of(index).save(path);
    return CAIRN_OK;
  });
}

void cairn_free(cairn_index* index) { delete index; }

cairn_status cairn_search(const cairn_index* index, const float* query, size_t dim,
                          const cairn_search_options* options, uint64_t* ids, float* distances,
                          size_t* found) {
  return guarded([&] {
    const cairn::ClusteredIndex& searched = index_of(index);
    require(query, "query");
    const cairn::ResultArrays results{ids, distances, found};
    results.require_all();
    results.take(searched.search(std::span(query, dim), cairn::SearchArguments(options).options()));
    return CAIRN_OK;
  });
}

cairn_status cairn_range_search(const cairn_index* index, const float* query, size_t dim,
                                const cairn_search_options* options, uint64_t* ids,
                                float* distances, size_t* found) {
  return guarded([&] {
    const cairn::ClusteredIndex& searched = index_of(index);
    require(query, "query");
    const cairn::ResultArrays results{ids, distances, found};
    results.require_all();
    const cairn::SearchArguments arguments(options);
    const cairn::SearchOptions& asked = arguments.options();
    if (asked.max_distance == std::numeric_limits<float>::infinity()) {
      throw cairn::Error(cairn::ErrorCode::invalid_argument,
                         "max_distance: expected a distance, found infinity");
    }
    if (asked.k == 0) {
      throw cairn::Error(cairn::ErrorCode::invalid_argument, "k: expected at least 1, found 0");
    }
    results.take(searched.range_search(std::span(query, dim), asked.max_distance,
                                       {.target_recall = asked.target_recall,
                                        .limit = asked.k,
                                        .filter = asked.filter,
                                        .max_microseconds = asked.max_microseconds,
                                        .threads = asked.threads}));
    return CAIRN_OK;
  });
}

cairn_status cairn_search_batch(const cairn_index* index, const float* queries, size_t rows,
                                size_t dim, const cairn_search_options* options, uint64_t* ids,
                                float* distances) {
  return guarded([&] {
    const cairn::ClusteredIndex& searched = index_of(index);
    if (rows > 0) {
      require(queries, "queries");
      require(ids, "ids");
      require(distances, "distances");
    }
    const cairn::BatchResult result = searched.search_batch(
        cairn::MatrixView{queries, rows, dim}, cairn::SearchArguments(options).options());
    std::copy(result.ids.begin(), result.ids.end(), ids);
    std::copy(result.distances.begin(), result.distances.end(), distances);
    return CAIRN_OK;
  });
}

cairn_status cairn_calibrate(cairn_index* index, const float* queries, size_t rows, size_t dim,
                             unsigned threads) {
  return guarded([&] {
    require(index, "index");
    if (rows > 0) require(queries, "queries");
    index->index.calibrate({queries, rows, dim}, threads);
    return CAIRN_OK;
  });
}

size_t cairn_size(const cairn_index* index) { return index != nullptr ? index->index.size() : 0; }

size_t cairn_dim(const cairn_index* index) { return index != nullptr ? index->index.dim() : 0; }

int cairn_contains(const cairn_index* index, uint64_t id) {
  bool is_there = false;
  guarded([&] {
    is_there = index != nullptr && index->index.contains(id);
    return CAIRN_OK;
  });
  return is_there ? 1 : 0;
}

cairn_status cairn_stats(const cairn_index* index, cairn_index_stats* stats) {
  return guarded([&] {
    const cairn::ClusteredIndex& described = index_of(index);
    require(stats, "stats");
    cairn_index_stats all = cairn::read_options<cairn_index_stats>(stats, CAIRN_INDEX_STATS);
    const cairn::IndexStats known = described.stats();
    all.struct_size = stats->struct_size;
    all.metric = static_cast<int>(known.metric);
    all.refine_bits = known.refine_bits;
    all.rows = known.rows;
    all.dim = known.dim;
    all.leaves = known.leaves;
    all.memory_bytes = described.memory_usage_bytes();
    all.vector_ram_bytes = known.vector_ram_bytes;
    all.vector_disk_bytes = known.vector_disk_bytes;
    all.payload_raw_bytes = known.payload_raw_bytes;
    all.has_payloads = described.has_payloads() ? 1 : 0;
    std::memcpy(stats, &all, std::min(stats->struct_size, sizeof all));
    return CAIRN_OK;
  });
}

cairn_status cairn_ids(const cairn_index* index, uint64_t* ids) {
  return guarded([&] {
    const std::vector<cairn::VectorId> all = index_of(index).ids();
    if (!all.empty()) require(ids, "ids");
    std::copy(all.begin(), all.end(), ids);
    return CAIRN_OK;
  });
}

cairn_status cairn_vector(const cairn_index* index, uint64_t id, float* vector) {
  return guarded([&] {
    require(vector, "vector");
    const auto found = index_of(index).vector(id);
    if (!found) return cairn::not_found(id, "no such vector");
    std::copy(found->begin(), found->end(), vector);
    return CAIRN_OK;
  });
}

cairn_status cairn_payload(const cairn_index* index, uint64_t id, char** bytes, size_t* size) {
  return guarded([&] {
    require(bytes, "bytes");
    require(size, "size");
    if (!index_of(index).has_payloads()) {
      return cairn::not_found(id, "the index has no payloads");
    }
    const std::optional<std::string> found = index_of(index).payload(id);
    if (!found) return cairn::not_found(id, "no such vector");
    char* const copy = new char[found->size() + 1];
    std::memcpy(copy, found->c_str(), found->size() + 1);
    *bytes = copy;
    *size = found->size();
    return CAIRN_OK;
  });
}

void cairn_free_payload(char* bytes) { delete[] bytes; }

const char* cairn_last_error_message(void) { return cairn::last_error().message.c_str(); }

cairn_status cairn_last_error_status(void) { return cairn::last_error().status; }

const char* cairn_version(void) { return cairn::version(); }

}  // extern "C"
