#include "cli/progress_bar.h"

#include <gtest/gtest.h>

namespace cairn::cli {
namespace {

TEST(FormatProgress, TellsShareRateAndTimeLeft) {
  EXPECT_EQ(format_progress("build", "assign", 250000, 1000000, 10),
            "build assign     [#######.......................]  25 %  25 k/s, 30 s left");
  EXPECT_EQ(format_progress("build", "assign", 30, 3000, 60),
            "build assign     [..............................]   1 %  0.5 /s, 1 h 39 min left");
  EXPECT_EQ(format_progress("build", "sort", 90000000, 100000000, 1),
            "build sort       [###########################...]  90 %  90 M/s, 1 s left");
  EXPECT_EQ(format_progress("build", "sort", 50, 150, 70),
            "build sort       [##########....................]  33 %  0.714 /s, 2 min 20 s left");
}

TEST(FormatProgress, SaysNothingOfTheFutureWhereItCannotTell) {
  EXPECT_EQ(format_progress("build", "sort", 0, 1000, 9),
            "build sort       [..............................]   0 %");
  EXPECT_EQ(format_progress("build", "sort", 10, 1000, 0.1),
            "build sort       [..............................]   1 %");
  EXPECT_EQ(format_progress("build", "write", 1, 1, 9),
            "build write      [##############################] 100 %");
  EXPECT_EQ(format_progress("truth", "", 5, 5, 9),
            "truth            [##############################] 100 %  0.556 /s, 0 s left");
}

}  // namespace
}  // namespace cairn::cli
