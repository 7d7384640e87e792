// Two passes: the first decodes every image for its digest, which decides its split; the second
// writes the rows, from memory as far as they fitted there.
#include "bitstill/data/convert.hpp"

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <numeric>
#include <set>
#include <thread>

#include "bitstill/base/error.hpp"
#include "bitstill/base/log.hpp"
#include "bitstill/base/parallel_for.hpp"
#include "bitstill/base/text.hpp"
#include "bitstill/base/timer.hpp"
#include "bitstill/data/image_source.hpp"
#include "bitstill/data/shard_writer.hpp"
#include "bitstill/data/split_rule.hpp"

namespace bitstill {
namespace {

constexpr int64_t kBlock = 512;                    // images between two looks at the results
constexpr int64_t kCacheBytes = int64_t{1} << 30;  // of fitted images kept for the second pass
constexpr int64_t kMostThreads = 32;

/// work(i) for i in [begin, end) on all cores.
void on_all_cores(int64_t begin, int64_t end, const std::function<void(int64_t)>& work) {
  const int64_t cores = std::clamp<int64_t>(std::thread::hardware_concurrency(), 1, kMostThreads);
  parallel_for(end - begin, cores, [&](int64_t i) { work(begin + i); });
}

struct Size {
  int64_t height = 0, width = 0;
  bool operator==(const Size&) const = default;
};

class Conversion {
 public:
  explicit Conversion(const ShardOptions& options)
      : options_(options),
        source_(
            open_source({options.source, options.format, options.layout, options.most_pixels})) {
    const std::size_t items = source_.items.size();
    digests_.resize(items);
    cache_.resize(items);
    reasons_.resize(items);
    sizes_.resize(items);
  }

  ConvertReport run() {
    require_images_of_classes(false);  // now rather than after an hour of reading
    digest_all();
    gather_skipped();
    require_images_of_classes(true);
    const int64_t validation = options_.validation >= 0 ? options_.validation : source_.validation;
    const int64_t test = options_.test >= 0 ? options_.test : source_.test;
    splits_ = split_images(source_, digests_, validation, test);
    write();
    report_.twins = count_twins();
    return report_;
  }

 private:
  int64_t items() const { return static_cast<int64_t>(source_.items.size()); }

  /// The shape of every row: as asked, else that of the first image that can be read.
  void find_shape() {
    shape_.channels = options_.channels > 0 ? options_.channels : source_.channels;
    shape_.height = options_.height;
    shape_.width = options_.width;
    for (int64_t i = 0; i < items() && shape_.height == 0; ++i) {
      try {
        const Image image = source_.load(i);
        shape_.height = image.height;
        shape_.width = image.width;
        first_ = i;
      } catch (const Error&) {
        // Named with its reason when the first pass comes to it.
      }
    }
    if (shape_.height > 4096 || shape_.width > 4096) {
      throw Error(ExitCode::settings, concat("images of ", shape_.height, "x", shape_.width,
                                             ": sides go up to 4096; scale them with --size"));
    }
  }

  /// Item i as a row, from memory or decoded; its size as it was goes to *size.
  std::vector<uint8_t> fitted(int64_t i, Size* size) const {
    if (!cache_[i].empty()) return cache_[i];
    const Image image = source_.load(i);
    *size = {image.height, image.width};
    std::vector<uint8_t> pixels(static_cast<std::size_t>(shape_.pixels()));
    fit_image(image, shape_, pixels.data());
    return pixels;
  }

  void digest_one(int64_t i) {
    try {
      std::vector<uint8_t> pixels = fitted(i, &sizes_[i]);
      digests_[i] = image_digest(pixels.data(), shape_.pixels());
      if (cached_ += shape_.pixels(); cached_ <= kCacheBytes) cache_[i] = std::move(pixels);
    } catch (const Error& error) {
      reasons_[i] = error.what();
    }
  }

  void digest_all() {
    find_shape();
    ProgressBar bar("read");
    for (int64_t begin = 0; begin < items(); begin += kBlock) {
      const int64_t end = std::min(begin + kBlock, items());
      on_all_cores(begin, end, [&](int64_t i) { digest_one(i); });
      for (int64_t i = begin; i < end && options_.height == 0; ++i) {
        if (digests_[i]) require_size(i);
      }
      bar.show(end, items(), source_.name);
    }
    bar.clear();
  }

  void require_size(int64_t i) const {
    const Size& size = sizes_[i];
    if (size.height == shape_.height && size.width == shape_.width) return;
    throw Error(ExitCode::data,
                concat("images of different sizes: ", source_.items[first_].name, " is ",
                       shape_.height, "x", shape_.width, ", ", source_.items[i].name, " is ",
                       size.height, "x", size.width, "; give --size HxW"));
  }

  void gather_skipped() {
    report_.skipped = source_.unreadable;
    for (const std::string& reason : reasons_) {
      if (!reason.empty()) report_.skipped.push_back(reason);
    }
    if (report_.skipped.empty() || options_.skip_bad) return;
    throw Error(ExitCode::data,
                concat(report_.skipped.size(), " of ", source_.unreadable.size() + reasons_.size(),
                       " images cannot be read: ", list_names(report_.skipped),
                       "; mend them or leave them out with --skip-bad"));
  }

