"""The operations that exact arithmetic may use, all of them; tests/exact/test_operations.py holds the code against it.

A name is on this list because a conformance test in test_conformance.py shows, bit for bit, that it has one answer: a
number rounded as IEEE 754 has it, an integer, or bits moved. "One operation is correctly rounded" is a claim about a
library, and libraries break it: torch's `sqrt` on a CPU does, and differs by processor.

To add one: put it into the group of its kind and a case for it beside that group's test, and let that pass on several
kinds of machine (`make machines`) and versions of torch (`make versions`). A name is written as torch.NAME, numpy.NAME
or math.NAME, or .NAME for an attribute of tensors or arrays; an operator as it is.
"""

# One rounding of one or two numbers, or none.
ELEMENTWISE = {
    "+", "-", "*", "/", "negative", "torch.add", "torch.mul", ".add_", ".sub_", ".mul", ".mul_", ".div_", ".neg_",
    ".abs", ".round", "torch.round", ".clip", "torch.maximum", "torch.minimum", "numpy.sqrt",
    "torch.frexp", "numpy.frexp", "torch.where", "numpy.where", "torch.isfinite", "numpy.isfinite",
}  # fmt: skip
# Whole numbers, which wrap around at 64 bits.
INTEGER = {"&", "|", "^", "~", "<<", ">>", ".bitwise_xor", ".bitwise_xor_", ".bitwise_right_shift"}
# From one type to another that holds the value.
CONVERSIONS = {".double", ".long", ".int", ".astype", ".to"}
# Of numbers whose every partial sum is exact, which is what grids are for; or of an order-free kind.
REDUCTIONS = {".sum", ".amax", ".amin", ".max", ".min", ".any", ".all", ".argmax", "torch.equal"}
PRODUCTS = {"@", "torch.mm", "torch._int_mm"}  # of integers, as sums are; _int_mm through product.int8 alone
# Bits from place to place.
MOVES = {
    ".view", ".reshape", ".flatten", ".ravel", ".expand", ".unsqueeze", ".squeeze", ".mT", ".T", ".transpose",
    ".unbind", ".split", ".contiguous", ".clone", ".copy_", ".fill_", ".gather", ".scatter_", ".index_select", ".sort",
    ".nonzero", ".detach", ".cpu", ".numpy", ".item", ".tolist", ".tobytes", ".new_zeros",
    "torch.cat", "torch.stack", "torch.full", "torch.full_like", "torch.zeros", "torch.zeros_like", "torch.arange",
    "torch.tensor", "torch.as_tensor", "torch.from_numpy", "torch.nn.functional.one_hot", "torch.nn.Flatten",
    "numpy.arange",
}  # fmt: skip
GRADIENTS = {"torch.nn.ReLU", "torch.autograd.Function", ".backward"}
# Python's own; no kernel of // and % is on the list below.
NUMBERS = {
    "//", "%", "math.fsum", "math.sqrt", "math.frexp", "math.ldexp", "math.isqrt", "math.prod",
    "math.isfinite",
}  # fmt: skip

GROUPS = {
    "elementwise": ELEMENTWISE, "integer": INTEGER, "conversions": CONVERSIONS, "reductions": REDUCTIONS,
    "products": PRODUCTS, "moves": MOVES, "gradients": GRADIENTS, "numbers": NUMBERS,
}  # fmt: skip
OPERATIONS = set().union(*GROUPS.values())

# What computes nothing: types and constants, what a tensor says of itself, how models are put together.
DESCRIPTIONS = {
    "torch.Tensor", "torch.Size", "torch.dtype", "torch.device", "torch.bool", "torch.uint8", "torch.int8",
    "torch.int16", "torch.int32", "torch.int64", "torch.float64", "torch.inf", "torch.nan", "torch.empty",
    "torch.broadcast_shapes", "torch.no_grad", "torch.is_grad_enabled", "torch.cuda.is_available",
    "torch.cuda.device_count", "torch.backends.cuda.matmul.allow_fp16_reduced_precision_reduction",
    "torch.backends.cuda.matmul.allow_bf16_reduced_precision_reduction", "torch.set_float32_matmul_precision",
    "torch.get_float32_matmul_precision", "torch.get_num_threads", "torch.set_num_threads", "torch.nn.Module",
    "torch.nn.Parameter",
    "torch.nn.Sequential", "torch.strided", "torch.is_autocast_enabled", "torch.empty_like", "torch.inference_mode",
    "torch.enable_grad", "torch.optim.Optimizer.add_param_group", "torch.optim.Optimizer.load_state_dict",
    "torch.optim.Optimizer.state_dict", "torch.optim.Optimizer.zero_grad",
    "numpy.float64", "numpy.int64", "numpy.uint64", "numpy.typing.NDArray", "numpy.errstate",
    ".shape", ".device", ".dtype", ".ndim", ".numel", ".size", ".stride", ".type", ".is_floating_point",
    ".is_complex", ".element_size", ".newbyteorder", ".grad", ".__init__", ".__setstate__",
    ".layout", ".is_leaf", ".requires_grad",
}  # fmt: skip
# Attributes of Python's own values, which tensors or arrays have under the same names.
PYTHON = {".name", ".index", ".values", ".partition", ".round"}

