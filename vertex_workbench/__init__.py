"""Run a notebook with papermill on a Vertex AI Workbench instance with a GPU."""
