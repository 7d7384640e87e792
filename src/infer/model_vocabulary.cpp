#include "bitstill/infer/model_vocabulary.hpp"

#include <ATen/ops/from_blob.h>

#include <algorithm>

#include "bitstill/base/text.hpp"

namespace bitstill {
namespace {

constexpr const char *kSource = "vocabulary.source", *kTarget = "vocabulary.target",
                     *kJoint = "vocabulary.joint";

at::Tensor as_tensor(const std::string& bytes) {
  // from_blob wants a pointer it could write through; the clone is what is kept.
  return at::from_blob(const_cast<char*>(bytes.data()), {static_cast<int64_t>(bytes.size())},
                       at::kByte)
      .clone();
}

/// Null where there is none of this name.
std::shared_ptr<const Vocabulary> read(const NamedTensors& attached, const char* name,
                                       const std::string& where) {
  const auto found = std::find_if(attached.begin(), attached.end(),
                                  [&](const auto& named) { return named.first == name; });
  if (found == attached.end()) return nullptr;
  const at::Tensor bytes = found->second.contiguous();
  const auto* const first = static_cast<const char*>(bytes.const_data_ptr());
  try {
    return std::make_shared<const Vocabulary>(std::string(first, bytes.nbytes()),
                                              concat(where, ": ", name));
  } catch (const Error& error) {
    throw Error(ExitCode::model, error.what());
  }
}

void require_pieces(const Vocabulary& vocabulary, const char* side, int64_t pieces,
                    const std::string& where) {
  if (vocabulary.size() == pieces) return;
  throw Error(ExitCode::model,
              concat(where, ": its ", side, " vocabulary has ", vocabulary.size(),
                     " pieces, its network ", pieces, "; they are not of one training"));
}

}  // namespace

NamedTensors vocabulary_tensors(const Vocabulary& source, const Vocabulary& target) {
  if (source.bytes() == target.bytes()) return {{kJoint, as_tensor(source.bytes())}};
  return {{kSource, as_tensor(source.bytes())}, {kTarget, as_tensor(target.bytes())}};
}

VocabularyPair read_vocabularies(const NamedTensors& attached, const NetworkSpec& network,
                                 const std::string& where) {
  VocabularyPair pair;
  pair.source = pair.target = read(attached, kJoint, where);
  if (pair.source == nullptr) {
    pair = {read(attached, kSource, where), read(attached, kTarget, where)};
  }
  if (pair.source == nullptr || pair.target == nullptr) {
    throw Error(ExitCode::model,
                concat(where, ": carries no ",
                       pair.source == nullptr ? "source vocabulary" : "target vocabulary",
                       ", so it can neither read nor write text; give a file that a run of "
                       "sentences wrote"));
  }
  require_pieces(*pair.source, "source", network.source_pieces, where);
  require_pieces(*pair.target, "target", network.classes, where);
  const Vocabulary& target = *pair.target;
  if (target.begin() != network.ends.begin || target.end() != network.ends.end) {
    throw Error(ExitCode::model,
                concat(where, ": <s> and </s> are ", target.begin(), " and ", target.end(),
                       " in its target vocabulary, ", network.ends.begin, " and ", network.ends.end,
                       " in its network; they are not of one training"));
  }
  return pair;
}

}  // namespace bitstill
