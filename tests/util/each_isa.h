#pragma once

// A test that runs once for each kernel table this machine can run.

#include <ostream>
#include <string>

#include <gtest/gtest.h>

#include "quantize/kernels/kernels.h"

namespace cairn::kernels {

inline void PrintTo(const Kernels* kernels, std::ostream* out) { *out << kernels->isa; }

class EachIsa : public testing::TestWithParam<const Kernels*> {
 protected:
  const Kernels& kernels() const { return *GetParam(); }
};

inline std::string isa_name(const testing::TestParamInfo<const Kernels*>& info) {
  return info.param->isa;
}

// Runs the tests of `Suite`, a sub-class of EachIsa, on every table.
#define CAIRN_TEST_EACH_ISA(Suite)                                                  \
  INSTANTIATE_TEST_SUITE_P(Isa, Suite,                                              \
                           testing::ValuesIn(::cairn::kernels::available().begin(), \
                                             ::cairn::kernels::available().end()),  \
                           ::cairn::kernels::isa_name)

}  // namespace cairn::kernels
