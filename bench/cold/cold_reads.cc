// What a query costs whose full vectors are on disk, by the way they are read: the rows of an index
// go to a file of their own, its pages are dropped from memory before each query, and every method
// answers each query in turn. Codes, centroids and ids are in memory. Beside them the library as it
// is, from the index file, by its mapping and with safe_reads.
//
//   cairn_cold_reads INDEX.cairn QUERIES.fbin [COUNT=200] [RECALL=0.95] [K=10] [DIRECTORY=.]
//
// Takes disk space of twice the vectors in the directory. Prints, per method, milliseconds per
// query and bytes that the device delivered, over the bytes of the rows that the search read.

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <fstream>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include <cairn/cairn.h>

#include "bench/cold/row_file.h"

namespace {

// Bytes that the device read for this process so far.
std::uint64_t device_bytes() {
  std::ifstream file("/proc/self/io");
  std::string name;
  std::uint64_t value = 0;
  while (file >> name >> value) {
    if (name == "read_bytes:") return value;
  }
  throw std::runtime_error("/proc/self/io does not tell read_bytes");
}

// Passes everything on and counts how often the search waits for rows.
class CountingStore final : public cairn::VectorStore {
 public:
  CountingStore(std::unique_ptr<cairn::VectorStore> store, std::uint64_t& reads)
      : store_(std::move(store)), reads_(reads) {}
  std::size_t rows() const noexcept override { return store_->rows(); }
  std::size_t dim() const noexcept override { return store_->dim(); }
  cairn::StoreStats stats() const override { return store_->stats(); }
  void prefetch(std::span<const std::uint32_t> rows) const noexcept override {
    store_->prefetch(rows);
  }
  void read(std::span<const std::uint32_t> rows, float* out) const override {
    ++reads_;
    store_->read(rows, out);
  }

 private:
  std::unique_ptr<cairn::VectorStore> store_;
  std::uint64_t& reads_;
};

struct Measured {
  std::vector<double> seconds;
  std::uint64_t device_bytes = 0;
  std::uint64_t useful_bytes = 0;
  std::uint64_t rows = 0;
  std::uint64_t reads = 0;
};

struct Arguments {
  std::string index;
  std::string queries;
  std::size_t count = 200;
  float recall = 0.95f;
  std::size_t k = 10;
  std::filesystem::path directory = ".";
};

// An index whose vectors are read in one way, and are to be dropped from memory.
class Subject {
 public:
  Subject(const std::string& path, cold::Method method)
      : name(std::move(method.name)),
        drop_([file = method.file](const cairn::ClusteredIndex&) {
          if (!file->drop_pages()) throw std::runtime_error("this file system keeps pages");
        }),
        index_(cairn::ClusteredIndex::open(path)) {
    index_.use_storage(std::make_unique<CountingStore>(std::move(method.store), *reads_));
  }
  // As the library does it.
  Subject(const std::string& path, std::string what, bool safe_reads)
      : name(std::move(what)),
        drop_([](const cairn::ClusteredIndex& index) { index.trim(cairn::IndexPart::vectors); }),
        index_(cairn::ClusteredIndex::open(path, {.safe_reads = safe_reads})) {}

