"""What MLflow runs to load a published model (a "model from code": nothing is pickled). Not imported by the project.

Beside it lie the weights and the few modules of this project that read them; it needs mlflow, numpy, pandas, torch
and safetensors, nothing else.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from mlflow.models import set_model
from mlflow.pyfunc.model import PythonModel, PythonModelContext

from samebits.inference.classifier import Classifier


class Model(PythonModel):
    """Classify images as predictions/DATASET/RUN.csv does: by the network of the first seed."""

    def load_context(self, context: PythonModelContext) -> None:
        """Read the weights that came with the model."""
        self.classifier = Classifier.load(Path(context.artifacts["weights"]))

    def predict(
        self,
        context: PythonModelContext,
        model_input: np.ndarray,  # MLflow knows the bare type only
        params: dict[str, Any] | None = None,
    ) -> pd.DataFrame:
        """Return a row for each image of uint8 [N, H, W]: the class, its probability, and that of every class."""
        images = torch.from_numpy(np.array(model_input, np.uint8))  # a copy: torch wants to write to what it gets
        P = self.classifier.probabilities(images).numpy()
        names = self.classifier.description.classes
        answer = pd.DataFrame(P, columns=[f"p({name})" for name in names])
        answer.insert(0, "class", [names[k] for k in P.argmax(1)])
        answer.insert(1, "probability", P.max(1))
        return answer


set_model(Model())
