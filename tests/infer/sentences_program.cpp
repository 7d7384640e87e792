// For tests/whole/translate.sh: a model file of sentences whose weights are random.
//
//   sentences_program SEED SOURCE.model TARGET.model OUT.safetensors [bare]
//
// bare: without its vocabularies.
#include <ATen/core/grad_mode.h>

#include <cstdio>
#include <exception>
#include <string>

#include "bitstill/base/file.hpp"
#include "bitstill/infer/loaded_model.hpp"
#include "bitstill/infer/model_vocabulary.hpp"
#include "bitstill/model/weights.hpp"

namespace bitstill {
namespace {

Vocabulary vocabulary(const std::string& path) {
  return {read_file(path, ExitCode::data), path};
}

void write(uint64_t seed, const Vocabulary& source, const Vocabulary& target,
           const std::string& path, bool bare) {
  NetworkSpec spec;
  spec.kind = "lstm";
  spec.size = 24;
  spec.bidirectional = true;
  spec.source_pieces = source.size();
  spec.classes = target.size();
  spec.ends = {target.begin(), target.end()};
  const auto network = make_network(spec);
  initialize(*network, seed);
  const at::NoGradGuard no_gradient;
  // Of the usual small weights every sentence's translation is about the same.
  for (Parameter* parameter : network->parameters()) parameter->value.mul_(8);
  ModelFile file;
  file.about = describe_model("weights", network->spec(), {});
  file.tensors = named_tensors(*network);
  if (!bare) file.attached = vocabulary_tensors(source, target);
  write_model_file(path, file);
}

}  // namespace
}  // namespace bitstill

int main(int argc, char** argv) {
  using namespace bitstill;
  if (argc < 5) {
    std::fprintf(stderr, "sentences_program SEED SOURCE.model TARGET.model OUT [bare]\n");
    return 2;
  }
  try {
    write(std::stoull(argv[1]), vocabulary(argv[2]), vocabulary(argv[3]), argv[4], argc > 5);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "error: %s\n", error.what());
    return 1;
  }
  return 0;
}
