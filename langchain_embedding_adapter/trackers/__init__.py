"""Experiment trackers: a training told to TensorBoard, Weights & Biases, MLflow or trackio, or to a class of your own.

``trainer.train(dataset, callbacks=[WandbTracker(project="handbook")])``. A tracker that fails is left out from there on
and the fit goes on; its package is imported when the tracker is made, so that a missing one is known at once.
"""

from langchain_embedding_adapter.trackers.mlflow import MLflowTracker
from langchain_embedding_adapter.trackers.protocol import Tracker
from langchain_embedding_adapter.trackers.tensorboard import TensorBoardTracker
from langchain_embedding_adapter.trackers.trackio import TrackioTracker
from langchain_embedding_adapter.trackers.wandb import WandbTracker

__all__ = ["MLflowTracker", "TensorBoardTracker", "Tracker", "TrackioTracker", "WandbTracker"]
