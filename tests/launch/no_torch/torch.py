"""As much of PyTorch as launch/export_pytorch.py uses, where there is none: numbers, modules, files."""
import ctypes
import math
import pickle
import types


class Tensor:
    def __init__(self, *shape):
        self.shape = shape

    def numel(self):
        return math.prod(self.shape)

    def detach(self):
        return self

    float = contiguous = detach

    def data_ptr(self):
        self.values = (ctypes.c_float * self.numel())()
        return ctypes.addressof(self.values)


zeros = Tensor


class Conv2d:
    def __init__(self, inputs, outputs, kernel):
        self.state = {"weight": Tensor(outputs, inputs, kernel, kernel), "bias": Tensor(outputs)}

    def state_dict(self):
        return self.state


nn = types.SimpleNamespace(Module=Conv2d, Conv2d=Conv2d)


def save(value, path):
    with open(path, "wb") as file:
        pickle.dump(value, file)


class TensorsOnly(pickle.Unpickler):
    def find_class(self, module, name):
        if name != "Tensor":
            raise pickle.UnpicklingError(name)
        return Tensor


def load(path, map_location, weights_only):
    with open(path, "rb") as file:
        return (TensorsOnly if weights_only else pickle.Unpickler)(file).load()
