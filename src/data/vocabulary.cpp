// The one source that speaks to SentencePiece.
#include "bitstill/data/vocabulary.hpp"

#include <sentencepiece_processor.h>
#include <sentencepiece_trainer.h>

#include <charconv>
#include <unordered_map>
#include <utility>

#include "bitstill/base/error.hpp"
#include "bitstill/base/file.hpp"
#include "bitstill/base/sha256.hpp"
#include "bitstill/base/text.hpp"

namespace bitstill {
namespace {

constexpr int64_t kLeastPieces = 4;  // the specials and one more
constexpr int64_t kMostTrained = 1'000'000;

/// Hands the trainer one sentence after the other.
class Sentences final : public sentencepiece::SentenceIterator {
 public:
  explicit Sentences(const std::vector<std::string_view>& all) : all_(all) { take(); }
  bool done() const override { return next_ == all_.size(); }
  void Next() override {
    ++next_;
    take();
  }
  const std::string& value() const override { return value_; }
  sentencepiece::util::Status status() const override { return {}; }

 private:
  void take() {
    if (!done()) value_ = all_[next_];
  }
  const std::vector<std::string_view>& all_;
  std::size_t next_ = 0;
  std::string value_;
};

const char* trainer_word(VocabularyKind kind) {
  switch (kind) {
    case VocabularyKind::unigram:
      return "unigram";
    case VocabularyKind::bpe:
      return "bpe";
    case VocabularyKind::words:
      return "word";
  }
  return "";  // no kind
}

/// The library's message without the place in its own source: "... [condition] message".
std::string reason_of(const sentencepiece::util::Status& status) {
  std::string text = status.ToString();
  if (text.ends_with('.')) text.pop_back();
  const std::size_t at = text.rfind("] ");
  return at == std::string::npos || at + 2 == text.size() ? text : text.substr(at + 2);
}

}  // namespace

struct Vocabulary::State {
  sentencepiece::SentencePieceProcessor model;
};

VocabularySpec parse_vocabulary_spec(const std::string& text, const std::string& setting) {
  VocabularySpec spec;
  const std::size_t colon = text.find(':');
  if (colon == std::string::npos || !has_word<VocabularyKind>(text.substr(0, colon))) {
    spec.file = text;
    if (text.ends_with(".model") || text.find('/') != std::string::npos) return spec;
    throw Error(ExitCode::settings, concat(setting, " = ", text,
                                           ": give unigram:N, bpe:N or words:N with N pieces, or a "
                                           "SentencePiece .model"));
  }
  spec.kind = from_word<VocabularyKind>(text.substr(0, colon), setting);
  const char* const end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data() + colon + 1, end, spec.pieces);
  if (error == std::errc() && stop == end && spec.pieces >= kLeastPieces &&
      spec.pieces <= kMostTrained) {
    return spec;
  }
  throw Error(ExitCode::settings, concat(setting, " = ", text, ": pieces are ", kLeastPieces,
                                         " to ", kMostTrained, ", for example unigram:8000"));
}

Vocabulary::Vocabulary(std::string bytes, const std::string& where)
    : bytes_(std::move(bytes)), state_(std::make_unique<State>()) {
  // An empty text is a message of the library's format, too.
  if (bytes_.empty() || !state_->model.LoadFromSerializedProto(bytes_).ok() || size() < 1) {
    throw Error(ExitCode::data, where + ": is no SentencePiece model, or a damaged one");
  }
  if (unknown() < 0 || begin() < 0 || end() < 0) {
    throw Error(ExitCode::data, where + ": lacks one of <unk>, <s> and </s>; train it with them");
  }
}

Vocabulary::~Vocabulary() = default;
Vocabulary::Vocabulary(Vocabulary&&) noexcept = default;
Vocabulary& Vocabulary::operator=(Vocabulary&&) noexcept = default;

int64_t Vocabulary::size() const {
  return state_->model.GetPieceSize();
}

int32_t Vocabulary::unknown() const {
  return state_->model.unk_id();
}

int32_t Vocabulary::begin() const {
  return state_->model.bos_id();
}

int32_t Vocabulary::end() const {
  return state_->model.eos_id();
}

std::string Vocabulary::piece(int32_t id) const {
  return state_->model.IdToPiece(id);
}

std::vector<int32_t> Vocabulary::encode(std::string_view text) const {
  return state_->model.EncodeAsIds(text);
}

std::string Vocabulary::decode(std::span<const int32_t> ids) const {
  return state_->model.DecodeIds({ids.begin(), ids.end()});
}

Vocabulary train_vocabulary(const VocabularySpec& spec,
                            const std::vector<std::string_view>& sentences) {
  const std::unordered_map<std::string, std::string> settings = {
      {"model_type", trainer_word(spec.kind)},
      {"vocab_size", std::to_string(spec.pieces)},
      // There may be fewer words than asked for; pieces can always be made.
      {"hard_vocab_limit", spec.kind == VocabularyKind::words ? "false" : "true"},
      // Of the text's letters; the rest, one in 20,000, is <unk>. The library's own 0.9995 loses
      // letters and signs that translations need.
      {"character_coverage", "0.99995"},
      {"num_threads", "8"},  // sums are added thread by thread: not the machine's number
      {"minloglevel", "4"}};
  Sentences iterator(sentences);
  std::string bytes;
  const auto status = sentencepiece::SentencePieceTrainer::Train(settings, &iterator, &bytes);
  if (!status.ok()) {
    throw Error(ExitCode::settings,
                concat("--vocabulary ", spec.kind, ":", spec.pieces, ": ", reason_of(status)));
  }
  return {std::move(bytes), "the trained vocabulary"};
}

Vocabulary read_vocabulary(const std::string& folder, const DataIndex& index, std::size_t side) {
  const VocabularyFile& file = side == 0 ? index.vocabularies.front() : index.vocabularies.back();
  const std::string path = folder + "/" + file.file;
  std::string bytes = read_file(path, ExitCode::data, kMostModelBytes);
  if (sha256_hex(bytes) != file.sha256) {
    throw Error(ExitCode::data,
                path + ": was changed since it was written (its SHA-256 differs); restore it");
  }
  Vocabulary vocabulary(std::move(bytes), path);
  if (vocabulary.size() == file.pieces) return vocabulary;
  throw Error(ExitCode::data,
              concat(path, ": has ", vocabulary.size(), " pieces, the index says ", file.pieces));
}

}  // namespace bitstill
