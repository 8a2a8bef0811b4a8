# Writes OUTPUT, a header that names the commit of SOURCE_DIR ("" outside a git checkout). Run at each
# build; the file is touched only when the commit changes.
execute_process(COMMAND git -C ${SOURCE_DIR} describe --always --dirty --abbrev=12
  OUTPUT_VARIABLE commit OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET RESULT_VARIABLE result)
if(NOT result EQUAL 0)
  set(commit "")
endif()
file(CONFIGURE OUTPUT ${OUTPUT} @ONLY CONTENT [[
#pragma once

namespace cairn::cli {
inline constexpr char kCommit[] = "@commit@";
}
]])
