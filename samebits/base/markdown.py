"""Text that people bring, in Markdown: as it is, whatever it holds."""


def plain(text: str) -> str:
    """Return a text that a table of Markdown shows as it is: no tag, no cell of its own, no line."""
    return " ".join(text.replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;").split())
