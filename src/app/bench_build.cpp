// P17: how long a clone takes to build from nothing, one changed source of it, and its tests.
#include <algorithm>
#include <cstdlib>
#include <filesystem>
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

/// The source in `tree` whose object took longest, by lines of ninja's log: start and end in
/// milliseconds, a time stamp, the output, a hash.
fs::path slowest_source(const fs::path& tree, const fs::path& log) {
  fs::path slowest;
  double most = 0;
  std::istringstream lines(read_file(log.string(), ExitCode::environment));
  for (std::string line; std::getline(lines, line);) {
    std::istringstream fields(line);
    double start = 0, end = 0;
    std::string stamp, output;
    if (!(fields >> start >> end >> stamp >> output) || !output.ends_with(".o")) continue;
    const auto name = output.find(".dir/");  // CMakeFiles/TARGET.dir/SOURCE.o
    if (name == std::string::npos || end - start <= most) continue;
    const fs::path source = tree / output.substr(name + 5, output.size() - name - 7);
    if (!fs::exists(source)) continue;
    slowest = source;
    most = end - start;
  }
  return slowest;
}

/// A new folder, removed with all that is in it.
class ScratchTree {
 public:
  ScratchTree() : path_((fs::temp_directory_path() / "bitstill-build.XXXXXX").string()) {
    if (::mkdtemp(path_.data()) == nullptr) {
      throw Error(ExitCode::storage, "cannot make " + path_);
    }
  }
  ~ScratchTree() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }
  ScratchTree(const ScratchTree&) = delete;
  ScratchTree& operator=(const ScratchTree&) = delete;
  fs::path path() const { return path_; }

 private:
  std::string path_;
};

}  // namespace

Row bench_build(const BenchOptions& options) {
  Row row;
  row.against = "nothing: seconds";
  row.conditions = {{"jobs", std::thread::hardware_concurrency()}, {"compiler cache", "off"}};
  const fs::path source = options.source.empty() ? fs::current_path() : fs::path(options.source);
  if (!fs::exists(source / ".git") || !fs::exists(source / "build/deps")) {
    row.skip = concat(source.string(),
                      " is not a checkout that launch/setup.sh was run in; give --source");
    return row;
  }
  const ScratchTree scratch;
  const fs::path tree = scratch.path() / "tree", build = tree / "build/release";
  const Words uncached = {"CCACHE_DISABLE=1"};
  run_program({"git", "clone", "--quiet", source.string(), tree.string()});
  fs::create_directory(tree / "build");
  fs::create_directory_symlink(fs::absolute(source / "build/deps"), tree / "build/deps");
  const double configure_s =
      run_program({"cmake", "-S", tree.string(), "--preset", "release"}, uncached).seconds;
  const Words make = {"cmake", "--build", build.string(), "-j",
                      std::to_string(std::thread::hardware_concurrency())};
  const double build_s = run_program(make, uncached).seconds;
  const fs::path changed = slowest_source(tree, build / ".ninja_log");
  fs::last_write_time(changed, fs::file_time_type::clock::now());
  const double one_s = run_program(make, uncached).seconds;
  const double tests_s = run_program({"ctest", "--test-dir", build.string(), "-j2", "-LE", "slow"})
                             .seconds;  // an error when one fails
  const Json of_build = {{"configure_s", configure_s}};
  const Json of_one = {{"source, the slowest", fs::relative(changed, tree).string()},
                       {"links", "all that uses it, tests too"}};
  row.parts.push_back({"clean build of a clone, s", configure_s + build_s, 360, false, of_build});
  row.parts.push_back({"one source changed, s", one_s, 10, false, of_one});
  row.parts.push_back({"tests without slow ones, s", tests_s, 300, false, Json::object()});
  return row;
}

}  // namespace bitstill