  std::vector<cairn::Neighbor> answer(std::span<const float> query,
                                      const cairn::SearchOptions& options) {
    std::vector<cairn::Neighbor> found(options.k);
    cairn::SearchStats stats;
    // Whatever else the query touches is brought into memory by the same query.
    index_.search(query, options, found);
    drop_(index_);
    const std::uint64_t bytes = device_bytes();
    *reads_ = 0;
    const auto start = std::chrono::steady_clock::now();
    index_.search(query, options, found, &stats);
    measured.seconds.push_back(
        std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
    measured.device_bytes += device_bytes() - bytes;
    drop_(index_);
    measured.useful_bytes += stats.vector_bytes_read;
    measured.rows += stats.vectors_read;
    measured.reads += *reads_;
    return found;
  }

  std::string name;
  Measured measured;

 private:
  std::function<void(const cairn::ClusteredIndex&)> drop_;
  std::unique_ptr<std::uint64_t> reads_ = std::make_unique<std::uint64_t>(0);
  cairn::ClusteredIndex index_;
};

double milliseconds(std::vector<double> seconds, double share) {
  const auto place = static_cast<std::size_t>(share * static_cast<double>(seconds.size() - 1));
  std::nth_element(seconds.begin(), seconds.begin() + static_cast<std::ptrdiff_t>(place),
                   seconds.end());
  return seconds[place] * 1e3;
}

void measure(const Arguments& arguments) {
  const cairn::ClusteredIndex index = cairn::ClusteredIndex::open(arguments.index);
  const cairn::Matrix<float> queries = cairn::read_vectors(arguments.queries, arguments.count);
  const cold::RowFile dense(arguments.directory / "cold-dense.rows", index, false);
  const cold::RowFile packed(arguments.directory / "cold-packed.rows", index, true);
  const cairn::SearchOptions options{.k = arguments.k, .target_recall = arguments.recall};
  std::vector<Subject> subjects;
  for (cold::Method& method : cold::all_methods(dense, packed)) {
    subjects.emplace_back(arguments.index, std::move(method));
  }
  subjects.emplace_back(arguments.index, "Cairn, mapped", false);
  subjects.emplace_back(arguments.index, "Cairn, safe_reads", true);

  for (std::size_t q = 0; q < queries.rows; ++q) {
    const std::span query(queries.row(q), queries.dim);
    const std::vector<cairn::Neighbor> expected = index.search(query, options);
    index.trim(cairn::IndexPart::vectors);
    for (std::size_t i = 0; i < subjects.size(); ++i) {
      Subject& subject = subjects[(i + q) % subjects.size()];
      if (subject.answer(query, options) != expected) {
        throw std::runtime_error(subject.name + ": another answer");
      }
    }
  }

  const double base = milliseconds(subjects[0].measured.seconds, 0.5);
  const auto per_query = [&](std::uint64_t number) {
    return static_cast<double>(number) / static_cast<double>(queries.rows);
  };
  std::printf(
      "%zu rows x %zu, %zu queries, recall %.2f, k %zu, per query %.1f rows in %.2f reads\n",
      index.size(), index.dim(), queries.rows, static_cast<double>(arguments.recall), arguments.k,
      per_query(subjects[0].measured.rows), per_query(subjects[0].measured.reads));
  std::printf("%-36s %8s %8s %8s %8s %8s\n", "method", "p50 ms", "p95 ms", "max ms", "faster",
              "bytes");
  for (const Subject& subject : subjects) {
    const Measured& m = subject.measured;
    const double median = milliseconds(m.seconds, 0.5);
    std::printf("%-36s %8.3f %8.3f %8.3f %7.2fx %7.2fx\n", subject.name.c_str(), median,
                milliseconds(m.seconds, 0.95), milliseconds(m.seconds, 1), base / median,
                static_cast<double>(m.device_bytes) / static_cast<double>(m.useful_bytes));
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3 || argc > 7) {
    std::fprintf(stderr,
                 "usage: cairn_cold_reads INDEX QUERIES [COUNT] [RECALL] [K] [DIRECTORY]\n");
    return 2;
  }
  Arguments arguments{.index = argv[1], .queries = argv[2]};
  if (argc > 3) arguments.count = std::strtoull(argv[3], nullptr, 10);
  if (argc > 4) arguments.recall = std::strtof(argv[4], nullptr);
  if (argc > 5) arguments.k = std::strtoull(argv[5], nullptr, 10);
  if (argc > 6) arguments.directory = argv[6];
  try {
    measure(arguments);
    return 0;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "cairn_cold_reads: %s\n", error.what());
    return 1;
  }
}