  /// What no image of the train set shows cannot be learned: a mistake in the source, most often.
  void require_images_of_classes(bool read) const {
    std::vector<bool> held(source_.classes.size());
    for (int64_t i = 0; i < items(); ++i) {
      const SourceItem& item = source_.items[i];
      if ((digests_[i] || !read) && item.split.value_or(Split::train) == Split::train)
        held[item.label] = true;
    }
    std::vector<std::string> empty;
    for (std::size_t c = 0; c < held.size(); ++c) {
      if (!held[c]) empty.push_back(source_.classes[c]);
    }
    std::string seen;
    for (const std::string& line : left_out_lines(source_.left_out)) seen += "; " + line;
    if (empty.size() == held.size()) {
      throw Error(ExitCode::data,
                  concat(options_.source, ": holds no image that can be read", seen));
    }
    if (empty.empty() || options_.allow_empty_classes) return;
    throw Error(ExitCode::data,
                concat(empty.size(), " of ", held.size(),
                       " classes have no train images: ", list_names(empty), seen,
                       "; mend the source, or keep these classes with --allow-empty-classes"));
  }

  /// Items in the order in which their rows are written: the source's, or that of their digests,
  /// which mixes the classes.
  std::vector<int64_t> row_order() const {
    std::vector<int64_t> order;
    for (int64_t i = 0; i < items(); ++i) {
      if (splits_.split[i]) order.push_back(i);
    }
    if (!source_.ordered) {
      std::stable_sort(order.begin(), order.end(),
                       [&](int64_t a, int64_t b) { return *digests_[a] < *digests_[b]; });
    }
    return order;
  }

  void write() {
    ShardWriterOptions options{options_.out,
                               shape_,
                               static_cast<int64_t>(source_.classes.size()),
                               {},
                               options_.rows_per_shard};
    report_.per_class.fill(std::vector<int64_t>(source_.classes.size()));
    for (int64_t i = 0; i < items(); ++i) {
      if (!splits_.split[i]) continue;
      const auto split = static_cast<std::size_t>(*splits_.split[i]);
      options.count[split] += 1;
      report_.per_class[split][static_cast<std::size_t>(source_.items[i].label)] += 1;
    }
    ShardWriter writer(options);
    const std::vector<int64_t> order = row_order();
    const auto rows = static_cast<int64_t>(order.size());
    std::vector<std::vector<uint8_t>> block(kBlock);
    ProgressBar bar("write");
    for (int64_t begin = 0; begin < rows; begin += kBlock) {
      const int64_t end = std::min(begin + kBlock, rows);
      on_all_cores(begin, end, [&](int64_t k) {
        Size size;
        block[k - begin] = fitted(order[k], &size);
      });
      for (int64_t k = begin; k < end; ++k) {
        const int64_t i = order[k];
        writer.add(*splits_.split[i], block[k - begin].data(), source_.items[i].label);
      }
      bar.show(end, rows, source_.name);
    }
    bar.clear();
    ShardIndex index;
    index.summary.name = options_.name.empty() ? source_.name : options_.name;
    index.summary.classes = source_.classes;
    index.summary.split_rule = splits_.rule;
    index.source = source_.origin;
    index.licence = source_.licence;
    writer.finish(index);
    report_.folder = options_.out;
    report_.name = index.summary.name;
    report_.format = source_.format;
    report_.split_rule = splits_.rule;
    report_.shape = shape_;
    report_.classes = source_.classes;
    report_.count = options.count;
    report_.left_out = source_.left_out;
  }

  int64_t count_twins() const {
    std::set<ImageDigest> train;
    for (int64_t i = 0; i < items(); ++i) {
      if (splits_.split[i] == Split::train) train.insert(*digests_[i]);
    }
    int64_t twins = 0;
    for (int64_t i = 0; i < items(); ++i) {
      twins += splits_.split[i] && splits_.split[i] != Split::train && train.contains(*digests_[i]);
    }
    return twins;
  }

  ShardOptions options_;
  ImageSource source_;
  ImageShape shape_;
  int64_t first_ = 0;  // the item that gave the shape
  std::vector<std::optional<ImageDigest>> digests_;
  std::vector<std::vector<uint8_t>> cache_;
  std::vector<std::string> reasons_;  // why an item cannot be read
  std::vector<Size> sizes_;           // of the items as they were
  std::atomic<int64_t> cached_{0};    // bytes in cache_
  SplitResult splits_;
  ConvertReport report_;
};

void check_options(const ShardOptions& options) {
  const auto refuse = [](const std::string& what) { throw Error(ExitCode::settings, what); };
  if (options.source.empty()) refuse("--source is missing: the file or folder to convert");
  if (options.out.empty()) refuse("--out is missing: the folder to make");
  const auto side = [](int64_t n) { return n >= 1 && n <= 4096; };
  if ((options.height != 0 || options.width != 0) &&
      !(side(options.height) && side(options.width))) {
    refuse(concat("--size ", options.height, "x", options.width, ": sides are 1 to 4096"));
  }
  if (options.channels != 0 && options.channels != 1 && options.channels != 3) {
    refuse(concat("--channels ", options.channels, ": is neither 1 nor 3"));
  }
  if (options.most_pixels < 1) {
    refuse(concat("--most-pixels ", options.most_pixels, ": is at least 1"));
  }
  if (options.rows_per_shard < 0) {
    refuse(concat("--rows ", options.rows_per_shard, ": rows a shard are at least 1"));
  }
  std::error_code ignored;
  if (std::filesystem::exists(options.out + "/" + kIndexFile, ignored)) {
    refuse(concat(options.out, ": holds shards already; remove it or give another --out"));
  }
}

}  // namespace

ConvertReport convert(const ShardOptions& options) {
  const Timer timer;
  check_options(options);
  try {
    ConvertReport report = Conversion(options).run();
    report.seconds = timer.seconds();
    return report;
  } catch (const std::filesystem::filesystem_error& error) {
    throw Error(ExitCode::data, concat(error.path1().string(), ": ", error.code().message()));
  } catch (const std::bad_alloc&) {
    throw Error(ExitCode::environment, options.source + ": not enough memory to convert it");
  }
}

}  // namespace bitstill
