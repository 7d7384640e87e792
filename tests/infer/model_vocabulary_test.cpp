#include "bitstill/infer/model_vocabulary.hpp"

#include <ATen/ops/ones.h>

#include "../data/sentences.hpp"
#include "bitstill/infer/loaded_model.hpp"
#include "bitstill/model/weights.hpp"

namespace bitstill {
namespace {

Vocabulary trained(const char* spec, bool source) {
  static const std::vector<MadePair> kPairs = made_pairs(200, 3);
  std::vector<std::string_view> sentences;
  for (const MadePair& pair : kPairs) sentences.push_back(source ? pair.source : pair.target);
  return train_vocabulary(parse_vocabulary_spec(spec, "--vocabulary"), sentences);
}

NetworkSpec spec_of(int64_t source_pieces, int64_t target_pieces, const TargetEnds& ends = {}) {
  NetworkSpec spec;
  spec.source_pieces = source_pieces;
  spec.classes = target_pieces;
  spec.ends = ends;
  return spec;
}

/// A small network's file, packed where `points` are given.
ModelFile small_file(bool packed) {
  NetworkSpec spec;
  spec.input = {1, 8, 8};
  spec.classes = 2;
  spec.widths = {3};
  spec.kernels = {3};
  spec.normalization = {{.5f}, {.2f}};
  const auto network = make_network(spec);
  initialize(*network, 4);
  ModelFile file;
  file.about = describe_model(packed ? "student" : "weights", network->spec(), {"ant", "bee"});
  file.about["quantizer"] = packed ? Json{{"method", "uniform"}} : Json();
  for (const auto& [name, tensor] : named_tensors(*network)) {
    if (!packed || tensor.dim() < 2) {
      file.tensors.emplace_back(name, tensor);
      continue;
    }
    QuantizedTensor codes;
    codes.shape = tensor.sizes().vec();
    codes.count = codes.bucket = tensor.numel();
    codes.points = {0, 1};
    codes.alpha = codes.beta = {0.5};
    for (int64_t i = 0; i < codes.count; ++i) codes.codes.push_back(i % 3 == 0 ? 1 : 0);
    file.quantized.emplace_back(name, codes);
  }
  return file;
}

void expect_vocabularies(const NamedTensors& attached, const Vocabulary& source,
                         const Vocabulary& target) {
  const VocabularyPair pair =
      read_vocabularies(attached, spec_of(90, target.size()), "m.safetensors");
  EXPECT_EQ(source.size(), 90);
  EXPECT_EQ(pair.source->bytes(), source.bytes());
  EXPECT_EQ(pair.target->bytes(), target.bytes());
  EXPECT_EQ(pair.source == pair.target, source.bytes() == target.bytes());
}

TEST(ModelVocabulary, GoesThroughEveryKindOfFileAndIsNoWeight) {
  const ScratchFolder folder;
  const std::string path = folder / "m.safetensors";
  const Vocabulary source = trained("bpe:90", true), target = trained("bpe:110", false);
  for (const bool packed : {false, true}) {
    for (const Vocabulary* other : {&target, &source}) {
      ModelFile file = small_file(packed);
      write_model_file(path, file);
      const ModelFile before = read_model_file(path);
      EXPECT_TRUE(before.attached.empty());
      file.attached = vocabulary_tensors(source, *other);
      EXPECT_EQ(file.attached.size(), other == &source ? 1U : 2U);
      write_model_file(path, file);
      const ModelFile after = read_model_file(path);
      expect_vocabularies(after.attached, source, *other);
      // Its bytes count, its weights are those that they were.
      const std::size_t bytes =
          source.bytes().size() + (other == &source ? 0 : other->bytes().size());
      EXPECT_GT(after.sizes.file, before.sizes.file + bytes);
      EXPECT_LT(after.sizes.file, before.sizes.file + bytes + 300);
      EXPECT_EQ(after.sizes.file, model_file_bytes(file));
      const NamedTensors weights = network_tensors(after), plain = network_tensors(before);
      ASSERT_EQ(weights.size(), plain.size());
      for (std::size_t i = 0; i < weights.size(); ++i) {
        EXPECT_EQ(weights[i].first, plain[i].first);
        EXPECT_TRUE(weights[i].second.equal(plain[i].second));
      }
      const LoadedModel model = load_model(path);
      expect_vocabularies(model.attached, source, *other);
      if (!packed) load_skeleton(TensorFile(path));  // its tensors fit the network
    }
  }
}

TEST(ModelVocabulary, ATensorOfThatNameThatIsNoBytesIsAWeightLikeOthers) {
  const ScratchFolder folder;
  ModelFile file = small_file(false);
  file.tensors.emplace_back("vocabulary.joint", at::ones({3}));
  write_model_file(folder / "m.safetensors", file);
  EXPECT_TRUE(read_model_file(folder / "m.safetensors").attached.empty());
  EXPECT_HOLDS(error_of(ExitCode::model, [&] { load_model(folder / "m.safetensors"); }),
               "extra vocabulary.joint");
}

TEST(ModelVocabulary, SaysWhatIsWrong) {
  const Vocabulary source = trained("bpe:90", true), target = trained("bpe:110", false);
  const auto refusal = [](const NamedTensors& attached, int64_t pieces, int64_t target_pieces,
                          const TargetEnds& ends = {}) {
    return error_of(ExitCode::model, [&] {
      read_vocabularies(attached, spec_of(pieces, target_pieces, ends), "m.safetensors");
    });
  };
  NamedTensors both = vocabulary_tensors(source, target);
  EXPECT_HOLDS(refusal({}, 90, 110), "m.safetensors: carries no source vocabulary");
  EXPECT_HOLDS(refusal({both[0]}, 90, 110), "carries no target vocabulary");
  EXPECT_HOLDS(refusal({both[1]}, 90, 110), "carries no source vocabulary");
  EXPECT_HOLDS(refusal(both, 91, 110), "source vocabulary has 90 pieces, its network 91");
  EXPECT_HOLDS(refusal(both, 90, 80), "target vocabulary has 110 pieces, its network 80");
  EXPECT_HOLDS(refusal(vocabulary_tensors(source, source), 90, 110),
               "target vocabulary has 90 pieces, its network 110");
  EXPECT_HOLDS(refusal(both, 90, 110, {1, 7}),
               "<s> and </s> are 1 and 2 in its target vocabulary, 1 and 7 in its network");
  both[1].second = both[1].second.slice(0, 0, both[1].second.numel() / 2);
  EXPECT_HOLDS(refusal(both, 90, 110),
               "m.safetensors: vocabulary.target: is no SentencePiece model");
  both[1].second = both[1].second.slice(0, 0, 0);
  EXPECT_HOLDS(refusal(both, 90, 110), "is no SentencePiece model");
}

}  // namespace
}  // namespace bitstill
