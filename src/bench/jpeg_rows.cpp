// V4: decoding on threads, and whether steps wait for it. V5: starting on a large data set.
#include <algorithm>
#include <fstream>
#include <iterator>
#include <thread>
#include <utility>

#include "bitstill/base/timer.hpp"
#include "bitstill/bench/process.hpp"
#include "bitstill/data/jpeg_encode.hpp"
#include "bitstill/data/row_decoder.hpp"
#include "bitstill/data/shard_writer.hpp"
#include "photograph.hpp"
#include "rows.hpp"
#include "temporary_folder.hpp"

namespace bitstill {
namespace {

constexpr int64_t kSize = 224, kClasses = 1000;

// --- V4 ---

constexpr int64_t kHeight = 375, kWidth = 500, kPictures = 64, kBatch = 16, kWarmUp = 4;

std::vector<std::string> photographs() {
  std::vector<std::string> files;
  for (int64_t i = 0; i < kPictures; ++i) {
    files.push_back(photograph(kHeight, kWidth, static_cast<uint64_t>(i)));
  }
  return files;
}

/// One batch of all pictures, as training decodes it.
class DecodedBatch {
 public:
  explicit DecodedBatch(const std::vector<std::string>& files) {
    index_.content = Content::jpeg;
    index_.row = {kJpegChannels, 0, 0};
    raw_.offsets = {0};
    for (const std::string& file : files) {
      batch_.rows.push_back(static_cast<int64_t>(batch_.rows.size()));
      raw_.bytes.insert(raw_.bytes.end(), file.begin(), file.end());
      raw_.offsets.push_back(static_cast<int64_t>(raw_.bytes.size()));
    }
  }
  double images_per_s(int64_t threads, int64_t epoch) {
    AugmentationOptions options;
    options.flip = true;
    options.crop.crop = CropKind::random;
    options.crop.size = kSize;
    const auto decoder = make_training_decoder(index_, options, 1, threads);
    decoder->decode(&raw_, epoch, &batch_);  // the decoders' memory
    const Timer timer;
    decoder->decode(&raw_, epoch, &batch_);
    return static_cast<double>(batch_.count()) / timer.seconds();
  }

