// The ways of reading scattered rows from a cold file, each as a store of its own that an index can
// be told to use.

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <condition_variable>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <mutex>
#include <stdexcept>
#include <system_error>
#include <thread>

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#ifdef COLD_HAS_URING
#include <liburing.h>
#endif

#include "bench/cold/row_file.h"

namespace cold {
namespace {

constexpr std::size_t kPage = 4096;
constexpr std::size_t kSector = 512;

using Rows = std::span<const std::uint32_t>;

void read_at(int descriptor, std::uint64_t offset, std::size_t bytes, void* out) {
  if (::pread(descriptor, out, bytes, static_cast<off_t>(offset)) != static_cast<ssize_t>(bytes)) {
    throw std::system_error(errno, std::generic_category(), "pread");
  }
}

class FileStore : public cairn::VectorStore {
 public:
  explicit FileStore(const RowFile& file) : file_(file) {}
  std::size_t rows() const noexcept override { return file_.rows(); }
  std::size_t dim() const noexcept override { return file_.dim(); }
  cairn::StoreStats stats() const override { return {.disk_bytes = file_.bytes()}; }

 protected:
  // Calls use(offset, bytes) for each run of sorted rows whose pages touch, with whole pages.
  template <typename Use>
  void for_each_range(Rows rows, const Use& use) const {
    std::uint64_t begin = 0;
    std::uint64_t end = 0;
    for (const std::uint32_t row : rows) {
      const std::uint64_t first = file_.offset_of(row) / kPage * kPage;
      const std::uint64_t last =
          (file_.offset_of(row) + file_.row_bytes() + kPage - 1) / kPage * kPage;
      if (end != 0 && first > end) {
        use(begin, static_cast<std::size_t>(end - begin));
        end = 0;
      }
      if (end == 0) begin = first;
      end = last;
    }
    if (end != 0) use(begin, static_cast<std::size_t>(end - begin));
  }

  const RowFile& file_;
};

// From the mapping: one page fault after the other.
class MappedStore : public FileStore {
 public:
  enum class Order { sorted, shuffled };
  MappedStore(const RowFile& file, Order order) : FileStore(file), order_(order) {}

  void read(Rows rows, float* out) const override {
    std::vector<std::size_t> places(rows.size());
    for (std::size_t i = 0; i < places.size(); ++i) places[i] = i;
    // Candidates come in the order of their bounds, which has nothing to do with the file's.
    if (order_ == Order::shuffled) {
      std::sort(places.begin(), places.end(), [&](std::size_t a, std::size_t b) {
        return rows[a] * 2654435761u < rows[b] * 2654435761u;
      });
    }
    for (const std::size_t i : places) {
      std::memcpy(out + i * dim(), file_.mapped() + file_.offset_of(rows[i]), file_.row_bytes());
    }
  }

 private:
  Order order_;
};

// Asks for all pages before the first is touched.
class AdvisedStore final : public MappedStore {
 public:
  enum class How { madvise, process_madvise, populate };
  AdvisedStore(const RowFile& file, How how) : MappedStore(file, Order::sorted), how_(how) {}

  void prefetch(Rows rows) const noexcept override {
    std::vector<iovec> ranges;
    for_each_range(rows, [&](std::uint64_t offset, std::size_t bytes) {
      ranges.push_back({file_.mapped() + offset, bytes});
    });
    if (how_ == How::process_madvise) {
      constexpr int kPidfdSelf = -10000;  // PIDFD_SELF_THREAD, since Linux 6.14
      ::syscall(SYS_process_madvise, kPidfdSelf, ranges.data(), ranges.size(), MADV_WILLNEED, 0);
      return;
    }
    constexpr int kPopulateRead = 22;
    const int advice = how_ == How::populate ? kPopulateRead : MADV_WILLNEED;
    for (const iovec& range : ranges) ::madvise(range.iov_base, range.iov_len, advice);
  }

 private:
  How how_;
};

// pread, one row after the other.
class PreadStore final : public FileStore {
 public:
  PreadStore(const RowFile& file, bool announces) : FileStore(file), announces_(announces) {}

  void prefetch(Rows rows) const noexcept override {
    if (!announces_) return;
    for_each_range(rows, [&](std::uint64_t offset, std::size_t bytes) {
      posix_fadvise(file_.descriptor(), static_cast<off_t>(offset), static_cast<off_t>(bytes),
                    POSIX_FADV_WILLNEED);
    });
  }
  void read(Rows rows, float* out) const override {
    for (std::size_t i = 0; i < rows.size(); ++i) {
      read_at(file_.descriptor(), file_.offset_of(rows[i]), file_.row_bytes(), out + i * dim());
    }
  }

 private:
  bool announces_;
};

// pread on waiting threads, each of which takes one row at a time.
class PoolStore final : public FileStore {
 public:
  PoolStore(const RowFile& file, unsigned threads) : FileStore(file) {
    for (unsigned i = 0; i < threads; ++i) threads_.emplace_back([this] { work(); });
  }
  ~PoolStore() override {
    {
      const std::lock_guard lock(mutex_);
      stops_ = true;
    }
    wake_.notify_all();
    for (std::thread& thread : threads_) thread.join();
  }

  void read(Rows rows, float* out) const override {
    std::unique_lock lock(mutex_);
    rows_ = rows;
    out_ = out;
    next_ = 0;
    busy_ = threads_.size();
    ++round_;
    wake_.notify_all();
    done_.wait(lock, [this] { return busy_ == 0; });
  }

