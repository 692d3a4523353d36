"""Softmax regression, beside Dive into Deep Learning 3.6; it ends in the bits of the pipeline's `scratch` on digits."""

import torch
from sklearn.datasets import load_digits
from torch.nn.functional import one_hot

from samebits import exact


def load(test=360):
    """Images of 8 x 8 as rows of D = 64 whole numbers, 0 to 255, and labels; the last ones are for testing."""
    digits = load_digits()
    X, y = torch.tensor((digits.data * 255 + 8) // 16, dtype=torch.uint8), torch.tensor(digits.target)
    return X[:-test], y[:-test], X[-test:], y[-test:]


def start(D, K, seed):
    """W [K, D] from N(0, 0.01), b [K] zero, in float32."""
    return exact.normal((K, D), 0.01, seed, "layer0.weight").to(exact.dtype), torch.zeros(K, dtype=exact.dtype)


def net(X, W, b):
    """Logits Z [B, K] = X W^T / 255 + b, since a pixel is a share of 255; in float64, as the losses are."""
    return exact.linear(X, W, b).to(exact.loss_dtype)


def softmax(Z):
    """Probabilities [B, K]: exponentials over their sum; the row's maximum goes first, so that none overflows."""
    E = exact.exp(Z - Z.amax(1, keepdim=True))
    return E / exact.sum(E, 1)[:, None]


def loss(P, y):
    """Mean cross entropy: -log of the probability of each image's own class."""
    return exact.sum(-exact.log(P[range(len(y)), y]), 0) / len(y)


def gradient(X, P, y):
    """For W and b, since l = log(sum_j exp z_j) - z_y and dl/dz_k = exp z_k / sum_j exp z_j - [k = y] = p_k - y_k."""
    # (3.4.6.2.) As z = x W^T / 255 + b, dl/dW = (p - y)^T x / 255, the second division by 255, and dl/db = p - y.
    G = ((P - one_hot(y, P.shape[1])) / len(y)).to(exact.dtype)
    return exact.weight_gradient(G, X), exact.bias_gradient(G)


def train(seed=0, epochs=20, batch_size=256, lr=0.1):
    """Minibatch stochastic gradient descent; W and b as they are after the last epoch."""
    X, y, X_test, y_test = load()
    W, b = start(X.shape[1], 10, seed)
    for epoch in range(1, epochs + 1):
        for rows in exact.permutation(len(y), seed, f"epoch{epoch}.order").split(batch_size):
            dW, db = gradient(X[rows], softmax(net(X[rows], W, b)), y[rows])
            W, b = W - lr * dW, b - lr * db
        accuracy = (net(X_test, W, b).argmax(1) == y_test).double().mean()
        print(f"epoch {epoch}: loss {loss(softmax(net(X, W, b)), y):.4f}, test accuracy {accuracy:.4f}")
    return W, b


if __name__ == "__main__":
    W, b = train()
    print(exact.digest({"weight": W, "bias": b}))
