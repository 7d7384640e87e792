#include <ATen/ops/empty.h>

#include <algorithm>

#include "bitstill/base/text.hpp"
#include "cache_index.hpp"

namespace bitstill {
namespace {

TeacherTraits traits_of(const LogitCache& cache) {
  const CacheFacts& facts = cache.facts();
  TeacherTraits traits;
  traits.normalization = facts.normalization;
  for (const auto precision : {InferencePrecision::bf16, InferencePrecision::int8}) {
    if (facts.precision == precision_name(precision)) traits.precision = precision;
  }
  traits.cache = {facts.variants, facts.samples, facts.terms,
                  cache.bytes(),  facts.top,     facts.temperature};
  return traits;
}

class CachedTeacher final : public Teacher {
 public:
  CachedTeacher(std::unique_ptr<LogitCache> cache, const at::Device& device)
      : Teacher(traits_of(*cache)), cache_(std::move(cache)), device_(device) {}

  void read_ahead(Batch* batch) const override {
    batch->kept = cache_->read(batch->variant, batch->rows);
  }

  std::vector<Answer> answer(std::span<const Question> questions, bool /*more*/) override {
    std::vector<Answer> answers;
    for (const Question& question : questions) {
      std::vector<float> read;
      std::span<const float> kept = question.ahead;
      if (kept.empty()) kept = read = cache_->read(question.variant, question.rows);
      const int64_t words = cache_->facts().words();
      at::Tensor rows = at::empty({static_cast<int64_t>(kept.size()) / words, words}, at::kFloat);
      std::copy(kept.begin(), kept.end(), rows.mutable_data_ptr<float>());
      answers.push_back(
          {rows.to(device_), [this](const at::Tensor& some) { return cache_->logits(some); }});
    }
    return answers;
  }

 private:
  std::unique_ptr<LogitCache> cache_;
  at::Device device_;
};

std::string shift_and_flip(const AugmentationOptions& augmentation) {
  return concat("data.shift = ", augmentation.shift,
                " and data.flip = ", augmentation.flip ? "true" : "false");
}

}  // namespace

void require_fits(const LogitCache& cache, const CacheFacts& wanted) {
  const CacheFacts& has = cache.facts();
  const auto compare = [&](const char* name, const std::string& there, const std::string& here) {
    if (there == here || here.empty()) return;
    throw Error(ExitCode::settings,
                concat("teacher.cache = ", cache.folder(), " does not fit: ", name, " was ", there,
                       " when it was written and is ", here,
                       " now; write another with bitstill cache, or change that"));
  };
  compare("the SHA-256 of teacher.file", has.teacher_sha256, wanted.teacher_sha256);
  compare("the SHA-256 of samples of teacher.file", has.teacher_samples, wanted.teacher_samples);
  compare("teacher.precision", has.precision, wanted.precision);
  if (wanted.normalization.stated()) {
    compare("the teacher's normalization", to_text(has.normalization),
            to_text(wanted.normalization));
  }
  compare("the processor's instructions", has.processor, wanted.processor);
  compare("the index of data.folder", has.data, wanted.data);
  compare("augmentation", shift_and_flip(has.augmentation), shift_and_flip(wanted.augmentation));
  compare("data.crop", to_json(has.augmentation.crop).dump(),
          to_json(wanted.augmentation.crop).dump());
  compare("data.jitter, data.lighting, data.erase", to_json(has.augmentation.colour).dump(),
          to_json(wanted.augmentation.colour).dump());
  if (wanted.augments()) {
    // The first of more variants are the same ones.
    const int64_t variants = wanted.augmentation.variants;
    if (variants == 0 || variants > has.variants) {
      compare("data.variants", std::to_string(has.variants),
              variants == 0 ? "0 (never repeats)" : std::to_string(variants));
    }
    compare("data.augment_seed", std::to_string(has.augmentation.seed),
            std::to_string(wanted.augmentation.seed));
  }
  if (!has.any_batch) {  // on this processor
    compare("the micro-batch, on which the teacher's logits depend here,",
            std::to_string(has.batch), std::to_string(wanted.batch));
  }
  if (has.top > 0) {
    compare("distill.temperature", concat(has.temperature), concat(wanted.temperature));
  }
}

std::unique_ptr<Teacher> make_cached_teacher(std::unique_ptr<LogitCache> cache,
                                             const at::Device& device) {
  return std::make_unique<CachedTeacher>(std::move(cache), device);
}

}  // namespace bitstill