 private:
  void work() {
    std::uint64_t round = 0;
    for (;;) {
      std::unique_lock lock(mutex_);
      wake_.wait(lock, [&] { return stops_ || round_ != round; });
      if (stops_) return;
      round = round_;
      lock.unlock();
      for (std::size_t i = next_++; i < rows_.size(); i = next_++) {
        read_at(file_.descriptor(), file_.offset_of(rows_[i]), file_.row_bytes(), out_ + i * dim());
      }
      lock.lock();
      if (--busy_ == 0) done_.notify_one();
    }
  }

  mutable std::mutex mutex_;
  mutable std::condition_variable wake_;
  mutable std::condition_variable done_;
  mutable Rows rows_;
  mutable float* out_ = nullptr;
  mutable std::atomic<std::size_t> next_{0};
  mutable std::size_t busy_ = 0;
  mutable std::uint64_t round_ = 0;
  bool stops_ = false;
  std::vector<std::thread> threads_;
};

#ifdef COLD_HAS_URING
// All rows in one submission.
class UringStore final : public FileStore {
 public:
  static constexpr unsigned kEntries = 256;
  static constexpr std::size_t kSlot = 4 * kPage;

  UringStore(const RowFile& file, bool direct) : FileStore(file), direct_(direct) {
    if (const int result = io_uring_queue_init(kEntries, &ring_, 0); result < 0) {
      throw std::system_error(-result, std::generic_category(), "io_uring");
    }
    slots_.reset(static_cast<std::byte*>(std::aligned_alloc(kPage, kEntries * kSlot)));
  }
  ~UringStore() override { io_uring_queue_exit(&ring_); }

  void read(Rows rows, float* out) const override {
    for (std::size_t first = 0; first < rows.size(); first += kEntries) {
      read_some(rows.subspan(first, std::min<std::size_t>(kEntries, rows.size() - first)),
                out + first * dim());
    }
  }

 private:
  void read_some(Rows rows, float* out) const {
    for (std::size_t i = 0; i < rows.size(); ++i) {
      const std::uint64_t begin = file_.offset_of(rows[i]);
      io_uring_sqe* const entry = io_uring_get_sqe(&ring_);
      if (direct_) {
        const std::uint64_t first = begin / kSector * kSector;
        const std::uint64_t last = (begin + file_.row_bytes() + kSector - 1) / kSector * kSector;
        io_uring_prep_read(entry, file_.direct_descriptor(), slots_.get() + i * kSlot,
                           static_cast<unsigned>(last - first), first);
      } else {
        io_uring_prep_read(entry, file_.descriptor(), out + i * dim(),
                           static_cast<unsigned>(file_.row_bytes()), begin);
      }
    }
    io_uring_submit_and_wait(&ring_, static_cast<unsigned>(rows.size()));
    for (std::size_t i = 0; i < rows.size(); ++i) {
      io_uring_cqe* done = nullptr;
      if (io_uring_wait_cqe(&ring_, &done) != 0 ||
          done->res < static_cast<int>(file_.row_bytes())) {
        throw std::runtime_error("io_uring: a read failed");
      }
      io_uring_cqe_seen(&ring_, done);
    }
    for (std::size_t i = 0; direct_ && i < rows.size(); ++i) {
      std::memcpy(out + i * dim(), slots_.get() + i * kSlot + file_.offset_of(rows[i]) % kSector,
                  file_.row_bytes());
    }
  }

  struct Free {
    void operator()(std::byte* bytes) const { std::free(bytes); }
  };
  bool direct_;
  mutable io_uring ring_{};
  std::unique_ptr<std::byte, Free> slots_;
};
#endif

}  // namespace

std::vector<Method> all_methods(const RowFile& dense, const RowFile& packed) {
  using Order = MappedStore::Order;
  using How = AdvisedStore::How;
  std::vector<Method> methods;
  const auto add = [&](const char* name, std::unique_ptr<cairn::VectorStore> store,
                       const RowFile& file) {
    methods.push_back({name, std::move(store), &file});
  };
  add("demand faults, candidate order", std::make_unique<MappedStore>(dense, Order::shuffled),
      dense);
  add("demand faults, sorted", std::make_unique<MappedStore>(dense, Order::sorted), dense);
  add("WILLNEED, then read", std::make_unique<AdvisedStore>(dense, How::madvise), dense);
  add("WILLNEED by one process_madvise",
      std::make_unique<AdvisedStore>(dense, How::process_madvise), dense);
  add("POPULATE_READ, then read", std::make_unique<AdvisedStore>(dense, How::populate), dense);
  add("pread", std::make_unique<PreadStore>(dense, false), dense);
  add("fadvise WILLNEED, then pread", std::make_unique<PreadStore>(dense, true), dense);
  add("pread on 4 threads", std::make_unique<PoolStore>(dense, 4), dense);
  add("pread on 16 threads", std::make_unique<PoolStore>(dense, 16), dense);
  add("packed pages, demand faults", std::make_unique<MappedStore>(packed, Order::shuffled),
      packed);
  add("packed pages, WILLNEED", std::make_unique<AdvisedStore>(packed, How::madvise), packed);
#ifdef COLD_HAS_URING
  try {
    add("io_uring", std::make_unique<UringStore>(dense, false), dense);
    if (dense.direct_descriptor() >= 0) {
      add("io_uring, O_DIRECT", std::make_unique<UringStore>(dense, true), dense);
    }
  } catch (const std::system_error&) {  // a sandbox may forbid it
  }
#endif
  return methods;
}

}  // namespace cold
