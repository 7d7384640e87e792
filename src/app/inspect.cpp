// bitstill inspect: what a shard folder or a model file holds.
#include "bitstill/data/inspect.hpp"

#include <ATen/ops/empty.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <filesystem>

#include "bitstill/base/log.hpp"
#include "bitstill/base/text.hpp"
#include "bitstill/codec/measure.hpp"
#include "bitstill/comm/agree.hpp"
#include "bitstill/store/checkpoint_folder.hpp"
#include "bitstill/store/model_file.hpp"
#include "command.hpp"
#include "model_on_data.hpp"

namespace bitstill {
namespace {

/// Root mean square and largest difference of the decoded tensor to the one of the same name.
Json error_of(const at::Tensor& decoded, const NamedTensors& masters, const std::string& name) {
  for (const auto& [other, master] : masters) {
    if (other != name || master.numel() != decoded.numel()) continue;
    double squares = 0, most = 0, power = 0;
    const float* const a = decoded.const_data_ptr<float>();
    const float* const b = master.const_data_ptr<float>();
    for (int64_t i = 0; i < decoded.numel(); ++i) {
      const double difference = static_cast<double>(a[i]) - static_cast<double>(b[i]);
      squares += difference * difference;
      power += static_cast<double>(b[i]) * static_cast<double>(b[i]);
      most = std::max(most, std::abs(difference));
    }
    const auto count = static_cast<double>(std::max<int64_t>(1, decoded.numel()));
    return {{"rms", std::sqrt(squares / count)},
            {"largest", most},
            {"relative", power > 0 ? std::sqrt(squares / power) : 0}};
  }
  return nullptr;
}

/// What a quantized network takes in bits, counted in four ways.
struct Totals {
  double formula = 0, huffman = 0,
         exact = 0;  // the paper's, with Huffman's mean length, true count
  int64_t quantized = 0, values = 0;

