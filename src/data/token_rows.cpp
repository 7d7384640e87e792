#include "token_rows.hpp"

#include <algorithm>
#include <cstring>

#include "bitstill/base/text.hpp"

namespace bitstill {
namespace {

int32_t token_at(const uint8_t* bytes, int64_t width) {
  if (width == 2) {
    uint16_t id = 0;
    std::memcpy(&id, bytes, sizeof id);
    return id;
  }
  int32_t id = 0;
  std::memcpy(&id, bytes, sizeof id);
  return id;
}

class TokenRows final : public RowDecoder {
 public:
  explicit TokenRows(int64_t width) : width_(width) {}

  void decode(RawRows* raw, int64_t, Batch* batch) const override {
    const std::size_t count = raw->bytes.size() / static_cast<std::size_t>(width_);
    batch->tokens.resize(count);
    for (std::size_t i = 0; i < count; ++i) {
      batch->tokens[i] = token_at(&raw->bytes[i * static_cast<std::size_t>(width_)], width_);
    }
    batch->lengths.clear();
    for (std::size_t k = 0; k < batch->rows.size(); ++k) {
      const int64_t tokens = (raw->offsets[k + 1] - raw->offsets[k]) / width_;
      batch->lengths.push_back({static_cast<int32_t>(batch->labels[k]),
                                static_cast<int32_t>(tokens - batch->labels[k])});
    }
  }

 private:
  int64_t width_;
};

std::string token_defect(const DataIndex& index, std::span<const uint8_t> bytes, int64_t source) {
  const int64_t width = token_bytes(index);
  const auto tokens = static_cast<int64_t>(bytes.size()) / width;
  if (tokens * width != static_cast<int64_t>(bytes.size()) || tokens > kMostTokens) {
    return concat("its ", bytes.size(), " bytes are no ids of ", width, " bytes");
  }
  if (source < 0 || source > tokens) {
    return concat("its source of ", source, " tokens is out of range, it has ", tokens);
  }
  for (int64_t i = 0; i < tokens; ++i) {
    const VocabularyFile& side =
        i < source ? index.vocabularies.front() : index.vocabularies.back();
    const int32_t id = token_at(bytes.data() + i * width, width);
    if (id < 0 || id >= side.pieces) {
      return concat("token ", id, " is out of range, ", side.file, " has ", side.pieces, " pieces");
    }
  }
  return "";
}

}  // namespace

int64_t token_bytes(const DataIndex& index) {
  int64_t most = 0;
  for (const VocabularyFile& vocabulary : index.vocabularies) {
    most = std::max(most, vocabulary.pieces);
  }
  return most <= kMostPieces ? 2 : 4;
}

void append_tokens(std::span<const int32_t> ids, int64_t width, std::string* row) {
  for (const int32_t id : ids) {
    char bytes[4];
    std::memcpy(bytes, &id, sizeof bytes);
    row->append(bytes, static_cast<std::size_t>(width));
  }
}

std::unique_ptr<RowDecoder> make_token_decoder(const DataIndex& index) {
  return std::make_unique<TokenRows>(token_bytes(index));
}

std::string row_defect(const DataIndex& index, std::span<const uint8_t> bytes, int64_t label) {
  if (index.content == Content::tokens) return token_defect(index, bytes, label);
  if (label >= 0 && label < static_cast<int64_t>(index.classes.size())) return "";
  return concat("label ", label, " is out of range, there are ", index.classes.size(), " classes");
}

}  // namespace bitstill
