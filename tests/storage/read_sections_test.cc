#include "storage/read_sections.h"

#include <optional>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

namespace cairn::storage {
namespace {

TEST(ReadSections, HoldBackWhatWasRetiredWhileTheyWereOpen) {
  ReadSections sections;
  const std::uint64_t before = sections.retire();
  EXPECT_GT(sections.oldest(), before);
  std::optional<ReadSections::Section> reader(std::in_place, sections);
  ASSERT_TRUE(reader->is_open());
  EXPECT_GT(sections.oldest(), before);
  const std::uint64_t during = sections.retire();
  EXPECT_LE(sections.oldest(), during);
  ReadSections::Section later(sections);  // cannot see what was retired, and holds back nothing
  EXPECT_LE(sections.oldest(), during);
  reader->close();
  EXPECT_GT(sections.oldest(), during);
  const std::uint64_t after = sections.retire();
  EXPECT_LE(sections.oldest(), after);
  later.close();
  EXPECT_GT(sections.oldest(), after);
}

TEST(ReadSections, RunOutOfSlotsWithoutWaiting) {
  ReadSections sections;
  std::vector<std::unique_ptr<ReadSections::Section>> open;
  std::vector<bool> is_taken(ReadSections::kSlots);
  for (std::size_t i = 0; i < ReadSections::kSlots; ++i) {
    open.push_back(std::make_unique<ReadSections::Section>(sections));
    ASSERT_TRUE(open.back()->is_open());
    EXPECT_FALSE(is_taken[open.back()->slot()]);
    is_taken[open.back()->slot()] = true;
  }
  EXPECT_FALSE(ReadSections::Section(sections).is_open());
  open.pop_back();
  EXPECT_TRUE(ReadSections::Section(sections).is_open());
}

}  // namespace
}  // namespace cairn::storage
