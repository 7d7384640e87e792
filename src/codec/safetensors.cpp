#include "bitstill/codec/safetensors.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <set>

#include "bitstill/base/json.hpp"
#include "bitstill/base/text.hpp"

namespace bitstill {
namespace {

static_assert(std::endian::native == std::endian::little, "lengths are taken as little-endian");

constexpr uint64_t kMostHeaderBytes = 100'000'000;  // as the format's own library
constexpr std::size_t kMostTensors = 100'000;       // bounds memory: files come from strangers
constexpr std::size_t kMostTexts = 10'000;          // in __metadata__
constexpr std::size_t kMostDimensions = 32;

struct DtypeFacts {
  const char* name;
  int bytes;
};
constexpr std::array<DtypeFacts, 10> kDtypes = {{{"F64", 8},
                                                 {"F32", 4},
                                                 {"F16", 2},
                                                 {"BF16", 2},
                                                 {"I64", 8},
                                                 {"I32", 4},
                                                 {"I16", 2},
                                                 {"I8", 1},
                                                 {"U8", 1},
                                                 {"BOOL", 1}}};

[[noreturn]] void refuse(const std::string& where, const std::string& what) {
  throw Error(ExitCode::model, where + ": " + what);
}

constexpr const char* kDamaged = "; the file is damaged or incomplete: copy or write it again";

/// Elements times bytes; nothing when a dimension is negative or the product does not fit. Empty
/// dimensions count as 1 while checking, so strides fit as well.
bool tensor_bytes(const std::vector<int64_t>& shape, Dtype dtype, uint64_t& bytes) {
  int64_t bound = dtype_bytes(dtype);
  bool empty = false;
  for (const int64_t size : shape) {
    if (size < 0 || __builtin_mul_overflow(bound, std::max<int64_t>(size, 1), &bound)) return false;
    empty = empty || size == 0;
  }
  bytes = empty ? 0 : static_cast<uint64_t>(bound);
  return true;
}

/// Takes the header's JSON piece by piece and accepts only what the format allows, so no tree of
/// unknown size is ever built.
class HeaderReader : public Json::json_sax_t {
 public:
  HeaderReader(std::string where, SafetensorsHeader& header)
      : where_(std::move(where)), header_(header) {}

  bool null() override { return unexpected("null"); }
  bool boolean(bool) override { return unexpected("a boolean"); }
  bool number_integer(Json::number_integer_t) override { return unexpected("a negative number"); }
  bool number_float(Json::number_float_t, const std::string&) override {
    return unexpected("a fraction");
  }
  bool binary(Json::binary_t&) override { return unexpected("binary data"); }

  bool number_unsigned(Json::number_unsigned_t number) override {
    if (state_ != State::shape && state_ != State::offsets) return unexpected("a number");
    const bool shape = state_ == State::shape;
    auto& numbers = shape ? shape_ : offsets_;
    if (numbers.size() == (shape ? kMostDimensions : 2)) {
      refuse(where_, concat(path(), " has too many numbers", kDamaged));
    }
    if (number > INT64_MAX) refuse(where_, concat(path(), " holds a number above 2^63", kDamaged));
    numbers.push_back(static_cast<int64_t>(number));
    return true;
  }

  bool string(std::string& text) override {
    if (state_ == State::metadata) {
      if (!header_.metadata.emplace(key_, std::move(text)).second)
        duplicate("__metadata__." + key_);
      if (header_.metadata.size() > kMostTexts) {
        refuse(where_, concat("has more than ", kMostTexts, " texts in __metadata__", kDamaged));
      }
      return true;
    }
    if (state_ != State::dtype) return unexpected("a text");
    const auto* found = std::find_if(kDtypes.begin(), kDtypes.end(),
                                     [&](const DtypeFacts& facts) { return facts.name == text; });
    if (found == kDtypes.end()) {
      refuse(where_, concat("tensor ", name_, " is of type ", text.substr(0, 40),
                            ", which bitstill does not read; convert it to F32"));
    }
    dtype_ = static_cast<Dtype>(found - kDtypes.begin());
    state_ = State::entry;
    return true;
  }

  bool start_object(std::size_t) override {
    if (state_ == State::start) {
      state_ = State::names;
    } else if (state_ == State::name) {
      state_ = name_ == "__metadata__" ? State::metadata : State::entry;
      fields_.clear();
      shape_.clear();
      offsets_.clear();
    } else {
      return unexpected("an object");
    }
    return true;
  }

