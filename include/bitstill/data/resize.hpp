// Pictures scaled with an antialiased triangle filter, as Pillow and torchvision do it.
#pragma once

#include <cstdint>
#include <memory>

#include "bitstill/data/crop.hpp"

namespace bitstill {

/// Scales in fixed point, horizontally and then vertically; one a thread, since it keeps its
/// memory.
class CropResizer {
 public:
  CropResizer();
  ~CropResizer();
  CropResizer(const CropResizer&) = delete;
  CropResizer& operator=(const CropResizer&) = delete;

  /// `pixels` are those of source_box(crop), with 1 or 3 channels; writes uint8
  /// [channels, rows.count, columns.count].
  void resize_crop(const PixelView& pixels, const Crop& crop, uint8_t* target);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// The same in doubles, slowly, rounded once at the end: what resize_crop is measured by.
void resize_crop_reference(const PixelView& pixels, const Crop& crop, uint8_t* target);

}  // namespace bitstill
