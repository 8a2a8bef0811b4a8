#include "storage/block_codec.h"

#include <zdict.h>
#include <zstd.h>

#include "cairn/error.h"

namespace cairn::storage {
namespace {

struct Free {
  void operator()(ZSTD_CCtx* context) const { ZSTD_freeCCtx(context); }
  void operator()(ZSTD_DCtx* context) const { ZSTD_freeDCtx(context); }
  void operator()(ZSTD_CDict* dictionary) const { ZSTD_freeCDict(dictionary); }
  void operator()(ZSTD_DDict* dictionary) const { ZSTD_freeDDict(dictionary); }
};

// Contexts are made once a thread.
ZSTD_CCtx* compressor() {
  thread_local const std::unique_ptr<ZSTD_CCtx, Free> context(ZSTD_createCCtx());
  return context.get();
}

ZSTD_DCtx* decompressor() {
  thread_local const std::unique_ptr<ZSTD_DCtx, Free> context(ZSTD_createDCtx());
  return context.get();
}

}  // namespace

struct BlockCodec::Impl {
  int level = 0;
  std::unique_ptr<ZSTD_CDict, Free> for_compression;
  std::unique_ptr<ZSTD_DDict, Free> for_decompression;
};

BlockCodec::BlockCodec(int level, std::span<const std::byte> dictionary)
    : impl_(std::make_unique<Impl>()) {
  impl_->level = level;
  if (dictionary.empty()) return;
  if (level > 0) {
    impl_->for_compression.reset(ZSTD_createCDict(dictionary.data(), dictionary.size(), level));
  }
  impl_->for_decompression.reset(ZSTD_createDDict(dictionary.data(), dictionary.size()));
  if (impl_->for_decompression == nullptr || (level > 0 && impl_->for_compression == nullptr)) {
    throw Error(ErrorCode::corrupt, "zstd cannot use the dictionary of " +
                                        std::to_string(dictionary.size()) + " bytes");
  }
}

BlockCodec::~BlockCodec() = default;

std::vector<std::byte> BlockCodec::compress(std::span<const std::byte> block) const {
  ZSTD_CCtx* const context = compressor();
  if (context == nullptr) throw std::bad_alloc();
  ZSTD_CCtx_reset(context, ZSTD_reset_session_and_parameters);
  ZSTD_CCtx_setParameter(context, ZSTD_c_compressionLevel, impl_->level);
  // The size is known, the block has a checksum of its own, and there is one dictionary at most.
  ZSTD_CCtx_setParameter(context, ZSTD_c_contentSizeFlag, 0);
  ZSTD_CCtx_setParameter(context, ZSTD_c_dictIDFlag, 0);
  ZSTD_CCtx_refCDict(context, impl_->for_compression.get());
  std::vector<std::byte> frame(block.size());
  const std::size_t size =
      ZSTD_compress2(context, frame.data(), frame.size(), block.data(), block.size());
  if (ZSTD_isError(size) || size >= block.size()) return {};  // no room: not smaller
  frame.resize(size);
  return frame;
}

bool BlockCodec::decompress(std::span<const std::byte> frame,
                            std::span<std::byte> block) const noexcept {
  ZSTD_DCtx* const context = decompressor();
  if (context == nullptr) return false;
  const ZSTD_DDict* const dictionary = impl_->for_decompression.get();
  const std::size_t size =
      dictionary != nullptr
          ? ZSTD_decompress_usingDDict(context, block.data(), block.size(), frame.data(),
                                       frame.size(), dictionary)
          : ZSTD_decompressDCtx(context, block.data(), block.size(), frame.data(), frame.size());
  return size == block.size();
}

std::vector<std::byte> train_dictionary(std::span<const std::byte> samples,
                                        std::span<const std::size_t> sizes, std::size_t max_bytes) {
  std::vector<std::byte> dictionary(max_bytes);
  const std::size_t size =
      ZDICT_trainFromBuffer(dictionary.data(), dictionary.size(), samples.data(), sizes.data(),
                            static_cast<unsigned>(sizes.size()));
  dictionary.resize(ZDICT_isError(size) ? 0 : size);
  return dictionary;
}

}  // namespace cairn::storage
