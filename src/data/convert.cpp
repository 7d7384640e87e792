// Two passes: the first decodes every image for its digest, which decides its split; the second
// writes the rows, from memory as far as they fitted there.
#include "bitstill/data/convert.hpp"

#include <algorithm>
#include <atomic>
#include <filesystem>

#include "bitstill/base/error.hpp"
#include "bitstill/base/log.hpp"
#include "bitstill/base/text.hpp"
#include "bitstill/base/timer.hpp"
#include "bitstill/data/image_source.hpp"
#include "bitstill/data/shard_writer.hpp"
#include "bitstill/data/split_rule.hpp"
#include "convert_jpeg.hpp"
#include "convert_parts.hpp"

namespace bitstill {
namespace {

constexpr int64_t kCacheBytes = int64_t{1} << 30;  // of fitted images kept for the second pass

struct Size {
  int64_t height = 0, width = 0;
  bool operator==(const Size&) const = default;
};

class Conversion {
 public:
  explicit Conversion(const ShardOptions& options)
      : options_(options),
        source_(open_source({options.source, options.format, options.layout, options.most_pixels,
                             options.labels, options.synsets})) {
    const std::size_t items = source_.items.size();
    digests_.resize(items);
    cache_.resize(items);
    reasons_.resize(items);
    sizes_.resize(items);
  }

  ConvertReport run() {
    require_images_of_classes(source_, options_, nullptr);  // before an hour of reading
    digest_all();
    gather_skipped();
    require_images_of_classes(source_, options_, &digests_);
    splits_ = split_by(options_, source_, digests_);
    fill_report(options_, source_, splits_, &report_);
    report_.shape = shape_;
    write();
    report_.twins = count_twins(splits_, digests_);
    return report_;
  }

 private:
  int64_t items() const { return static_cast<int64_t>(source_.items.size()); }

  /// The shape of every row: as asked, else that of the first image that can be read.
  void find_shape() {
    shape_.channels = options_.channels > 0 ? options_.channels : source_.channels;
    if (options_.normalization == NormalizationSource::imagenet && shape_.channels != 3) {
      throw Error(ExitCode::settings, concat("--normalization imagenet is for 3 channels, ",
                                             source_.name, " has ", shape_.channels));
    }
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
    for (int64_t begin = 0; begin < items(); begin += kConvertBlock) {
      const int64_t end = std::min(begin + kConvertBlock, items());
      on_all_cores(begin, end, 1, [&](int64_t i) { digest_one(i); });
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
    require_readable(report_.skipped, options_, source_.unreadable.size() + reasons_.size());
  }

  void write() {
    const ShardWriterOptions options{options_.out, shape_,
                                     static_cast<int64_t>(source_.classes.size()), report_.count,
                                     options_.rows_per_shard};
    ShardWriter writer(options);
    const std::vector<int64_t> order = row_order(source_, splits_, digests_);
    const auto rows = static_cast<int64_t>(order.size());
    std::vector<std::vector<uint8_t>> block(kConvertBlock);
    ProgressBar bar("write");
    for (int64_t begin = 0; begin < rows; begin += kConvertBlock) {
      const int64_t end = std::min(begin + kConvertBlock, rows);
      on_all_cores(begin, end, 1, [&](int64_t k) {
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
    writer.finish(describe(options_, source_, splits_));
  }

  ShardOptions options_;
  ImageSource source_;
  ImageShape shape_;
  int64_t first_ = 0;  // the item that gave the shape
  Digests digests_;
  std::vector<std::vector<uint8_t>> cache_;
  std::vector<std::string> reasons_;  // why an item cannot be read
  std::vector<Size> sizes_;           // of the items as they were
  std::atomic<int64_t> cached_{0};    // bytes in cache_
  SplitResult splits_;
  ConvertReport report_;
};

void check_store(const ShardOptions& options) {
  const auto refuse = [](const std::string& what) { throw Error(ExitCode::settings, what); };
  const bool jpeg = options.store == RowStore::jpeg;
  if (jpeg && options.height != 0) {
    refuse("--size is for --store raw; JPEG rows keep their sizes, or give --short-side");
  }
  if (jpeg && options.channels != 0 && options.channels != kJpegChannels) {
    refuse(concat("--channels ", options.channels, ": JPEG rows are seen in colour"));
  }
  if (options.short_side < 0 || options.short_side > 8192 || (!jpeg && options.short_side > 0)) {
    refuse(concat("--short-side ", options.short_side, ": is 1 to 8192, and for --store jpeg"));
  }
  if (options.quality < 1 || options.quality > 100) {
    refuse(concat("--quality ", options.quality, ": is 1 to 100"));
  }
}

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
  check_store(options);
  std::error_code ignored;
  if (std::filesystem::exists(options.out + "/" + kIndexFile, ignored)) {
    refuse(concat(options.out, ": holds shards already; remove it or give another --out"));
  }
}

}  // namespace

ConvertRanks convert_alone() {
  return {Place{}, [](std::vector<int64_t>*) {}, [](const std::string& text) { return text; },
          [](const std::function<void()>& phase) { phase(); }};
}

ConvertReport convert(const ShardOptions& options, const ConvertRanks& ranks) {
  const Timer timer;
  ConvertReport report;
  ranks.agree([&] {
    check_options(options);
    if (options.store == RowStore::raw && ranks.place.rank == 0) {
      with_file_errors(options.source, [&] { report = Conversion(options).run(); });
    }
  });
  if (options.store == RowStore::jpeg) report = convert_to_jpeg(options, ranks);
  report.seconds = timer.seconds();
  return report;
}

}  // namespace bitstill
