#include "lstm_node.hpp"

#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/mm.h>

#include "custom_gradient.hpp"
#include "operand.hpp"
#include "product.hpp"

namespace bitstill {
namespace {

/// Everything is in the order of time; `backward` goes through it from the end, so that the state
/// before step t is at t + 1 and the one behind it at t, else the other way round.
struct Order {
  int64_t steps = 0;
  bool backward = false;
  int64_t step(int64_t i) const { return backward ? steps - 1 - i : i; }
  int64_t before(int64_t t) const { return backward ? t + 1 : t; }
  int64_t behind(int64_t t) const { return backward ? t : t + 1; }
  at::Tensor all_before(const at::Tensor& states) const {
    return states.narrow(0, backward ? 1 : 0, steps);
  }
  at::Tensor all_behind(const at::Tensor& states) const {
    return states.narrow(0, backward ? 0 : 1, steps);
  }
};

enum Saved : std::size_t { kX, kWeightIh, kWeightHh, kLengths, kGates, kH, kC, kOperands };

RealRows real_rows(const at::Tensor& lengths, int64_t time) {
  return {lengths.defined() ? lengths.const_data_ptr<int64_t>() : nullptr, time};
}

/// One step's cells.
template <class Value>
void run_cells(const std::vector<at::Tensor>& saved, const at::Tensor& of_x, const at::Tensor& of_h,
               const Order& order, int64_t t) {
  CellForward<Value> cell;
  cell.size = of_h.size(1) / 4;
  cell.of_x = values<Value>(of_x);
  cell.of_h = values<Value>(of_h);
  cell.h = values<float>(saved[kH][order.before(t)]);
  cell.c = values<float>(saved[kC][order.before(t)]);
  cell.gates = values<float>(saved[kGates][t]);
  cell.next_h = values<float>(saved[kH][order.behind(t)]);
  cell.next_c = values<float>(saved[kC][order.behind(t)]);
  cell.real = real_rows(saved[kLengths], t);
  over_rows(of_h.size(0), [&](int64_t begin, int64_t end) { lstm_cell(cell, begin, end); });
}

template <class Value>
void run_gradients(const std::vector<at::Tensor>& saved, const at::Tensor& dy, const at::Tensor& dh,
                   const at::Tensor& dc, const at::Tensor& dgates, const Order& order, int64_t t) {
  CellBackward<Value> cell;
  cell.size = dh.size(1);
  cell.gates = values<float>(saved[kGates][t]);
  cell.c = values<float>(saved[kC][order.before(t)]);
  cell.next_c = values<float>(saved[kC][order.behind(t)]);
  cell.dy = values<float>(dy[t]);
  cell.dh = values<float>(dh);
  cell.dc = values<float>(dc);
  cell.dgates = values<Value>(dgates[t]);
  cell.real = real_rows(saved[kLengths], t);
  over_rows(dh.size(0), [&](int64_t begin, int64_t end) { lstm_cell_gradient(cell, begin, end); });
}

/// dL/d[outputs, last h, last c] -> x, weight_ih, weight_hh, bias_ih, bias_hh, first h and c.
std::vector<at::Tensor> backward(const std::vector<at::Tensor>& saved, const at::Tensor& given,
                                 bool reversed) {
  const at::Tensor& x = saved[kX];
  const auto type = x.scalar_type();
  const Order order{x.size(0), reversed};
  const at::Tensor all = given.contiguous();
  const at::Tensor dh = all[order.steps].clone(), dc = all[order.steps + 1].clone();
  const at::Tensor dgates = at::empty(saved[kGates].sizes(), x.options());
  const Product back(saved[kWeightHh].t(), type);
  for (int64_t i = order.steps - 1; i >= 0; --i) {
    const int64_t t = order.step(i);
    type == at::kFloat ? run_gradients<float>(saved, all, dh, dc, dgates, order, t)
                       : run_gradients<uint16_t>(saved, all, dh, dc, dgates, order, t);
    dh.add_(back(dgates[t]));
  }
  const at::Tensor flat = dgates.flatten(0, 1), dbias = bias_gradient(flat);
  const at::Tensor dx = at::mm(flat, saved[kWeightIh].to(type)).to(at::kFloat).view(x.sizes());
  return {dx,
          weight_gradient(flat, x.flatten(0, 1)),
          weight_gradient(flat, order.all_before(saved[kOperands]).flatten(0, 1)),
          dbias,
          dbias,
          dh,
          dc};
}

/// Outputs behind a sentence's end are 0.
void clear_padding(const at::Tensor& y, const at::Tensor& lengths, int64_t steps) {
  for (int64_t t = 0; t < steps; ++t) {
    const RealRows real = real_rows(lengths, t);
    for (int64_t row = 0; row < y.size(1); ++row) {
      if (!real(row)) y[t][row].zero_();
    }
  }
}

/// [outputs, last h, last c], [S + 2, n, size].
CustomResult forward(const LstmLayer& layer, const at::Tensor& x, const at::Tensor& lengths,
                     bool reversed, const LstmState& first) {
  const auto type = product_type();
  const int64_t n = x.size(1), size = layer.size();
  const Order order{x.size(0), reversed};
  const at::Tensor operand = x.to(type).contiguous();
  const at::Tensor bias = (layer.bias_ih.value + layer.bias_hh.value).to(type);
  const at::Tensor of_x = Product(layer.weight_ih.value, type)(operand.flatten(0, 1), bias)
                              .view({order.steps, n, 4 * size});
  const auto fp32 = x.options().dtype(at::kFloat);
  const at::Tensor h = at::empty({order.steps + 1, n, size}, fp32), c = at::empty_like(h);
  const at::Tensor operands = type == at::kFloat ? h : at::empty(h.sizes(), operand.options());
  std::vector<at::Tensor> saved = {operand,
                                   layer.weight_ih.value,
                                   layer.weight_hh.value,
                                   lengths,
                                   at::empty({order.steps, n, 4 * size}, fp32),
                                   h,
                                   c,
                                   operands};
  const int64_t start = order.before(order.step(0));
  if (first.h.defined()) {
    h[start].copy_(first.h);
    c[start].copy_(first.c);
  } else {
    h[start].zero_();
    c[start].zero_();
  }
  const Product product(layer.weight_hh.value, type);
  for (int64_t i = 0; i < order.steps; ++i) {
    const int64_t t = order.step(i);
    if (type != at::kFloat) operands[order.before(t)].copy_(h[order.before(t)]);
    const at::Tensor of_h = product(operands[order.before(t)]);
    type == at::kFloat ? run_cells<float>(saved, of_x[t], of_h, order, t)
                       : run_cells<uint16_t>(saved, of_x[t], of_h, order, t);
  }
  const int64_t end = order.behind(order.step(order.steps - 1));
  at::Tensor y = at::cat({order.all_behind(h), h[end].unsqueeze(0), c[end].unsqueeze(0)});
  clear_padding(y, lengths, order.steps);
  return {y, saved,
          [reversed, starts = first.h.defined()](const std::vector<at::Tensor>& kept,
                                                 const at::Tensor& dy) {
            std::vector<at::Tensor> gradients = backward(kept, dy, reversed);
            if (!starts) gradients.resize(gradients.size() - 2);
            return gradients;
          }};
}

}  // namespace

at::Tensor lstm_node(const LstmLayer& layer, const at::Tensor& x, const at::Tensor& lengths,
                     bool backward, const LstmState& first, LstmState* last) {
  std::vector<at::Tensor> inputs = {x, layer.weight_ih.value, layer.weight_hh.value,
                                    layer.bias_ih.value, layer.bias_hh.value};
  if (first.h.defined()) inputs.insert(inputs.end(), {first.h, first.c});
  const at::Tensor all =
      custom_gradient(inputs, [&] { return forward(layer, x, lengths, backward, first); });
  const int64_t steps = x.size(0);
  *last = {all[steps], all[steps + 1]};
  return all.narrow(0, 0, steps);
}

}  // namespace bitstill
