#include "peer_sweep.hpp"

#include <algorithm>
#include <filesystem>
#include <fstream>

#include "bitstill/base/file.hpp"
#include "bitstill/base/log.hpp"
#include "bitstill/base/text.hpp"

namespace bitstill {

std::vector<double> Pair::ratios() const {
  std::vector<double> result;
  for (std::size_t i = 0; i < a.size(); ++i) result.push_back(b[i] / a[i]);
  return result;
}

double Pair::least_a() const {
  return *std::min_element(a.begin(), a.end());
}

double Pair::least_b() const {
  return *std::min_element(b.begin(), b.end());
}

Words Configuration::flags() const {
  Words words = {"--bucket-mb", std::to_string(line["bucket_mb"].get<int>())};
  if (line["channels_last"].get<bool>()) words.emplace_back("--channels-last");
  if (line["bf16"].get<bool>()) words.emplace_back("--bf16");
  if (line["compiled"].get<bool>()) words.emplace_back("--compile");
  return words;
}

std::vector<Json> sweep(const Peer& peer, const BenchOptions& options, const std::string& student,
                        const std::string& batch, std::size_t configurations) {
  std::vector<Json> lines;
  if (!options.sweep.empty() && std::filesystem::exists(options.sweep)) {
    for (const Json& line : json_lines(read_file(options.sweep, ExitCode::settings))) {
      const bool mine = line["student"].get<std::string>() == student &&
                        line["batch"].get<int>() == std::stoi(batch);
      if (mine) lines.push_back(line);
    }
  }
  if (lines.size() == configurations) return lines;
  say(concat("the peer's sweep, ", student, ", batch ", batch, ": some minutes"));
  const std::string output = peer.run({"--student", student, "--batch", batch, "--sweep", "--steps",
                                       std::to_string(options.steps)})
                                 .output;
  if (!options.sweep.empty()) std::ofstream(options.sweep, std::ios::app) << output;
  return json_lines(output);
}

Configuration fastest(const std::vector<Json>& lines, bool bf16) {
  const Json* best = nullptr;
  for (const Json& line : lines) {
    if (line["bf16"].get<bool>() != bf16) continue;
    if (best == nullptr || line["images_per_s"] > (*best)["images_per_s"]) best = &line;
  }
  if (best == nullptr)
    throw Error(ExitCode::environment, "the peer's sweep printed no configuration");
  return {*best};
}

double peer_speed(const Peer& peer, const BenchOptions& options, const std::string& student,
                  const std::string& batch, const Configuration& configuration) {
  Words words = {"--student", student, "--batch", batch, "--steps", std::to_string(options.steps)};
  for (const std::string& flag : configuration.flags()) words.push_back(flag);
  return json_lines(peer.run(words).output).at(0)["images_per_s"].get<double>();
}

}  // namespace bitstill
