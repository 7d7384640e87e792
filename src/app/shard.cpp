// bitstill shard: images of the formats people have become a folder of HDF5 shards.
#include <charconv>
#include <cstdio>

#include "bitstill/base/log.hpp"
#include "bitstill/base/text.hpp"
#include "bitstill/comm/agree.hpp"
#include "bitstill/data/convert.hpp"
#include "command.hpp"

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

void print(const ConvertReport& report) {
  std::printf(
      "%s: %s, %zu classes, %lldx%lldx%lld, %lld train / %lld validation / %lld test, %.1f s\n",
      visible(report.folder).c_str(), visible(report.name).c_str(), report.classes.size(),
      static_cast<long long>(report.shape.channels), static_cast<long long>(report.shape.height),
      static_cast<long long>(report.shape.width), static_cast<long long>(report.count[0]),
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
  std::string size;
  SettingTable table;
  table.add("source", &options.source, "a file or folder, see datasets/");
  table.add("out", &options.out, "the folder to make");
  table.add("format", &options.format, "");
  table.add("layout", &options.layout, "");
  table.add("name", &options.name, "of the data set; empty: the format's or the source folder's");
  table.add("size", &size, "HxW: shorter side resized with antialias, centre crop");
  table.add("channels", &options.channels, "1 | 3; 0: as the format has them");
  table.add("skip-bad", &options.skip_bad, "leave out images that cannot be read");
  table.add("allow-empty-classes", &options.allow_empty_classes,
            "keep classes of which the train split has no image");
  table.add("most-pixels", &options.most_pixels, "height x width of the largest image file read");
  table.add("validation", &options.validation, "images cut from train; -1: a tenth of each class");
  table.add("test", &options.test, "images cut where the source has no test set; -1: the rule");
  table.add("rows", &options.rows_per_shard, "images a shard; 0: about 64 MB");
  if (!read_settings(world, table, arguments, "bitstill shard: turns images into HDF5 shards"))
    return 0;
  agree(world.control(), [&] {
    if (world.place().rank != 0) return;
    parse_size(size, &options.height, &options.width);
    print(convert(options));
  });
  return 0;
}

}  // namespace bitstill
