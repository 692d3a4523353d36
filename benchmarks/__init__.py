"""What things cost: each benchmark prints paired ratios, never a verdict."""