  bool key(std::string& text) override {
    key_ = text;
    if (state_ == State::names) {
      name_ = text;
      if (!names_.insert(text).second) duplicate(text);
      if (names_.size() > kMostTensors) {
        refuse(where_, concat("declares more than ", kMostTensors, " tensors", kDamaged));
      }
      state_ = State::name;
    } else if (state_ == State::entry) {
      if (!fields_.insert(text).second) duplicate(path());
      state_ = text == "dtype"          ? State::dtype
               : text == "shape"        ? State::shape_value
               : text == "data_offsets" ? State::offsets_value
                                        : State::start;
      if (state_ == State::start) refuse(where_, concat(path(), " is not part of the format"));
    }
    return true;
  }

  bool end_object() override {
    if (state_ == State::entry) add_entry();
    state_ = state_ == State::names ? State::done : State::names;
    return true;
  }

  bool start_array(std::size_t) override {
    if (state_ == State::shape_value) {
      state_ = State::shape;
    } else if (state_ == State::offsets_value) {
      state_ = State::offsets;
    } else {
      return unexpected("an array");
    }
    return true;
  }

  bool end_array() override {
    state_ = State::entry;
    return true;
  }

  bool parse_error(std::size_t position, const std::string&, const Json::exception&) override {
    refuse(where_, concat("its header is not valid JSON at byte ", 8 + position, kDamaged));
  }

 private:
  // names: between tensors; name: a tensor's name was read, its object must follow; entry: between
  // a tensor's fields; the others: the value of that field must follow, or is being read.
  enum class State {
    start,
    names,
    name,
    metadata,
    entry,
    dtype,
    shape_value,
    shape,
    offsets_value,
    offsets,
    done,
  };

  std::string path() const {
    return (state_ == State::names || state_ == State::name ? "" : name_.substr(0, 200) + ".") +
           key_.substr(0, 200);
  }
  bool unexpected(const char* what) {
    refuse(where_, concat("its header holds ", what, " where the format has none",
                          key_.empty() ? "" : " (at " + path() + ")", kDamaged));
  }
  [[noreturn]] void duplicate(const std::string& name) {
    refuse(where_, concat("its header names ", name, " twice", kDamaged));
  }

  void add_entry() {
    if (fields_.size() != 3 || offsets_.size() != 2) {
      refuse(where_, concat("tensor ", name_, " lacks dtype, shape or two data_offsets", kDamaged));
    }
    SafetensorsEntry entry{name_, dtype_, shape_, static_cast<uint64_t>(offsets_[0]), 0};
    if (!tensor_bytes(shape_, dtype_, entry.bytes)) {
      refuse(where_, concat("tensor ", name_, " has an impossible shape", kDamaged));
    }
    if (offsets_[1] < offsets_[0] ||
        static_cast<uint64_t>(offsets_[1] - offsets_[0]) != entry.bytes) {
      refuse(where_, concat("tensor ", name_, " takes ", entry.bytes,
                            " bytes by its shape and others by its data_offsets", kDamaged));
    }
    header_.entries.push_back(std::move(entry));
  }

