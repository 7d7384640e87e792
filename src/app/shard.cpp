// bitstill shard: images of the formats people have, or sentences, become a folder of HDF5 shards.
#include <charconv>
#include <cstdio>
#include <functional>
#include <utility>
#include <vector>

#include "bitstill/base/log.hpp"
#include "bitstill/base/text.hpp"
#include "bitstill/comm/agree.hpp"
#include "bitstill/data/convert.hpp"
#include "command.hpp"
#include "command_watch.hpp"
#include "shard_text.hpp"

namespace bitstill {
namespace {

/// "224x224" -> height, width.
void parse_size(const std::string& text, int64_t* height, int64_t* width) {
  if (text.empty()) return;
  const auto cross = text.find('x');
  const auto number = [&](const std::string& part, int64_t* value) {
    const auto [end, error] = std::from_chars(part.data(), part.data() + part.size(), *value);
    return error == std::errc() && end == part.data() + part.size() && *value > 0;
  };
  if (cross == std::string::npos || !number(text.substr(0, cross), height) ||
      !number(text.substr(cross + 1), width)) {
    throw Error(ExitCode::settings, concat("size = ", text, ": give HxW, for example 224x224"));
  }
}

/// What the rows are: "3x32x32", or how JPEG files became rows.
std::string rows_text(const ConvertReport& report) {
  const ImageShape& shape = report.shape;
  if (shape.pixels() > 0) return concat(shape.channels, "x", shape.height, "x", shape.width);
  std::string text = concat("JPEG (", report.kept, " files as they were");
  const std::pair<int64_t, const char*> changes[] = {{report.scaled, "scaled"},
                                                     {report.from_png, "from PNG"},
                                                     {report.from_cmyk, "from CMYK"},
                                                     {report.turned, "turned upright"}};
  for (const auto& [count, what] : changes) {
    if (count > 0) text += concat(", ", count, " ", what);
  }
  return text + ")";
}

/// Ranks convert together by the job's own communicator.
ConvertRanks ranks_of(World& world, CommandWatch& watch) {
  Communicator& control = world.control();
  ConvertRanks ranks;
  ranks.place = world.place();
  ranks.sum = [&control](std::vector<int64_t>* values) {
    control.all_reduce(values->data(), static_cast<int64_t>(values->size()), ElementType::i64);
  };
  ranks.join = [&control](const std::string& text) {
    std::string all;
    for (int rank = 0; rank < control.world(); ++rank) all += broadcast_text(control, text, rank);
    return all;
  };
  ranks.agree = [&control, &watch](const std::function<void()>& phase) {
    agree(control, [&] {
      watch.patient();
      phase();
      watch.progress(true);
    });
  };
  return ranks;
}

void print(const ConvertReport& report) {
  std::printf("%s: %s, %zu classes, %s, %lld train / %lld validation / %lld test, %.1f s\n",
              visible(report.folder).c_str(), visible(report.name).c_str(), report.classes.size(),
              rows_text(report).c_str(), static_cast<long long>(report.count[0]),
              static_cast<long long>(report.count[1]), static_cast<long long>(report.count[2]),
              report.seconds);
  std::printf("splits: %s\n", report.split_rule.c_str());
  for (const std::string& line : left_out_lines(report.left_out)) {
    std::printf("%s\n", message_line(line).c_str());
  }
  if (!report.skipped.empty()) {
    std::printf("skipped, cannot be read: %zu\n", report.skipped.size());
  }
  for (const std::string& skipped : report.skipped)
    std::printf("unreadable: %s\n", message_line(skipped).c_str());
  if (report.twins > 0) {
    warn(concat(report.twins, " validation or test images also stand in the training split"));
  }
}

}  // namespace

int run_shard(World& world, const Words& arguments) {
  ShardOptions options;
  TextOptions text;
  std::string size;
  SettingTable table;
  table.add("source", &options.source,
            "a file or folder of images, see datasets/; of sentences two files, source,target, or "
            "one with a tab in each line, also gzipped");
  table.add("out", &options.out, "the folder to make");
  table.add("format", &options.format, "");
  table.add("layout", &options.layout, "");
  table.add("name", &options.name, "of the data set; empty: the format's or the source's");
  table.add("size", &size, "HxW: shorter side resized with antialias, centre crop");
  table.add("channels", &options.channels, "1 | 3; 0: as the format has them");
  table.add("skip-bad", &options.skip_bad, "leave out images or sentences that cannot be read");
  table.add("allow-empty-classes", &options.allow_empty_classes,
            "keep classes of which the train split has no image");
  table.add("most-pixels", &options.most_pixels, "height x width of the largest image file read");
  table.add("validation", &options.validation,
            "rows cut from train; -1: a tenth of each class, of sentences up to 2,000");
  table.add("test", &options.test, "rows cut where the source has no test set; -1: the rule");
  table.add("rows", &options.rows_per_shard, "rows a shard; 0: about 64 MB, of JPEG 1 GB");
  table.add("store", &options.store, "");
  table.add("short-side", &options.short_side,
            "jpeg: larger images are scaled to this shorter side and encoded anew; 0: none");
  table.add("quality", &options.quality, "jpeg: of what is encoded anew");
  table.add("normalization", &options.normalization, "mean and deviation of the network's input");
  table.add("labels", &options.labels,
            "a file, a line an image: what a split folder without class folders shows");
  table.add("synsets", &options.synsets,
            "a file of lines \"FOLDER NAME\": what classes are called");
  add_text_settings(table, &text);
  CommandWatch watch;
  watch.add_settings(table);
  if (!read_settings(world, table, arguments,
                     "bitstill shard: turns images or pairs of sentences into HDF5 shards"))
    return 0;
  watch.begin(world);
  agree(world.control(), [&] {
    parse_size(size, &options.height, &options.width);
    settle_text(options, &text);
  });
  if (!text.vocabulary.empty()) {
    const TextReport report = convert_text(text, ranks_of(world, watch));
    watch.end();
    if (world.place().rank == 0) print(report);
    return 0;
  }
  const ConvertReport report = convert(options, ranks_of(world, watch));
  watch.end();
  if (world.place().rank == 0) print(report);
  return 0;
}

}  // namespace bitstill
