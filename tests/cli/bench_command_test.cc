#include <fstream>
#include <numeric>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "cairn/io.h"

#include "tests/cli/command_runner.h"
#include "tests/util/temp_dir.h"

namespace cairn::test {
namespace {

using nlohmann::json;
using testing::HasSubstr;

constexpr std::size_t kRows = 2000;
constexpr std::size_t kDim = 16;
constexpr std::size_t kQueries = 60;

class BenchCommand : public testing::Test {
 protected:
  void SetUp() override {
    Vectors all = clustered_vectors(kRows + kQueries, kDim, 20, 1);
    write_vectors(scratch_ / "base.fbin", {all.row(0), kRows, kDim});
    write_vectors(scratch_ / "query.fbin", {all.row(kRows), kQueries, kDim});
  }

  std::string path(const std::string& name) const { return (scratch_ / name).string(); }

  std::string succeed(std::vector<std::string> arguments) const {
    const CommandResult result = run_command(scratch_.path(), arguments);
    EXPECT_EQ(result.exit_code, 0) << result.err;
    EXPECT_EQ(result.err, "");
    return result.out;
  }

  json bench(std::vector<std::string> arguments) const {
    const std::vector<std::string> common{"bench", "--queries", path("query.fbin"), "--json", "-"};
    arguments.insert(arguments.begin(), common.begin(), common.end());
    return json::parse(succeed(arguments));
  }

  void build(const std::string& name) const {
    succeed({"build", "--input", path("base.fbin"), "--output", path(name)});
  }