  std::string where_;
  SafetensorsHeader& header_;
  State state_ = State::start;
  std::string name_, key_;
  std::set<std::string> names_, fields_;
  Dtype dtype_ = Dtype::f32;
  std::vector<int64_t> shape_, offsets_;
};

/// What a file that is no safetensors file seems to be, and what to do about it.
std::string foreign_kind(std::string_view front) {
  using namespace std::string_view_literals;
  static const std::pair<std::string_view, const char*> kKinds[] = {
      {"PK\x03\x04"sv, "a PyTorch pickle (zip)"},
      {"\x80\x02"sv, "a PyTorch or Python pickle"},
      {"\x80\x03"sv, "a Python pickle"},
      {"\x80\x04"sv, "a Python pickle"},
      {"\x80\x05"sv, "a Python pickle"},
      {"\x89HDF\r\n\x1A\n"sv, "an HDF5 file (a shard?)"},
      {"GGUF"sv, "a GGUF file"},
      {"\x93NUMPY"sv, "a NumPy array"},
      {"\x1F\x8B"sv, "compressed by gzip"},
      {"\x28\xB5\x2F\xFD"sv, "compressed by zstd"},
      {"version https://git-lfs"sv, "a Git LFS pointer, not the file itself"},
      {"<"sv, "an HTML or XML page, perhaps a failed download"},
      {"{"sv, "JSON text"},
  };
  for (const auto& [magic, kind] : kKinds) {
    if (front.substr(0, magic.size()) == magic) return kind;
  }
  return "";
}

[[noreturn]] void refuse_foreign(std::string_view front, const std::string& where) {
  const std::string kind = foreign_kind(front);
  refuse(where, concat("is ", kind.empty() ? "not a safetensors file" : kind,
                       "; bitstill reads safetensors only: export a PyTorch model with "
                       "launch/export_pytorch.py"));
}

/// Sorts the entries by place and checks that they tile [0, `bytes`).
void check_tiling(std::vector<SafetensorsEntry>& entries, uint64_t bytes,
                  const std::string& where) {
  std::stable_sort(entries.begin(), entries.end(),
                   [](const SafetensorsEntry& a, const SafetensorsEntry& b) {
                     return a.offset != b.offset ? a.offset < b.offset : a.bytes < b.bytes;
                   });
  uint64_t next = 0;  // no overflow: each end was read as a number below 2^63
  for (const auto& entry : entries) {
    if (entry.offset != next) {
      refuse(where, concat("tensor ", entry.name, " begins at byte ", entry.offset,
                           " and the one before it ends at ", next, kDamaged));
    }
    next = entry.offset + entry.bytes;
  }
  if (next > bytes) {
    refuse(where, concat("is truncated: its header declares ", next,
                         " bytes of tensors and it holds ", bytes, "; copy or write it again"));
  }
  if (next < bytes) {
    refuse(where, concat("holds ", bytes - next, " bytes behind its last tensor", kDamaged));
  }
}

}  // namespace

const char* dtype_name(Dtype dtype) {
  return kDtypes[static_cast<std::size_t>(dtype)].name;
}

int dtype_bytes(Dtype dtype) {
  return kDtypes[static_cast<std::size_t>(dtype)].bytes;
}

std::string build_safetensors_header(SafetensorsHeader& header) {
  Json json = Json::object();
  if (!header.metadata.empty()) json["__metadata__"] = header.metadata;
  uint64_t offset = 0;
  std::set<std::string> names;
  for (auto& entry : header.entries) {
    if (entry.name == "__metadata__" || !names.insert(entry.name).second) {
      throw Error(ExitCode::model, "a tensor cannot be stored under the name " + entry.name);
    }
    if (!tensor_bytes(entry.shape, entry.dtype, entry.bytes)) {
      throw Error(ExitCode::model, "tensor " + entry.name + " has an impossible shape");
    }
    entry.offset = offset;
    offset += entry.bytes;
    json.push_back({entry.name,
                    {{"dtype", dtype_name(entry.dtype)},
                     {"shape", entry.shape},
                     {"data_offsets", {entry.offset, offset}}}});
  }
  std::string text;
  try {
    text = json.dump();
  } catch (const Json::exception&) {
    throw Error(ExitCode::model, "a tensor's name or the metadata is not UTF-8");
  }
  text.append((8 - text.size() % 8) % 8, ' ');
  const uint64_t length = text.size();
  if (length > kMostHeaderBytes) throw Error(ExitCode::model, "a header above 100 MB");
  header.data_start = 8 + length;
  return std::string(reinterpret_cast<const char*>(&length), 8) + text;
}

uint64_t safetensors_header_bytes(std::string_view front, uint64_t file_bytes,
                                  const std::string& where) {
  if (file_bytes == 0) refuse(where, "is empty; copy or write it again");
  uint64_t length = 0;
  if (file_bytes < 10 || front.size() < 10) refuse_foreign(front, where);
  std::memcpy(&length, front.data(), 8);
  if (front[8] != '{' || length > kMostHeaderBytes || length < 2) refuse_foreign(front, where);
  if (length > file_bytes - 8) {
    refuse(where, concat("is truncated: its header takes ", length, " bytes and the file has ",
                         file_bytes, "; copy or write it again"));
  }
  return 8 + length;
}

SafetensorsHeader parse_safetensors_header(std::string_view front, uint64_t file_bytes,
                                           const std::string& where) {
  SafetensorsHeader header;
  header.data_start = safetensors_header_bytes(front, file_bytes, where);
  if (front.size() < header.data_start) refuse(where, "cannot be read to its header's end");
  const std::string_view text = front.substr(8, header.data_start - 8);
  // The JSON library takes a NUL for the end of the text and would not look at what follows.
  if (text.find('\0') != std::string_view::npos) {
    refuse(where, concat("its header holds a NUL character", kDamaged));
  }
  HeaderReader reader(where, header);
  Json::sax_parse(text.begin(), text.end(), &reader);
  check_tiling(header.entries, file_bytes - header.data_start, where);
  return header;
}

}  // namespace bitstill
