#include "sentence_scores.hpp"

#include <cstdio>

#include "bitstill/base/sha256.hpp"
#include "bitstill/base/text.hpp"
#include "bitstill/comm/agree.hpp"
#include "bitstill/infer/evaluate_sentences.hpp"
#include "bitstill/train/run_records.hpp"

namespace bitstill {

void print_sentence_scores(World& world, const std::vector<ScoredFile>& files, Dataset& shards,
                           Split split, const at::Device& device, bool json) {
  Communicator& control = world.control();
  EvaluateOptions options;
  options.device = device;
  Json all = Json::array();
  for (const ScoredFile& file : files) {
    LoadedModel model;
    std::string path, digest;
    agree(control, [&] {
      path = model_path(file.path);
      digest = sha256_of_file(path, ExitCode::model);
      model = load_model_for(path, file.section, file.settings, &shards, device);
    });
    require_equal(control, {{path, digest}}, ExitCode::model);
    const ClassificationCounts counts =
        evaluate_sentences(*model.network, shards, split, options, control);
    Json line = {{"file", path}, {"bytes", model.file_bytes}, {"split", word(split)}};
    line.update(counts_json(counts, true));
    all.push_back(line);
    if (world.place().rank != 0 || json) continue;
    std::printf("%s (%s): %s of %s, %lld sentences\n", path.c_str(),
                human_bytes(static_cast<double>(model.file_bytes)).c_str(),
                perplexity_text(counts).c_str(), word(split),
                static_cast<long long>(shards.size(split)));
  }
  if (world.place().rank == 0 && json) std::printf("%s\n", all.dump(1).c_str());
}

}  // namespace bitstill
