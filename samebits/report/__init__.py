"""What runs leave behind, and how it is counted, drawn and told."""
