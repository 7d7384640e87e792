// ids and the library's mutex   create   read the layout   frame hash
#include "bitstill/data/shard_file.hpp"

#include <hdf5.h>

#include <algorithm>
#include <array>
#include <bit>
#include <mutex>
#include <utility>
#include <vector>

#include "bitstill/base/error.hpp"
#include "bitstill/base/text.hpp"

namespace bitstill {
namespace {

static_assert(std::endian::native == std::endian::little, "shards hold little-endian labels");

constexpr const char* kImages = "images";
constexpr const char* kLabels = "labels";
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

/// Newest format; no file locks (NFS and Lustre refuse them), unless HDF5_USE_FILE_LOCKING, which
/// the library itself reads, says otherwise; the images start on a page.
void set_access(hid_t access) {
  H5Eset_auto2(H5E_DEFAULT, nullptr, nullptr);  // our one line instead of HDF5's stack
  H5Pset_libver_bounds(access, H5F_LIBVER_LATEST, H5F_LIBVER_LATEST);
  H5Pset_file_locking(access, false, true);
  H5Pset_alignment(access, kPageBytes, kPageBytes);
}

int64_t create_data_set(hid_t file, const std::string& path, const char* name, hid_t type,
                        const std::vector<hsize_t>& extent) {
  constexpr ExitCode code = ExitCode::storage;
  const Id space(H5Screate_simple(static_cast<int>(extent.size()), extent.data(), nullptr),
                 H5Sclose, code, path, "describe a data set");
  const Id settings(H5Pcreate(H5P_DATASET_CREATE), H5Pclose, code, path, "make settings");
  H5Pset_layout(settings, H5D_CONTIGUOUS);
  H5Pset_alloc_time(settings, H5D_ALLOC_TIME_EARLY);
  H5Pset_fill_time(settings, H5D_FILL_TIME_NEVER);
  H5Pset_obj_track_times(settings, false);
  const Id set(H5Dcreate2(file, name, type, space, H5P_DEFAULT, settings, H5P_DEFAULT), H5Dclose,
               code, path, "create a data set");
  return static_cast<int64_t>(H5Dget_offset(set));
}

/// Offset of the data set; Error(data) when it is not `type` [extent] in one piece.
int64_t find_data_set(hid_t file, const std::string& path, const char* name, hid_t type,
                      std::vector<hsize_t> extent, int64_t* rows) {
  constexpr ExitCode code = ExitCode::data;
  // Any other link leads out of the file, to bytes that no sum in the index covers.
  H5L_info_t link{};
  if (H5Lget_info(file, name, &link, H5P_DEFAULT) >= 0 && link.type != H5L_TYPE_HARD) {
    throw Error(code, concat(path, ": ", name,
                             " is a link to another place, not a data set of this "
                             "file; convert the data again with bitstill shard"));
  }
  const Id set(H5Dopen2(file, name, H5P_DEFAULT), H5Dclose, code, path,
               concat("find the data set ", name, ": not a shard").c_str());
  const Id space(H5Dget_space(set), H5Sclose, code, path, "read a data set's extent");
  const Id held(H5Dget_type(set), H5Tclose, code, path, "read a data set's type");
  const Id settings(H5Dget_create_plist(set), H5Pclose, code, path, "read a data set's settings");
  std::vector<hsize_t> found(extent.size());
  const bool fits = H5Sget_simple_extent_ndims(space) == static_cast<int>(extent.size()) &&
                    H5Sget_simple_extent_dims(space, found.data(), nullptr) >= 0 &&
                    H5Tequal(held, type) > 0 && H5Pget_layout(settings) == H5D_CONTIGUOUS &&
                    H5Pget_external_count(settings) == 0;
  extent[0] = found[0];
  const haddr_t offset = fits ? H5Dget_offset(set) : HADDR_UNDEF;
  if (!fits || found != extent || offset == HADDR_UNDEF) {
    throw Error(code, concat(path, ": the data set ", name,
                             " has another type, shape or layout than a shard's"));
  }
  *rows = static_cast<int64_t>(found[0]);
  return static_cast<int64_t>(offset);
}

std::vector<hsize_t> image_extent(int64_t rows, const ImageShape& shape) {
  return {static_cast<hsize_t>(rows), static_cast<hsize_t>(shape.channels),
          static_cast<hsize_t>(shape.height), static_cast<hsize_t>(shape.width)};
}

using Range = std::pair<int64_t, int64_t>;

/// The three byte ranges before, between and after the data sets.
std::array<Range, 3> frame_ranges(const ShardLayout& layout, const ImageShape& shape) {
  Range images{layout.images, layout.images + layout.rows * shape.pixels()};
  Range labels{layout.labels, layout.labels + layout.rows * 8};
  if (labels < images) std::swap(images, labels);
  return {Range{0, images.first}, Range{images.second, labels.first},
          Range{labels.second, layout.bytes}};
}

}  // namespace

RawFile create_shard_file(const std::string& path, int64_t rows, const ImageShape& shape,
                          ShardLayout* layout) {
  const std::lock_guard<std::mutex> lock(library_mutex());
  constexpr ExitCode code = ExitCode::storage;
  // HDF5 builds the frame in a sparse file in memory, where no write of its own can fail halfway.
  const RawFile frame = RawFile::in_memory(path, rows * (shape.pixels() + 8) + kMostFrameBytes);
  layout->rows = rows;
  {
    const Id access(H5Pcreate(H5P_FILE_ACCESS), H5Pclose, code, path, "make settings");
    set_access(access);
    H5Pset_fapl_stdio(access);  // the default driver asks for a real name, which memory has not
    const Id creation(H5Pcreate(H5P_FILE_CREATE), H5Pclose, code, path, "make settings");
    H5Pset_obj_track_times(creation, false);  // equal data gives equal bytes
    const Id file(H5Fcreate(frame.path().c_str(), H5F_ACC_TRUNC, creation, access), H5Fclose, code,
                  path, "build a file in memory");
    layout->images = create_data_set(file, path, kImages, H5T_STD_U8LE, image_extent(rows, shape));
    layout->labels =
        create_data_set(file, path, kLabels, H5T_STD_I64LE, {static_cast<hsize_t>(rows)});
  }
  layout->bytes = frame.bytes();
  if (layout->bytes < std::max(layout->images + rows * shape.pixels(), layout->labels + rows * 8)) {
    throw Error(code, path + ": its frame could not be built in memory, which is full or limited");
  }
  RawFile shard = RawFile::create(path, layout->bytes);
  for (const auto& [begin, end] : frame_ranges(*layout, shape)) {
    std::vector<char> bytes(static_cast<std::size_t>(std::max<int64_t>(end - begin, 0)));
    frame.read(bytes.data(), static_cast<int64_t>(bytes.size()), begin);
    shard.write(bytes.data(), static_cast<int64_t>(bytes.size()), begin);
  }
  return shard;
}

ShardLayout read_shard_layout(const std::string& path, const ImageShape& shape) {
  const std::lock_guard<std::mutex> lock(library_mutex());
  constexpr ExitCode code = ExitCode::data;
  const Id access(H5Pcreate(H5P_FILE_ACCESS), H5Pclose, code, path, "make settings");
  set_access(access);
  const Id file(H5Fopen(path.c_str(), H5F_ACC_RDONLY, access), H5Fclose, code, path,
                "open it: not an HDF5 file");
  ShardLayout layout;
  int64_t labels = 0;
  layout.images =
      find_data_set(file, path, kImages, H5T_STD_U8LE, image_extent(0, shape), &layout.rows);
  layout.labels = find_data_set(file, path, kLabels, H5T_STD_I64LE, {0}, &labels);
  if (labels != layout.rows) {
    throw Error(code, concat(path, ": ", layout.rows, " images but ", labels, " labels"));
  }
  layout.bytes = RawFile::open(path).bytes();
  return layout;
}

std::string frame_sha256(const RawFile& file, const ShardLayout& layout, const ImageShape& shape) {
  Sha256 hash;
  for (const auto& [begin, end] : frame_ranges(layout, shape)) file.hash(hash, begin, end);
  return hash.hex();
}

std::string hdf5_version() {
  return concat(H5_VERS_MAJOR, ".", H5_VERS_MINOR, ".", H5_VERS_RELEASE);
}

}  // namespace bitstill
