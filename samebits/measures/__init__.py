"""Figures of merit: over seeds, by class, compared and calibrated; and whether two routes end in the same bits."""
