// V1: JPEGs become the input of a network.
#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <map>

#include "bitstill/base/random.hpp"
#include "bitstill/base/text.hpp"
#include "bitstill/bench/process.hpp"
#include "bitstill/data/jpeg_encode.hpp"
#include "bitstill/data/resize.hpp"
#include "bitstill/model/input.hpp"
#include "photograph.hpp"
#include "rows.hpp"
#include "temporary_folder.hpp"

namespace bitstill {
namespace {

constexpr int kPictures = 100, kQuality = 90;
constexpr int64_t kSize = 224;

/// Smooth noise on a grid of `cell` pixels, between -1 and 1, added to one channel.
void add_octave(Image* image, int64_t channel, int64_t cell, float strength, RandomStream* stream) {
  const int64_t columns = image->width / cell + 2, rows = image->height / cell + 2;
  std::vector<float> corners(static_cast<std::size_t>(columns * rows));
  for (float& corner : corners) corner = strength * (2 * stream->uniform() - 1);
  for (int64_t y = 0; y < image->height; ++y) {
    const float down = static_cast<float>(y % cell) / static_cast<float>(cell);
    for (int64_t x = 0; x < image->width; ++x) {
      const float across = static_cast<float>(x % cell) / static_cast<float>(cell);
      const float* at = &corners[static_cast<std::size_t>(y / cell * columns + x / cell)];
      const float value = (1 - down) * ((1 - across) * at[0] + across * at[1]) +
                          down * ((1 - across) * at[columns] + across * at[columns + 1]);
      uint8_t& byte = image->bytes[static_cast<std::size_t>((y * image->width + x) * 3 + channel)];
      byte = static_cast<uint8_t>(std::clamp(static_cast<float>(byte) + value, 0.0f, 255.0f));
    }
  }
}

}  // namespace

std::string photograph(int64_t height, int64_t width, uint64_t number) {
  RandomStream stream(number, StreamPurpose::split);
  Image image{height, width, 3, {}};
  image.bytes.assign(static_cast<std::size_t>(height * width * 3), 128);
  for (const int64_t cell : {128, 64, 32, 16, 8, 4, 2, 1}) {
    const float strength = 10 * std::sqrt(static_cast<float>(cell));
    const RandomStream brightness = stream;
    for (int64_t c = 0; c < 3; ++c) {
      stream = brightness;  // the same in each channel
      add_octave(&image, c, cell, strength, &stream);
    }
    for (int64_t c = 0; c < 3 && cell >= 8; ++c) add_octave(&image, c, cell, strength / 4, &stream);
  }
  return encode_jpeg(image, kQuality);
}

namespace {

/// Photographs of one size, as files for the peer too.
struct Album {
  int64_t height, width;
  std::vector<std::string> files;
  std::string pattern;  // of their paths

  Album(int64_t rows, int64_t columns, const std::string& folder) : height(rows), width(columns) {
    const std::string own = concat(folder, "/", width, "x", height);
    std::filesystem::create_directory(own);
    for (uint64_t i = 0; i < kPictures; ++i) {
      files.push_back(photograph(height, width, i));
      std::ofstream(concat(own, "/", i, ".jpg"), std::ios::binary) << files.back();
    }
    pattern = own + "/*.jpg";
  }

  std::size_t bytes() const {
    std::size_t sum = 0;
    for (const std::string& file : files) sum += file.size();
    return sum / files.size();
  }

