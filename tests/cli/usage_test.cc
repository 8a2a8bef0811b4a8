// How commands are called: words that are not known, options that say nothing, files by place,
// queries from standard input.

#include <cmath>
#include <fstream>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "cairn/io.h"

#include "tests/cli/command_line.h"

namespace cairn::test {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

class Usage : public CommandLine {};

TEST_F(Usage, NamesTheNearestWord) {
  const auto says = [&](const std::vector<std::string>& arguments, const std::string& message) {
    EXPECT_THAT(fail(2, arguments), HasSubstr(message));
  };
  says({"serach"}, "unknown command 'serach'; did you mean 'search'?");
  says({"buidl", "a", "b"}, "unknown command 'buidl'; did you mean 'build'?");
  says({"conv", "a", "b"}, "unknown command 'conv'; did you mean 'convert'?");
  says({"add"}, "unknown command 'add' (see");
  says({"--verison"}, "unknown option '--verison'; did you mean '--version'?");
  says({"build", "--imput", "a"}, "unknown option '--imput'; did you mean '--input'?");
  says({"search", "a", "q", "--ouput=x.npy"}, "unknown option '--ouput'; did you mean '--output'?");
  says({"search", "a", "q", "--frobnicate"}, "unknown option '--frobnicate' (see");
  says({"info", "a", "b"}, "unexpected argument 'b'");
}

TEST_F(Usage, IgnoredOptionsAreErrors) {
  const std::string base = data("base.fbin"), index = data("base.cairn"),
                    query = data("query.fbin"), out = path("x.cairn");
  const auto refused = [&](const std::vector<std::string>& arguments, const std::string& message) {
    EXPECT_THAT(fail(2, arguments), HasSubstr(message));
  };
  for (const std::vector<std::string>& option : std::vector<std::vector<std::string>>{
           {"--encoding", "half"}, {"--zstd", "3"}, {"--block-rows", "8"}}) {
    const std::string message = option[0] + " requires --storage compressed";
    refused({"build", base, out, option[0], option[1]}, message);
    refused({"build", base, out, "--storage", "raw", option[0], option[1]}, message);
    refused({"recode", index, "-o", out, "--storage", "raw", option[0], option[1]}, message);
    refused({"bench", index, query, option[0], option[1]}, message);
    refused({"bench", index, query, "--storage", "mmap", option[0], option[1]}, message);
  }
  refused({"bench", index, query, "--hot-bytes", "1M"}, "--hot-bytes requires --storage tiered");
  refused({"bench", index, query, "--storage", "compressed", "--warm-bytes", "1M"},
          "--warm-bytes requires --storage tiered");
  refused({"bench", index, query, "--name", "x"}, "--name requires --json or --html");
  refused({"bench", index, query, "--json", "-", "--gallery", "3"},
          "--gallery requires --image-shape or --labels");
  refused({"bench", index, query, "--seed", "3"}, "--seed requires --input");
  refused({"bench", index, query, "--html", "-"}, "expected a file");
  refused({"search", index, query, "--range", "1", "--rerank", "2"}, "--rerank excludes --range");
  refused({"search", index, query, "--json", "-o", path("a.npy")}, "excludes");
  refused({"truth", "--index", index, query, path("a.npy"), "--metric", "ip"}, "excludes");
  refused({"truth", "--index", index, query, path("a.npy"), "--ids", "i.u64bin"}, "excludes");
}

TEST_F(Usage, NumbersBelowZeroAndEmptyTextsAreErrors) {
  const std::string base = data("base.fbin"), index = data("base.cairn"),
                    query = data("query.fbin"), out = path("x.cairn");
  for (const char* option : {"--seed", "--threads", "--memory-limit", "--max-leaf-size",
                             "--branching-factor", "--refine-bits", "--iterations"}) {
    for (const char* value : {"-1", "-1000", "-18446744073709551615", ""}) {
      EXPECT_THAT(fail(2, {"build", base, out, option, value}), HasSubstr(option)) << value;
    }
  }
  for (const char* option : {"--k", "--probes", "--threads", "--max-microseconds", "--rerank"}) {
    EXPECT_THAT(fail(2, {"search", index, query, option, "-1"}), HasSubstr(option));
  }
  for (const char* option : {"--gallery", "--repeat", "--max-queries", "--hot-bytes"}) {
    EXPECT_THAT(fail(2, {"bench", index, query, option, "-1"}), HasSubstr(option));
  }
  fail(2, {"convert", base, path("a.npy"), "--rows", "-1"});
  fail(2, {"build", base, ""});
  fail(2, {"build", base, out, "--ids", ""});
  fail(2, {"search", index, query, "--filter", ""});
}

TEST_F(Usage, FilesGoByPlaceOrByOption) {
  const std::string index = data("base.cairn"), query = data("query.fbin");
  const std::string expected = succeed({"search", "--index", index, "--queries", query});
  EXPECT_EQ(succeed({"search", index, query}), expected);
  EXPECT_EQ(succeed({"search", query, "--index", index}), expected);
  EXPECT_EQ(succeed({"search", index, "-q", query}), expected);
  succeed({"build", data("base.fbin"), path("a.cairn"), "--threads", "1"});
  EXPECT_EQ(read_file(path("a.cairn")), read_file(index));
  succeed({"info", "--index", index});
  succeed({"verify", "--index", index});
  succeed({"analyze", "--input", query});
  succeed({"convert", "--input", query, "--output", path("q.npy")});
  succeed({"calibrate", index, query, "-o", path("c.cairn")});
  succeed({"bench", index, query, "--repeat", "1", "--recall", "0.9,0.95"});
  succeed({"bench", "--recall", "0.9", index, query, "--repeat", "1"});
  succeed({"bench", "--input", data("base.fbin"), query, "--repeat", "1", "--recall", "0.9"});
  EXPECT_THAT(fail(2, {"search", index}), HasSubstr("--queries"));
  EXPECT_THAT(fail(2, {"bench", "--index", index, "--input", index, query}), HasSubstr("excludes"));
}

TEST_F(Usage, MetricsHaveManyNames) {
  for (const auto& [name, metric] : std::vector<std::pair<std::string, std::string>>{
           {"L2", "l2"}, {"euclidean", "l2"}, {"Dot", "ip"}, {"angular", "cosine"}}) {
    succeed({"build", data("base.fbin"), path("m.cairn"), "--metric", name, "--iterations", "1"});
    EXPECT_THAT(succeed({"info", path("m.cairn")}), HasSubstr("metric " + metric));
  }
}

TEST_F(Usage, QueriesComeFromStandardInput) {
  const std::string index = data("base.cairn"), query = data("query.fbin");
  const std::string expected = succeed({"search", index, query, "--k", "3"});
  const auto piped = [&](const std::string& file) {
    const CommandResult result =
        run_command(scratch_.path(), {"search", index, "-", "--k", "3"}, file);
    EXPECT_EQ(result.err, "");
    return result.out;
  };
  EXPECT_EQ(piped(query), expected);
  succeed({"convert", query, path("q.npy")});
  EXPECT_EQ(piped(path("q.npy")), expected);
  const Matrix<float> values = read_vectors(query);
  for (const char* separator : {" ", ", ", ";"}) {
    std::ofstream lines(path("q.txt"));
    lines.precision(9);
    for (std::size_t row = 0; row < values.rows; ++row) {
      for (std::size_t i = 0; i < values.dim; ++i) lines << values.row(row)[i] << separator;
      lines << "\n\n";
    }
    lines.close();
    EXPECT_EQ(piped(path("q.txt")), expected);
  }
  for (const auto& [text, message] : std::vector<std::pair<std::string, std::string>>{
           {"", "standard input: is empty"},
           {"1 2 x\n", "standard input: line 1, value 2 is no number"},
           {"1 2\n1 2 3\n", "standard input: line 2 has 3 numbers; expected 2"},
           {"1 2\n", "standard input: queries have dimension 2; expected that of the index, 24"},
           {std::string(24, '\1'), "standard input: the header says"}}) {
    std::ofstream(path("q.txt")) << text;
    const CommandResult result =
        run_command(scratch_.path(), {"search", index, "-"}, path("q.txt"));
    EXPECT_EQ(result.exit_code, 1);
    EXPECT_THAT(result.err, HasSubstr(message));
  }
}

TEST_F(Usage, AListOfOneQueryIsAQuery) {
  const Matrix<float> values = read_vectors(data("query.fbin"), 1);
  const auto write_list = [&](std::size_t count) {
    std::string header =
        "{'descr': '<f4', 'fortran_order': False, 'shape': (" + std::to_string(count) + ",), }";
    header.resize(117, ' ');
    std::ofstream(path("one.npy"), std::ios::binary)
        << std::string("\x93NUMPY\x01\x00\x76\x00", 10) << header << '\n'
        << std::string(reinterpret_cast<const char*>(values.values.data()), 4 * count);
  };
  write_list(kDim);
  EXPECT_THAT(succeed({"search", data("base.cairn"), path("one.npy")}), StartsWith("query 0:  "));
  write_list(5);
  EXPECT_THAT(fail(1, {"search", data("base.cairn"), path("one.npy")}),
              HasSubstr("one query of 5 values; expected 24"));
}

TEST_F(Usage, SearchPrintsJson) {
  const auto json = nlohmann::json::parse(
      succeed({"search", data("base.cairn"), data("query.fbin"), "--k", "3", "--json"}));
  ASSERT_EQ(json["queries"].size(), kQueries);
  EXPECT_EQ(json["queries"][0]["ids"].size(), 3u);
  EXPECT_LE(json["queries"][0]["distances"][0], json["queries"][0]["distances"][1]);
  const auto cut = nlohmann::json::parse(succeed({"search", data("base.cairn"), data("query.fbin"),
                                                  "--json", "--max-microseconds", "3600000000"}));
  EXPECT_EQ(cut["queries"][0]["is_cut_short"], false);
}

TEST_F(Usage, RangesArePrintedTenALine) {
  const std::string text =
      succeed({"search", data("base.cairn"), data("query.fbin"), "--range", "1e30"});
  EXPECT_THAT(text, HasSubstr("  ... and 2990 more\n"));
  EXPECT_LT(text.find('\n'), 300u);
}

}  // namespace
}  // namespace cairn::test
