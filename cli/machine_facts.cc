#include "cli/machine_facts.h"

#include <fstream>
#include <thread>

#include <sys/resource.h>

#include <cairn/clustered_index.h>

#include "cli/commit.h"

namespace cairn::cli {
namespace {

std::string cpu_name() {
  std::ifstream in("/proc/cpuinfo");
  for (std::string line; std::getline(in, line);) {
    const std::size_t colon = line.find(": ");
    if (line.rfind("model name", 0) == 0 && colon != std::string::npos) {
      return line.substr(colon + 2);
    }
  }
  return {};
}

std::string compiler_name() {
#if defined(__clang__)
  return std::string("clang ") + __clang_version__;
#elif defined(__GNUC__)
  return std::string("gcc ") + __VERSION__;
#else
  return {};
#endif
}

}  // namespace

nlohmann::json machine_facts() {
  return {{"cpu", cpu_name()},           {"isa", active_isa()},
          {"compiler", compiler_name()}, {"commit", kCommit},
          {"version", version()},        {"threads", std::thread::hardware_concurrency()}};
}

std::uint64_t anonymous_bytes() {
  std::ifstream in("/proc/self/status");
  for (std::string line; std::getline(in, line);) {
    if (line.rfind("RssAnon:", 0) == 0) return std::stoull(line.substr(8)) * 1024;
  }
  return 0;
}

std::uint64_t peak_rss_bytes() {
  rusage usage{};
  if (getrusage(RUSAGE_SELF, &usage) != 0) return 0;
  return static_cast<std::uint64_t>(usage.ru_maxrss) * 1024;
}

}  // namespace cairn::cli
