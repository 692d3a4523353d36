"""A reader of source code that looks for what exact arithmetic must not use; `python forbidden.py PATH ...`."""

import ast
import sys
from pathlib import Path

CALLS = {
    "addcmul", "addcdiv", "lerp", "addmm", "addmv", "addr", "addbmm", "baddbmm", "sumproduct", "einsum",
    "exp", "exp2", "expm1", "log", "log2", "log10", "log1p", "pow", "sigmoid", "tanh", "logsumexp", "ldexp",
    "softmax", "log_softmax", "cross_entropy", "nll_loss", "logaddexp", "erf", "erfinv",
    "rand", "randn", "randint", "randperm", "normal", "normal_", "uniform_", "bernoulli", "multinomial", "dropout",
    "compile", "script", "autocast", "float", "half", "bfloat16", "rsqrt", "reciprocal", "mean", "var", "std",
    "norm", "cumsum", "cumprod", "prod", "scatter_add_", "index_add_", "set_flush_denormal", "fma",
}  # fmt: skip
NAMES = {"float32", "float16", "bfloat16", "tf32", "allow_tf32", "set_float32_matmul_precision"}
LIBRARIES = {"torch", "F", "nn", "functional", "np", "numpy"}


def forbidden(path: Path) -> list[str]:
    """`file:line: what` for everything forbidden in a Python file, or in those of a folder."""
    files = sorted(path.rglob("*.py")) if path.is_dir() else [path]
    return [f"{file.name}:{line}: {what}" for file in files for line, what in read(file.read_text())]


def read(source: str) -> list[tuple[int, str]]:
    """(line, what) for everything forbidden in a source text.

    A call is forbidden as a method (x.exp()) or on a library (torch.exp); a function of that name that the package
    defines itself and calls by its bare name, or from a module of its own, is not.
    """
    tree, found = ast.parse(source), []
    own = {alias.asname or alias.name for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and (
        node.level or (node.module or "").startswith("stages")) for alias in node.names}  # fmt: skip
    for node in ast.walk(tree):
        line = getattr(node, "lineno", 0)
        if isinstance(node, ast.Attribute):
            base = node.value.id if isinstance(node.value, ast.Name) else ""
            mine = base in own or base in ("self", "math", "exact", "ops")
            if (
                node.attr in NAMES
                or (node.attr in CALLS and not mine)
                or node.attr.startswith("_foreach_")
                or node.attr.startswith("_fused")
            ):
                found.append((line, node.attr))
        elif isinstance(node, ast.keyword) and node.arg in ("alpha", "beta", "fused", "foreach"):
            found.append((node.value.lineno, f"{node.arg}="))
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in ("torch", "numpy"):
            found += [(line, alias.name) for alias in node.names if alias.name in CALLS | NAMES]
        elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div) and not number(node.left):
            if number(node.right):
                found.append((line, "division by a number"))
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in ("div", "div_"):
            if node.args and number(node.args[0]):
                found.append((line, "division by a number"))
        elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.Pow) and not number(node.left):
            found.append((line, "power"))
    return found


def number(node: ast.expr) -> bool:
    """Whether an expression is a literal number, perhaps signed or combined."""
    if isinstance(node, ast.BinOp):
        return number(node.left) and number(node.right)
    if isinstance(node, ast.UnaryOp):
        return number(node.operand)
    return isinstance(node, ast.Constant) and isinstance(node.value, int | float)


if __name__ == "__main__":
    lines = [line for name in sys.argv[1:] for line in forbidden(Path(name))]
    print("\n".join(lines))
    sys.exit(bool(lines))
