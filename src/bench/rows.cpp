#include "rows.hpp"

#include <ATen/Version.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <sstream>
#include <thread>

#include "bitstill/base/text.hpp"
#include "bitstill/comm/processors.hpp"

namespace bitstill {
namespace {

struct RowKind {
  const char* id;
  const char* what;
  Row (*measure)(const BenchOptions& options);
};

constexpr RowKind kRows[] = {
    {"P1", "one distillation step against PyTorch's DistributedDataParallel",
     bench_distillation_step},
    {"P2", "a quantized step over the same step in fp32", bench_quantized_step},
    {"P3", "the fused quantize kernel against memcpy and LibTorch's operations", bench_kernels},
    {"P4", "the hidden share of the exchange, 4 emulated hosts at 200 Mbit/s (root)",
     bench_hidden_exchange},
    {"P4q", "gradients in 4 bits: bytes and steps, 4 emulated hosts at 50 to 1,000 Mbit/s (root)",
     bench_coded_exchange},
    {"P5", "weak scaling from 1 to 8 emulated hosts at 200 Mbit/s (root)", bench_weak_scaling},
    {"P6", "simulated steps against measured ones on 1 to 8 hosts (root) and the formula",
     bench_simulation},
    {"P6b", "simulated: 1,024 nodes, some minutes", bench_thousand_nodes},
    {"P6c", "simulated: 4,096 nodes, more than half an hour", bench_thousands_of_nodes},
    {"P7", "a teacher in slices: bytes of a rank, counted and resident", bench_slice_memory},
    {"P8", "a teacher in slices against a whole one: time", bench_slice_time},
    {"P9", "a step from a logit cache over the same step without a teacher", bench_cached_step},
    {"P10", "what learned points cost in messages, counted by kind", bench_traffic},
    {"P12", "sizes of compressed codes and files against entropy and zstd", bench_file_size},
    {"P13", "decoding against zstd's huff0, unpacking against memcpy", bench_decode},
    {"P15", "a checkpoint: saved, the step it blocks, restored", bench_checkpoint},
    {"P16", "from mpirun to the end of a first step", bench_start},
    {"P18", "a GPU: the quantize kernel, the quantized step, the exchange's own stream", bench_gpu},
    {"T1", "a training step of LSTMs on sentences against OpenNMT-py", bench_translation_step},
    {"T2", "a distilled step in 4 bits against PyTorch, and over the same without quantization",
     bench_distilled_lstm},
    {"T3", "translate from a compressed file against OpenNMT-py", bench_translate},
    {"T4", "translate from a Transformer's compressed file against CTranslate2",
     bench_translate_transformer},
    {"T5", "padding of sentences; memory of a step beside its models, 50,000 pieces",
     bench_sentence_cost},
    {"V1", "JPEGs decoded, cropped, scaled to 224 and normalized, images a CPU second", bench_jpeg},
    {"V2", "a distillation step of residual networks against DistributedDataParallel",
     bench_residual_step},
    {"V3", "inference of ResNet-34 at 224 pixels against PyTorch in bf16", bench_frozen_residual},
    {"V4", "JPEGs decoded by two threads over one; how long steps wait for batches",
     bench_decode_threads},
    {"V5", "the start on 1,281,167 rows against ten rows: seconds and memory", bench_large_start},
    {"V6", "a quantized step of ResNet-18 over the same step in fp32", bench_residual_bits},
};

const RowKind& find_row(const std::string& id) {
  std::vector<std::string> ids;
  for (const RowKind& row : kRows) {
    if (id == row.id) return row;
    ids.emplace_back(row.id);
  }
  throw Error(ExitCode::settings,
              concat("unknown row ", id, "; bench knows ", list_names(ids, 40)));
}

/// `value` and `target` are those of the part that comes nearest to missing, or misses most.
Json to_json(const RowKind& kind, const Row& row, const Json& machine) {
  Json line = {{"row", kind.id}, {"what", kind.what}};
  if (!row.parts.empty()) {
    const auto worst =
        std::min_element(row.parts.begin(), row.parts.end(),
                         [](const Part& a, const Part& b) { return a.margin() < b.margin(); });
    line["part"] = worst->name;
    line["value"] = worst->value;
    line["target"] = worst->target;
    line["pass"] = worst->pass();
    line["parts"] = Json::array();
    for (const Part& part : row.parts) {
      line["parts"].push_back({{"name", part.name},
                               {"value", part.value},
                               {part.at_least ? "at_least" : "at_most", part.target},
                               {"pass", part.pass()},
                               {"details", part.details}});
    }
  }
  if (!row.skip.empty()) line["skip"] = row.skip;
  line["against"] = row.against;
  line["conditions"] = machine;
  if (row.conditions.is_object()) line["conditions"].update(row.conditions);
  return line;
}

void print_text(const RowKind& kind, const Row& row) {
  std::printf("%s  %s\n", kind.id, kind.what);
  for (const Part& part : row.parts) {
    std::printf("  %s %-44s %8.3f  %s %.2f  %s\n", part.pass() ? "PASS" : "FAIL", part.name.c_str(),
                part.value, part.at_least ? "at least" : "at most ", part.target,
                part.details.dump().c_str());
  }
  if (!row.skip.empty()) std::printf("  SKIP %s\n", row.skip.c_str());
  if (!row.against.empty()) std::printf("  against: %s\n", row.against.c_str());
}

/// Processor, cores, load and versions: what a figure is worth nothing without.
Json machine_conditions(const Json& versions) {
  double load[3] = {};
  ::getloadavg(load, 3);
  return {{"cpu", cpu_model()},
          {"cores", std::thread::hardware_concurrency()},
          {"isa", at::get_cpu_capability()},
          {"load", load},
          {"versions", versions}};
}

}  // namespace

std::vector<std::string> split_list(const std::string& text) {
  std::vector<std::string> items;
  std::istringstream list(text);
  for (std::string item; std::getline(list, item, ',');) items.push_back(item);
  return items;
}

std::string bench_rows() {
  std::string text;
  for (const RowKind& row : kRows)
    text += concat("  ", row.id, std::string(5 - std::string(row.id).size(), ' '), row.what, "\n");
  return text;
}

void check(const BenchOptions& options, const std::vector<std::string>& rows) {
  if (rows.empty()) throw Error(ExitCode::settings, "name rows: bitstill bench P1 P3; see --help");
  if (options.rounds < 1 || options.steps < 1) {
    throw Error(ExitCode::settings, "rounds and steps are 1 or more");
  }
  for (const std::string& id : rows) find_row(id);
}

bool measure_rows(const std::vector<std::string>& rows, const BenchOptions& options,
                  const Json& versions, bool json) {
  bool missed = false;
  for (const std::string& id : rows) {
    const RowKind& kind = find_row(id);
    const Json machine = machine_conditions(versions);
    const Row row = kind.measure(options);
    for (const Part& part : row.parts) missed = missed || !part.pass();
    if (json) {
      std::printf("%s\n", to_json(kind, row, machine).dump().c_str());
    } else {
      print_text(kind, row);
      std::printf("  conditions: %s\n", to_json(kind, row, machine)["conditions"].dump().c_str());
    }
    std::fflush(stdout);
  }
  return !missed;
}

}  // namespace bitstill
