"""LeNet (Dive into Deep Learning, 7.6) with batch normalization (8.5) and ReLU in place of the sigmoid."""


def network(nn, image, classes):
    """Return the network for images of (height, width); on small ones the second convolution is padded by 2."""
    padding = 0 if min(image) >= 14 else 2
    height, width = (((side // 2) + 2 * padding - 4) // 2 for side in image)
    return nn.Sequential(
        nn.Conv2d(1, 6, kernel_size=5, padding=2), nn.BatchNorm2d(6), nn.ReLU(), nn.AvgPool2d(2, stride=2),
        nn.Conv2d(6, 16, kernel_size=5, padding=padding), nn.BatchNorm2d(16), nn.ReLU(), nn.AvgPool2d(2, stride=2),
        nn.Flatten(),
        nn.Linear(16 * height * width, 120), nn.ReLU(),
        nn.Linear(120, 84), nn.ReLU(),
        nn.Linear(84, classes),
    )  # fmt: skip
