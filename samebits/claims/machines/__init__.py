"""Do other kinds of processor, emulated on this one, compute the same bits? `make machines` tells."""
