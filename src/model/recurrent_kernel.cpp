// SIMD kernels of LSTM cells and attention; Google Highway compiles this file once for every
// instruction set and picks the best one at run time.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "../src/model/recurrent_kernel.cpp"  // from include/
#include <hwy/foreach_target.h>
// The line above includes this file again for every further target.
#include <hwy/contrib/math/math-inl.h>
#include <hwy/highway.h>

#include <algorithm>
#include <cmath>

#include "recurrent_kernel.hpp"
#include "values-inl.hpp"

HWY_BEFORE_NAMESPACE();
namespace bitstill {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

template <class D>
HWY_INLINE hn::Vec<D> sigmoid(D d, hn::Vec<D> v) {
  const auto one = hn::Set(d, 1.0f);
  return hn::Div(one, hn::Add(one, hn::Exp(d, hn::Neg(v))));
}

/// v (1 - v): the slope of a sigmoid whose value is v.
template <class D>
HWY_INLINE hn::Vec<D> slope(D d, hn::Vec<D> v) {
  return hn::Mul(v, hn::Sub(hn::Set(d, 1.0f), v));
}

template <class Value>
void cell_row(const CellForward<Value>& cell, int64_t row) {
  const int64_t n = cell.size;
  const Value* const h = cell.of_h + row * 4 * n;
  const Value* const x = cell.of_x == nullptr ? nullptr : cell.of_x + row * 4 * n;
  float* const gates = cell.gates + row * 4 * n;
  const float* const c = cell.c + row * n;
  float *const next_h = cell.next_h + row * n, *const next_c = cell.next_c + row * n;
  over(n, [&](auto d, int64_t k) HWY_ATTR {
    const auto gate = [&](int64_t at) HWY_ATTR {
      return x == nullptr ? load(d, h + at) : hn::Add(load(d, x + at), load(d, h + at));
    };
    const auto in = sigmoid(d, gate(k)), forget = sigmoid(d, gate(n + k));
    const auto given = hn::Tanh(d, gate(2 * n + k)), out = sigmoid(d, gate(3 * n + k));
    const auto after = hn::MulAdd(forget, load(d, c + k), hn::Mul(in, given));
    store(d, in, gates + k);
    store(d, forget, gates + n + k);
    store(d, given, gates + 2 * n + k);
    store(d, out, gates + 3 * n + k);
    store(d, after, next_c + k);
    store(d, hn::Mul(out, hn::Tanh(d, after)), next_h + k);
  });
}

template <class Value>
void cells(const CellForward<Value>& cell, int64_t begin, int64_t end) {
  for (int64_t row = begin; row < end; ++row) {
    if (cell.real(row)) {
      cell_row(cell, row);
    } else {
      std::copy_n(cell.h + row * cell.size, cell.size, cell.next_h + row * cell.size);
      std::copy_n(cell.c + row * cell.size, cell.size, cell.next_c + row * cell.size);
    }
  }
}

template <class Value>
void cell_gradient_row(const CellBackward<Value>& cell, int64_t row) {
  const int64_t n = cell.size;
  const float *const gates = cell.gates + row * 4 * n, *const c = cell.c + row * n;
  const float* const next_c = cell.next_c + row * n;
  const float* const dy = cell.dy == nullptr ? nullptr : cell.dy + row * n;
  float *const dh = cell.dh + row * n, *const dc = cell.dc + row * n;
  Value* const dgates = cell.dgates + row * 4 * n;
  over(n, [&](auto d, int64_t k) HWY_ATTR {
    const auto in = load(d, gates + k), forget = load(d, gates + n + k);
    const auto given = load(d, gates + 2 * n + k), out = load(d, gates + 3 * n + k);
    const auto one = hn::Set(d, 1.0f), bent = hn::Tanh(d, load(d, next_c + k));
    auto of_h = load(d, dh + k);
    if (dy != nullptr) of_h = hn::Add(of_h, load(d, dy + k));
    const auto of_c =
        hn::MulAdd(hn::Mul(of_h, out), hn::NegMulAdd(bent, bent, one), load(d, dc + k));
    store(d, hn::Mul(hn::Mul(of_c, given), slope(d, in)), dgates + k);
    store(d, hn::Mul(hn::Mul(of_c, load(d, c + k)), slope(d, forget)), dgates + n + k);
    store(d, hn::Mul(hn::Mul(of_c, in), hn::NegMulAdd(given, given, one)), dgates + 2 * n + k);
    store(d, hn::Mul(hn::Mul(of_h, bent), slope(d, out)), dgates + 3 * n + k);
    store(d, hn::Mul(of_c, forget), dc + k);
    store(d, hn::Zero(d), dh + k);
  });
}

template <class Value>
void cell_gradients(const CellBackward<Value>& cell, int64_t begin, int64_t end) {
  for (int64_t row = begin; row < end; ++row) {
    if (cell.real(row)) {
      cell_gradient_row(cell, row);
    } else {
      std::fill_n(cell.dgates + row * 4 * cell.size, 4 * cell.size, Value(0));
    }
  }
}

HWY_INLINE void add_scaled(float scale, const float* x, int64_t count, float* to) {
  over(count, [&](auto d, int64_t i) HWY_ATTR {
    store(d, hn::MulAdd(hn::Set(d, scale), load(d, x + i), load(d, to + i)), to + i);
  });
}

void attend_rows(const Attention& attention, const float* h, float* share, float* context,
                 int64_t begin, int64_t end) {
  const int64_t n = attention.size, stride = attention.sentences * n;
  for (int64_t row = begin; row < end; ++row) {
    const int64_t sentence = attention.sentence_of(row), words = attention.lengths[sentence];
    float *const own = share + row * attention.longest, *const sum = context + row * n;
    std::fill_n(own, attention.longest, 0.0f);
    std::fill_n(sum, n, 0.0f);
    for (int64_t s = 0; s < words; ++s) {
      own[s] = dot(attention.keys + s * stride + sentence * n, h + row * n, n);
    }
    const float largest = words == 0 ? 0 : *std::max_element(own, own + words);
    float total = 0;
    for (int64_t s = 0; s < words; ++s) total += own[s] = std::exp(own[s] - largest);
    for (int64_t s = 0; s < words; ++s) {
      own[s] /= total;
      add_scaled(own[s], attention.memory + s * stride + sentence * n, n, sum);
    }
  }
}

void attend_gradients(const Attention& attention, const float* share, const float* dcontext,
                      float* dscores, float* dh, int64_t begin, int64_t end) {
  const int64_t n = attention.size, stride = attention.sentences * n;
  for (int64_t row = begin; row < end; ++row) {
    const int64_t sentence = attention.sentence_of(row), words = attention.lengths[sentence];
    const float* const own = share + row * attention.longest;
    float* const of_own = dscores + row * attention.longest;
    std::fill_n(of_own, attention.longest, 0.0f);
    float mean = 0;
    for (int64_t s = 0; s < words; ++s) {
      of_own[s] = dot(attention.memory + s * stride + sentence * n, dcontext + row * n, n);
      mean += own[s] * of_own[s];
    }
    for (int64_t s = 0; s < words; ++s) {
      of_own[s] = own[s] * (of_own[s] - mean);
      add_scaled(of_own[s], attention.keys + s * stride + sentence * n, n, dh + row * n);
    }
  }
}

void cells_fp32(const CellForward<float>& cell, int64_t begin, int64_t end) {
  cells(cell, begin, end);
}
void cells_bf16(const CellForward<uint16_t>& cell, int64_t begin, int64_t end) {
  cells(cell, begin, end);
}
void gradients_fp32(const CellBackward<float>& cell, int64_t begin, int64_t end) {
  cell_gradients(cell, begin, end);
}
void gradients_bf16(const CellBackward<uint16_t>& cell, int64_t begin, int64_t end) {
  cell_gradients(cell, begin, end);
}

}  // namespace HWY_NAMESPACE
}  // namespace bitstill
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace bitstill {

HWY_EXPORT(cells_fp32);
HWY_EXPORT(cells_bf16);
HWY_EXPORT(gradients_fp32);
HWY_EXPORT(gradients_bf16);
HWY_EXPORT(attend_rows);
HWY_EXPORT(attend_gradients);

void lstm_cell(const CellForward<float>& cell, int64_t begin, int64_t end) {
  HWY_DYNAMIC_DISPATCH(cells_fp32)(cell, begin, end);
}

void lstm_cell(const CellForward<uint16_t>& cell, int64_t begin, int64_t end) {
  HWY_DYNAMIC_DISPATCH(cells_bf16)(cell, begin, end);
}

void lstm_cell_gradient(const CellBackward<float>& cell, int64_t begin, int64_t end) {
  HWY_DYNAMIC_DISPATCH(gradients_fp32)(cell, begin, end);
}

void lstm_cell_gradient(const CellBackward<uint16_t>& cell, int64_t begin, int64_t end) {
  HWY_DYNAMIC_DISPATCH(gradients_bf16)(cell, begin, end);
}

void attend(const Attention& attention, const float* h, float* share, float* context, int64_t begin,
            int64_t end) {
  HWY_DYNAMIC_DISPATCH(attend_rows)(attention, h, share, context, begin, end);
}

void attend_gradient(const Attention& attention, const float* share, const float* dcontext,
                     float* dscores, float* dh, int64_t begin, int64_t end) {
  HWY_DYNAMIC_DISPATCH(attend_gradients)(attention, share, dcontext, dscores, dh, begin, end);
}

}  // namespace bitstill
#endif
