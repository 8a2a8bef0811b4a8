#include <cstdlib>
#include <set>
#include <string>

#include <gtest/gtest.h>

#include "cairn/error.h"

#include "quantize/kernels/kernels.h"

namespace cairn::kernels {
namespace {

TEST(Dispatch, OffersBaselineFirstAndEachTableOnce) {
  const auto tables = available();
  ASSERT_FALSE(tables.empty());
  EXPECT_STREQ(tables.front()->isa, "baseline");
  std::set<std::string> names;
  for (const Kernels* table : tables) names.insert(table->isa);
  EXPECT_EQ(names.size(), tables.size());
}

TEST(Dispatch, ChoosesTheFastestUnlessTold) {
  EXPECT_EQ(&choose(nullptr), available().back());
  EXPECT_EQ(&choose(""), available().back());
}

TEST(Dispatch, ChoosesByName) {
  for (const Kernels* table : available()) EXPECT_EQ(&choose(table->isa), table);
}

TEST(Dispatch, RefusesUnknownNames) {
  for (const char* name : {"avx1024", "AVX2", "baseline ", "auto"}) {
    try {
      choose(name);
      ADD_FAILURE() << name << " was accepted";
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::unsupported_cpu);
      EXPECT_NE(std::string(error.what()).find(name), std::string::npos) << error.what();
      EXPECT_NE(std::string(error.what()).find("baseline"), std::string::npos) << error.what();
    }
  }
}

TEST(Dispatch, ActiveObeysTheEnvironment) {
  const char* const forced = std::getenv("CAIRN_FORCE_ISA");
  bool known = forced == nullptr || *forced == '\0';
  for (const Kernels* table : available()) known = known || std::string(table->isa) == forced;
  if (known) {
    EXPECT_EQ(&active(), &choose(forced));
  } else {
    EXPECT_THROW(active(), Error);
  }
}

}  // namespace
}  // namespace cairn::kernels
