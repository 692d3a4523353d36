"""What the notes print beside what comes out here: every value by the project's own functions, in exact arithmetic.

Exact whatever params.yaml says, so that the page's bytes are the same on every machine. Where torch's own functions are
asked, or float32, what they answer is kept as a yes or no, or is rounded far above their noise.
"""