  TempDir scratch_;
};

TEST_F(BenchCommand, ReportsEveryPointInFull) {
  const json report =
      bench({"--input", path("base.fbin"), "--recall", "0.8,0.99", "--repeat", "2"});
  for (const char* key : {"cpu", "isa", "compiler", "commit", "threads"}) {
    EXPECT_TRUE(report["machine"].contains(key)) << key;
  }
  EXPECT_EQ(report["data"]["n"], kRows);
  EXPECT_EQ(report["data"]["dim"], kDim);
  EXPECT_EQ(report["data"]["metric"], "l2");
  EXPECT_EQ(report["data"]["queries"], kQueries);
  EXPECT_EQ(report["data"]["name"], "base");
  EXPECT_EQ(report["data"]["truth"], "exact search");
  EXPECT_GT(report["build"]["seconds"], 0);
  EXPECT_GT(report["build"]["threads"], 0);
  EXPECT_GT(report["build"]["index_bytes_ram"], 0);
  EXPECT_GT(report["build"]["peak_rss_bytes"], kRows * kDim * sizeof(float));
  EXPECT_EQ(report["index"]["rows"], kRows);
  EXPECT_FALSE(report["tiers"].empty());
  ASSERT_EQ(report["points"].size(), 2u);
  for (const json& point : report["points"]) {
    EXPECT_GE(point["recall"], 0.6);
    EXPECT_LE(point["recall"], 1.0);
    EXPECT_GT(point["qps"], 0);
    EXPECT_GT(point["p50_us"], 0);
    EXPECT_GE(point["p95_us"], point["p50_us"]);
    EXPECT_GE(point["p99_us"], point["p95_us"]);
    EXPECT_GE(point["probes"], 1);
    EXPECT_GT(point["scanned_vectors"], 0);
    EXPECT_GE(point["exact_reads"], 10);
    EXPECT_EQ(point["threads"], 1);
    EXPECT_EQ(point["storage"], "memory");
  }
  EXPECT_EQ(report["points"][0]["target_recall"], 0.8);
  const json& histogram = report["latency_histogram"];
  EXPECT_EQ(histogram["target_recall"], 0.99);
  const auto counts = histogram["count"].get<std::vector<std::size_t>>();
  EXPECT_EQ(histogram["bucket_us"].size(), counts.size() + 1);
  EXPECT_EQ(std::accumulate(counts.begin(), counts.end(), std::size_t{0}), kQueries);
}

TEST_F(BenchCommand, RecallIsAgainstTheTruthGiven) {
  succeed({"truth", "--input", path("base.fbin"), "--queries", path("query.fbin"), "--k", "10",
           "--output", path("gt.ibin")});
  const std::vector<std::string> all{
      "--input", path("base.fbin"), "--truth", path("gt.ibin"), "--probes",
      "100000",  "--rerank",        "200",     "--repeat",      "1"};
  const json report = bench(all);
  EXPECT_EQ(report["data"]["truth"], "file");
  EXPECT_EQ(report["points"][0]["recall"], 1.0);
  EXPECT_TRUE(report["points"][0]["target_recall"].is_null());

  const std::vector<std::int32_t> nonsense(kQueries * 10, 1999999);
  write_int_matrix(path("gt.ibin"), nonsense.data(), kQueries, 10);
  std::vector<std::string> arguments{"bench", "--queries", path("query.fbin")};
  arguments.insert(arguments.end(), all.begin(), all.end());
  const CommandResult refused = run_command(scratch_.path(), arguments);
  EXPECT_EQ(refused.exit_code, 1);
  EXPECT_THAT(refused.err, HasSubstr("id 1999999 of query 0 is not in the index"));
}

TEST_F(BenchCommand, MeasuresASavedIndexWhereverItsVectorsAre) {
  build("base.cairn");
  const std::vector<std::string> common{
      "--index", path("base.cairn"), "--probes", "4,8", "--repeat", "1", "--max-queries", "40"};
  const auto with = [&](const std::string& storage) {
    std::vector<std::string> arguments = common;
    arguments.insert(arguments.end(), {"--storage", storage});
    return bench(arguments);
  };
  const json memory = with("memory");
  const json mmap = with("mmap");
  EXPECT_EQ(memory["data"]["queries"], 40);
  EXPECT_EQ(memory["points"][0]["storage"], "memory");
  EXPECT_EQ(mmap["points"][0]["storage"], "mmap");
  EXPECT_EQ(memory["points"][1]["recall"], mmap["points"][1]["recall"]);
  EXPECT_EQ(memory["points"][1]["exact_reads"], mmap["points"][1]["exact_reads"]);
  EXPECT_EQ(memory["points"][0]["leaves_scanned"], 4);
  const json compressed = with("compressed");
  EXPECT_EQ(compressed["points"][0]["storage"], "compressed");
  EXPECT_EQ(memory["points"][1]["recall"], compressed["points"][1]["recall"]);
  const json tiered = with("tiered");
  EXPECT_EQ(tiered["points"][0]["storage"], "tiered");
  EXPECT_EQ(memory["points"][1]["recall"], tiered["points"][1]["recall"]);
  EXPECT_FALSE(memory["points"][0].contains("storage_tiers"));
}

TEST_F(BenchCommand, TellsWhatTheTiersHaveDone) {
  const std::vector<std::string> common{"--input", path("base.fbin"), "--probes", "4", "--repeat",
                                        "2",       "--storage",       "tiered"};
  const auto with = [&](std::vector<std::string> more) {
    more.insert(more.begin(), common.begin(), common.end());
    return bench(more)["points"][0];
  };
  const json point = with({"--hot-bytes", "1M", "--warm-bytes", "0"});
  const json& tiers = point["storage_tiers"];
  EXPECT_EQ(tiers["hot"]["budget_bytes"], 1 << 20);
  EXPECT_EQ(tiers["warm_is_on"], false);
  EXPECT_EQ(tiers["warm_note"], "no bytes are given to it");
  EXPECT_EQ(tiers["hot"]["hits"].get<std::size_t>() + tiers["cold"]["hits"].get<std::size_t>(),
            2 * kQueries * point["exact_reads"].get<double>());
  EXPECT_NEAR(point["hot_share"].get<double>() + point["cold_share"].get<double>(), 1, 1e-9);
  EXPECT_GT(point["hot_share"], 0.3);  // room for all rows
  EXPECT_EQ(with({"--hot-bytes", "0", "--warm-bytes", "1M"})["hot_share"], 0.0);

  std::vector<std::string> arguments{"bench", "--queries", path("query.fbin")};
  arguments.insert(arguments.end(), common.begin(), common.end());
  const std::string text = succeed(arguments);
  EXPECT_THAT(text, HasSubstr("vectors in tiered"));
  EXPECT_THAT(text, HasSubstr("   tier     reads"));
  EXPECT_THAT(text, HasSubstr("the warm tier is off: float32 rows are"));
  arguments.insert(arguments.end(), {"--hot-bytes", "0", "--warm-bytes", "0"});
  EXPECT_THAT(run_command(scratch_.path(), arguments).err,
              HasSubstr("hot_bytes and warm_bytes are both 0"));
}

TEST_F(BenchCommand, SeveralClientsFindTheSame) {
  build("base.cairn");
  const json one = bench({"--index", path("base.cairn"), "--repeat", "1"});
  const json three = bench({"--index", path("base.cairn"), "--repeat", "1", "--threads", "3"});
  ASSERT_EQ(one["points"].size(), 4u);
  EXPECT_EQ(three["points"][0]["threads"], 3);
  for (std::size_t i = 0; i < 4; ++i) {
    EXPECT_EQ(one["points"][i]["recall"], three["points"][i]["recall"]);
  }
}

TEST_F(BenchCommand, UsesUserIdsInComputedTruth) {
  std::vector<VectorId> ids(kRows);
  for (std::size_t row = 0; row < kRows; ++row) ids[row] = 5000000000ull + row;
  write_ids(path("ids.u64bin"), ids);
  succeed({"build", "--input", path("base.fbin"), "--ids", path("ids.u64bin"), "--output",
           path("named.cairn")});
  EXPECT_EQ(bench({"--index", path("named.cairn"), "--probes", "100000", "--rerank", "200",
                   "--repeat", "1"})["points"][0]["recall"],
            1.0);
}

TEST_F(BenchCommand, PrintsATableAndWritesReports) {
  build("base.cairn");
  const std::string text =
      succeed({"bench", "--index", path("base.cairn"), "--queries", path("query.fbin"), "--repeat",
               "1", "--json", path("out.json"), "--html", path("out.html"), "--name", "my set"});
  EXPECT_THAT(text, HasSubstr("recall@10"));
  EXPECT_THAT(text, HasSubstr("recall on 60 of 60 queries, by exact search"));
  std::ifstream in(path("out.json"));
  EXPECT_EQ(json::parse(in)["data"]["name"], "my set");
  std::ifstream html(path("out.html"));
  const std::string page{std::istreambuf_iterator<char>(html), {}};
  EXPECT_THAT(page, HasSubstr("<title>my set - Cairn</title>"));
  EXPECT_THAT(page, HasSubstr("<svg"));
}

TEST_F(BenchCommand, ShowsPicturesWordsAndPeers) {
  {
    std::ofstream labels(path("labels.txt"));
    for (std::size_t row = 0; row < kRows; ++row) labels << "word" << row << "\r\n";
    std::ofstream(path("peers.json"))
        << R"([{"name": "other", "points": [{"recall": 0.9, "qps": 10}]}])";
  }
  const json words = bench({"--input", path("base.fbin"), "--repeat", "1", "--recall", "0.9",
                            "--labels", path("labels.txt"), "--query-labels", path("labels.txt"),
                            "--gallery", "3", "--k", "4", "--peers", path("peers.json")});
  EXPECT_EQ(words["gallery"]["kind"], "words");
  ASSERT_EQ(words["gallery"]["items"].size(), 3u);
  EXPECT_EQ(words["gallery"]["items"][1]["query"], "word20");
  EXPECT_EQ(words["gallery"]["items"][1]["results"].size(), 4u);
  EXPECT_THAT(words["gallery"]["items"][0]["results"][0]["label"].get<std::string>(),
              testing::StartsWith("word"));
  EXPECT_EQ(words["peers"][0]["name"], "other");

  const json images = bench({"--input", path("base.fbin"), "--repeat", "1", "--recall", "0.9",
                             "--image-shape", "8x2", "--labels", path("labels.txt")});
  EXPECT_EQ(images["gallery"]["kind"], "images");
  EXPECT_EQ(images["gallery"]["width"], 8);
  ASSERT_EQ(images["gallery"]["items"].size(), 12u);
  const json& item = images["gallery"]["items"][0];
  EXPECT_EQ(item["query"].size(), kDim);
  EXPECT_EQ(item["results"][0]["pixels"].size(), kDim);
  EXPECT_EQ(item["results"][0]["label"], "word" + item["results"][0]["id"].dump());
}

TEST_F(BenchCommand, RefusesWhatDoesNotFit) {
  build("base.cairn");
  const auto fail = [&](const std::vector<std::string>& extra) {
    std::vector<std::string> arguments{
        "bench", "--index", path("base.cairn"), "--queries", path("query.fbin"), "--repeat", "1"};
    arguments.insert(arguments.end(), extra.begin(), extra.end());
    const CommandResult result = run_command(scratch_.path(), arguments);
    EXPECT_EQ(result.exit_code, 1);
    return result.err;
  };
  EXPECT_THAT(fail({"--image-shape", "5x5", "--json", "-"}), HasSubstr("expected 16 pixels"));
  EXPECT_THAT(fail({"--json", path("none/out.json")}), HasSubstr("no such directory"));
  EXPECT_THAT(fail({"--labels", path("none.txt"), "--json", "-"}), HasSubstr("none.txt"));
  EXPECT_THAT(fail({"--peers", path("base.cairn"), "--json", "-"}),
              HasSubstr("expected a JSON array"));
  const std::vector<std::int32_t> few(5 * 3);
  write_int_matrix(path("few.ibin"), few.data(), 5, 3);
  EXPECT_THAT(fail({"--truth", path("few.ibin")}), HasSubstr("truth of 5 queries"));
  const std::vector<std::int32_t> narrow(kQueries * 3);
  write_int_matrix(path("narrow.ibin"), narrow.data(), kQueries, 3);
  EXPECT_THAT(fail({"--truth", path("narrow.ibin")}), HasSubstr("truth has 3 columns"));
}

}  // namespace
}  // namespace cairn::test
