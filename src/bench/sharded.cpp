// P7 and P8: a teacher in slices, what it takes of memory and of time.
#include <cmath>
#include <filesystem>
#include <map>

#include "bitstill/base/text.hpp"
#include "bitstill/bench/process.hpp"
#include "bitstill/infer/loaded_model.hpp"
#include "bitstill/model/weights.hpp"
#include "bitstill/store/model_file.hpp"
#include "hosts.hpp"
#include "temporary_folder.hpp"

namespace bitstill {
namespace {

constexpr int kMemoryRanks = 8;

/// Equal linear layers after the first: the file's bytes.
int64_t write_teacher(const std::string& path, int64_t width, std::size_t layers) {
  NetworkSpec spec;
  spec.input = {3, 32, 32};
  spec.classes = 10;
  spec.normalization = {{0.5f, 0.5f, 0.5f}, {0.25f, 0.25f, 0.25f}};
  spec.hidden.assign(layers, width);
  spec.dropout = {0};
  const auto network = make_network(spec);
  initialize(*network, 1);
  std::vector<std::string> classes;
  for (int64_t label = 0; label < spec.classes; ++label) classes.push_back(std::to_string(label));
  write_model_file(
      path, {describe_model("weights", network->spec(), classes), named_tensors(*network), {}});
  return static_cast<int64_t>(std::filesystem::file_size(path));
}

Json step_with(const std::string& teacher, const std::string& precision) {
  Words words = {own_path(),
                 "bench",
                 "step",
                 "--student",
                 "student3",
                 "--methods",
                 "none",
                 "--batch",
                 "2",
                 "--warmup",
                 "5",  // the window settles at the fourth sweep
                 "--steps",
                 "3",
                 "--teacher.file",
                 teacher,
                 "--teacher.sharding",
                 "gather",
                 "--teacher.precision",
                 precision};
  return json_lines(run_program(on_ranks(kMemoryRanks, words)).output).at(0);
}

/// Emulated compute on shaped hosts, where a gather takes half of it: must at 2, wish at 4.
void emulated_parts(const BenchOptions& options, Row& row) {
  struct Steps {
    std::vector<double> whole, sliced, blocking, gather_ms;
  };
  std::map<int, Steps> by_hosts;
  for (const Json& line : lines_of_hosts("P8", options, row)) {
    Steps& steps = by_hosts[line["world"].get<int>()];
    const double ms = line["step_ms_median"].get<double>();
    if (!line["teacher_slices"].is_object()) {
      steps.whole.push_back(ms);
    } else if (line["teacher_overlap"] == "off") {
      steps.blocking.push_back(ms);
      steps.gather_ms.push_back(line["ms"]["gather_busy"].get<double>());
    } else {
      steps.sliced.push_back(ms);
    }
  }
  for (const auto& [hosts, steps] : by_hosts) {
    const double whole = median(steps.whole), sliced = median(steps.sliced),
                 blocking = median(steps.blocking);
    const Json details = {{"step_ms", {sliced, whole, blocking}},
                          {"gather_ms", median(steps.gather_ms)}};
    row.parts.push_back({concat("emulated, ", hosts, " hosts, in slices over whole"),
                         sliced / whole, 1.06, false, details});
    row.parts.push_back({concat("emulated, ", hosts, " hosts, over no prefetch"), sliced / blocking,
                         0.72, false, details});
  }
}

}  // namespace

Row bench_slice_memory(const BenchOptions&) {
  Row row;
  row.against =
      "the file's bytes; peak memory less that with a teacher of 1 MB, the largest rank's";
  row.conditions = {{"ranks", kMemoryRanks}, {"teacher", "16 linear layers of 2,560"}};
  const TemporaryFolder folder;
  const std::string large = folder.path() + "/large.safetensors";
  const std::string small = folder.path() + "/small.safetensors";
  const auto bytes = static_cast<double>(write_teacher(large, 2560, 16));
  write_teacher(small, 80, 1);
  for (const char* precision : {"fp32", "bf16"}) {
    const double most = std::string(precision) == "fp32" ? 0.20 : 0.11;
    const Json with = step_with(large, precision), without = step_with(small, precision);
    const Json& slices = with["teacher_slices"];
    const double counted = slices["mine_bytes"].get<double>() +
                           slices["window_bytes"].get<double>() +
                           slices["ready_bytes"].get<double>();
    const double resident =
        1e6 * (with["memory_mb"].get<double>() - without["memory_mb"].get<double>());
    const Json details = {{"slices", slices}, {"file_bytes", bytes}, {"resident_bytes", resident}};
    row.parts.push_back({concat(precision, ", bytes of a rank over the file's"), counted / bytes,
                         most, false, details});
    row.parts.push_back({concat(precision, ", resident and counted differ by, over the file's"),
                         std::abs(resident - counted) / bytes, 0.05, false, details});
    row.parts.push_back({concat(precision, ", bytes read by all ranks over the file's"),
                         slices["read_bytes"].get<double>() / bytes, 1.02, false, details});
  }
  return row;
}

Row bench_slice_time(const BenchOptions& options) {
  Row row;
  row.against =
      "the same steps with the teacher whole on every rank, in turn; CPU seconds an image";
  row.conditions = {{"ranks", kStepRanks}, {"student", "student1"}, {"batch", 128}};
  const auto cpu_s = [&](const char* precision, const char* sharding) {
    return run_step({"--student", "student1", "--methods", "uniform", "--batch", "128", "--warmup",
                     "2", "--steps", std::to_string(options.steps), "--precision", precision,
                     "--teacher.precision", precision, "--teacher.sharding", sharding})
        .at(0)["cpu_s_per_image"]
        .get<double>();
  };
  for (const char* precision : {"fp32", "bf16"}) {
    std::vector<double> ratios, whole, sliced;
    for (int64_t round = 0; round < options.rounds; ++round) {
      whole.push_back(cpu_s(precision, "replicated"));
      sliced.push_back(cpu_s(precision, "gather"));
      ratios.push_back(sliced.back() / whole.back());
    }
    row.parts.push_back({concat(precision, ", in slices over whole"),
                         median(ratios),
                         std::string(precision) == "fp32" ? 1.08 : 1.05,
                         false,
                         {{"cpu_s_per_image", {median(sliced), median(whole)}}}});
  }
  emulated_parts(options, row);
  return row;
}

}  // namespace bitstill
