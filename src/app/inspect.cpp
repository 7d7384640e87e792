// bitstill inspect: what a shard folder or a model file holds.
#include "bitstill/data/inspect.hpp"

#include <cstdio>
#include <filesystem>

#include "bitstill/base/log.hpp"
#include "bitstill/base/text.hpp"
#include "bitstill/comm/agree.hpp"
#include "bitstill/store/model_file.hpp"
#include "command.hpp"

namespace bitstill {
namespace {

/// One line a tensor, and the totals.
Json inspect_model(const std::string& path) {
  const ModelFile file = read_model_file(path);
  Json tensors = Json::array();
  int64_t values = 0;
  for (const auto& [name, tensor] : file.quantized) {
    values += tensor.count;
    tensors.push_back({{"name", name},
                       {"shape", tensor.shape},
                       {"points", tensor.points.size()},
                       {"bucket", tensor.bucket},
                       {"scales", tensor.alpha.size()}});
  }
  for (const auto& [name, tensor] : file.tensors) {
    values += tensor.numel();
    tensors.push_back({{"name", name}, {"shape", tensor.sizes().vec()}});
  }
  const auto bytes = static_cast<int64_t>(std::filesystem::file_size(path));
  return {{"file", path},        {"bytes", bytes},
          {"values", values},    {"fp32_bytes", 4 * values},
          {"about", file.about}, {"tensors", tensors}};
}

void print_model(const Json& model) {
  for (const Json& tensor : model["tensors"]) {
    const std::string how = tensor.contains("points")
                                ? concat(tensor["points"].get<int64_t>(), " points, bucket ",
                                         tensor["bucket"].get<int64_t>(), ", ",
                                         tensor["scales"].get<int64_t>(), " scales")
                                : "fp32";
    std::printf("%-24s %-20s %s\n", tensor["name"].get<std::string>().c_str(),
                tensor["shape"].dump().c_str(), how.c_str());
  }
  const auto bytes = model["bytes"].get<double>();
  const auto fp32 = model["fp32_bytes"].get<double>();
  std::printf("%lld values, %s on disk, %s as fp32: %.2fx smaller\n",
              static_cast<long long>(model["values"].get<int64_t>()), human_bytes(bytes).c_str(),
              human_bytes(fp32).c_str(), fp32 / bytes);
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
  bool hash = false, json = false;
  SettingTable table;
  table.take_words(&paths, "PATH                        a shard folder or a model file");
  table.add("verify", &hash, "hash every shard and row, shards divided over ranks");
  table.add("json", &json, "print JSON");
  if (!read_settings(world, table, arguments, "bitstill inspect PATH [--verify]")) return 0;
  Json result;
  agree(world.control(), [&] {
    if (paths.size() != 1) throw Error(ExitCode::settings, "give one path: bitstill inspect PATH");
    const bool folder = std::filesystem::is_directory(paths[0]);
    result = folder ? inspect_shards(paths[0]) : inspect_model(paths[0]);
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