  /// Images a CPU second: decoded, cropped, scaled, mirrored, normalized.
  double measure(int64_t variant) const {
    const ImageShape shape{3, kSize, kSize};
    const Normalization normalization{{0.485f, 0.456f, 0.406f}, {0.229f, 0.224f, 0.225f}};
    JpegDecoder decoder;
    CropResizer resizer;
    Batch batch;
    batch.rows = {0};
    batch.pixels.resize(static_cast<std::size_t>(shape.pixels()));
    const double start = cpu_seconds();
    for (std::size_t i = 0; i < files.size(); ++i) {
      const auto row = static_cast<int64_t>(i);
      const std::span file(reinterpret_cast<const uint8_t*>(files[i].data()), files[i].size());
      const JpegSize size = read_jpeg_size(file);
      Crop crop = random_crop(size.height, size.width, {}, 1, variant, row);
      crop.flip = draw_flip(1, variant, row);
      resizer.resize_crop(decoder.decode_crop(file, source_box(crop), 3), crop,
                          batch.pixels.data());
      to_input(batch, shape, normalization, at::kCPU, false);
    }
    return static_cast<double>(files.size()) / (cpu_seconds() - start);
  }
};

/// Another loader: its script, its name, how its line begins, and the targets over it by album.
struct Rival {
  const char* script;
  const char* name;
  const char* line;
  double targets[2];
};
constexpr Rival kRivals[] = {
    {"jpeg_torchvision.py", "torchvision's reference loader", "torchvision reference", {2.5, 4}},
    {"jpeg_torchvision.py", "torchvision's tensors", "tensor backend", {1.8, 2.5}},
    {"jpeg_dali.py", "DALI's CPU operators", "DALI", {1.7, 2.5}}};

/// The number before "images" of the line that begins so.
double rate_of(const std::string& output, const std::string& begin) {
  const std::vector<double> rates = numbers_before(" images/CPU-s", begin, output);
  if (!rates.empty()) return rates.front();
  throw Error(ExitCode::environment, concat("the peer printed no line of ", begin));
}

/// Images a CPU second of each rival, round by round, ours in turn with them.
struct Rates {
  std::vector<double> ours, rivals[std::size(kRivals)];
};

Rates measure(const Album& album, const BenchOptions& options, Row* row) {
  Rates rates;
  std::map<std::string, std::string> skipped;  // by script: why
  for (int64_t round = 0; round < options.rounds; ++round) {
    std::map<std::string, std::string> output;
    for (const Rival& rival : kRivals) {
      const Peer peer(rival.script);
      if (!peer.absent().empty()) skipped.emplace(rival.script, peer.absent());
      if (skipped.contains(rival.script) || output.contains(rival.script)) continue;
      try {
        output[rival.script] = peer.run_alone({album.pattern}).output;
      } catch (const Error& error) {  // what it imports is not there
        skipped.emplace(rival.script, error.what());
      }
    }
    rates.ours.push_back(album.measure(round));
    for (std::size_t i = 0; i < std::size(kRivals); ++i) {
      const auto found = output.find(kRivals[i].script);
      if (found != output.end()) {
        rates.rivals[i].push_back(rate_of(found->second, kRivals[i].line));
      }
    }
  }
  for (const auto& [script, why] : skipped) row->conditions["skipped"][script] = why;
  return rates;
}

void add_parts(const Album& album, std::size_t number, const BenchOptions& options, Row* row) {
  const std::string name = concat(album.width, "x", album.height);
  const Rates rates = measure(album, options, row);
  row->conditions[name] = {{"images_per_cpu_s", median(rates.ours)}, {"bytes", album.bytes()}};
  for (std::size_t i = 0; i < std::size(kRivals); ++i) {
    const std::vector<double>& other = rates.rivals[i];
    if (other.empty()) continue;
    std::vector<double> ratios;
    for (std::size_t k = 0; k < other.size(); ++k) ratios.push_back(rates.ours[k] / other[k]);
    row->parts.push_back({concat(name, ", over ", kRivals[i].name),
                          median(ratios),
                          kRivals[i].targets[number],
                          true,
                          {{"ours_median", median(rates.ours)}, {"other_median", median(other)}}});
  }
}

}  // namespace

Row bench_jpeg(const BenchOptions& options) {
  Row row;
  row.against = "other loaders on the same pictures, in turn, each on one thread";
  row.conditions = {{"pictures", kPictures}, {"quality", kQuality}, {"rounds", options.rounds}};
  const TemporaryFolder folder;
  add_parts(Album(375, 500, folder.path()), 0, options, &row);
  add_parts(Album(224, 224, folder.path()), 1, options, &row);
  if (row.parts.empty()) row.skip = "no other loader runs here: see conditions";
  return row;
}

}  // namespace bitstill
