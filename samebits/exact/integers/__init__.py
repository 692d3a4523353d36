"""Training on 8-bit integers: operands of 7 and 8 bits on grids of powers of two, sums that are never rounded.

docs/exact.md, "Training on 8-bit integers", lists every rounding and proves the budget. In the order of reading:
`plain` spells the passes out as torch operations, `products` multiplies integers, `functional` puts both together for
autograd; `kernels` are the same passes compiled for a CPU, `fused` and `captured` whole steps for a CPU and a GPU.
"""
