// Fuzz target: a whole model file from a stranger. Every input is read or refused with
// Error(model); what was read is written and read again unchanged.
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "bitstill/base/error.hpp"
#include "bitstill/codec/packed_model.hpp"

namespace {

using bitstill::PackedModel;

struct Plain {
  std::string name;
  bitstill::Dtype dtype;
  std::vector<int64_t> shape;
  std::vector<char> bytes;
};

PackedModel read(const uint8_t* data, std::size_t size, std::vector<Plain>& plain) {
  const bitstill::ByteSource source{size, [&](uint64_t offset, void* to, std::size_t count) {
                                      if (count > size || offset > size - count) std::abort();
                                      if (count > 0) std::memcpy(to, data + offset, count);
                                    }};
  plain.reserve(100001);  // places must not move
  return bitstill::read_packed_model(
      source, "fuzz", [&](const std::string& name, bitstill::Dtype dtype, const auto& shape) {
        auto bytes = static_cast<std::size_t>(bitstill::dtype_bytes(dtype));
        for (const int64_t length : shape) bytes *= static_cast<std::size_t>(length);
        if (bytes > size) std::abort();  // more memory than the file holds
        plain.push_back({name, dtype, shape, std::vector<char>(bytes)});
        return plain.back().bytes.data();
      });
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, std::size_t size) {
  std::vector<Plain> plain, again;
  PackedModel model;
  try {
    model = read(data, size, plain);
  } catch (const bitstill::Error& error) {
    if (error.code() != bitstill::ExitCode::model) std::abort();
    if (std::strchr(error.what(), '\n') != nullptr) std::abort();
    return 0;
  }
  std::vector<bitstill::PlainTensor> views;
  for (const Plain& one : plain)
    views.push_back({one.name, one.dtype, one.shape, one.bytes.data()});
  bitstill::StringSink sink;
  try {
    bitstill::write_packed_model("fuzz", model.about, views, model.coded, sink);
  } catch (const bitstill::Error&) {
    return 0;  // a plain tensor is named like an entry of packed files
  }
  const PackedModel back =
      read(reinterpret_cast<const uint8_t*>(sink.bytes.data()), sink.bytes.size(), again);
  if (back.coded.size() != model.coded.size() || again.size() != plain.size()) std::abort();
  return 0;
}