  /// The paper: b N + 64 N / k, fp32 values apart; true: whole scales, and points.
  void add(const QuantizedTensor& tensor, double huffman_length, double scale_bytes) {
    const auto n = static_cast<double>(tensor.count);
    const double width = std::ceil(std::log2(static_cast<double>(tensor.points.size())));
    const double scales = 64 * n / static_cast<double>(std::max<int64_t>(1, tensor.bucket));
    formula += width * n + scales;
    huffman += huffman_length * n + scales;
    exact += width * n + 8 * scale_bytes;
    quantized += tensor.count;
    values += tensor.count;
  }
  void add_plain(int64_t count) {
    for (double* sum : {&formula, &huffman, &exact}) *sum += 32.0 * static_cast<double>(count);
    values += count;
  }
};

Json describe(const std::string& name, const QuantizedTensor& tensor,
              const ModelFileSizes::Share& share) {
  const auto count = static_cast<double>(std::max<int64_t>(1, tensor.count));
  return {{"name", name},
          {"shape", tensor.shape},
          {"points", tensor.points.size()},
          {"bits", std::log2(static_cast<double>(tensor.points.size()))},
          {"bucket", tensor.bucket},
          {"scales", tensor.alpha.size()},
          {"entropy", entropy_bits(tensor.codes) / count},
          {"huffman", huffman_bits(tensor.codes)},
          {"bytes", share.codes + share.scales}};
}

/// One entry a tensor, and the totals. `against`: fp32 masters; `teacher`: a larger network; empty:
/// none.
Json inspect_model(const std::string& path, const std::string& against,
                   const std::string& teacher) {
  const ModelFile file = read_model_file(path);
  const NamedTensors masters =
      against.empty() ? NamedTensors() : decoded_tensors(read_model_file(against));
  Json tensors = Json::array();
  Totals totals;
  for (std::size_t i = 0; i < file.quantized.size(); ++i) {
    const auto& [name, tensor] = file.quantized[i];
    Json one = describe(name, tensor, file.sizes.tensors[i]);
    totals.add(tensor, one["huffman"], file.sizes.tensors[i].scales);
    if (!against.empty()) {
      at::Tensor decoded = at::empty(tensor.shape, at::kFloat);
      decode(tensor, decoded.mutable_data_ptr<float>());
      one["error"] = error_of(decoded, masters, name);
    }
    tensors.push_back(std::move(one));
  }
  for (const auto& [name, tensor] : file.tensors) {
    totals.add_plain(tensor.numel());
    tensors.push_back(
        {{"name", name}, {"shape", tensor.sizes().vec()}, {"bytes", tensor.nbytes()}});
  }
  uint64_t attached = 0;
  for (const auto& [name, tensor] : file.attached) {
    attached += tensor.nbytes();
    tensors.push_back({{"name", name},
                       {"shape", tensor.sizes().vec()},
                       {"bytes", tensor.nbytes()},
                       {"holds", "a SentencePiece model"}});
  }
  const auto file_bytes = [](const std::string& of) {
    return static_cast<int64_t>(std::filesystem::file_size(of));
  };
  Json result = {{"file", path},
                 {"bytes", file.sizes.file},
                 {"values", totals.values},
                 {"quantized_values", totals.quantized},
                 {"fp32_bytes", 4 * totals.values},
                 {"on_disk",
                  {{"header", file.sizes.header},
                   {"codes", file.sizes.codes},
                   {"scales", file.sizes.scales},
                   {"points", file.sizes.points},
                   {"vocabularies", attached}}},
                 {"formula_bytes", totals.formula / 8},
                 {"huffman_bytes", totals.huffman / 8},
                 {"true_bytes", totals.exact / 8}};
  if (!against.empty()) result["against_bytes"] = file_bytes(against);
  if (!teacher.empty()) result["teacher_bytes"] = file_bytes(teacher);
  result["about"] = file.about;
  result["tensors"] = std::move(tensors);
  return result;
}

/// A folder is of shards unless it is a run's.
bool holds_shards(const std::string& path) {
  std::error_code ignored;
  return std::filesystem::is_directory(path, ignored) &&
         !std::filesystem::exists(path + "/student.safetensors", ignored) &&
         !std::filesystem::exists(path + "/run.jsonl", ignored) && !is_checkpoint(path);
}

void print_tensor(const Json& tensor) {
  std::string how = tensor.value("holds", "fp32");
  if (tensor.contains("points")) {
    char text[160];
    std::snprintf(text, sizeof text, "%3lld points, bucket %lld, entropy %.3f, Huffman %.3f bits",
                  static_cast<long long>(tensor["points"].get<int64_t>()),
                  static_cast<long long>(tensor["bucket"].get<int64_t>()),
                  tensor["entropy"].get<double>(), tensor["huffman"].get<double>());
    how = text;
    if (tensor.contains("error") && !tensor["error"].is_null()) {
      std::snprintf(text, sizeof text, ", error %.3g (%.2f %%)",
                    tensor["error"]["rms"].get<double>(),
                    100 * tensor["error"]["relative"].get<double>());
      how += text;
    }
  }
  std::printf("%-24s %-18s %10.0f B  %s\n", visible(tensor["name"].get<std::string>()).c_str(),
              tensor["shape"].dump().c_str(), tensor["bytes"].get<double>(), how.c_str());
}

/// Each way of counting, and how many times smaller than each fp32 file that is.
void print_model(const Json& model) {
  for (const Json& tensor : model["tensors"]) print_tensor(tensor);
  const auto line = [&](const char* what, double bytes) {
    std::printf("%-32s %12.0f B  %6.2fx", what, bytes, model["fp32_bytes"].get<double>() / bytes);
    for (const char* other : {"against_bytes", "teacher_bytes"}) {
      if (model.contains(other)) std::printf("  %6.2fx", model[other].get<double>() / bytes);
    }
    std::printf("\n");
  };
  std::printf("%lld values, %lld of them quantized; smaller than fp32 values%s%s:\n",
              static_cast<long long>(model["values"].get<int64_t>()),
              static_cast<long long>(model["quantized_values"].get<int64_t>()),
              model.contains("against_bytes") ? ", the fp32 file" : "",
              model.contains("teacher_bytes") ? ", the teacher's file" : "");
  line("by formula (b N + 64 N / k)", model["formula_bytes"].get<double>());
  line("by Huffman's mean length", model["huffman_bytes"].get<double>());
  line("true count, fixed width", model["true_bytes"].get<double>());
  line("on disk", model["bytes"].get<double>());
  const Json& disk = model["on_disk"];
  std::printf("on disk: header %s, codes %s, scales %s, points %s, vocabularies %s\n",
              disk["header"].dump().c_str(), disk["codes"].dump().c_str(),
              disk["scales"].dump().c_str(), disk["points"].dump().c_str(),
              disk["vocabularies"].dump().c_str());
  if (model["about"].is_object()) std::printf("%s\n", model["about"].dump(2).c_str());
}

/// Every rank prints nothing itself: the first defect becomes the job's one error.
void verify(World& world, const std::string& folder) {
  agree(world.control(), [&] {
    const auto defects = verify_shards(folder, world.place());
    if (defects.empty()) return;
    throw Error(ExitCode::data,
                concat(defects[0].file, ": ", defects[0].what,
                       defects.size() > 1 ? concat(" (and ", defects.size() - 1, " more defects)")
                                          : std::string(),
                       "; convert the source again with bitstill shard"));
  });
}

}  // namespace

int run_inspect(World& world, const Words& arguments) {
  Words paths;
  std::string against, teacher;
  bool hash = false, json = false;
  SettingTable table;
  table.take_words(&paths,
                   "PATH                        a shard folder, a model file, a run's folder");
  table.add("verify", &hash, "hash every shard and row, shards divided over ranks");
  table.add(
      "against", &against,
      "a model file, or a run for its masters: fp32 weights that the errors are counted from");
  table.add("teacher", &teacher, "a model file or a run's folder: the teacher, for its size");
  table.add("json", &json, "print JSON");
  if (!read_settings(world, table, arguments,
                     "bitstill inspect PATH [--verify] [--against FILE] [--teacher FILE]"))
    return 0;
  Json result;
  agree(world.control(), [&] {
    if (paths.size() != 1) throw Error(ExitCode::settings, "give one path: bitstill inspect PATH");
    const bool folder = holds_shards(paths[0]);
    result = folder ? inspect_shards(paths[0])
                    : inspect_model(model_path(paths[0]), model_path(against, "master.safetensors"),
                                    model_path(teacher));
    if (world.place().rank != 0) return;
    if (json) {
      std::printf("%s\n", result.dump(2).c_str());
    } else if (folder) {
      std::printf("%s", inspect_text(result).c_str());
    } else {
      print_model(result);
    }
  });
  if (!hash) return 0;
  verify(world, paths[0]);
  if (world.place().rank == 0) std::printf("every shard and row is whole\n");
  return 0;
}

}  // namespace bitstill
