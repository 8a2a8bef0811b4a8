#pragma once

#include <string>

#include <nlohmann/json_fwd.hpp>

namespace cairn::cli {

// One self-contained HTML page (no network, no external file) for the object that `cairn bench
// --json` writes. Keys that are missing leave their part of the page out.
std::string render_html_report(const nlohmann::json& report);

}  // namespace cairn::cli
