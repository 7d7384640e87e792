#include "bitstill/infer/predict.hpp"

#include <ATen/Parallel.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <memory>
#include <utility>

#include "bitstill/base/text.hpp"
#include "bitstill/comm/agree.hpp"
#include "bitstill/comm/gather_text.hpp"
#include "bitstill/data/image_files.hpp"
#include "bitstill/infer/logits.hpp"

namespace bitstill {
namespace {

/// What one rank has of a round, as text.
struct Answers {
  std::string predictions;
  std::string skipped;  // reasons, each a line (an Error is one line whatever names it carries)
};

/// Images [from, to) read with all threads of this rank. Those that cannot be read are taken out
/// and their reasons given.
Batch read_images(const ImageList& images, int64_t from, int64_t to, int64_t pixels,
                  std::vector<std::string>* reasons) {
  const auto count = static_cast<std::size_t>(to - from);
  Batch batch;
  batch.rows.resize(count);
  batch.labels.resize(count);
  batch.pixels.resize(count * static_cast<std::size_t>(pixels));
  std::vector<std::string> why(count);
  at::parallel_for(0, to - from, 1, [&](int64_t begin, int64_t end) {
    for (int64_t k = begin; k < end; ++k) {
      const auto at = static_cast<std::size_t>(k);
      batch.rows[at] = from + k;
      try {
        batch.labels[at] = images.load(from + k, batch.pixels.data() + k * pixels);
      } catch (const Error& error) {
        why[at] = error.what();
      }
    }
  });
  std::size_t kept = 0;
  for (std::size_t k = 0; k < count; ++k) {
    if (!why[k].empty()) {
      reasons->push_back(why[k]);
      continue;
    }
    const auto bytes = static_cast<std::size_t>(pixels);
    if (kept != k) {
      std::memcpy(&batch.pixels[kept * bytes], &batch.pixels[k * bytes], bytes);
      batch.rows[kept] = batch.rows[k];
      batch.labels[kept] = batch.labels[k];
    }
    ++kept;
  }
  batch.rows.resize(kept);
  batch.labels.resize(kept);
  batch.pixels.resize(kept * static_cast<std::size_t>(pixels));
  return batch;
}

Answers answer_batch(const LoadedModel& model, const ImageList& images, int64_t from, int64_t to,
                     const PredictOptions& options, const PredictionWriter& writer) {
  std::vector<std::string> reasons;
  const Batch batch = read_images(images, from, to, model.network->spec().input.pixels(), &reasons);
  if (!reasons.empty() && !options.skip_bad) {
    throw Error(ExitCode::data,
                concat(reasons.front(), "; mend it or leave such images out with --skip-bad"));
  }
  Answers answers;
  for (const std::string& reason : reasons) answers.skipped += reason + '\n';
  if (batch.count() == 0) return answers;
  const Logits logits = forward_batch(*model.network, batch, options.device, options.channels_last);
  for (int64_t i = 0; i < batch.count(); ++i) {
    const auto at = static_cast<std::size_t>(i);
    const Prediction prediction{images.name(batch.rows[at]), batch.labels[at],
                                top_classes(logits.row(i), options.top)};
    if (std::isnan(prediction.top.front().probability)) {
      throw Error(ExitCode::numbers, concat("the model's answer to ", prediction.name,
                                            " is not finite; its weights are damaged"));
    }
    answers.predictions += writer.format(prediction);
  }
  return answers;
}

/// On rank 0 all ranks' answers in their order; elsewhere nothing.
Answers gather(Communicator& comm, Answers mine) {
  Answers all;
  for (const std::string& text : gather_text(comm, std::move(mine.predictions))) {
    all.predictions += text;
  }
  for (const std::string& text : gather_text(comm, std::move(mine.skipped))) all.skipped += text;
  return all;
}

void add_reasons(const std::string& text, std::vector<std::string>* reasons) {
  for (std::size_t from = 0, to = 0; from < text.size(); from = to + 1) {
    to = text.find('\n', from);
    reasons->push_back(text.substr(from, to - from));
  }
}

}  // namespace

ImageList images_of_files(std::vector<std::string> files, const ImageShape& shape,
                          const CropOptions& crop, int64_t most_pixels) {
  const auto names = std::make_shared<const std::vector<std::string>>(std::move(files));
  const auto name = [names](int64_t i) { return (*names)[static_cast<std::size_t>(i)]; };
  const auto load = [name, shape, crop, most_pixels](int64_t i, uint8_t* pixels) {
    const Image image = read_image(name(i), most_pixels);
    if (crop.crop == CropKind::none) {
      fit_image(image, shape, pixels);
    } else {
      cut_centre(image, shape.channels, crop, pixels);
    }
    return int64_t{-1};
  };
  return {static_cast<int64_t>(names->size()), name, load};
}

ImageList images_of_split(const Dataset& dataset, Split split) {
  const auto name = [split](int64_t i) { return concat(word(split), "/", i); };
  const auto load = [&dataset, split](int64_t i, uint8_t* pixels) {
    const Batch row = read_batch(dataset, split, {i});
    std::copy(row.pixels.begin(), row.pixels.end(), pixels);
    return row.labels.front();
  };
  return {dataset.size(split), name, load};
}

std::vector<std::string> predict(const LoadedModel& model, const ImageList& images,
                                 const PredictOptions& options, const PredictionWriter& writer,
                                 Communicator& comm) {
  std::vector<std::string> skipped;
  const int64_t batches = (images.count + options.batch - 1) / options.batch;
  for (int64_t first = 0; first < batches; first += comm.world()) {
    const int64_t from = std::min((first + comm.rank()) * options.batch, images.count);
    const int64_t to = std::min(from + options.batch, images.count);
    Answers answers;
    agree(comm, [&] {
      if (options.progress) options.progress(false);
      answers = answer_batch(model, images, from, to, options, writer);
      if (options.progress) options.progress(true);
    });
    answers = gather(comm, std::move(answers));
    agree(comm, [&] {
      if (!answers.predictions.empty()) writer.write(answers.predictions);
    });
    add_reasons(answers.skipped, &skipped);
  }
  return skipped;
}

}  // namespace bitstill
