"""Seeds are the same wherever they are trained: a store in which they are kept, and workers among which they go."""
