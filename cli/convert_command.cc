#include <algorithm>
#include <cctype>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <limits>
#include <memory>
#include <string>
#include <utility>

#include <cairn/clustered_index.h>
#include <cairn/error.h>
#include <cairn/io.h>

#include "cli/arguments.h"
#include "cli/commands.h"
#include "cli/file_arguments.h"

namespace cairn::cli {
namespace {

enum class Content { floats, integers, ids, rows_of_ids };

std::string lower_extension(const std::filesystem::path& path) {
  std::string extension = path.extension().string();
  std::transform(extension.begin(), extension.end(), extension.begin(), [](char c) {
    return static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  });
  return extension;
}

// What the target holds: told by its name or, for .npy, which holds anything, by the source.
Content content_for(const std::filesystem::path& target, const VectorFileInfo& source) {
  const std::string extension = lower_extension(target);
  if (extension == ".u64bin") return source.dim == 1 ? Content::ids : Content::rows_of_ids;
  if (extension == ".ibin" || extension == ".ivecs") return Content::integers;
  if (extension != ".npy") return Content::floats;
  switch (source.type) {
    case ElementType::i8:
    case ElementType::i32:
    case ElementType::i64:
      return Content::integers;
    case ElementType::u32:
    case ElementType::u64:
      return source.dim == 1 ? Content::ids : Content::rows_of_ids;
    default:
      return Content::floats;
  }
}

// Integers from a file of floats, all of which must be integers; the rest is read_int_matrix()'s.
Matrix<std::int32_t> read_integers(const std::filesystem::path& source, ElementType type) {
  if (type != ElementType::f32 && type != ElementType::f64) return read_int_matrix(source);
  const Matrix<float> floats = read_vectors(source);
  Matrix<std::int32_t> matrix{{}, floats.rows, floats.dim};
  matrix.values.reserve(floats.values.size());
  for (const float value : floats.values) {
    if (!(std::abs(value) < 0x1p31f) || value != std::trunc(value)) {
      const std::size_t at = matrix.values.size();
      throw Error(ErrorCode::invalid_argument,
                  source.string() + ": row " + std::to_string(at / floats.dim) + ", column " +
                      std::to_string(at % floats.dim) + " is no integer that int32 can hold");
    }
    matrix.values.push_back(static_cast<std::int32_t>(value));
  }
  return matrix;
}

void run_convert(const std::filesystem::path& source, const std::filesystem::path& target,
                 std::size_t max_rows) {
  check_files({{"the source", source}}, {{"the target", target}});
  const VectorFileInfo info = read_vector_file_info(source);
  const std::size_t rows = std::min(info.rows, max_rows);
  switch (content_for(target, info)) {
    case Content::floats: {
      const Matrix<float> vectors = read_vectors(source, rows);
      write_vectors(target, {vectors.values.data(), rows, vectors.dim});
      break;
    }
    case Content::integers: {
      const Matrix<std::int32_t> matrix = read_integers(source, info.type);
      write_int_matrix(target, matrix.values.data(), rows, matrix.dim);
      break;
    }
    case Content::rows_of_ids: {
      Matrix<VectorId> ids = read_id_matrix(source);
      ids.values.resize(rows * ids.dim);
      write_result(target, {}, {rows, ids.dim, std::move(ids.values), {}});
      break;
    }
    case Content::ids: {
      std::vector<VectorId> ids = read_ids(source);
      ids.resize(rows);
      write_ids(target, ids);
      break;
    }
  }
  std::printf("wrote %zu x %zu values to %s\n", rows, info.dim, target.string().c_str());
}

}  // namespace

void add_convert_command(CLI::App& app) {
  struct Arguments {
    std::filesystem::path source;
    std::filesystem::path target;
    std::size_t max_rows = std::numeric_limits<std::size_t>::max();
  };
  CLI::App& command =
      *app.add_subcommand("convert", "Convert between vector file formats, exactly or not at all");
  const auto arguments = std::make_shared<Arguments>();
  CLI::Option* const source = command.add_option("--input,-i", arguments->source, "file to read");
  CLI::Option* const target = command.add_option("--output,-o", arguments->target,
                                                 "file to write; its extension tells the format");
  command.add_option("--rows", arguments->max_rows, "only so many rows from the start")
      ->check(at_least(1));
  add_file_arguments(command, "INPUT OUTPUT", {{source}, {target}}, [arguments] {
    run_convert(arguments->source, arguments->target, arguments->max_rows);
  });
}

}  // namespace cairn::cli
