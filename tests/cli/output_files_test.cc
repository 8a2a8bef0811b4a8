// What commands write, over what, and what they refuse to write over.

#include <filesystem>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include "cairn/io.h"
#include "cairn/vector_store.h"

#include "tests/cli/command_line.h"

namespace cairn::test {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

class OutputFiles : public CommandLine {
 protected:
  // A copy to be put at risk.
  std::string copy(const std::string& name, const std::string& as) const {
    fs::copy_file(data(name), path(as));
    return path(as);
  }

  // The command fails with this message, and the file is as it was.
  void refuses(const std::vector<std::string>& arguments, const std::string& message,
               const std::string& kept) const {
    const auto before = read_file(kept);
    EXPECT_THAT(fail(1, arguments), HasSubstr(message));
    EXPECT_EQ(read_file(kept), before);
  }
};

TEST_F(OutputFiles, AreNeverInputs) {
  const std::string base = copy("base.fbin", "base.fbin");
  const std::string query = copy("query.fbin", "query.fbin");
  const std::string index = copy("base.cairn", "base.cairn");
  write_ids(path("ids.u64bin"), {1, 2, 3});
  const std::string ids = path("ids.u64bin");
  fs::create_symlink("base.fbin", path("symbolic"));
  fs::create_hard_link(base, path("hard"));
  for (const char* name : {"base.fbin", "symbolic", "hard"}) {
    refuses({"build", base, path(name)}, "would overwrite --input", base);
  }
  refuses({"build", base, scratch_.path().string() + "/./base.fbin"}, "would overwrite", base);
  refuses({"build", base, ids, "--ids", ids}, "would overwrite --ids", ids);
  refuses({"build", base, ids, "--payload", ids}, "would overwrite --payload", ids);
  fs::copy_file(ids, path("q.npy"));
  refuses({"search", index, path("q.npy"), "-o", path("q.npy")}, "would overwrite --queries",
          path("q.npy"));
  refuses({"search", index, query, "--filter", ids, "-o", ids}, "would overwrite --filter", ids);
  refuses({"truth", base, path("q.npy"), path("q.npy")}, "would overwrite --queries",
          path("q.npy"));
  refuses({"convert", base, base}, "would overwrite the source", base);
  refuses({"convert", base, path("hard")}, "would overwrite the source", base);
  refuses({"recode", index, "--storage", "raw", "-o", index}, "would overwrite the index", index);
  refuses({"calibrate", index, query, "-o", query}, "would overwrite --queries", query);
  refuses({"bench", index, query, "--json", query}, "would overwrite --queries", query);
  refuses({"bench", index, query, "--html", index}, "would overwrite --index", index);
  fail(1, {"bench", index, query, "--json", path("r"), "--html", path("r")});
}

TEST_F(OutputFiles, OfDistancesNeverReplaceQueries) {
  const std::string query = copy("query.fbin", "y.fbin");
  const auto before = read_file(query);
  succeed({"search", data("base.cairn"), query, "-o", path("y.ibin"), "--distances"});
  succeed({"truth", data("base.fbin"), query, path("y.ibin"), "--k", "5"});
  EXPECT_EQ(read_file(query), before);
  EXPECT_EQ(read_vectors(path("y.distances.fbin")).dim, 5u);
  fs::rename(query, path("z.distances.fbin"));
  refuses({"truth", data("base.fbin"), path("z.distances.fbin"), path("z.ibin")},
          "would overwrite --queries", path("z.distances.fbin"));
  refuses(
      {"search", data("base.cairn"), path("z.distances.fbin"), "-o", path("z.ibin"), "--distances"},
      "would overwrite --queries", path("z.distances.fbin"));
}

TEST_F(OutputFiles, OfAPairAreWrittenBothOrNot) {
  fs::create_directory(path("gt.distances.fbin"));
  fail(1, {"truth", data("base.fbin"), data("query.fbin"), path("gt.ibin")});
  fail(1, {"search", data("base.cairn"), data("query.fbin"), "-o", path("gt.ibin"), "--distances"});
  EXPECT_FALSE(fs::exists(path("gt.ibin")));
}

TEST_F(OutputFiles, AreRegularFiles) {
  ASSERT_EQ(mkfifo(path("pipe.npy").c_str(), 0600), 0);
  fs::create_symlink("pipe.npy", path("link.npy"));
  fs::create_directory(path("directory.npy"));
  const std::string base = data("base.fbin"), query = data("query.fbin"),
                    index = data("base.cairn");
  for (const auto& [name, kind] : {std::pair<std::string, std::string>{"pipe.npy", "a pipe"},
                                   {"link.npy", "a pipe"},
                                   {"directory.npy", "a directory"}}) {
    const std::string out = path(name);
    const std::string message = "cannot write " + out + ": it is " + kind;
    for (const std::vector<std::string>& command :
         std::vector<std::vector<std::string>>{{"build", base, out},
                                               {"search", index, query, "-o", out},
                                               {"truth", base, query, out},
                                               {"convert", base, out},
                                               {"recode", index, "--storage", "raw", "-o", out},
                                               {"calibrate", index, query, "-o", out},
                                               {"bench", index, query, "--json", out},
                                               {"bench", index, query, "--html", out}}) {
      EXPECT_THAT(fail(1, command), HasSubstr(message)) << command[0];
    }
  }
  EXPECT_TRUE(fs::is_fifo(path("pipe.npy")));
}

TEST_F(OutputFiles, HaveNamesThatCanBeWritten) {
  fs::create_symlink("there", path("here.npy"));
  fs::create_symlink("here.npy", path("there"));
  const std::string base = data("base.fbin"), query = data("query.fbin");
  for (const std::string& out : {path("here.npy"), path(std::string(300, 'n') + ".npy")}) {
    for (const std::vector<std::string>& command :
         std::vector<std::vector<std::string>>{{"build", base, out},
                                               {"search", data("base.cairn"), query, "-o", out},
                                               {"truth", base, query, out},
                                               {"convert", base, out}}) {
      EXPECT_THAT(fail(1, command), HasSubstr("cannot write " + out + ": ")) << command[0];
    }
  }
}

TEST_F(OutputFiles, AreNamedDashOnlyIfMeant) {
  const std::string base = data("base.fbin"), index = data("base.cairn");
  for (const std::vector<std::string>& command :
       std::vector<std::vector<std::string>>{{"build", base, "-"},
                                             {"recode", index, "--storage", "raw", "-o", "-"},
                                             {"calibrate", index, data("query.fbin"), "-o", "-"}}) {
    EXPECT_THAT(fail(1, command), HasSubstr("--output -: not written to standard output"));
  }
}

TEST_F(OutputFiles, FollowLinksAndKeepModes) {
  fs::create_symlink("new.cairn", path("link"));
  succeed({"convert", data("query.fbin"), path("a.fvecs")});
  fs::permissions(path("a.fvecs"), fs::perms::owner_read | fs::perms::owner_write);
  succeed({"convert", data("query.fbin"), path("a.fvecs")});
  EXPECT_EQ(fs::status(path("a.fvecs")).permissions(),
            fs::perms::owner_read | fs::perms::owner_write);
  succeed({"recode", data("base.cairn"), "--storage", "raw", "-o", path("link")});
  EXPECT_TRUE(fs::is_symlink(path("link")));
  EXPECT_EQ(succeed({"verify", path("new.cairn")}), "ok\n");
}

TEST_F(OutputFiles, OfADirectoryAreVerified) {
  copy("base.cairn", "good.cairn");
  const Vectors rows = clustered_vectors(100, 8, 3, 1);
  MmapVectorStore::create(path("rows.vectors"), rows.view());
  CompressedVectorStore::create(path("coded.vectors"), rows.view());
  copy("base.fbin", "base.fbin");  // nothing of Cairn's own
  copy("base.cairn", ".cairn-0123456789abcdef.tmp");
  fs::create_symlink("circle", path("circle"));
  std::string text = succeed({"verify", scratch_.path().string()});
  EXPECT_THAT(text, HasSubstr("good.cairn: ok\n"));
  EXPECT_THAT(text, HasSubstr(".cairn-0123456789abcdef.tmp: temporary, left by a process that was "
                              "killed; may be deleted\n"));
  EXPECT_THAT(text, HasSubstr("rows.vectors: ok\n"));
  EXPECT_THAT(text, HasSubstr("coded.vectors: ok\n"));
  EXPECT_THAT(text, HasSubstr("3 files ok\n"));
  std::vector<std::byte> bytes = read_file(path("good.cairn"));
  bytes[bytes.size() / 2] ^= std::byte{1};
  write_file(path("bad.cairn"), bytes);
  const CommandResult result = run({"verify", scratch_.path().string()});
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_THAT(result.err, HasSubstr("1 of 4 files failed"));
  EXPECT_THAT(result.out, HasSubstr("bad.cairn"));
}

TEST_F(OutputFiles, HoldIdsOf64Bits) {
  std::vector<VectorId> ids;
  for (std::size_t row = 0; row < kRows; ++row) ids.push_back((1ull << 40) + 5 * (kRows - row));
  write_ids(path("ids.u64bin"), ids);
  succeed({"build", data("base.fbin"), path("wide.cairn"), "--ids", path("ids.u64bin")});
  for (const char* name : {"found.u64bin", "found.npy"}) {
    succeed({"search", path("wide.cairn"), data("base.fbin"), "--k", "3", "-o", path(name)});
    const Matrix<VectorId> found = read_id_matrix(path(name));
    EXPECT_EQ(found.dim, 3u);
    EXPECT_EQ(found.row(7)[0], ids[7]);
  }
  const std::string truth = path("gt.u64bin");
  succeed({"truth", "--index", path("wide.cairn"), data("query.fbin"), truth, "--k", "10"});
  succeed({"truth", data("base.fbin"), data("query.fbin"), path("gt.npy"), "--k", "10", "--ids",
           path("ids.u64bin")});
  EXPECT_EQ(read_id_matrix(truth).values, read_id_matrix(path("gt.npy")).values);
  for (const std::string& file : {truth, path("gt.npy")}) {
    EXPECT_THAT(succeed({"bench", path("wide.cairn"), data("query.fbin"), "--truth", file,
                         "--probes", "100000", "--repeat", "1"}),
                HasSubstr(" 1.0000 "));
  }
  EXPECT_THAT(
      fail(1, {"truth", "--index", path("wide.cairn"), data("query.fbin"), path("x.ivecs")}),
      HasSubstr(".u64bin and .npy hold all ids"));
  succeed({"convert", truth, path("there.npy")});
  succeed({"convert", path("there.npy"), path("back.u64bin")});
  EXPECT_EQ(read_file(path("back.u64bin")), read_file(truth));
}

TEST_F(OutputFiles, OfTruthMustFitTheIndex) {
  std::vector<VectorId> ids;
  for (std::size_t row = 0; row < kRows; ++row) ids.push_back(kRows - 1 - row);
  write_ids(path("reversed.u64bin"), ids);
  succeed({"build", data("base.fbin"), path("reversed.cairn"), "--ids", path("reversed.u64bin")});
  succeed({"build", data("base.fbin"), path("cosine.cairn"), "--metric", "cosine"});
  succeed({"truth", data("base.fbin"), data("query.fbin"), path("gt.ibin"), "--k", "10"});
  const auto bench = [&](const char* index) {
    return fail(1, {"bench", path(index), data("query.fbin"), "--truth", path("gt.ibin")});
  };
  EXPECT_THAT(bench("reversed.cairn"), HasSubstr("by the metric of the index, l2"));
  EXPECT_THAT(bench("cosine.cairn"), HasSubstr("by the metric of the index, cosine"));
  fs::remove(path("gt.distances.fbin"));
  EXPECT_THAT(bench("reversed.cairn"), HasSubstr("not in the order of their distances"));
  EXPECT_THAT(bench("cosine.cairn"), HasSubstr("not in the order of their distances"));
  const std::vector<std::int32_t> foreign(kQueries * 10, 1000000);
  write_int_matrix(path("gt.ibin"), foreign.data(), kQueries, 10);
  EXPECT_THAT(bench("cosine.cairn"), HasSubstr("id 1000000 of query 0 is not in the index"));
}

}  // namespace
}  // namespace cairn::test
