#include "tests/cli/command_line.h"

#include <fstream>
#include <limits>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "cairn/exact_search.h"
#include "cairn/io.h"

#include "tests/util/temp_dir.h"

namespace cairn::test {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

TEST_F(CommandLine, RecodesAnIndexThereAndBack) {
  succeed({"build", "--input", data("base.fbin"), "--output", path("a.cairn"), "--threads", "1",
           "--storage", "compressed", "--zstd", "3"});
  const std::uintmax_t small = std::filesystem::file_size(path("a.cairn"));
  EXPECT_LT(small, std::filesystem::file_size(data("base.cairn")));
  EXPECT_EQ(succeed({"verify", path("a.cairn")}), "ok\n");
  EXPECT_THAT(succeed({"recode", path("a.cairn"), "--storage", "raw"}), HasSubstr("wrote"));
  EXPECT_EQ(read_file(path("a.cairn")), read_file(data("base.cairn")));
  succeed({"recode", path("a.cairn"), "--storage", "compressed", "--zstd", "3", "--output",
           path("b.cairn")});
  EXPECT_EQ(std::filesystem::file_size(path("b.cairn")), small);
  for (const char* index : {"a.cairn", "b.cairn"}) {
    succeed({"search", "--index", path(index), "--queries", data("query.fbin"), "--output",
             path(std::string(index) + ".ibin")});
  }
  EXPECT_EQ(read_file(path("a.cairn.ibin")), read_file(path("b.cairn.ibin")));
  EXPECT_THAT(fail(2, {"recode", path("a.cairn"), "--storage", "compressed", "--encoding", "tiny"}),
              HasSubstr("unknown encoding 'tiny'"));
  EXPECT_THAT(fail(2, {"recode", path("a.cairn"), "--storage", "compressed", "--zstd", "23"}),
              HasSubstr("--zstd"));
  EXPECT_THAT(fail(1, {"recode", path("missing"), "--storage", "raw"}), HasSubstr("missing"));
}

TEST_F(CommandLine, AnalyzesVectors) {
  const std::string text = succeed({"analyze", data("base.fbin"), "--zstd", "1"});
  for (const char* expected : {"3000 x 24 vectors", "entropy", "ceiling", "exponent", "float32",
                               "delta16", "LOSSY", "auto"}) {
    EXPECT_THAT(text, HasSubstr(expected));
  }
  const auto report = nlohmann::json::parse(succeed({"analyze", data("base.fbin"), "--json"}));
  EXPECT_EQ(report["rows"], 3000);
  EXPECT_GT(report["exponent_ceiling"], 1.1);
  EXPECT_LT(report["exponent_entropy"], 8);
  EXPECT_THAT(fail(2, {"analyze", data("base.fbin"), "--zstd", "0"}), HasSubstr("--zstd"));
  EXPECT_THAT(fail(1, {"analyze", path("missing.fbin")}), HasSubstr("missing.fbin"));
}

TEST_F(CommandLine, BuildIsTheSameForAnyThreads) {
  succeed({"build", "--input", data("base.fbin"), "--output", path("two.cairn"), "--threads", "2"});
  succeed({"search", "--index", data("base.cairn"), "--queries", data("query.fbin"), "--output",
           path("one.ibin")});
  succeed({"search", "--index", path("two.cairn"), "--queries", data("query.fbin"), "--output",
           path("two.ibin"), "--threads", "1"});
  EXPECT_EQ(read_file(path("one.ibin")), read_file(path("two.ibin")));
}

TEST_F(CommandLine, InfoDescribesTheIndex) {
  const std::string text = succeed({"info", data("base.cairn")});
  EXPECT_THAT(text, HasSubstr("3000 vectors of 24 dimensions, metric l2"));
  EXPECT_THAT(text, HasSubstr("leaves (codes) scanned on average for a recall of"));
  EXPECT_THAT(text, HasSubstr(" times the target of 64)"));
  const auto json = nlohmann::json::parse(succeed({"info", "--json", data("base.cairn")}));
  EXPECT_EQ(json["index"]["rows"], kRows);
  EXPECT_EQ(json["index"]["dim"], kDim);
  EXPECT_EQ(json["index"]["metric"], "l2");
  EXPECT_EQ(json["file_bytes"], std::filesystem::file_size(data("base.cairn")));
  EXPECT_EQ(json["calibrated_probes"].size(), 15u);
  EXPECT_EQ(json["calibrated_probes"][7]["target_recall"], 0.95);
  EXPECT_EQ(json["calibrated_probes"][7]["k"], 10);
  EXPECT_GE(json["calibrated_probes"][4]["probes"], json["calibrated_probes"][0]["probes"]);
  std::uint64_t disk_bytes = 0;
  for (const auto& tier : json["tiers"]) disk_bytes += tier["disk_bytes"].get<std::uint64_t>();
  EXPECT_EQ(disk_bytes, kRows * kDim * sizeof(float));
}

TEST_F(CommandLine, CalibrateMeasuresOnQueriesAndKeepsIt) {
  const std::string text = succeed({"calibrate", data("base.cairn"), "--queries",
                                    data("query.fbin"), "--output", path("calibrated.cairn")});
  EXPECT_THAT(text, HasSubstr("calibrated " + path("calibrated.cairn")));
  EXPECT_THAT(text, HasSubstr("leaves (codes) scanned on average for a recall of"));
  EXPECT_THAT(succeed({"info", path("calibrated.cairn")}),
              HasSubstr(text.substr(text.find("leaves (codes)"))));
  succeed({"verify", path("calibrated.cairn")});
  EXPECT_NE(read_file(path("calibrated.cairn")), read_file(data("base.cairn")));
}

TEST_F(CommandLine, TruthIsExactAndSearchOfAllLeavesFindsIt) {
  succeed({"truth", "--input", data("base.fbin"), "--queries", data("query.fbin"), "--k", "10",
           "--output", path("gt.ibin")});
  const Matrix<std::int32_t> ids = read_int_matrix(path("gt.ibin"));
  const Matrix<float> distances = read_vectors(path("gt.distances.fbin"));
  const Matrix<float> base = read_vectors(data("base.fbin"));
  const Matrix<float> queries = read_vectors(data("query.fbin"));
  const BatchResult expected = exact_search(
      {base.values.data(), kRows, kDim}, {queries.values.data(), kQueries, kDim}, 10, Metric::l2);
  EXPECT_EQ(ids.values, std::vector<std::int32_t>(expected.ids.begin(), expected.ids.end()));
  EXPECT_EQ(distances.values, expected.distances);

  succeed({"search", "--index", data("base.cairn"), "--queries", data("query.fbin"), "--k", "10",
           "--probes", "100000", "--rerank", "300", "--output", path("found.ibin"), "--distances"});
  EXPECT_EQ(read_file(path("found.ibin")), read_file(path("gt.ibin")));
  EXPECT_EQ(read_file(path("found.distances.fbin")), read_file(path("gt.distances.fbin")));
}

TEST_F(CommandLine, SearchFiltersAndKeepsWithinDistances) {
  write_ids(path("allowed.u64bin"), {5, 17, 400, 1999, 123456789});
  const std::vector<std::string> search = {
      "search",           "--index",  data("base.cairn"), "--queries",
      data("query.fbin"), "--output", path("some.ibin"),  "--distances"};
  const auto run = [&](std::vector<std::string> more) {
    more.insert(more.begin(), search.begin(), search.end());
    return succeed(more);
  };
  run({"--filter", path("allowed.u64bin"), "--k", "6"});
  Matrix<std::int32_t> ids = read_int_matrix(path("some.ibin"));
  Matrix<float> distances = read_vectors(path("some.distances.fbin"));
  ASSERT_EQ(ids.dim, 6u);
  for (std::size_t query = 0; query < kQueries; ++query) {
    std::vector<std::int32_t> row(ids.row(query), ids.row(query) + 6);
    std::sort(row.begin(), row.end());
    EXPECT_EQ(row, (std::vector<std::int32_t>{-1, -1, 5, 17, 400, 1999}));
  }
  // All within the distance of the second nearest, then at most the nearest of them.
  const float farthest = distances.row(0)[1];
  const std::string distance = std::to_string(farthest * 1.0001f);
  run({"--filter", path("allowed.u64bin"), "--range", distance});
  ids = read_int_matrix(path("some.ibin"));
  EXPECT_EQ(std::count_if(ids.row(0), ids.row(0) + ids.dim, [](auto id) { return id >= 0; }), 2);
  run({"--filter", path("allowed.u64bin"), "--range", distance, "--limit", "1"});
  EXPECT_EQ(read_int_matrix(path("some.ibin")).dim, 1u);
  run({"--filter", path("allowed.u64bin"), "--max-distance", distance, "--k", "4"});
  ids = read_int_matrix(path("some.ibin"));
  EXPECT_EQ(std::count_if(ids.row(0), ids.row(0) + 4, [](auto id) { return id >= 0; }), 2);
  EXPECT_THAT(run({"--probes", "100000", "--max-microseconds", "1"}),
              HasSubstr("cut short by --max-microseconds"));
  run({"--range", distance, "--max-microseconds", "3600000000"});
}

TEST_F(CommandLine, SearchPrintsFirstRows) {
  const std::string text = succeed({"search", "--index", data("base.cairn"), "--queries",
                                    data("base.fbin"), "--k", "2", "--recall", "0.99"});
  EXPECT_THAT(text, StartsWith("query 0:  0 (0)  "));
  EXPECT_THAT(text, HasSubstr("... and 2990 more queries"));
}

TEST_F(CommandLine, IdsOfTheUserComeBack) {
  std::vector<VectorId> ids(kRows);
  for (std::size_t row = 0; row < kRows; ++row) ids[row] = 1000000 + 7 * row;
  write_ids(path("ids.u64bin"), ids);
  succeed({"build", "--input", data("base.fbin"), "--output", path("named.cairn"), "--ids",
           path("ids.u64bin")});
  EXPECT_THAT(succeed({"search", "--index", path("named.cairn"), "--queries", data("base.fbin"),
                       "--k", "1", "--recall", "0.99"}),
              StartsWith("query 0:  1000000 (0)\nquery 1:  1000007 (0)\n"));
  ids[0] = 1ull << 40;
  write_ids(path("ids.u64bin"), ids);
  succeed({"build", "--input", data("base.fbin"), "--output", path("wide.cairn"), "--ids",
           path("ids.u64bin")});
  EXPECT_THAT(fail(1, {"search", "--index", path("wide.cairn"), "--queries", data("base.fbin"),
                       "--k", "1", "--recall", "0.99", "--output", path("out.ibin")}),
              HasSubstr("holds int32, but there are ids up to 1099511627776"));
}

TEST_F(CommandLine, PayloadsAreFoundWithTheirVectors) {
  const auto write_lines = [&](std::size_t lines) {
    std::ofstream out(path("lines.jsonl"));
    for (std::size_t row = 0; row < lines; ++row) out << "{\"row\": " << row << "}\n";
  };
  const std::vector<std::string> build = {
      "build",         "--input",   data("base.fbin"),  "--output",
      path("p.cairn"), "--payload", path("lines.jsonl")};
  write_lines(kRows - 1);
  EXPECT_THAT(fail(1, build), HasSubstr("payloads: expected one per row, 3000, found 2999"));
  write_lines(kRows);
  succeed(build);
  EXPECT_EQ(succeed({"verify", path("p.cairn")}), "ok\n");
  succeed({"recode", path("p.cairn"), "--storage", "compressed"});
  const std::vector<std::string> search = {
      "search", "--index", path("p.cairn"), "--queries", data("base.fbin"),
      "--k",    "1",       "--recall",      "0.99",      "--payload"};
  EXPECT_THAT(succeed(search), StartsWith("query 0:\n  0 (0)  {\"row\": 0}\n"
                                          "query 1:\n  1 (0)  {\"row\": 1}\n"));
  EXPECT_THAT(succeed({"info", path("p.cairn")}), HasSubstr("\n  payloads "));
  const auto json = nlohmann::json::parse(succeed({"info", "--json", path("p.cairn")}));
  EXPECT_EQ(json["index"]["payload_raw_bytes"],
            std::filesystem::file_size(path("lines.jsonl")) - kRows);
  std::vector<std::string> without = search;
  without[2] = data("base.cairn");
  EXPECT_THAT(fail(1, without), HasSubstr("base.cairn: has no payloads; build it with --payload"));
  std::vector<std::string> both = search;
  both.insert(both.end(), {"--output", path("out.ibin")});
  EXPECT_THAT(fail(2, both), HasSubstr("--payload"));
}

TEST_F(CommandLine, BuildsForEveryMetric) {
  for (const std::string metric : {"l2", "ip", "cosine"}) {
    succeed({"build", "--input", data("base.fbin"), "--output", path("m.cairn"), "--metric", metric,
             "--refine-bits", "0", "--max-leaf-size", "100", "--iterations", "3"});
    EXPECT_THAT(succeed({"info", path("m.cairn")}), HasSubstr("metric " + metric));
  }
}

TEST_F(CommandLine, VerifyFindsEveryDamagedBlock) {
  EXPECT_EQ(succeed({"verify", data("base.cairn")}), "ok\n");
  const std::vector<std::byte> whole = read_file(data("base.cairn"));
  for (std::size_t at = 0; at < whole.size(); at += whole.size() / 7) {
    std::vector<std::byte> damaged = whole;
    damaged[at] ^= std::byte{0x10};
    write_file(path("damaged.cairn"), damaged);
    fail(1, {"verify", path("damaged.cairn")});
  }
  write_file(path("damaged.cairn"), {whole.begin(), whole.end() - 1});
  fail(1, {"info", path("damaged.cairn")});
  fail(1, {"search", "--index", path("damaged.cairn"), "--queries", data("query.fbin")});
}

TEST_F(CommandLine, ConvertsThereAndBack) {
  write_vectors(path("a.fbin"), Vectors{{1, 2, 3, 4, 255, 0}, 3, 2}.view());
  std::string from = path("a.fbin");
  for (const char* name :
       {"b.fvecs", "c.npy", "d.u8bin", "e.bvecs", "f.ibin", "g.ivecs", "h.npy", "i.fbin"}) {
    succeed({"convert", from, path(name)});
    from = path(name);
  }
  EXPECT_EQ(read_file(path("i.fbin")), read_file(path("a.fbin")));
  EXPECT_EQ(succeed({"convert", "--rows", "2", path("a.fbin"), path("two.fvecs")}),
            "wrote 2 x 2 values to " + path("two.fvecs") + "\n");
  EXPECT_EQ(read_vectors(path("two.fvecs")).values, (std::vector<float>{1, 2, 3, 4}));
  EXPECT_THAT(fail(1, {"convert", data("base.fbin"), path("x.u8bin")}),
              HasSubstr("row 0, column 0"));
  EXPECT_THAT(fail(1, {"convert", data("base.fbin"), path("x.ibin")}),
              HasSubstr("row 0, column 0"));
  fail(1, {"convert", data("base.fbin"), path("x.u64bin")});
  write_ids(path("ids.u64bin"), {1ull << 60, 3});
  succeed({"convert", path("ids.u64bin"), path("ids.npy")});
  succeed({"convert", path("ids.npy"), path("back.u64bin")});
  EXPECT_EQ(read_file(path("back.u64bin")), read_file(path("ids.u64bin")));
}

TEST_F(CommandLine, WrongUsageExitsWithTwo) {
  const std::string in = data("base.fbin"), out = path("x.cairn"), index = data("base.cairn"),
                    queries = data("query.fbin");
  fail(2, {});
  fail(2, {"frobnicate"});
  fail(2, {"build"});
  fail(2, {"build", "--input", in});
  EXPECT_THAT(fail(2, {"build", "--input", in, "--output", out, "--metric", "hamming"}),
              HasSubstr("unknown metric 'hamming'; expected l2, ip or cosine"));
  fail(2, {"build", "--input", in, "--output", out, "--refine-bits", "9"});
  fail(2, {"build", "--input", in, "--output", out, "--frob"});
  fail(2, {"build", "--input", in, "--output", out, "--threads", "-1"});
  fail(2, {"search", "--index", index, "--queries", queries, "--k", "0"});
  fail(2, {"search", "--index", index, "--queries", queries, "--recall", "0"});
  fail(2, {"search", "--index", index, "--queries", queries, "--recall", "nan"});
  fail(2, {"search", "--index", index, "--queries", queries, "--recall", "0.9", "--probes", "3"});
  fail(2, {"search", "--index", index, "--queries", queries, "--output", path("x.fbin")});
  fail(2, {"search", "--index", index, "--queries", queries, "--distances"});
  fail(2, {"search", "--index", index, "--queries", queries, "--range", "near"});
  fail(2, {"search", "--index", index, "--queries", queries, "--range", "1", "--k", "3"});
  fail(2, {"search", "--index", index, "--queries", queries, "--limit", "3"});
  fail(2, {"search", "--index", index, "--queries", queries, "--max-microseconds", "0"});
  fail(2, {"truth", "--input", in, "--queries", queries, "--output", path("gt.txt")});
  fail(2, {"bench", "--queries", queries});
  fail(2, {"bench", "--index", index, "--input", in, "--queries", queries});
  fail(2, {"bench", "--index", index, "--metric", "l2", "--queries", queries});
  fail(2, {"bench", "--index", index, "--queries", queries, "--recall", "0.9,1.5"});
  fail(2, {"bench", "--index", index, "--queries", queries, "--image-shape", "28"});
  fail(2, {"convert", in});
}

TEST_F(CommandLine, HelpAndVersionSucceed) {
  EXPECT_THAT(succeed({"--help"}), HasSubstr("build"));
  EXPECT_THAT(succeed({"--version"}), StartsWith("cairn "));
  for (const char* command : {"build", "search", "bench", "truth", "info", "verify", "convert"}) {
    EXPECT_THAT(succeed({command, "--help"}), HasSubstr("Usage: cairn "));
  }
}

TEST_F(CommandLine, ReportsWhatABuildTook) {
  const std::vector<std::string> build = {"build",    "--input",       data("base.fbin"),
                                          "--output", path("b.cairn"), "--memory-limit"};
  const auto with = [&](std::vector<std::string> more) {
    more.insert(more.begin(), build.begin(), build.end());
    return more;
  };
  EXPECT_THAT(succeed(with({"256M"})), HasSubstr(", encode 0."));
  const auto json = nlohmann::json::parse(succeed(with({"1GiB", "--json"})));
  EXPECT_EQ(json.at("index").at("rows"), kRows);
  EXPECT_EQ(json.at("phases").front().at("name"), "validate");
  EXPECT_EQ(json.at("phases").back().at("name"), "write");
  EXPECT_GT(json.at("peak_anonymous_bytes"), 1000);
  std::filesystem::remove(path("b.cairn"));
  EXPECT_THAT(fail(1, with({"1M"})), HasSubstr("memory_limit_bytes: expected at least"));
  fail(2, with({"much"}));
}

TEST_F(CommandLine, NamesWhatIsWrongWithItsInput) {
  const std::string out = path("x.cairn");
  EXPECT_THAT(fail(1, {"build", "--input", path("none.fbin"), "--output", out}),
              HasSubstr("none.fbin: No such file or directory"));
  EXPECT_THAT(fail(1, {"build", "--input", data("base.cairn"), "--output", out}),
              HasSubstr("unknown extension '.cairn'"));
  EXPECT_THAT(fail(1, {"build", "--input", data("base.fbin"), "--output", path("none/x.cairn")}),
              HasSubstr("no such directory"));
  EXPECT_THAT(
      fail(1, {"build", "--input", data("base.fbin"), "--output", scratch_.path().string()}),
      HasSubstr("it is a directory"));
  Matrix<float> base = read_vectors(data("base.fbin"), 40);
  base.values[17 * kDim + 3] = std::numeric_limits<float>::quiet_NaN();
  write_vectors(path("nan.fbin"), {base.values.data(), 40, kDim});
  EXPECT_THAT(fail(1, {"build", "--input", path("nan.fbin"), "--output", out}),
              HasSubstr("row 17, column 3 is nan; expected finite values"));
  EXPECT_THAT(fail(1, {"search", "--index", data("base.cairn"), "--queries", path("nan.fbin")}),
              HasSubstr("row 17, column 3 is nan; expected finite values"));
  write_vectors(path("wide.fbin"), {base.values.data(), 40 / 2, kDim * 2});
  for (const char* command : {"search", "bench"}) {
    EXPECT_THAT(fail(1, {command, "--index", data("base.cairn"), "--queries", path("wide.fbin")}),
                HasSubstr("queries have dimension 48; expected that of the index, 24"));
  }
  EXPECT_THAT(fail(1, {"truth", "--input", data("base.fbin"), "--queries", path("wide.fbin"),
                       "--output", path("gt.ibin")}),
              HasSubstr("dimension 48"));
  EXPECT_THAT(fail(1, {"info", path("none.cairn")}), HasSubstr("none.cairn"));
  EXPECT_THAT(fail(1, {"info", data("base.fbin")}), HasSubstr("base.fbin"));
  write_ids(path("short.u64bin"), {1, 2});
  fail(1, {"build", "--input", data("base.fbin"), "--output", out, "--ids", path("short.u64bin")});
}

}  // namespace
}  // namespace cairn::test
