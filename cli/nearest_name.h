#pragma once

#include <string>
#include <vector>

namespace cairn::cli {

// The name that `typed` was most likely meant to be: of those that some edits (letters added,
// missing, exchanged or wrong, at most a third of them) turn it into, or that it begins, the
// nearest. "" if there is none.
std::string nearest_name(const std::string& typed, const std::vector<std::string>& names);

}  // namespace cairn::cli
