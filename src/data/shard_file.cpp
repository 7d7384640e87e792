// ids and the library's mutex   data sets   create   frame hash   offsets
#include "bitstill/data/shard_file.hpp"

#include <hdf5.h>

#include <algorithm>
#include <bit>
#include <mutex>
#include <utility>
#include <vector>

#include "bitstill/base/error.hpp"
#include "bitstill/base/text.hpp"

namespace bitstill {
namespace {

static_assert(std::endian::native == std::endian::little, "shards hold little-endian labels");

constexpr hsize_t kPageBytes = 4096;
constexpr int64_t kMostFrameBytes = 1 << 20;  // a few kilobytes in fact

/// HDF5 may be built without its own lock, so every use of it holds this one.
std::mutex& library_mutex() {
  static std::mutex mutex;
  return mutex;
}

/// An HDF5 identifier with the function that closes it. Failure of the call that made it is an
/// Error(code) naming the file.
class Id {
 public:
  Id(hid_t id, herr_t (*close)(hid_t), ExitCode code, const std::string& path, const char* what)
      : id_(id), close_(close) {
    if (id_ < 0) throw Error(code, concat(path, ": HDF5 cannot ", what));
  }
  ~Id() { close_(id_); }
  Id(const Id&) = delete;
  Id& operator=(const Id&) = delete;
  operator hid_t() const { return id_; }

