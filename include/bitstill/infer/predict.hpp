// What a model takes images for, batch by batch, the work divided over ranks.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "bitstill/comm/communicator.hpp"
#include "bitstill/data/dataset.hpp"
#include "bitstill/infer/loaded_model.hpp"
#include "bitstill/metrics/scores.hpp"

namespace bitstill {

/// Numbered images in the model's shape, the same list on all ranks.
struct ImageList {
  int64_t count = 0;
  std::function<std::string(int64_t i)> name;
  /// Pixels [C,H,W] of image i; its label, or -1 where it is not known. Error(data) when it cannot
  /// be read. Called on several threads.
  std::function<int64_t(int64_t i, uint8_t* pixels)> load;
};
/// Files of JPEG or PNG images of at most `most_pixels` each.
ImageList images_of_files(std::vector<std::string> files, const ImageShape& shape,
                          const CropOptions& crop, int64_t most_pixels);
/// Rows of a split, named "test/5"; the dataset outlives the list.
ImageList images_of_split(const Dataset& dataset, Split split);

struct Prediction {
  std::string name;
  int64_t label = -1;  // -1: not known
  std::vector<ClassProbability> top;
};

struct PredictOptions {
  int64_t batch = 32;  // images a forward pass: batches are cut alike for every world size
  int64_t top = 3;     // classes of each prediction
  bool skip_bad = false;
  bool channels_last = true;
  at::Device device = at::kCPU;
  /// Before each batch, and when this rank begins to wait for the others.
  std::function<void(bool waits)> progress;
};

/// Where predictions go.
struct PredictionWriter {
  std::function<std::string(const Prediction&)> format;  // on the rank that made it
  std::function<void(const std::string& text)> write;    // on rank 0, in order of the images
};

/// Predicts all images. An image that cannot be read, or whose answer is not finite, ends the job
/// on all ranks (Error(data), Error(numbers)); with skip_bad those that cannot be read are left
/// out. Returns, on rank 0, the reasons of those left out, in order.
/// Collective: every rank of comm calls this, in the same order.
std::vector<std::string> predict(const LoadedModel& model, const ImageList& images,
                                 const PredictOptions& options, const PredictionWriter& writer,
                                 Communicator& comm);

}  // namespace bitstill
