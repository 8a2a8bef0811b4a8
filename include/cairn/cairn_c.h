#pragma once

/* Cairn for C and for whatever calls C: opaque handles, status codes, no exceptions.
 *
 * A function that can fail returns a cairn_status; what went wrong is told by
 * cairn_last_error_message(), per thread. Out parameters are written on success only. A const
 * cairn_index may be used by many threads at once; it must not be freed meanwhile. Pointers that
 * are passed in are borrowed for the call. Paths are the system's own bytes (UTF-8 on Linux).
 *
 * Options begin with their initialisers, which fill in struct_size and the defaults:
 *
 *   cairn_search_options options = CAIRN_SEARCH_OPTIONS;
 *   options.k = 5;
 *
 * so that a program that was compiled with an earlier header goes on working when fields are added
 * at their ends. A null pointer to options means the defaults. examples/quickstart_c.c uses it all.
 */

#include <math.h>
#include <stddef.h>
#include <stdint.h>

#include "cairn/export.h"

#ifdef __cplusplus
extern "C" {
#endif

/* cairn::ErrorCode, and what a C++ caller would get as other exceptions. Values are stable. */
typedef enum cairn_status {
  CAIRN_OK = 0,
  CAIRN_INVALID_ARGUMENT = 1,    /* wrong input; nothing was done */
  CAIRN_NOT_FOUND = 2,           /* a file is missing; no such id, or no payload */
  CAIRN_IO = 3,                  /* the operating system refused */
  CAIRN_CORRUPT = 4,             /* bytes on disk are not what a Cairn file holds */
  CAIRN_VERSION_UNSUPPORTED = 5, /* a file of a newer format */
  CAIRN_UNSUPPORTED_CPU = 6,     /* CAIRN_FORCE_ISA names what this machine lacks */
  CAIRN_CANCELLED = 7,           /* a callback asked to stop */
  CAIRN_OUT_OF_MEMORY = 100,
  CAIRN_OTHER = 101 /* anything else: see the message */
} cairn_status;

typedef enum cairn_metric {
  CAIRN_L2 = 0,            /* squared Euclidean distance */
  CAIRN_INNER_PRODUCT = 1, /* -<q, x> */
  CAIRN_COSINE = 2         /* 1 - cos */
} cairn_metric;

/* Pads result rows that have fewer than k hits; their distances are +infinity. */
#define CAIRN_NO_ID UINT64_MAX

typedef struct cairn_index cairn_index;

/* Called now and then while an index is built; 0 stops with CAIRN_CANCELLED. */
typedef int (*cairn_progress_callback)(void* user, const char* phase, size_t done, size_t total);

/* Sets *bytes and *size to the payload of a row, which need live only until the next call; not 0
 * ends the build with CAIRN_CANCELLED. Rows are asked for once each, in no particular order. */
typedef int (*cairn_payload_callback)(void* user, size_t row, const char** bytes, size_t* size);

/* See cairn::BuildOptions in cairn/options.h. */
typedef struct cairn_build_options {
  size_t struct_size;
  int metric;              /* a cairn_metric */
  unsigned refine_bits;    /* 0 to 8 */
  size_t branching_factor; /* 0: chosen */
  size_t max_leaf_size;    /* 0: chosen */
  size_t max_iterations;
  uint64_t seed;
  unsigned threads;                    /* 0: all cores */
  uint64_t memory_limit_bytes;         /* cairn_build_file(); 0: chosen */
  cairn_progress_callback on_progress; /* may be null */
  void* progress_user;
  cairn_payload_callback payload; /* null: no payloads */
  void* payload_user;
} cairn_build_options;

#define CAIRN_BUILD_OPTIONS \
  { sizeof(cairn_build_options), CAIRN_L2, 4, 0, 0, 8, 1, 0, 0, NULL, NULL, NULL, NULL }

/* See cairn::SearchOptions. */
typedef struct cairn_search_options {
  size_t struct_size;
  size_t k;                    /* at least 1 */
  float target_recall;         /* used while probes is 0 */
  float rerank_factor;         /* 0: as many exact distances as bounds ask for */
  size_t probes;               /* leaves to scan */
  unsigned threads;            /* of one query, or of a batch; 0: all cores */
  float max_distance;          /* only what is at most so far away is found */
  uint64_t max_microseconds;   /* 0: none; else the best found by then */
  const uint64_t* allowed_ids; /* only these are found; null: all */
  size_t num_allowed_ids;
} cairn_search_options;

#define CAIRN_SEARCH_OPTIONS \
  { sizeof(cairn_search_options), 10, 0.95f, 0.0f, 0, 1, INFINITY, 0, NULL, 0 }

/* See cairn::OpenOptions. */
typedef struct cairn_open_options {
  size_t struct_size;
  int verify;     /* not 0: check every checksum first */
  int safe_reads; /* not 0: map nothing; read full vectors by pread, copy the rest */
} cairn_open_options;

#define CAIRN_OPEN_OPTIONS \
  { sizeof(cairn_open_options), 0, 0 }

/* What an index is made of; filled in as far as struct_size goes. */
typedef struct cairn_index_stats {
  size_t struct_size;
  int metric; /* a cairn_metric */
  unsigned refine_bits;
  size_t rows;
  size_t dim;
  size_t leaves;
  uint64_t memory_bytes;      /* RAM that its data takes, pages of a mapped file included */
  uint64_t vector_ram_bytes;  /* of these, full vectors */
  uint64_t vector_disk_bytes; /* full vectors on disk */
  uint64_t payload_raw_bytes; /* of all payloads, as given */
  int has_payloads;
} cairn_index_stats;

#define CAIRN_INDEX_STATS \
  { sizeof(cairn_index_stats), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0 }

/* Builds an index over copies of `vectors`, [rows, dim] row-major. `ids`: one per row, unique, not
 * CAIRN_NO_ID; null: row numbers. *index must be freed. */
CAIRN_EXPORT cairn_status cairn_build(const float* vectors, size_t rows, size_t dim,
                                      const uint64_t* ids, const cairn_build_options* options,
                                      cairn_index** index);

/* Builds an index of a vector file (.fbin .u8bin .fvecs .bvecs .npy), which need not fit into
 * memory, into a new file and opens it. `num_ids` is 0 if `ids` is null. */
CAIRN_EXPORT cairn_status cairn_build_file(const char* vectors_path, const char* index_path,
                                           const uint64_t* ids, size_t num_ids,
                                           const cairn_build_options* options, cairn_index** index);

CAIRN_EXPORT cairn_status cairn_open(const char* path, const cairn_open_options* options,
                                     cairn_index** index);

/* All or nothing: a file at `path` stays as it was if anything fails. */
CAIRN_EXPORT cairn_status cairn_save(const cairn_index* index, const char* path);

/* Null is fine. */
CAIRN_EXPORT void cairn_free(cairn_index* index);

/* The nearest to `query` [dim], nearest first, to `ids` and `distances`, both with room for k;
 * *found of them: k, or as many as there are or as max_distance and allowed_ids leave. Places
 * behind these are left alone. */
CAIRN_EXPORT cairn_status cairn_search(const cairn_index* index, const float* query, size_t dim,
                                       const cairn_search_options* options, uint64_t* ids,
                                       float* distances, size_t* found);

/* All within options->max_distance, nearest first, up to the nearest k; `ids` and `distances` have
 * room for k, *found were found. See cairn::ClusteredIndex::range_search. Options without a
 * distance are refused, probes and rerank_factor not used. */
CAIRN_EXPORT cairn_status cairn_range_search(const cairn_index* index, const float* query,
                                             size_t dim, const cairn_search_options* options,
                                             uint64_t* ids, float* distances, size_t* found);

/* cairn_search() for `queries` [rows, dim] to `ids` and `distances` [rows, k], padded. */
CAIRN_EXPORT cairn_status cairn_search_batch(const cairn_index* index, const float* queries,
                                             size_t rows, size_t dim,
                                             const cairn_search_options* options, uint64_t* ids,
                                             float* distances);

/* Measures on `queries` [rows, dim] what recall costs; see cairn::ClusteredIndex::calibrate. No
 * other call may use the index meanwhile. */
CAIRN_EXPORT cairn_status cairn_calibrate(cairn_index* index, const float* queries, size_t rows,
                                          size_t dim, unsigned threads);

/* 0 for a null index. */
CAIRN_EXPORT size_t cairn_size(const cairn_index* index);
CAIRN_EXPORT size_t cairn_dim(const cairn_index* index);
/* Not 0 if there is a vector of that id; 0, too, where the file is damaged. */
CAIRN_EXPORT int cairn_contains(const cairn_index* index, uint64_t id);

CAIRN_EXPORT cairn_status cairn_stats(const cairn_index* index, cairn_index_stats* stats);

/* All ids, in row order, to `ids` [cairn_size()]. */
CAIRN_EXPORT cairn_status cairn_ids(const cairn_index* index, uint64_t* ids);

/* The original vector, bit for bit, to `vector` [cairn_dim()]. CAIRN_NOT_FOUND: no such id. */
CAIRN_EXPORT cairn_status cairn_vector(const cairn_index* index, uint64_t id, float* vector);

/* The payload of an id: *size bytes, and a zero behind them, to be given to cairn_free_payload().
 * CAIRN_NOT_FOUND: no such id, or an index without payloads. */
CAIRN_EXPORT cairn_status cairn_payload(const cairn_index* index, uint64_t id, char** bytes,
                                        size_t* size);
CAIRN_EXPORT void cairn_free_payload(char* bytes);

/* Of the last call on this thread that failed, until the next one fails; "" and CAIRN_OK before. */
CAIRN_EXPORT const char* cairn_last_error_message(void);
CAIRN_EXPORT cairn_status cairn_last_error_status(void);

/* "0.1.0"; never freed. */
CAIRN_EXPORT const char* cairn_version(void);

#ifdef __cplusplus
}
#endif
