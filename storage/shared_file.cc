#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "cairn/error.h"
#include "cairn/share.h"

#include "storage/available_memory.h"
#include "storage/container.h"
#include "storage/file.h"

namespace cairn {
namespace {

constexpr std::size_t kCopyBytes = std::size_t{1} << 20;

void copy_file(const storage::File& from, std::uint64_t bytes, storage::File& to) {
  std::vector<std::byte> buffer(std::min<std::uint64_t>(bytes, kCopyBytes));
  for (std::uint64_t done = 0; done < bytes; done += buffer.size()) {
    buffer.resize(std::min<std::uint64_t>(buffer.size(), bytes - done));
    from.read_at(done, buffer);
    to.write_at(done, buffer);
  }
}

}  // namespace

struct SharedFile::Impl {
  storage::File file;
  std::uint64_t bytes;
};

SharedFile::SharedFile(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
SharedFile::SharedFile(SharedFile&&) noexcept = default;
SharedFile& SharedFile::operator=(SharedFile&&) noexcept = default;
SharedFile::~SharedFile() = default;

const std::filesystem::path& SharedFile::path() const noexcept { return impl_->file.path(); }
int SharedFile::descriptor() const noexcept { return impl_->file.descriptor(); }
std::uint64_t SharedFile::bytes() const noexcept { return impl_->bytes; }

SharedFile share(const std::filesystem::path& path) {
  const auto source = storage::ContainerReader::open(path);
  const std::uint64_t bytes = source->file_bytes();
  const std::uint64_t available = storage::available_memory();
  if (bytes > available) {
    throw Error(ErrorCode::io, "cannot share " + path.string() + ": it takes " +
                                   std::to_string(bytes) + " bytes of memory, " +
                                   std::to_string(available) + " are available");
  }
  auto impl = std::make_unique<SharedFile::Impl>(
      SharedFile::Impl{storage::File::create_in_memory(), bytes});
  copy_file(source->file(), bytes, impl->file);
  impl->file.seal();
  storage::ContainerReader::open(impl->file.path());  // what was copied is what was checked
  return SharedFile(std::move(impl));
}

}  // namespace cairn
