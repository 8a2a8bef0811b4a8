#pragma once

#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cairn/error.h"

namespace cairn::test {

// Expects that `call` throws an Error with this code, and a message that contains `text`.
template <typename Call>
void expect_error(ErrorCode code, const std::string& text, Call&& call) {
  try {
    call();
  } catch (const Error& error) {
    EXPECT_STREQ(to_string(error.code()), to_string(code)) << error.what();
    EXPECT_THAT(error.what(), ::testing::HasSubstr(text));
    return;
  }
  ADD_FAILURE() << "no error, expected " << to_string(code) << ": " << text;
}

}  // namespace cairn::test
