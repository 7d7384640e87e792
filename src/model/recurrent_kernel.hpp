// SIMD kernels between the matrix products of recurrent networks: LSTM cells and attention, forward
// and backward. Matrices are row-major and contiguous unless a stride says otherwise; what a matrix
// product made or takes is fp32 or bf16 (uint16_t, the upper half of a float).
#pragma once

#include <cstdint>

namespace bitstill {

/// Sentences that a step is not past yet: rows k with time < lengths[k]; all without lengths.
struct RealRows {
  const int64_t* lengths = nullptr;
  int64_t time = 0;
  bool operator()(int64_t row) const { return lengths == nullptr || time < lengths[row]; }
};

/// c' = sigmoid(f) c + sigmoid(i) tanh(g), h' = sigmoid(o) tanh(c'); gates i, f, g, o = the sum of
/// two products [rows, 4 size], or the second alone. Rows that are not real keep h and c.
template <class Value>
struct CellForward {
  int64_t size = 0;
  const Value *of_x = nullptr, *of_h = nullptr;
  const float *h = nullptr, *c = nullptr;  // [rows, size]
  float* gates = nullptr;                  // [rows, 4 size], behind their functions
  float *next_h = nullptr, *next_c = nullptr;
  RealRows real;
};

/// Rows [begin, end).
void lstm_cell(const CellForward<float>& cell, int64_t begin, int64_t end);
void lstm_cell(const CellForward<uint16_t>& cell, int64_t begin, int64_t end);

/// Gradients behind lstm_cell().
template <class Value>
struct CellBackward {
  int64_t size = 0;
  const float *gates = nullptr, *c = nullptr, *next_c = nullptr;
  const float* dy = nullptr;  // [rows, size] of next_h where a row is real, added to dh; or null
  float* dh = nullptr;        // of next_h; becomes 0 in real rows, whose part dgates carry on
  float* dc = nullptr;        // of next_c, becomes c's
  Value* dgates = nullptr;    // [rows, 4 size] of the sum; 0 in rows that are not real
  RealRows real;
};

void lstm_cell_gradient(const CellBackward<float>& cell, int64_t begin, int64_t end);
void lstm_cell_gradient(const CellBackward<uint16_t>& cell, int64_t begin, int64_t end);

/// share = softmax over a source's words s of keys_s . h, context = sum of share_s memory_s.
struct Attention {
  int64_t size = 0, longest = 0;
  const float *memory = nullptr, *keys = nullptr;  // [longest, sentences, size]
  int64_t sentences = 0;
  const int64_t* lengths = nullptr;   // [sentences]
  const int64_t* sentence = nullptr;  // of each row; none: its own number
  int64_t sentence_of(int64_t row) const { return sentence == nullptr ? row : sentence[row]; }
};

/// h [rows, size] -> share [rows, longest], 0 behind a source's end, and context [rows, size].
void attend(const Attention& attention, const float* h, float* share, float* context, int64_t begin,
            int64_t end);

/// Adds to dh; scores' gradient `dscores` [rows, longest] is that of keys_s . h.
void attend_gradient(const Attention& attention, const float* share, const float* dcontext,
                     float* dscores, float* dh, int64_t begin, int64_t end);

}  // namespace bitstill
