#include "convert_parts.hpp"

#include <algorithm>
#include <filesystem>
#include <new>
#include <set>
#include <thread>

#include "bitstill/base/error.hpp"
#include "bitstill/base/parallel_for.hpp"
#include "bitstill/base/text.hpp"

namespace bitstill {
namespace {

constexpr int64_t kMostThreads = 32;

}  // namespace

void on_all_cores(int64_t begin, int64_t end, int64_t ranks,
                  const std::function<void(int64_t)>& work) {
  const int64_t cores =
      std::clamp<int64_t>(std::thread::hardware_concurrency() / ranks, 1, kMostThreads);
  parallel_for(end - begin, cores, [&](int64_t i) { work(begin + i); });
}

void with_file_errors(const std::string& source, const std::function<void()>& work) {
  try {
    work();
  } catch (const std::filesystem::filesystem_error& error) {
    throw_system_error(ExitCode::data, error.path1().string(), "read it", error.code().value());
  } catch (const std::bad_alloc&) {
    throw Error(ExitCode::environment, source + ": not enough memory to convert it");
  }
}

void require_images_of_classes(const ImageSource& source, const ShardOptions& options,
                               const Digests* digests) {
  std::vector<bool> held(source.classes.size());
  for (std::size_t i = 0; i < source.items.size(); ++i) {
    const SourceItem& item = source.items[i];
    if ((digests == nullptr || (*digests)[i]) && item.split.value_or(Split::train) == Split::train)
      held[static_cast<std::size_t>(item.label)] = true;
  }
  std::vector<std::string> empty;
  for (std::size_t c = 0; c < held.size(); ++c) {
    if (!held[c]) empty.push_back(source.classes[c]);
  }
  std::string seen;
  for (const std::string& line : left_out_lines(source.left_out)) seen += "; " + line;
  if (empty.size() == held.size()) {
    throw Error(ExitCode::data, concat(options.source, ": holds no image that can be read", seen));
  }
  if (empty.empty() || options.allow_empty_classes) return;
  throw Error(ExitCode::data,
              concat(empty.size(), " of ", held.size(),
                     " classes have no train images: ", list_names(empty), seen,
                     "; mend the source, or keep these classes with --allow-empty-classes"));
}

void require_readable(const std::vector<std::string>& skipped, const ShardOptions& options,
                      std::size_t images) {
  if (skipped.empty() || options.skip_bad) return;
  throw Error(ExitCode::data, concat(skipped.size(), " of ", images,
                                     " images cannot be read: ", list_names(skipped),
                                     "; mend them or leave them out with --skip-bad"));
}

SplitResult split_by(const ShardOptions& options, const ImageSource& source,
                     const Digests& digests) {
  const int64_t validation = options.validation >= 0 ? options.validation : source.validation;
  const int64_t test = options.test >= 0 ? options.test : source.test;
  return split_images(source, digests, validation, test);
}

std::vector<int64_t> row_order(const ImageSource& source, const SplitResult& splits,
                               const Digests& digests) {
  std::vector<int64_t> order;
  for (std::size_t i = 0; i < source.items.size(); ++i) {
    if (splits.split[i]) order.push_back(static_cast<int64_t>(i));
  }
  if (!source.ordered) {
    std::stable_sort(order.begin(), order.end(), [&](int64_t a, int64_t b) {
      return *digests[static_cast<std::size_t>(a)] < *digests[static_cast<std::size_t>(b)];
    });
  }
  return order;
}

int64_t count_twins(const SplitResult& splits, const Digests& digests) {
  std::set<ImageDigest> train;
  for (std::size_t i = 0; i < digests.size(); ++i) {
    if (splits.split[i] == Split::train) train.insert(*digests[i]);
  }
  int64_t twins = 0;
  for (std::size_t i = 0; i < digests.size(); ++i) {
    twins += splits.split[i] && splits.split[i] != Split::train && train.contains(*digests[i]);
  }
  return twins;
}

void fill_report(const ShardOptions& options, const ImageSource& source, const SplitResult& splits,
                 ConvertReport* report) {
  report->folder = options.out;
  report->name = options.name.empty() ? source.name : options.name;
  report->format = source.format;
  report->split_rule = splits.rule;
  report->classes = source.classes;
  report->left_out = source.left_out;
  report->count = {};
  report->per_class.fill(std::vector<int64_t>(source.classes.size()));
  for (std::size_t i = 0; i < source.items.size(); ++i) {
    if (!splits.split[i]) continue;
    const auto split = static_cast<std::size_t>(*splits.split[i]);
    report->count[split] += 1;
    report->per_class[split][static_cast<std::size_t>(source.items[i].label)] += 1;
  }
}

ShardIndex describe(const ShardOptions& options, const ImageSource& source,
                    const SplitResult& splits) {
  ShardIndex index;
  index.summary.name = options.name.empty() ? source.name : options.name;
  index.summary.classes = source.classes;
  index.summary.split_rule = splits.rule;
  index.source = source.origin;
  index.licence = source.licence;
  if (options.normalization == NormalizationSource::imagenet) {
    index.summary.normalization = {{0.485F, 0.456F, 0.406F}, {0.229F, 0.224F, 0.225F}};
  }
  return index;
}

}  // namespace bitstill