# What torch makes of all that, by the names of its own kernels: what a run may call, however it is written.
KERNELS = {
    "add", "add_", "sub", "sub_", "rsub", "mul", "mul_", "div", "div_", "neg", "neg_", "abs", "round", "round_",
    "clamp", "clamp_min", "relu", "threshold_backward", "maximum", "minimum", "frexp", "where", "eq", "ne", "lt",
    "le", "gt", "ge", "bitwise_and", "bitwise_or", "bitwise_not", "bitwise_xor", "bitwise_xor_",
    "bitwise_right_shift", "__lshift__", "__rshift__", "__xor__", "__ixor__", "_to_copy", "sum", "amax", "amin",
    "aminmax", "max", "min", "any", "all", "argmax", "equal", "mm", "bmm", "_int_mm", "view", "_unsafe_view",
    "_reshape_alias", "reshape", "expand", "unsqueeze", "squeeze", "permute", "transpose", "t", "unbind", "split",
    "slice", "select", "alias", "clone", "copy_", "fill_", "gather", "scatter_", "index", "index_select", "detach",
    "lift_fresh", "empty", "empty_like", "new_zeros", "new_empty_strided", "full", "full_like", "zeros",
    "zeros_like", "ones", "ones_like", "arange", "scalar_tensor", "stack", "cat", "one_hot", "_local_scalar_dense",
    "isfinite", "profiler._record_function_enter_new", "profiler._record_function_exit",  # a step's name, to a profiler
}  # fmt: skip

NAMES = OPERATIONS | DESCRIPTIONS | PYTHON

# What is proven of float32 as well, in test_conformance_float32.py: training on integers is made of it.
SINGLE = {
    "+", "-", "*", "/", "negative", ".add_", ".sub_", ".mul_", "torch.mul", ".round", ".round_", ".abs", ".neg_",
    ".clip", "torch.maximum", "torch.where", "numpy.sqrt", ".to", ".amax", ".amin", ".sum",
}  # fmt: skip
# The name of the type, where the two arithmetics part: allowed in these modules of exact, and in no other.
PARTING = {"__init__.py", "functional.py", "modules.py", "operands.py"}
PARTED = {"torch.float32"}
# Beside that in samebits/exact/integers, which holds all that trains on integers: what is proven in the same place,
ROOM_OPERATIONS = {
    "torch.matmul", "torch.bmm", ".remainder", ".remainder_", ".index_copy_", ".zero_", "numpy.ldexp",
    "numpy.float32", "numpy.int32", "numpy.int8",
}  # fmt: skip
# types and memory, numba (test_kernels.py), and what a GPU captures graphs with (tried on one: test_cuda_integers.py).
ROOM = PARTED | SINGLE | ROOM_OPERATIONS | {
    "torch.bfloat16", "torch.ones", "torch.compile", "torch.cuda.CUDAGraph", "torch.cuda.Stream",
    "torch.cuda.current_stream", "torch.cuda.graph", "torch.cuda.stream",
    "torch._inductor.config.emulate_precision_casts", "torch._inductor.config.eager_numerics",
    "torch._inductor.config.eager_numerics.division_rounding", ".is_contiguous", "numpy.inf", "numpy.array",
    "numpy.empty", "numpy.full", "numpy.ones", "numpy.zeros", "numpy.zeros_like", "numba.njit",
    "numba.core.caching.FunctionCache", "torch.autograd.graph", "torch.autograd.graph.increment_version",
}  # fmt: skip
# No fastmath and no parallel, with which numba would fuse and reorder (test_kernels.py).
ROOM_KEYWORDS = {"min", "out_dtype", "fullgraph", "dynamic", "nogil", "error_model", "cache"}
ROOM_MODULES = {"numba", "signal", "time", "types"}
ROOM_BUILTINS = {"hasattr", "reversed", "slice", "type"}
KEYWORDS = {"dtype", "device", "dim", "keepdim", "out", "copy", "initial", "all", "bias", "maximize",
            "decoupled_weight_decay"}  # fmt: skip
BUILTINS = {
    "abs", "all", "any", "bool", "dict", "enumerate", "float", "int", "isinstance", "len", "list", "map", "max", "min",
    "next", "print", "range", "round", "set", "sorted", "staticmethod", "str", "super", "tuple", "vars", "zip",
    "ArithmeticError", "ValueError", "TypeError",
}  # fmt: skip
PROJECT = {"samebits"}
MODULES = {
    "__future__", "abc", "collections", "concurrent", "contextlib", "copy", "dataclasses", "functools", "hashlib",
    "importlib", "inspect", "itertools", "json", "numbers", "os", "pathlib", "threading", "typing", "safetensors",
}  # fmt: skip

# What to write in place of what people reach for.
INSTEAD = {
    "sqrt": "numpy's, as exact.random.root does: torch's on a CPU is not correctly rounded",
    "exp": "exact.exp, exact.exp2 or exact.softmax", "exp2": "exact.exp2", "log": "exact.log",
    "log1p": "exact.log", "log2": "exact.log", "log10": "exact.log", "pow": "products", "**": "products, or 2.0**n",
    "softmax": "exact.softmax", "log_softmax": "exact.log_softmax", "cross_entropy": "exact.cross_entropy",
    "nll_loss": "exact.cross_entropy", "logsumexp": "exact.log_softmax", "sigmoid": "exact.softmax of two logits",
    "tanh": "torch.nn.Hardtanh, once it is proven", "mean": "exact.sum, divided by a tensor",
    "linear": "exact.linear", "matmul": "exact.matmul", "bmm": "exact.matmul", "einsum": "exact.matmul",
    "addmm": "exact.matmul and +", "baddbmm": "exact.linear", "addcmul": "* and +", "addcdiv": "/ and +",
    "lerp": "* and +", "fma": "* and +", "reciprocal": "/", "rsqrt": "/ and a root", "div": "/",
    "rand": "exact.uniform", "randn": "exact.normal", "normal": "exact.normal", "randperm": "exact.permutation",
    "float": "float64", "half": "float64", "float32": "float64", "float16": "float64", "bfloat16": "float64",
    "sum()": "math.fsum, or .sum of integers: Python's own rounds floats as its version has it",
    "compile": "no compiler, which is free to fuse",
}  # fmt: skip
