// bitstill predict: what a model takes images for.
#include "bitstill/infer/predict.hpp"

#include <cstdio>

#include "bitstill/base/log.hpp"
#include "bitstill/base/output.hpp"
#include "bitstill/base/sha256.hpp"
#include "bitstill/base/text.hpp"
#include "bitstill/comm/agree.hpp"
#include "bitstill/config/run_config.hpp"
#include "bitstill/data/image_files.hpp"
#include "bitstill/store/checkpoint_folder.hpp"
#include "command.hpp"
#include "command_watch.hpp"
#include "device.hpp"
#include "model_on_data.hpp"

namespace bitstill {
namespace {

struct Settings {
  Words images;
  std::string model_file, data_folder;
  Split split = Split::test;
  DeviceWish device = DeviceWish::cpu;
  int64_t threads = 0;
  NetworkSpec model;
  PredictOptions predict;
  int64_t most_pixels = kMostPixels;
  bool json = false, csv = false;
  CommandWatch watch;
};

void add_settings(SettingTable& table, Settings& s) {
  table.take_words(&s.images, "IMAGE...                    JPEG and PNG files, folders of them");
  table.add("model.file", &s.model_file,
            "compressed student, checkpoint, plain safetensors or a run's folder");
  table.add("data.folder", &s.data_folder,
            "shards to predict, where no image is named; what a plain file lacks");
  table.add("data.split", &s.split, "");
  table.add("top", &s.predict.top, "classes of each prediction");
  table.add("skip-bad", &s.predict.skip_bad, "leave out images that cannot be read, and list them");
  table.add("most-pixels", &s.most_pixels, "height x width of the largest image file read");
  table.add("json", &s.json, "print a JSON object a line");
  table.add("csv", &s.csv, "print comma-separated values, a line a class");
  table.add("run.device", &s.device, "");
  table.add("run.threads", &s.threads, "threads a rank; 0: the cores over the host's ranks");
  s.watch.add_settings(table);
  table.add_section("model", s.model);
}

using ClassNames = std::vector<std::string>;

const std::string& name_of(const ClassNames& classes, int64_t index) {
  return classes.at(static_cast<std::size_t>(index));
}

std::string number(const char* format, double value) {
  char text[64];
  std::snprintf(text, sizeof text, format, value);
  return text;
}

std::string as_text(const Prediction& prediction, const ClassNames& classes) {
  std::string line = visible(prediction.name) + ":";
  for (const ClassProbability& one : prediction.top) {
    line += concat(&one == prediction.top.data() ? " " : ", ", visible(name_of(classes, one.index)),
                   " ", number("%.2f", 100 * one.probability), " %");
  }
  if (prediction.label >= 0)
    line += concat(" (is ", visible(name_of(classes, prediction.label)), ")");
  return line + "\n";
}

std::string as_json(const Prediction& prediction, const ClassNames& classes) {
  Json json = {{"image", prediction.name}};
  if (prediction.label >= 0) json["label"] = name_of(classes, prediction.label);
  json["top"] = Json::array();
  for (const ClassProbability& one : prediction.top) {
    json["top"].push_back({{"class", name_of(classes, one.index)},
                           {"index", one.index},
                           {"probability", one.probability}});
  }
  return json.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
}

/// RFC 4180: quoted where a comma, a quote or a new line stands in it.
std::string csv_cell(const std::string& text) {
  if (text.find_first_of(",\"\r\n") == std::string::npos) return text;
  std::string cell = "\"";
  for (const char c : text) cell += c == '"' ? std::string("\"\"") : std::string(1, c);
  return cell + "\"";
}

constexpr const char* kCsvHead = "image,label,place,class,probability\n";

std::string as_csv(const Prediction& prediction, const ClassNames& classes) {
  const std::string label = prediction.label < 0 ? "" : name_of(classes, prediction.label);
  std::string lines;
  int place = 0;
  for (const ClassProbability& one : prediction.top) {
    lines +=
        concat(csv_cell(prediction.name), ",", csv_cell(label), ",", ++place, ",",
               csv_cell(name_of(classes, one.index)), ",", number("%.9g", one.probability), "\n");
  }
  return lines;
}

/// Who reads may take their time.
void write_out(const std::string& text, CommandWatch& watch) {
  watch.patient();
  std::fwrite(text.data(), 1, text.size(), stdout);
  flush_output();
  watch.progress(true);
}

void check(const Settings& s) {
  const auto require = [](bool good, const std::string& message) {
    if (!good) throw Error(ExitCode::settings, message);
  };
  require(!s.model_file.empty(), "model.file is not given");
  require(!s.images.empty() || !s.data_folder.empty(),
          "nothing to predict: name image files, folders of them, or --data.folder");
  require(s.most_pixels >= 1, concat("most-pixels = ", s.most_pixels, ": give 1 or more"));
  require(s.predict.top >= 1, concat("top = ", s.predict.top, ": give 1 or more"));
  require(!(s.json && s.csv), "json and csv are both given; choose one");
}

/// The files that are named, or else the split. What cannot be read of folders goes to *skipped.
ImageList image_list(const Settings& s, const Dataset* shards, const LoadedModel& model,
                     std::string* fingerprint, std::vector<std::string>* skipped) {
  if (s.images.empty()) {
    *fingerprint = shards->index().fingerprint;
    return images_of_split(*shards, s.split);
  }
  const ImageShape& shape = model.network->spec().input;
  if (shape.channels != 1 && shape.channels != 3) {
    throw Error(ExitCode::model, concat(s.model_file, " takes images of ", shape.channels,
                                        " channels; image files have 1 or 3"));
  }
  ImageWalk walk = list_images(s.images);
  if (!walk.unreadable.empty() && !s.predict.skip_bad) {
    throw Error(ExitCode::data, concat(list_names(walk.unreadable),
                                       "; mend it or leave such images out with --skip-bad"));
  }
  for (const std::string& line : left_out_lines(walk.left_out)) say(line);
  *skipped = std::move(walk.unreadable);
  Sha256 hash;
  for (const std::string& file : walk.files) hash.add(file.c_str(), file.size() + 1);
  *fingerprint = hash.hex();
  return images_of_files(std::move(walk.files), shape, stated_crop(model, s.model_file),
                         s.most_pixels);
}

void report_skipped(const std::vector<std::string>& skipped, int64_t count) {
  if (skipped.empty()) return;
  for (const std::string& reason : skipped) say("skipped " + reason);
  warn(concat(skipped.size(), " of ", count, " images could not be read and were left out"));
}

}  // namespace

int run_predict(World& world, const Words& arguments) {
  Settings s;
  SettingTable table;
  add_settings(table, s);
  if (!read_settings(world, table, arguments,
                     "bitstill predict IMAGE...: names what a model sees, over all ranks")) {
    return 0;
  }
  s.watch.begin(world);
  const DeviceChoice device = choose_device(world, s.device, s.threads, false);
  std::unique_ptr<Dataset> shards;
  LoadedModel model;
  ImageList images;
  std::string fingerprint, digest;
  std::vector<std::string> skipped;
  agree(world.control(), [&] { check(s); });
  if (s.images.empty()) {
    shards = open_split(world, s.data_folder, s.split);
  } else if (!s.data_folder.empty()) {
    shards = open_dataset(world, s.data_folder);
  }
  agree(world.control(), [&] {
    s.model_file = model_path(s.model_file);
    digest = model_sha256(s.model_file);
    model = load_model_on(s.model_file, "model", s.model, shards.get(), device.device, 1);
    images = image_list(s, shards.get(), model, &fingerprint, &skipped);
  });
  require_equal(world.control(), {{"the list of images", fingerprint}}, ExitCode::data);
  require_equal(world.control(), {{s.model_file, digest}}, ExitCode::model);
  s.predict.device = device.device;
  const auto format = s.json ? as_json : s.csv ? as_csv : as_text;
  const PredictionWriter writer{
      [&](const Prediction& prediction) { return format(prediction, model.classes); },
      [&](const std::string& part) { write_out(part, s.watch); }};
  s.predict.progress = [&](bool waits) { s.watch.progress(waits); };
  if (s.csv && world.place().rank == 0) write_out(kCsvHead, s.watch);
  const auto listed = images.count + static_cast<int64_t>(skipped.size());
  for (std::string& reason : predict(model, images, s.predict, writer, world.control())) {
    skipped.push_back(std::move(reason));
  }
  report_skipped(skipped, listed);
  s.watch.end();
  return 0;
}

}  // namespace bitstill
