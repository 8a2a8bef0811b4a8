#include "cli/progress_bar.h"

#include <cstdlib>
#include <string>

#include <gtest/gtest.h>

namespace cairn::cli {
namespace {

TEST(FormatProgress, TellsShareRateAndTimeLeft) {
  EXPECT_EQ(format_progress({"build", "assign", 250000, 1000000, 10}),
            "build assign     [#######.......................]  25 %  25 k/s, 30 s left");
  EXPECT_EQ(format_progress({"build", "assign", 30, 3000, 60}),
            "build assign     [..............................]   1 %  0.5 /s, 1 h 39 min left");
  EXPECT_EQ(format_progress({"build", "sort", 90000000, 100000000, 1}),
            "build sort       [###########################...]  90 %  90 M/s, 1 s left");
  EXPECT_EQ(format_progress({"build", "sort", 50, 150, 70}),
            "build sort       [##########....................]  33 %  0.714 /s, 2 min 20 s left");
}

TEST(FormatProgress, SaysNothingOfTheFutureWhereItCannotTell) {
  EXPECT_EQ(format_progress({"build", "sort", 0, 1000, 9}),
            "build sort       [..............................]   0 %");
  EXPECT_EQ(format_progress({"build", "sort", 10, 1000, 0.1}),
            "build sort       [..............................]   1 %");
  EXPECT_EQ(format_progress({"build", "write", 1, 1, 9}),
            "build write      [##############################] 100 %");
  EXPECT_EQ(format_progress({"truth", "", 5, 5, 9}),
            "truth            [##############################] 100 %  0.556 /s, 0 s left");
}

TEST(FormatProgress, FitsNarrowTerminals) {
  const ProgressState state{"build", "calibrate", 250000, 1000000, 10};
  for (std::size_t columns = 1; columns < 120; ++columns) {
    const std::string line = format_progress(state, columns);
    EXPECT_LE(line.size(), columns);
    if (columns >= 11) {
      EXPECT_NE(line.find("25 %"), std::string::npos) << line;
    }
  }
  EXPECT_EQ(format_progress(state, 60), "build calibrate  [#######.......................]  25 %");
  EXPECT_EQ(format_progress(state, 35), "build calibrate  [##........]  25 %");
  EXPECT_EQ(format_progress(state, 24), "build calibrate   25 %");
  EXPECT_EQ(format_progress(state, 19), "build  25 %");
}

TEST(TerminalColumns, AreThoseOfTheEnvironmentFirst) {
  setenv("COLUMNS", "20", 1);
  EXPECT_EQ(terminal_columns(), 20u);
  setenv("COLUMNS", "wide", 1);
  EXPECT_GE(terminal_columns(), 1u);
  unsetenv("COLUMNS");
}

}  // namespace
}  // namespace cairn::cli