 private:
  hid_t id_;
  herr_t (*close_)(hid_t);
};

/// Newest format; no lock, which a file in memory needs not; the images start on a page.
void set_access(hid_t access) {
  H5Eset_auto2(H5E_DEFAULT, nullptr, nullptr);  // our one line instead of HDF5's stack
  H5Pset_libver_bounds(access, H5F_LIBVER_LATEST, H5F_LIBVER_LATEST);
  H5Pset_file_locking(access, false, true);
  H5Pset_alignment(access, kPageBytes, kPageBytes);
}

/// One data set of a shard: what it is, and where its place stands in the layout.
struct DataSet {
  const char* name;
  hid_t type;
  std::vector<hsize_t> extent;
  int64_t ShardLayout::*place;
};

std::vector<DataSet> data_sets(int64_t rows, const ImageShape& shape) {
  const auto count = static_cast<hsize_t>(rows);
  return {{"images",
           H5T_STD_U8LE,
           {count, static_cast<hsize_t>(shape.channels), static_cast<hsize_t>(shape.height),
            static_cast<hsize_t>(shape.width)},
           &ShardLayout::content},
          {"labels", H5T_STD_I64LE, {count}, &ShardLayout::labels}};
}

std::vector<DataSet> data_sets(int64_t rows, int64_t content_bytes) {
  const auto count = static_cast<hsize_t>(rows);
  return {{"bytes", H5T_STD_U8LE, {static_cast<hsize_t>(content_bytes)}, &ShardLayout::content},
          {"offsets", H5T_STD_I64LE, {count + 1}, &ShardLayout::offsets},
          {"labels", H5T_STD_I64LE, {count}, &ShardLayout::labels}};
}

int64_t create_data_set(hid_t file, const std::string& path, const DataSet& set) {
  constexpr ExitCode code = ExitCode::storage;
  const Id space(H5Screate_simple(static_cast<int>(set.extent.size()), set.extent.data(), nullptr),
                 H5Sclose, code, path, "describe a data set");
  const Id settings(H5Pcreate(H5P_DATASET_CREATE), H5Pclose, code, path, "make settings");
  H5Pset_layout(settings, H5D_CONTIGUOUS);
  H5Pset_alloc_time(settings, H5D_ALLOC_TIME_EARLY);
  H5Pset_fill_time(settings, H5D_FILL_TIME_NEVER);
  H5Pset_obj_track_times(settings, false);
  const Id made(H5Dcreate2(file, set.name, set.type, space, H5P_DEFAULT, settings, H5P_DEFAULT),
                H5Dclose, code, path, "create a data set");
  return static_cast<int64_t>(H5Dget_offset(made));
}

using Range = std::pair<int64_t, int64_t>;

/// The byte ranges before, between and after the data sets.
std::vector<Range> frame_ranges(const ShardLayout& layout) {
  std::vector<Range> sets = {{layout.content, layout.content + layout.content_bytes},
                             {layout.labels, layout.labels + layout.rows * 8}};
  if (layout.offsets > 0) {
    sets.emplace_back(layout.offsets, layout.offsets + (layout.rows + 1) * 8);
  }
  std::sort(sets.begin(), sets.end());
  std::vector<Range> frame;
  int64_t end = 0;
  for (const Range& set : sets) {
    frame.emplace_back(end, set.first);
    end = set.second;
  }
  frame.emplace_back(end, layout.bytes);
  return frame;
}

/// Under the library's mutex, as all that is named H5 even in data_sets().
RawFile create_file(const std::string& path, const std::vector<DataSet>& sets,
                    ShardLayout* layout) {
  constexpr ExitCode code = ExitCode::storage;
  // HDF5 builds the frame in a sparse file in memory, where no write of its own can fail halfway.
  const RawFile frame = RawFile::in_memory(
      path, layout->content_bytes + (2 * layout->rows + 1) * 8 + kMostFrameBytes);
  {
    const Id access(H5Pcreate(H5P_FILE_ACCESS), H5Pclose, code, path, "make settings");
    set_access(access);
    H5Pset_fapl_stdio(access);  // the default driver asks for a real name, which memory has not
    const Id creation(H5Pcreate(H5P_FILE_CREATE), H5Pclose, code, path, "make settings");
    H5Pset_obj_track_times(creation, false);  // equal data gives equal bytes
    const Id file(H5Fcreate(frame.path().c_str(), H5F_ACC_TRUNC, creation, access), H5Fclose, code,
                  path, "build a file in memory");
    for (const DataSet& set : sets) layout->*set.place = create_data_set(file, path, set);
  }
  layout->bytes = frame.bytes();
  if (!is_sound(*layout)) {
    throw Error(code, path + ": its frame could not be built in memory, which is full or limited");
  }
  RawFile shard = RawFile::create(path, layout->bytes);
  for (const auto& [begin, end] : frame_ranges(*layout)) {
    std::vector<char> bytes(static_cast<std::size_t>(end - begin));
    frame.read(bytes.data(), end - begin, begin);
    shard.write(bytes.data(), end - begin, begin);
  }
  return shard;
}

}  // namespace

RawFile create_shard_file(const std::string& path, int64_t rows, const ImageShape& shape,
                          ShardLayout* layout) {
  const std::lock_guard<std::mutex> lock(library_mutex());
  *layout = {};
  layout->rows = rows;
  layout->content_bytes = rows * shape.pixels();
  return create_file(path, data_sets(rows, shape), layout);
}

RawFile create_shard_file(const std::string& path, int64_t rows, int64_t content_bytes,
                          ShardLayout* layout) {
  const std::lock_guard<std::mutex> lock(library_mutex());
  *layout = {};
  layout->rows = rows;
  layout->content_bytes = content_bytes;
  return create_file(path, data_sets(rows, content_bytes), layout);
}

bool is_sound(const ShardLayout& layout) {
  // By division and subtraction: sums of what a stranger wrote may overflow.
  const auto fits = [&](int64_t place, int64_t entries, int64_t entry_bytes) {
    return place >= 0 && entries >= 0 && entries <= layout.bytes / entry_bytes &&
           place <= layout.bytes - entries * entry_bytes;
  };
  if (layout.rows < 1 || !fits(layout.content, layout.content_bytes, 1) ||
      !fits(layout.labels, layout.rows, 8) || layout.offsets < 0 ||
      (layout.offsets > 0 && !fits(layout.offsets, layout.rows + 1, 8))) {
    return false;
  }
  // A frame is hashed whole, and a sparse file could have one of any size.
  int64_t frame_bytes = 0;
  for (const auto& [begin, end] : frame_ranges(layout)) {
    if (begin > end) return false;
    frame_bytes += end - begin;
  }
  return frame_bytes <= kMostFrameBytes;
}

std::string frame_sha256(const RawFile& file, const ShardLayout& layout) {
  Sha256 hash;
  for (const auto& [begin, end] : frame_ranges(layout)) file.hash(hash, begin, end);
  return hash.hex();
}

std::vector<int64_t> read_offsets(const RawFile& file, const ShardLayout& layout) {
  std::vector<int64_t> offsets(static_cast<std::size_t>(layout.rows) + 1);
  if (layout.offsets == 0) {
    for (int64_t row = 0; row <= layout.rows; ++row) {
      offsets[static_cast<std::size_t>(row)] = row * (layout.content_bytes / layout.rows);
    }
    return offsets;
  }
  file.read(offsets.data(), (layout.rows + 1) * 8, layout.offsets);
  for (std::size_t row = 0; row + 1 < offsets.size(); ++row) {
    const int64_t begin = offsets[row], end = offsets[row + 1];
    const bool last = row + 2 == offsets.size();
    if ((row > 0 || begin == 0) && begin < end && end - begin <= kMostRowBytes &&
        (last ? end == layout.content_bytes : end < layout.content_bytes)) {
      continue;
    }
    throw Error(ExitCode::data, concat(file.path(), ", row ", row, ": its bytes are said to be ",
                                       begin, " to ", end, " of ", layout.content_bytes,
                                       ": the offsets were changed; restore the file"));
  }
  return offsets;
}

std::string hdf5_version() {
  return concat(H5_VERS_MAJOR, ".", H5_VERS_MINOR, ".", H5_VERS_RELEASE);
}

}  // namespace bitstill
