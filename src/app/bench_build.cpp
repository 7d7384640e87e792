// P17: how long a build from nothing, its slowest source and the tests take.
#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <sstream>
#include <thread>

#include "bench.hpp"
#include "bench_process.hpp"
#include "bitstill/base/error.hpp"
#include "bitstill/base/file.hpp"
#include "bitstill/base/text.hpp"

namespace bitstill {
namespace {

namespace fs = std::filesystem;

/// Lines of ninja's log: start and end in milliseconds, a time stamp, the output, a hash.
std::pair<std::string, double> slowest_source(const std::string& log) {
  std::pair<std::string, double> slowest;
  std::istringstream lines(read_file(log, ExitCode::environment));
  for (std::string line; std::getline(lines, line);) {
    std::istringstream fields(line);
    double start = 0, end = 0;
    std::string stamp, output;
    if (!(fields >> start >> end >> stamp >> output) || !output.ends_with(".o")) continue;
    if ((end - start) / 1000 > slowest.second) slowest = {output, (end - start) / 1000};
  }
  return slowest;
}

}  // namespace

Row bench_build(const BenchOptions& options) {
  Row row;
  row.against = "nothing: seconds";
  row.conditions = {{"jobs", std::thread::hardware_concurrency()}, {"compiler cache", "off"}};
  const fs::path source = options.source.empty() ? fs::current_path() : fs::path(options.source);
  if (!fs::exists(source / "CMakePresets.json") || !fs::exists(source / "build/deps")) {
    row.skip = concat(source.string(),
                      " is not a checkout that launch/setup.sh was run in; give --source");
    return row;
  }
  std::string folder = (fs::temp_directory_path() / "bitstill-build.XXXXXX").string();
  if (::mkdtemp(folder.data()) == nullptr) throw Error(ExitCode::storage, "cannot make " + folder);
  const Words quiet = {"CCACHE_DISABLE=1"};
  const double configure_s = run_program({"cmake", "-S", source.string(), "-B", folder, "-G",
                                          "Ninja", "-DCMAKE_BUILD_TYPE=Release"},
                                         quiet)
                                 .seconds;
  const double build_s = run_program({"cmake", "--build", folder}, quiet).seconds;
  const auto [name, source_s] = slowest_source(folder + "/.ninja_log");
  const double tests_s =
      run_program({"ctest", "--test-dir", folder, "-j2", "-LE", "slow", "--output-on-failure"})
          .seconds;
  std::error_code ignored;
  fs::remove_all(folder, ignored);
  row.parts.push_back(
      {"clean build, s", configure_s + build_s, 360, false, {{"configure_s", configure_s}}});
  row.parts.push_back({"slowest source, s", source_s, 10, false, {{"source", name}}});
  row.parts.push_back({"tests without slow ones, s", tests_s, 300, false, Json::object()});
  return row;
}

}  // namespace bitstill