 private:
  DataIndex index_;
  RawRows raw_;
  Batch batch_;
};

Part measure_threads(const std::vector<std::string>& files, const BenchOptions& options) {
  DecodedBatch batch(files);
  std::vector<double> one, two, ratios;
  for (int64_t round = 0; round < options.rounds; ++round) {
    one.push_back(batch.images_per_s(1, round));
    two.push_back(batch.images_per_s(2, round));
    ratios.push_back(two.back() / one.back());
  }
  return {"two threads over one",
          median(ratios),
          1.9,
          true,
          {{"one_images_per_s", median(one)}, {"two_images_per_s", median(two)}}};
}

/// The share of a run's steps, after the first ones, that waited for batches.
double stall_of(const std::string& log, double* images_per_s) {
  std::ifstream file(log);
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  double waited_ms = 0, all_ms = 0, steps = 0;
  for (const Json& line : json_lines(text)) {
    if (line["type"] != "step" || line["step"] <= kWarmUp) continue;
    const double count = line["steps"];
    waited_ms += count * line["ms"]["data"].get<double>();
    all_ms += count * 1000 * kBatch / line["images_per_s"].get<double>();
    steps += count;
  }
  if (steps == 0) throw Error(ExitCode::environment, log + ": holds no steps");
  *images_per_s = steps * kBatch * 1000 / all_ms;
  return waited_ms / all_ms;
}

Part measure_stall(const std::vector<std::string>& files, const BenchOptions& options) {
  const TemporaryFolder folder;
  const std::string shards = folder.path() + "/shards", run = folder.path() + "/run";
  const int64_t lines = 1 + (options.steps + kWarmUp - 1) / kWarmUp;  // of the log
  write_jpeg_rows(shards, kBatch * kWarmUp * lines, 100, kClasses, [&](int64_t row) {
    return std::string_view(files[static_cast<std::size_t>(row % kPictures)]);
  });
  // Beside a GPU most cores have nothing else to do.
  const unsigned threads = std::max(2U, std::thread::hardware_concurrency()) - 1;
  Words train = {own_path(), "train", "--data.folder", shards, "--run.folder", run, "--overwrite"};
  const std::pair<const char*, std::string> settings[] = {
      {"--data.size", std::to_string(kSize)},
      {"--data.threads", std::to_string(threads)},
      {"--model.kind", "resnet18"},
      {"--train.global_batch", std::to_string(kBatch)},
      {"--train.epochs", "1"},
      {"--run.device", "auto"},
      {"--run.log_steps", std::to_string(kWarmUp)}};
  for (const auto& [name, value] : settings) train.insert(train.end(), {name, value});
  std::vector<double> stalls, rates;
  for (int64_t round = 0; round < options.rounds; ++round) {
    run_program(train);
    double rate = 0;
    stalls.push_back(stall_of(run + "/run.jsonl", &rate));
    rates.push_back(rate);
  }
  return {"share of a step that waits for its batch",
          median(stalls),
          0.01,
          false,
          {{"step_images_per_s", median(rates)}, {"decode_threads", threads}}};
}

// --- V5 ---

constexpr int64_t kManyRows = 1'281'167, kManyShards = 140, kFewRows = 10;
constexpr int kRanks = kStepRanks;

void write_small_pictures(const std::string& folder, int64_t rows, int64_t rows_per_shard) {
  const std::string file = encode_jpeg({8, 8, 1, std::vector<uint8_t>(64, 100)}, 50);
  write_jpeg_rows(folder, rows, rows_per_shard, kClasses,
                  [&](int64_t) { return std::string_view(file); });
}

/// Seconds from mpirun to its end, and MB of the rank that takes most.
struct Start {
  std::vector<double> seconds, memory_mb;

  void measure(const std::string& folder) {
    const Finished run =
        run_program(on_ranks(kRanks, {own_path(), "bench", "start", "--folder", folder}));
    seconds.push_back(run.seconds);
    memory_mb.push_back(json_lines(run.output).at(0)["memory_mb"]);
  }
};

}  // namespace

Row bench_decode_threads(const BenchOptions& options) {
  Row row;
  row.against = "one thread; and the step of ResNet-18 at 224 px on one rank, fed from shards";
  row.conditions = {{"pictures", kPictures}, {"height", kHeight},        {"width", kWidth},
                    {"batch", kBatch},       {"rounds", options.rounds}, {"steps", options.steps}};
  const std::vector<std::string> files = photographs();
  row.parts.push_back(measure_threads(files, options));
  row.parts.push_back(measure_stall(files, options));
  return row;
}

Row bench_large_start(const BenchOptions& options) {
  Row row;
  row.against = "a folder of ten rows; whole processes up to the first batch, in turn";
  row.conditions = {
      {"ranks", kRanks}, {"rows", kManyRows}, {"shards", kManyShards}, {"rounds", options.rounds}};
  const TemporaryFolder folder;
  const std::string many = folder.path() + "/many", few = folder.path() + "/few";
  write_small_pictures(many, kManyRows, (kManyRows + kManyShards - 1) / kManyShards);
  write_small_pictures(few, kFewRows, kFewRows);
  Start large, small;
  for (int64_t round = 0; round < options.rounds; ++round) {
    small.measure(few);
    large.measure(many);
  }
  const auto add = [&](const char* name, std::vector<double> Start::*of, double most) {
    row.parts.push_back({name,
                         median(large.*of) - median(small.*of),
                         most,
                         false,
                         {{"large", median(large.*of)}, {"small", median(small.*of)}}});
  };
  add("seconds above ten rows", &Start::seconds, 2);
  add("MB a rank above ten rows", &Start::memory_mb, 80);
  return row;
}

}  // namespace bitstill
